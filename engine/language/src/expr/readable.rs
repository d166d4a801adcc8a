//! Functions that write values for readers: amounts, spans, names of models, and text for HTML and addresses.
//!
//! Law: what makes no sense as such a value gives what stands for nothing (`0`, `$0.00`, an empty text), because a
//! message with a gap is better than none.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::arguments::{bounded, text, to_text};

/// Tokens: `999`, `1.2k`, `2.5M`.
pub(super) fn tokens(arguments: &[Value]) -> Result<Value, String> {
    let count = number(&arguments[0]).filter(|count| *count > 0.0).unwrap_or(0.0).trunc();
    // Rounded first: 999,950 are 1.0M, not 1000.0k.
    let thousands = (count / 100.0).round() / 10.0;
    Ok(json!(if count < 1_000.0 {
        format!("{count:.0}")
    } else if thousands < 1_000.0 {
        format!("{thousands:.1}k")
    } else {
        format!("{:.1}M", (count / 100_000.0).round() / 10.0)
    }))
}

/// US dollars with two decimal places: `$0.21`.
pub(super) fn money(arguments: &[Value]) -> Result<Value, String> {
    let dollars = match &arguments[0] {
        Value::String(text) => {
            let amount = text.trim().trim_start_matches('$').trim_end_matches("USD").trim();
            amount.replace('_', "").parse().ok().filter(|amount: &f64| amount.is_finite())
        }
        other => number(other),
    };
    // Whole cents, so that nothing is shown as -$0.00.
    let cents = (dollars.unwrap_or(0.0) * 100.0).round();
    let sign = if cents < 0.0 { "-" } else { "" };
    Ok(json!(format!("{sign}${:.2}", cents.abs() / 100.0)))
}

/// A time in seconds, or a duration, cut to its two largest units: `59s`, `4m 12s`, `1h 03m`.
pub(super) fn span(arguments: &[Value]) -> Result<Value, String> {
    let seconds = match &arguments[0] {
        Value::String(text) => everfold_base::duration::parse(text).ok().map(|span| span.as_secs_f64()),
        other => number(other),
    };
    let Some(seconds) = seconds.filter(|seconds| *seconds >= 0.0 && *seconds < 1e15) else {
        return Ok(json!(""));
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in bounds")]
    let seconds = seconds.trunc() as u64;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    Ok(json!(match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m {:02}s", seconds % 60),
        (hours, minutes) => format!("{hours}h {minutes:02}m"),
    }))
}

/// A model's name without what says who makes or provides it: `provider/claude-opus-4-8` is `opus-4-8`.
pub(super) fn model(arguments: &[Value]) -> Result<Value, String> {
    let Value::String(name) = &arguments[0] else { return Ok(json!("")) };
    let last = name.trim().rsplit('/').next().unwrap_or_default();
    Ok(json!(last.strip_prefix("claude-").unwrap_or(last)))
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// The text in HTML: what would be markup stands for itself.
pub(super) fn html(arguments: &[Value]) -> Result<Value, String> {
    let mut escaped = String::new();
    for c in to_text(&arguments[0]).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    bounded(escaped)
}

/// The text as a part of an address: all but letters, digits and `-._~` is percent-encoded (RFC 3986).
pub(super) fn url(arguments: &[Value]) -> Result<Value, String> {
    let mut encoded = String::new();
    for byte in to_text(&arguments[0]).bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    bounded(encoded)
}

/// The text of an HTML fragment: no tags, comments, scripts and styles; entities as what they stand for; white space
/// as single spaces.
pub(super) fn strip_html(arguments: &[Value]) -> Result<Value, String> {
    let mut rest = text(arguments, 0)?;
    let mut plain = String::with_capacity(rest.len());
    while let Some(at) = rest.find('<') {
        plain.push_str(&decode_entities(&rest[..at]));
        rest = &rest[at..];
        match markup(rest) {
            Some(length) => {
                // Words on both sides of a tag stay two words.
                plain.push(' ');
                rest = &rest[length..];
            }
            None => {
                plain.push('<');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(&decode_entities(rest));
    bounded(plain.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// How many bytes of markup a text begins with; `None`: its `<` is text.
fn markup(text: &str) -> Option<usize> {
    let to = |end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    if text.starts_with("<!--") {
        return Some(to("-->"));
    }
    let name = text[1..].trim_start_matches(['/', '!', '?']);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let length = tag(text);
    for hidden in ["script", "style"] {
        let is_it = text.get(1..=hidden.len()).is_some_and(|name| name.eq_ignore_ascii_case(hidden))
            && !text[hidden.len() + 1..].starts_with(|c: char| c.is_ascii_alphanumeric());
        if is_it {
            let end = format!("</{hidden}");
            let inner = &text.as_bytes()[length..];
            let found = inner.windows(end.len()).position(|part| part.eq_ignore_ascii_case(end.as_bytes()));
            return Some(found.map_or(text.len(), |at| length + at + tag(&text[length + at..])));
        }
    }
    Some(length)
}

/// The length of a tag; a `>` in the quotes of an attribute does not end it.
fn tag(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _inside => {}
        }
    }
    text.len()
}

/// The characters that the entities of a text stand for; an unknown one stays as it is.
fn decode_entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        // The longest is `&#x10FFFF;`.
        let end = rest.bytes().take(10).position(|byte| byte == b';');
        match end.and_then(|end| Some((end, entity(&rest[1..end])?))) {
            Some((end, c)) => {
                decoded.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?).filter(|c| *c != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" => '•',
        "euro" => '€',
        "copy" => '©',
        _unknown => return None,
    })
}

//! The functions that expressions have besides CEL's own.
//!
//! Law: pure, bounded, the same answer everywhere: no clock, no randomness, no hash order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use regex::Regex;
use serde_json::{Value, json};

use super::arguments::{TEXT_BYTES_MAX, bounded, count, limit, text};
pub use super::arguments::{kind, to_text};
use super::patterns::{matches, replace_regex};
use super::readable::{html, model, money, span, strip_html, tokens, url};
use everfold_base::json::{Hash, canonical, strict};

/// CEL's own functions and those of optional values.
pub(super) const STANDARD: [&str; 37] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "dyn",
    "type",
    "duration",
    "timestamp",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "hasValue",
    "value",
    "or",
    "orValue",
    "optional.of",
    "optional.none",
    "optional.ofNonZeroValue",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];

/// What a function does with its arguments.
#[derive(Clone, Copy)]
pub(super) enum Implementation {
    /// It needs nothing else.
    Plain(fn(&[Value]) -> Result<Value, String>),
    /// Writes a value for readers; the evaluator gives it null in place of NaN and infinities.
    Readable(fn(&[Value]) -> Result<Value, String>),
    /// It also needs its second argument as a compiled pattern.
    Pattern(fn(&[Value], &Regex) -> Result<Value, String>),
}

use Implementation::{Pattern, Plain, Readable};

/// One function: callable as `f(x, …)` and as `x.f(…)`.
pub(super) struct Own {
    pub(super) name: &'static str,
    /// Its name in the tree: one that no text can spell, so that CEL's own never shadow it.
    pub(super) registered: &'static str,
    pub(super) usage: &'static str,
    pub(super) takes: RangeInclusive<usize>,
    pub(super) run: Implementation,
}

const OWN: [Own; 28] = [
    Own { name: "trim", registered: "@trim", usage: "text.trim()", takes: 1..=1, run: Plain(trim) },
    Own {
        name: "lowerAscii",
        registered: "@lowerAscii",
        usage: "text.lowerAscii()",
        takes: 1..=1,
        run: Plain(lower_ascii),
    },
    Own {
        name: "upperAscii",
        registered: "@upperAscii",
        usage: "text.upperAscii()",
        takes: 1..=1,
        run: Plain(upper_ascii),
    },
    Own {
        name: "split",
        registered: "@split",
        usage: "text.split(separator) or text.split(separator, limit)",
        takes: 2..=3,
        run: Plain(split),
    },
    Own {
        name: "join",
        registered: "@join",
        usage: "list.join() or list.join(separator)",
        takes: 1..=2,
        run: Plain(join),
    },
    Own {
        name: "replace",
        registered: "@replace",
        usage: "text.replace(old, new) or text.replace(old, new, count)",
        takes: 3..=4,
        run: Plain(replace),
    },
    Own {
        name: "substring",
        registered: "@substring",
        usage: "text.substring(start) or text.substring(start, end)",
        takes: 2..=3,
        run: Plain(substring),
    },
    Own {
        name: "matches",
        registered: "@matches",
        usage: "text.matches(pattern)",
        takes: 2..=2,
        run: Pattern(matches),
    },
    Own {
        name: "replaceRegex",
        registered: "@replaceRegex",
        usage: "text.replaceRegex(pattern, with)",
        takes: 3..=3,
        run: Pattern(replace_regex),
    },
    Own {
        name: "sortBy",
        registered: "@sortBy",
        usage: "list.sortBy(x, key)",
        takes: 1..=1, // the pairs that its loop makes
        run: Plain(sort_pairs),
    },
    Own {
        name: "take",
        registered: "@take",
        usage: "list.take(n) or text.take(n)",
        takes: 2..=2,
        run: Plain(take),
    },
    Own {
        name: "round",
        registered: "@round",
        usage: "round(number) or round(number, digits)",
        takes: 1..=2,
        run: Plain(round),
    },
    Own {
        name: "min",
        registered: "@min",
        usage: "min(a, b, …) or min(list)",
        takes: 1..=64,
        run: Plain(min),
    },
    Own {
        name: "max",
        registered: "@max",
        usage: "max(a, b, …) or max(list)",
        takes: 1..=64,
        run: Plain(max),
    },
    Own {
        name: "slug",
        registered: "@slug",
        usage: "slug(text) or slug(text, length)",
        takes: 1..=2,
        run: Plain(slug),
    },
    Own { name: "pad", registered: "@pad", usage: "pad(number, width)", takes: 2..=2, run: Plain(pad) },
    Own { name: "hash", registered: "@hash", usage: "hash(value)", takes: 1..=1, run: Plain(hash) },
    Own { name: "json", registered: "@json", usage: "json(text)", takes: 1..=1, run: Plain(from_json) },
    Own { name: "toJson", registered: "@toJson", usage: "toJson(value)", takes: 1..=1, run: Plain(to_json) },
    Own { name: "lines", registered: "@lines", usage: "lines(text)", takes: 1..=1, run: Plain(lines) },
    Own {
        name: "basename",
        registered: "@basename",
        usage: "basename(path)",
        takes: 1..=1,
        run: Plain(basename),
    },
    Own { name: "html", registered: "@html", usage: "html(text)", takes: 1..=1, run: Plain(html) },
    Own {
        name: "stripHtml",
        registered: "@stripHtml",
        usage: "stripHtml(text)",
        takes: 1..=1,
        run: Plain(strip_html),
    },
    Own { name: "url", registered: "@url", usage: "url(text)", takes: 1..=1, run: Plain(url) },
    Own {
        name: "tokens",
        registered: "@tokens",
        usage: "tokens(number)",
        takes: 1..=1,
        run: Readable(tokens),
    },
    Own { name: "money", registered: "@money", usage: "money(dollars)", takes: 1..=1, run: Readable(money) },
    Own { name: "span", registered: "@span", usage: "span(seconds)", takes: 1..=1, run: Readable(span) },
    Own { name: "model", registered: "@model", usage: "model(name)", takes: 1..=1, run: Plain(model) },
];

/// The own function of a name.
pub(super) fn own(name: &str) -> Option<&'static Own> {
    OWN.iter().find(|own| own.name == name)
}

/// The implementation of a function as the tree names it.
pub(super) fn implementation(registered: &str) -> Option<Implementation> {
    OWN.iter().find(|own| own.registered == registered).map(|own| own.run)
}

/// Every function that a text may call, sorted.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = STANDARD.into_iter().chain(OWN.iter().map(|own| own.name)).collect();
    names.sort_unstable();
    names
}

pub(super) fn similar(name: &str) -> Option<&'static str> {
    crate::definition::similar(name, names().into_iter())
}

fn trim(arguments: &[Value]) -> Result<Value, String> {
    Ok(json!(text(arguments, 0)?.trim()))
}

fn lower_ascii(arguments: &[Value]) -> Result<Value, String> {
    Ok(json!(text(arguments, 0)?.to_ascii_lowercase()))
}

fn upper_ascii(arguments: &[Value]) -> Result<Value, String> {
    Ok(json!(text(arguments, 0)?.to_ascii_uppercase()))
}

fn split(arguments: &[Value]) -> Result<Value, String> {
    let (whole, separator) = (text(arguments, 0)?, text(arguments, 1)?);
    let limit = limit(arguments, 2)?;
    let parts: Vec<String> = match (limit, separator) {
        (0, _) => Vec::new(),
        (_, "") => {
            // The last part is what is left.
            let mut starts: Vec<usize> = whole.char_indices().map(|(at, _)| at).take(limit).collect();
            starts.push(whole.len());
            starts.windows(2).map(|pair| whole[pair[0]..pair[1]].to_owned()).collect()
        }
        _ => whole.splitn(limit, separator).map(str::to_owned).collect(),
    };
    Ok(json!(parts))
}

fn join(arguments: &[Value]) -> Result<Value, String> {
    let Some(Value::Array(items)) = arguments.first() else {
        return Err("a list is needed".to_owned());
    };
    let separator = if arguments.len() > 1 { text(arguments, 1)? } else { "" };
    let mut whole = String::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            whole.push_str(separator);
        }
        whole.push_str(&to_text(item));
        // Judged as it grows: many items and a long separator make a text that no memory holds.
        if whole.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    bounded(whole)
}

fn replace(arguments: &[Value]) -> Result<Value, String> {
    let (whole, old, new) = (text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?);
    let times = limit(arguments, 3)?;
    let found = if old.is_empty() { whole.len() + 1 } else { whole.matches(old).count() };
    if whole.len().saturating_add(found.min(times).saturating_mul(new.len())) > 2 * TEXT_BYTES_MAX {
        return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
    }
    bounded(whole.replacen(old, new, times))
}

fn substring(arguments: &[Value]) -> Result<Value, String> {
    let whole = text(arguments, 0)?;
    let length = whole.chars().count();
    let start = count(arguments, 1)?;
    let end = if arguments.len() > 2 { count(arguments, 2)? } else { length };
    if start > end || end > length {
        return Err(format!("{start}..{end} lies outside a text of {length} characters"));
    }
    Ok(json!(whole.chars().skip(start).take(end - start).collect::<String>()))
}

fn min(arguments: &[Value]) -> Result<Value, String> {
    extreme(arguments, Ordering::Less)
}

fn max(arguments: &[Value]) -> Result<Value, String> {
    extreme(arguments, Ordering::Greater)
}

fn extreme(arguments: &[Value], wanted: Ordering) -> Result<Value, String> {
    let items = match arguments {
        [Value::Array(items)] => items.as_slice(),
        items => items,
    };
    let mut items = items.iter();
    let mut best = items.next().ok_or("the list is empty")?;
    for item in items {
        if compare(item, best)? == wanted {
            best = item;
        }
    }
    Ok(best.clone())
}

/// The order of two texts, or of two numbers.
fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    let ordering = match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64().partial_cmp(&b.as_f64()),
        },
        _ => None,
    };
    ordering.ok_or_else(|| format!("{} and {} cannot be compared", kind(a), kind(b)))
}

/// The second parts of pairs, sorted by the first ones; equal ones keep their order. `list.sortBy(x, KEY)` is read as
/// this of `list.map(x, [KEY, x])`.
fn sort_pairs(arguments: &[Value]) -> Result<Value, String> {
    let Some(Value::Array(pairs)) = arguments.first() else { return Err("a list is needed".to_owned()) };
    let mut pairs: Vec<(&Value, &Value)> = pairs.iter().map(|pair| (&pair[0], &pair[1])).collect();
    // A sort needs a total order: all keys are texts, all are whole numbers, or all are compared as fractions.
    if let Some((first, _)) = pairs.first() {
        let is_like = |other: &Value| {
            first.is_string() == other.is_string() && (other.is_string() || other.is_number())
        };
        if let Some((other, _)) = pairs.iter().find(|(key, _)| !is_like(key)) {
            return Err(format!("{} and {} cannot be compared", kind(other), kind(first)));
        }
    }
    if pairs.iter().all(|(key, _)| key.is_i64()) {
        pairs.sort_by_key(|(key, _)| key.as_i64());
    } else {
        let number = |key: &Value| key.as_f64().unwrap_or_default();
        pairs.sort_by(|(a, _), (b, _)| {
            a.as_str().cmp(&b.as_str()).then_with(|| number(a).total_cmp(&number(b)))
        });
    }
    Ok(pairs.into_iter().map(|(_, value)| value.clone()).collect())
}

/// The first items of a list, or the first characters of a text.
fn take(arguments: &[Value]) -> Result<Value, String> {
    let wanted = count(arguments, 1)?;
    match &arguments[0] {
        Value::Array(items) => Ok(items.iter().take(wanted).cloned().collect()),
        Value::String(text) => Ok(json!(text.chars().take(wanted).collect::<String>())),
        other => Err(format!("a list or a text is needed, this is {}", kind(other))),
    }
}

/// The nearest whole number, or the nearest with so many decimal places; halves away from zero.
fn round(arguments: &[Value]) -> Result<Value, String> {
    let digits = if arguments.len() > 1 { count(arguments, 1)? } else { 0 };
    let digits =
        i32::try_from(digits).ok().filter(|digits| *digits <= 9).ok_or("at most 9 decimal places")?;
    let number = match &arguments[0] {
        whole if whole.is_i64() => return Ok(whole.clone()),
        other => other.as_f64().ok_or_else(|| format!("a number is needed, this is {}", kind(other)))?,
    };
    if arguments.len() > 1 {
        let unit = 10_f64.powi(digits);
        return Ok(json!(if (number * unit).is_finite() { (number * unit).round() / unit } else { number }));
    }
    let rounded = number.round();
    if rounded.abs() >= 9e18 {
        return Err(format!("{number} is too large for a whole number"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and in bounds")]
    Ok(json!(rounded as i64))
}

/// Lower-case words of ASCII letters and digits, joined by `-`, at most so many bytes.
fn slug(arguments: &[Value]) -> Result<Value, String> {
    let length = if arguments.len() > 1 { count(arguments, 1)? } else { 48 };
    let text = to_text(arguments.first().unwrap_or(&Value::Null));
    let slug = slug_text(&text, length);
    // Of a text without Latin letters and digits nothing is left: what tells it from others is its hash.
    let is_lost = slug.is_empty() && !text.trim().is_empty();
    Ok(json!(if is_lost { hash_text(&text, length) } else { slug }))
}

/// The beginning of a text's hash, for a name that says nothing and is always the same.
fn hash_text(text: &str, length: usize) -> String {
    Hash::of(text.trim().as_bytes()).to_string().chars().take(length.min(SLUG_HASH)).collect()
}

/// Digits of a hash in the place of a slug.
const SLUG_HASH: usize = 12;

/// The id that a text could be.
pub(crate) fn slug_of(text: &str) -> String {
    slug_text(text, 48)
}

fn slug_text(text: &str, length: usize) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        let c = fold_letter(c);
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= length {
            break;
        }
    }
    slug.truncate(length);
    slug.trim_end_matches('-').to_owned()
}

/// The ASCII letter under a common Latin one.
fn fold_letter(c: char) -> char {
    const FOLDED: [(&str, char); 9] = [
        ("àáâãäåāÀÁÂÃÄÅĀ", 'a'),
        ("çćčÇĆČ", 'c'),
        ("èéêëēÈÉÊËĒ", 'e'),
        ("ìíîïīÌÍÎÏĪ", 'i'),
        ("ñńÑŃ", 'n'),
        ("òóôõöøōÒÓÔÕÖØŌ", 'o'),
        ("ùúûüūÙÚÛÜŪ", 'u'),
        ("ýÿÝ", 'y'),
        ("śšßŚŠ", 's'),
    ];
    FOLDED.iter().find(|(letters, _)| letters.contains(c)).map_or(c, |(_, ascii)| *ascii)
}

fn pad(arguments: &[Value]) -> Result<Value, String> {
    let width = count(arguments, 1)?;
    if width > 64 {
        return Err("a number is padded to at most 64 digits".to_owned());
    }
    match arguments.first() {
        Some(Value::Number(number)) if number.is_i64() => {
            Ok(json!(format!("{:0width$}", number.as_i64().unwrap_or_default())))
        }
        Some(Value::String(digits)) => Ok(json!(format!("{digits:0>width$}"))),
        _ => Err("a whole number is needed".to_owned()),
    }
}

/// BLAKE3 in 64 hexadecimal digits: of a text its bytes, of another value its canonical JSON.
fn hash(arguments: &[Value]) -> Result<Value, String> {
    let value = arguments.first().unwrap_or(&Value::Null);
    let bytes = match value {
        Value::String(text) => text.clone(),
        other => canonical(other),
    };
    Ok(json!(Hash::of(bytes.as_bytes()).to_string()))
}

fn from_json(arguments: &[Value]) -> Result<Value, String> {
    let text = text(arguments, 0)?;
    let value = serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))?;
    match strict::beyond_whole(text) {
        Some(number) => {
            Err(format!("the number {number} would lose digits: the largest one is {}", i64::MAX))
        }
        None => Ok(value),
    }
}

fn to_json(arguments: &[Value]) -> Result<Value, String> {
    bounded(canonical(arguments.first().unwrap_or(&Value::Null)))
}

fn lines(arguments: &[Value]) -> Result<Value, String> {
    Ok(json!(text(arguments, 0)?.lines().collect::<Vec<_>>()))
}

fn basename(arguments: &[Value]) -> Result<Value, String> {
    let path = text(arguments, 0)?.trim_end_matches('/');
    Ok(json!(path.rsplit('/').next().unwrap_or(path)))
}

/// How own functions are written, by name: for documentation.
#[must_use]
pub fn usages() -> BTreeMap<&'static str, &'static str> {
    OWN.iter().map(|own| (own.name, own.usage)).collect()
}

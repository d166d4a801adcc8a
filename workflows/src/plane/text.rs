//! Plain text of HTML, as people write it in trackers.
//!
//! Law: never fails, never gives more than it gets, and takes time in proportion to the text, whatever stands there. It is
//! for reading, not for showing in a page: nothing is escaped.

/// As much of a text is read.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// So far the quotes of a tag are followed; behind that its first `>` is its end.
const TAG_BYTES_MAX: usize = 1024;

/// Elements within a word or a sentence: what they part is one word.
const WITHIN: [&str; 16] = [
    "a", "abbr", "b", "code", "del", "em", "font", "i", "ins", "mark", "s", "span", "strong", "sub", "sup",
    "u",
];

/// Elements whose content is no text.
const SILENT: [&str; 2] = ["script", "style"];

/// The text without tags and comments, with its characters in place of their names, and one blank for all between words.
pub(crate) fn plain_text(html: &str) -> String {
    let mut rest = head(html, TEXT_BYTES_MAX);
    let mut text = String::with_capacity(rest.len());
    // Whether a `>` follows: where none does, no tag ends, and none is looked for again.
    let mut is_closed = true;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = match rest.starts_with('<') {
            true => after_tag(rest, &mut text, &mut is_closed),
            false => after_name(rest, &mut text),
        };
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of what Plane sends twice: as HTML, and stripped of its tags. Stripped, paragraphs and items of a list run
/// together and characters keep their names, so the HTML is read where both say the same. `None`: neither says anything.
pub(crate) fn text_of_both(stripped: Option<&str>, html: Option<&str>) -> Option<String> {
    let given = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (stripped, whole) = (given(stripped), given(html).map(|html| plain_text(&html)));
    let letters = |text: &str| text.split_whitespace().collect::<String>();
    match (stripped, whole) {
        (Some(stripped), Some(whole)) if letters(&plain_text(&stripped)) == letters(&whole) => Some(whole),
        (stripped, whole) => stripped.or(whole),
    }
    .filter(|text| !text.is_empty())
}

/// The text without control characters but tabs and ends of lines: no variable of a process can hold a zero byte.
pub(crate) fn without_controls(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// The beginning of a text, of so many bytes at most.
fn head(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// Skips the tag or comment that `html` begins with; what is none stands for itself.
fn after_tag<'a>(html: &'a str, text: &mut String, is_closed: &mut bool) -> &'a str {
    if let Some(comment) = html.strip_prefix("<!--") {
        return comment.split_once("-->").map_or("", |(_, rest)| rest);
    }
    let body = &html[1..];
    let is_tag = body.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    let end = if is_tag && *is_closed { end_of_tag(body) } else { None };
    let Some(end) = end else {
        *is_closed &= !is_tag;
        text.push('<');
        return body;
    };
    let (tag, rest) = (&body[..end], &body[end + 1..]);
    let name = tag.trim_start_matches('/');
    let name =
        name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
    if !WITHIN.contains(&name.as_str()) {
        text.push(' ');
    }
    match SILENT.contains(&name.as_str()) && !tag.starts_with('/') {
        true => after_silent(rest, &name),
        false => rest,
    }
}

/// Where the `>` of a tag stands; one between quotes belongs to an attribute.
fn end_of_tag(body: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in head(body, TAG_BYTES_MAX).char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _within => {}
        }
    }
    // A quote that is not closed, as in the text of a person.
    body.find('>')
}

/// What follows the end of an element without text.
fn after_silent<'a>(html: &'a str, name: &str) -> &'a str {
    let is_end = |at: &usize| {
        html.get(at + 2..at + 2 + name.len()).is_some_and(|here| here.eq_ignore_ascii_case(name))
    };
    let end = html.match_indices("</").map(|(at, _)| at).find(is_end);
    end.and_then(|end| Some(end + html[end..].find('>')? + 1)).map_or("", |end| &html[end..])
}

/// Reads the name of a character that `html` begins with; what is none stands for itself.
fn after_name<'a>(html: &'a str, text: &mut String) -> &'a str {
    const NAME_BYTES_MAX: usize = 10;
    let body = &html[1..];
    let end = body.bytes().take(NAME_BYTES_MAX).position(|byte| byte == b';');
    let read = end.and_then(|end| Some((character(body.get(..end)?)?, body.get(end + 1..)?)));
    match read {
        Some((character, rest)) => {
            text.push(character);
            rest
        }
        None => {
            text.push('&');
            body
        }
    }
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hex = number.strip_prefix(['x', 'X']);
        let code = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
        return code.and_then(char::from_u32).filter(|c| !c.is_control() || c.is_whitespace());
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "hellip" => '…',
        "ndash" => '–',
        "mdash" => '—',
        "laquo" => '«',
        "raquo" => '»',
        _unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_made_to_be_read_again_and_again_are_read_once() {
        for (piece, kept) in
            [("<a '", true), ("<a '>", false), ("<script></script>", false), ("<!", true), ("<a \"'>", false)]
        {
            let text = plain_text(&piece.repeat(1024 * 1024 / piece.len()));
            // A tag that is cut off at the end is text.
            let len = text.len();
            assert!(len <= TEXT_BYTES_MAX && (len > piece.len()) == kept, "{piece}: {len}");
        }
    }

    #[test]
    fn o111_tags_are_stripped_and_whitespace_is_collapsed() {
        for (html, text) in [
            ("<p>Add a  <b>dark</b>\n mode</p><p>now</p>", "Add a dark mode now"),
            ("<ul><li>one</li><li>t<em>w</em>o</li></ul>", "one two"),
            ("a &lt;b&gt; &amp;amp; &#1041;&#x414;&nbsp;c &unknown; & d", "a <b> &amp; БД c &unknown; & d"),
            ("x<y and 5 > 3", "x 3"),
            ("x < y and 5 > 3", "x < y and 5 > 3"),
            ("<a title='a > b' href=\"/x\">link</a>ed", "linked"),
            ("<!-- hidden <b> -->seen<script>alert('<p>')</script> too", "seen too"),
            ("open <b", "open <b"),
            ("<p></p>", ""),
            ("&#0;&#xD800;&#9;x", "&#0;&#xD800; x"),
        ] {
            assert_eq!(plain_text(html), text, "{html}");
        }
    }

    #[test]
    fn what_plane_sends_twice_is_read_as_html_where_both_say_the_same() {
        for (stripped, html, text) in [
            ("AlphaBeta", "<ol><li><p>Alpha</p></li><li><p>Beta</p></li></ol>", "Alpha Beta"),
            ("a &lt; b", "<p>a &lt; b</p>", "a < b"),
            ("another text", "<p>a text</p>", "another text"),
            (" if a < b and c > d ", "<p>if a &lt; b and c &gt; d</p>", "if a < b and c > d"),
            ("", "<p>a text</p>", "a text"),
            ("a text", "", "a text"),
        ] {
            assert_eq!(text_of_both(Some(stripped), Some(html)).as_deref(), Some(text), "{stripped}");
        }
        assert_eq!(text_of_both(Some(" "), Some("<p></p>")), None);
        assert_eq!(text_of_both(None, None), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_gives_no_more_than_there_is(html in ".{0,200}") {
            let text = plain_text(&html);
            prop_assert!(text.len() <= html.len() && text.trim() == text);
        }
    }
}

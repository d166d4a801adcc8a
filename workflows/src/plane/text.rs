//! Plain text of HTML, as people write it in trackers.
//!
//! Law: never fails, and never gives more than it gets. It is for reading, not for showing in a page: nothing is escaped.

/// Elements within a word or a sentence: what they part is one word.
const WITHIN: [&str; 16] = [
    "a", "abbr", "b", "code", "del", "em", "font", "i", "ins", "mark", "s", "span", "strong", "sub", "sup",
    "u",
];

/// Elements whose content is no text.
const SILENT: [&str; 2] = ["script", "style"];

/// The text without tags and comments, with its characters in place of their names, and one blank for all between words.
pub(crate) fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = if rest.starts_with('<') { after_tag(rest, &mut text) } else { after_name(rest, &mut text) };
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Skips the tag or comment that `html` begins with; what is none stands for itself.
fn after_tag<'a>(html: &'a str, text: &mut String) -> &'a str {
    if let Some(comment) = html.strip_prefix("<!--") {
        return comment.split_once("-->").map_or("", |(_, rest)| rest);
    }
    let body = &html[1..];
    let is_tag = body.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    let Some(end) = end_of_tag(body).filter(|_| is_tag) else {
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
    for (at, c) in body.char_indices() {
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
    let lower = html.to_ascii_lowercase();
    let end = lower.find(&format!("</{name}"));
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

    proptest! {
        #[test]
        fn any_text_is_read_and_gives_no_more_than_there_is(html in ".{0,200}") {
            let text = plain_text(&html);
            prop_assert!(text.len() <= html.len() && text.trim() == text);
        }
    }
}

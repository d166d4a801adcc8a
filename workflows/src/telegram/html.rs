//! Texts in the HTML that the Bot API takes: links that lead nowhere are left out, and what is too long is cut.
//!
//! Law: the service counts what is seen, in UTF-16 units, after tags and entities are read; a text that was cut has all
//! its tags closed and no half of an entity.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::address::is_reachable;
use super::bot::TEXT_UNITS_MAX;

/// A link with its words, on one line.
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)<a\s+href\s*=\s*(?:"([^"]*)"|'([^']*)')\s*>(.*?)</a\s*>"#)
        .expect("the pattern is written above")
});
/// A tag or an entity, at the beginning.
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:<(/?)([A-Za-z][A-Za-z0-9-]*)(?:\s[^<>]*)?>|&(?:lt|gt|amp|quot|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});)")
        .expect("the pattern is written above")
});
/// What stands between links on a line.
const BETWEEN: [char; 6] = ['·', '|', ',', ';', '-', '—'];

/// The text as it is sent.
pub(super) fn prepared(text: &str) -> String {
    cut(without_dead_links(text).trim(), TEXT_UNITS_MAX)
}

/// A text without a meaning of its own for the service.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Leaves out links that nobody can open: with their words where a line holds nothing but links, else without.
fn without_dead_links(text: &str) -> String {
    let lines = text.split('\n').filter_map(line_without_dead_links);
    lines.collect::<Vec<_>>().join("\n")
}

fn line_without_dead_links(line: &str) -> Option<String> {
    let is_dead = |link: &Captures<'_>| {
        let address = link.get(1).or_else(|| link.get(2)).map_or("", |address| address.as_str());
        !is_reachable(&address.replace("&amp;", "&"))
    };
    if !LINK.captures_iter(line).any(|link| is_dead(&link)) {
        return Some(line.to_owned());
    }
    let has_own_words = has_words(&LINK.replace_all(line, ""));
    let left = LINK.replace_all(line, |link: &Captures<'_>| match (is_dead(link), has_own_words) {
        (false, _) => link[0].to_owned(),
        (true, true) => link[3].to_owned(),
        (true, false) => String::new(),
    });
    if has_own_words {
        return Some(left.into_owned());
    }
    let left = left.trim_matches(|c: char| c.is_whitespace() || BETWEEN.contains(&c));
    has_words(left).then(|| left.to_owned())
}

/// Whether something beside tags and signs stands there.
fn has_words(text: &str) -> bool {
    pieces(text)
        .any(|piece| matches!(piece, HtmlPiece::Seen(seen) if seen.chars().any(char::is_alphanumeric)))
}

enum HtmlPiece<'a> {
    /// The name of a tag, and all of it.
    Open(&'a str, &'a str),
    Close(&'a str),
    /// One character, or the entity that stands for one.
    Seen(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = HtmlPiece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let mark = if matches!(first, '<' | '&') { MARK.captures(rest) } else { None };
        let length = mark.as_ref().map_or(first.len_utf8(), |mark| mark[0].len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        let name = mark.as_ref().and_then(|mark| mark.get(2)).map(|name| &piece[name.range()]);
        Some(match name {
            Some(_) if piece.starts_with("</") => HtmlPiece::Close(piece),
            Some(name) => HtmlPiece::Open(name, piece),
            None => HtmlPiece::Seen(piece),
        })
    })
}

/// How many UTF-16 units of it are seen.
fn units(seen: &str) -> usize {
    let number = seen.strip_prefix("&#").and_then(|number| number.strip_suffix(';'));
    let code = number.and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    match code.and_then(char::from_u32) {
        Some(character) => character.len_utf16(),
        None => seen.chars().next().map_or(0, char::len_utf16),
    }
}

/// As much as fits; dots stand for the rest.
fn cut(text: &str, units_max: usize) -> String {
    let seen = pieces(text).map(|piece| if let HtmlPiece::Seen(seen) = piece { units(seen) } else { 0 });
    if seen.sum::<usize>() <= units_max {
        return text.to_owned();
    }
    let (mut kept, mut room, mut open) = (String::new(), units_max - 1, Vec::new());
    for piece in pieces(text) {
        match piece {
            HtmlPiece::Open(name, tag) => {
                open.push(name);
                kept.push_str(tag);
            }
            HtmlPiece::Close(tag) => {
                open.pop();
                kept.push_str(tag);
            }
            HtmlPiece::Seen(seen) if units(seen) <= room => {
                room -= units(seen);
                kept.push_str(seen);
            }
            HtmlPiece::Seen(_) => break,
        }
    }
    kept.push('…');
    open.iter().rev().for_each(|name| kept.push_str(&format!("</{name}>")));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> usize {
        pieces(text).map(|piece| if let HtmlPiece::Seen(seen) = piece { units(seen) } else { 0 }).sum()
    }

    #[test]
    fn o181_what_is_seen_is_counted_after_tags_and_entities() {
        for (text, count) in [
            ("ORCH&amp;17", 7),
            ("<b>a</b>", 1),
            ("<a href=\"https://x.example/?a=1&amp;b=2\">ab</a>", 2),
            ("&#128640;", 2),
            ("&#x1F680;&#65;", 3),
            ("🚀", 2),
            ("a < b & c", 9),
            ("&nbsp;", 6),
            ("<tg-spoiler>x</tg-spoiler>", 1),
        ] {
            assert_eq!(seen(text), count, "{text}");
        }
    }

    #[test]
    fn a_text_is_cut_where_what_is_seen_of_it_is_too_long_and_stays_whole_html() {
        let fits = format!("<b>{}</b>", "&amp;".repeat(TEXT_UNITS_MAX));
        assert_eq!(prepared(&fits), fits, "20,480 bytes of which 4,096 units are seen");
        let long = format!("<b><i>{}</i>", "&lt;".repeat(TEXT_UNITS_MAX + 1));
        let short = prepared(&long);
        assert_eq!(seen(&short), TEXT_UNITS_MAX);
        assert!(
            short.starts_with("<b><i>&lt;") && short.ends_with("&lt;…</i></b>"),
            "{}",
            &short[short.len() - 30..]
        );
        let rockets = "🚀".repeat(TEXT_UNITS_MAX);
        assert_eq!(prepared(&rockets), format!("{}…", "🚀".repeat(TEXT_UNITS_MAX / 2 - 1)));
        assert_eq!(cut("<b>a</b><i>bcd</i>", 3), "<b>a</b><i>b…</i>", "a closed tag is closed once");
    }

    #[test]
    fn o180_a_link_that_nobody_can_open_is_left_out_with_its_words_where_nothing_else_stands_there() {
        let good = "<a href=\"https://git.example/x\">📄 Открыть BRD</a>";
        let dead = "<a href=\"http://localhost:8091/acme/\">✅ Задача в Plane</a>";
        assert_eq!(prepared(&format!("📋 готово\n\n{good}\n{dead}")), format!("📋 готово\n\n{good}"));
        assert_eq!(prepared(&format!("📋 готово\n\n{dead}\n{good}")), format!("📋 готово\n\n{good}"));
        assert_eq!(prepared(&format!("a\n{good} · {dead}")), format!("a\n{good}"));
        assert_eq!(prepared(&format!("a\n{dead} · {good}")), format!("a\n{good}"));
        assert_eq!(prepared("see <a href='http://[::1]/x'>the log</a> of it"), "see the log of it");
        assert_eq!(prepared("a\n📄 <a href=\"\">BRD</a>"), "a", "a sign is no word");
        assert_eq!(prepared(good), good);
    }
}

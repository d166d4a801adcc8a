//! Markdown of users and agents as HTML that is safe to show.
//!
//! Law: nothing that a text says is hidden from who reads it, and nothing of it acts. HTML within Markdown is shown as
//! the text that it is, images become links (a page fetches nothing from elsewhere), only links of the web are links,
//! and what comes out passes through `ammonia` all the same. The first heading is one of the third level: a page has
//! its own above.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::visible::visible;

/// The longest text that is rendered, in bytes; what is longer is to be shown as lines.
pub(crate) const MARKDOWN_BYTES_MAX: usize = 512 * 1024;
/// How deep quotes and lists may lie in each other; deeper ones are shown as lines.
const DEPTH_MAX: usize = 40;

/// One block of a Markdown text that lies in no other: a paragraph, a list, a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkdownBlock {
    /// Its first line in the text, from 1.
    pub(crate) first_line: usize,
    /// Its last line in the text.
    pub(crate) last_line: usize,
    /// Clean HTML.
    pub(crate) html: String,
}

/// A Markdown text as clean HTML; may be put into a page as it is.
pub(crate) fn rendered(text: &str) -> String {
    blocks(text).into_iter().map(|block| block.html).collect()
}

/// The blocks of a Markdown text with the lines that they come from, so that a remark can be tied to lines. A text that
/// is too long or too deep is one block of plain lines.
pub(crate) fn blocks(text: &str) -> Vec<MarkdownBlock> {
    let text = visible(text);
    let ends = line_ends(&text);
    let mut blocks = Vec::new();
    if text.len() > MARKDOWN_BYTES_MAX {
        return plain(&text, ends.len() + 1);
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let (mut depth, mut held, mut from) = (0_usize, Vec::new(), 0);
    for (event, place) in Parser::new_ext(&text, options).into_offset_iter() {
        if depth == 0 {
            from = place.start;
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return plain(&text, ends.len() + 1);
        }
        let to = place.end;
        harmless(event, &mut held);
        if depth == 0 {
            blocks.push(block(std::mem::take(&mut held), from..to, &text, &ends));
        }
    }
    blocks
}

fn block(events: Vec<Event<'_>>, place: Range<usize>, text: &str, ends: &[usize]) -> MarkdownBlock {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events.into_iter());
    let trimmed = text.get(place.clone()).map_or(place.end, |of| place.start + of.trim_end().len());
    MarkdownBlock {
        first_line: line_of(ends, place.start),
        last_line: line_of(ends, trimmed.saturating_sub(1).max(place.start)),
        html: CLEANER.clean(&html).to_string(),
    }
}

/// What an event becomes that shows all and acts in nothing.
fn harmless<'a>(event: Event<'a>, out: &mut Vec<Event<'a>>) {
    match event {
        Event::Start(Tag::HtmlBlock) => {
            out.push(Event::Start(Tag::CodeBlock(pulldown_cmark::CodeBlockKind::Indented)))
        }
        Event::End(TagEnd::HtmlBlock) => out.push(Event::End(TagEnd::CodeBlock)),
        Event::Html(html) => out.push(Event::Text(html)),
        Event::InlineHtml(html) => out.push(Event::Code(html)),
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            out.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
            out.push(Event::Text(CowStr::Borrowed("image: ")));
        }
        Event::End(TagEnd::Image) => out.push(Event::End(TagEnd::Link)),
        Event::Start(Tag::Heading { level, .. }) => {
            out.push(Event::Start(Tag::Heading {
                level: lower(level),
                id: None,
                classes: Vec::new(),
                attrs: Vec::new(),
            }));
        }
        Event::End(TagEnd::Heading(level)) => out.push(Event::End(TagEnd::Heading(lower(level)))),
        Event::TaskListMarker(is_done) => {
            out.push(Event::Text(CowStr::Borrowed(if is_done { "☑ " } else { "☐ " })));
        }
        event => out.push(event),
    }
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut cleaner = Builder::default();
    cleaner
        .rm_tags(["img", "map", "area", "article", "aside", "header", "footer", "nav"])
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    cleaner
});

fn plain(text: &str, lines: usize) -> Vec<MarkdownBlock> {
    vec![MarkdownBlock {
        first_line: 1,
        last_line: lines,
        html: format!("<pre>{}</pre>", ammonia::clean_text(text)),
    }]
}

fn line_ends(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect()
}

fn line_of(ends: &[usize], at: usize) -> usize {
    ends.partition_point(|end| *end < at) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_handlers_are_shown_as_text() {
        let html =
            rendered("a <script>alert(1)</script> b\n\n<img src=x onerror=alert(1)>\n\n<style>*{}</style>");
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<style"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("onerror"), "{html}");
    }

    #[test]
    fn comments_that_a_reader_would_not_see_are_shown() {
        assert!(
            rendered("ok\n\n<!-- and delete everything -->\n")
                .contains("&lt;!-- and delete everything --&gt;")
        );
    }

    #[test]
    fn images_become_links_and_other_schemes_none() {
        let html = rendered(
            "![a cat](https://x.test/cat.png) [b](javascript:alert(1)) [c](data:text/html,x) [d](/runs/1)",
        );
        assert!(html.contains("href=\"https://x.test/cat.png\"") && html.contains("image: a cat"), "{html}");
        assert!(
            !html.contains("javascript") && !html.contains("data:") && !html.contains("/runs/1"),
            "{html}"
        );
        assert!(html.contains("noopener"), "{html}");
    }

    #[test]
    fn blocks_know_their_lines() {
        let blocks = blocks("# Title\n\nOne\ntwo\n\n- a\n- b\n\n```\nx\n```\n");
        let lines: Vec<_> = blocks.iter().map(|block| (block.first_line, block.last_line)).collect();
        assert_eq!(lines, [(1, 1), (3, 4), (6, 7), (9, 11)]);
        assert!(blocks[0].html.starts_with("<h3>"), "{}", blocks[0].html);
    }

    #[test]
    fn a_text_of_a_million_quotes_is_shown_as_lines() {
        let html = rendered(&">".repeat(20_000));
        assert!(html.starts_with("<pre>&gt;"));
    }

    #[test]
    fn marks_that_turn_the_reading_direction_are_named() {
        assert!(rendered("pay \u{202e}001 USD").contains("U+202E"));
    }
}

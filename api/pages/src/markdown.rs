//! Markdown of users and agents as HTML that is safe to show.
//!
//! Law: nothing that a text says is hidden from who reads it, and nothing of it acts. HTML within Markdown is shown as
//! the text that it is, images become links (a page fetches nothing from elsewhere), only links of the web are links,
//! and what comes out passes through `ammonia` all the same. The first heading is one of the third level: a page has
//! its own above.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

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
    if text.len() > MARKDOWN_BYTES_MAX {
        return plain(&text, ends.len() + 1);
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let (mut depth, mut from, mut out) = (0_usize, 0, ShownEvents::new(&text));
    let mut parts = Vec::new();
    let head = front_matter(&text);
    if let Some((fields, all)) = &head {
        out.shown.push(all.clone());
        parts.push(block(code(&text[fields.clone()]), all.clone(), &text, &ends));
    }
    let behind = head.map_or(0, |(_, all)| all.end);
    for (event, place) in Parser::new_ext(&text[behind..], options).into_offset_iter() {
        let place = behind + place.start..behind + place.end;
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
        out.take(event, place);
        if depth == 0 {
            parts.push(block(std::mem::take(&mut out.events), from..to, &text, &ends));
        }
    }
    with_hidden_lines(parts, &out.shown, &text)
}

/// The fields at the head of a text, and the head with the lines of `---` around them; Markdown would take it for a heading.
fn front_matter(text: &str) -> Option<(Range<usize>, Range<usize>)> {
    let is_fence = |line: &str| line.trim_end() == "---";
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| is_fence(line))?.len();
    let mut end = first;
    for line in lines {
        if is_fence(line) {
            return (end > first).then(|| (first..end, 0..end + line.len()));
        }
        // A line across the page, and not the head of a text.
        if end == first && line.trim().is_empty() {
            return None;
        }
        end += line.len();
    }
    None
}

/// Lines as they stand.
fn code(text: &str) -> Vec<Event<'_>> {
    vec![
        Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)),
        Event::Text(CowStr::Borrowed(text.trim_end())),
        Event::End(TagEnd::CodeBlock),
    ]
}

fn block(events: Vec<Event<'_>>, place: Range<usize>, text: &str, ends: &[usize]) -> MarkdownBlock {
    let trimmed = text.get(place.clone()).map_or(place.end, |of| place.start + of.trim_end().len());
    MarkdownBlock {
        first_line: line_of(ends, place.start),
        last_line: line_of(ends, trimmed.saturating_sub(1).max(place.start)),
        html: html(events),
    }
}

fn html(events: Vec<Event<'_>>) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events.into_iter());
    CLEANER.clean(&html).to_string()
}

/// Adds the lines of which a letter or a digit came to nothing that is shown, as they stand in the text: definitions of
/// references, cells beyond the head of a table, numbers of a list that it does not count.
fn with_hidden_lines(blocks: Vec<MarkdownBlock>, shown: &[Range<usize>], text: &str) -> Vec<MarkdownBlock> {
    let mut is_shown = vec![false; text.len()];
    for place in shown {
        is_shown[place.clone()].fill(true);
    }
    let (mut all, mut from) = (Vec::<MarkdownBlock>::with_capacity(blocks.len()), 0);
    let mut blocks = blocks.into_iter().peekable();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        while let Some(block) = blocks.next_if(|block| block.first_line <= number) {
            all.push(block);
        }
        let is_hidden =
            line.char_indices().any(|(at, character)| character.is_alphanumeric() && !is_shown[from + at]);
        from += line.len();
        if !is_hidden {
            continue;
        }
        let html = html(code(line));
        match all.last_mut().filter(|block| block.last_line >= number) {
            Some(block) => block.html.push_str(&html),
            None => all.push(MarkdownBlock { first_line: number, last_line: number, html }),
        }
    }
    all.extend(blocks);
    all
}

/// A link whose text is still coming.
struct OpenLink<'a> {
    address: CowStr<'a>,
    title: CowStr<'a>,
    text: String,
}

/// The events of a text as those that show all of it and act in nothing.
struct ShownEvents<'a> {
    text: &'a str,
    events: Vec<Event<'a>>,
    /// Where in the text stands what they show.
    shown: Vec<Range<usize>>,
    links: Vec<OpenLink<'a>>,
    /// The first and the next number of each list that is open; none of one without numbers.
    lists: Vec<Option<(u64, u64)>>,
}

impl<'a> ShownEvents<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, events: Vec::new(), shown: Vec::new(), links: Vec::new(), lists: Vec::new() }
    }

    fn take(&mut self, event: Event<'a>, place: Range<usize>) {
        match event {
            Event::Start(Tag::HtmlBlock) => {
                self.events.push(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)));
            }
            Event::End(TagEnd::HtmlBlock) => self.events.push(Event::End(TagEnd::CodeBlock)),
            Event::Html(text) | Event::Text(text) => self.text(text, place, Event::Text),
            Event::InlineHtml(text) | Event::Code(text) => self.text(text, place, Event::Code),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => self.fence(info, place),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                self.open(link_type, dest_url, title, id, place);
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                self.open(link_type, dest_url, title, id, place);
                self.events.push(Event::Text(CowStr::Borrowed("image: ")));
            }
            Event::End(TagEnd::Link | TagEnd::Image) => self.close(),
            Event::Start(Tag::Heading { level, .. }) => {
                let (classes, attrs) = (Vec::new(), Vec::new());
                self.events.push(Event::Start(Tag::Heading {
                    level: lower(level),
                    id: None,
                    classes,
                    attrs,
                }));
            }
            Event::End(TagEnd::Heading(level)) => self.events.push(Event::End(TagEnd::Heading(lower(level)))),
            Event::TaskListMarker(is_done) => {
                self.shown.push(place);
                self.events.push(Event::Text(CowStr::Borrowed(if is_done { "☑ " } else { "☐ " })));
            }
            event => {
                self.count(&event, &place);
                self.events.push(event);
            }
        }
    }

    /// A text, in which references to characters are resolved: these may bring some that are not seen.
    fn text(&mut self, text: CowStr<'a>, place: Range<usize>, event: fn(CowStr<'a>) -> Event<'a>) {
        self.shown.push(place);
        let text = seen(text);
        if let Some(link) = self.links.last_mut() {
            link.text.push_str(&text);
        }
        self.events.push(event(text));
    }

    /// What stands behind the fence of a code block, above it.
    fn fence(&mut self, info: CowStr<'a>, place: Range<usize>) {
        let line = self.text[place.start..].lines().next().map_or(0, str::len);
        self.shown.push(place.start..place.start + line);
        if !info.trim().is_empty() {
            let added =
                [Event::Start(Tag::Paragraph), Event::Code(seen(info)), Event::End(TagEnd::Paragraph)];
            self.events.extend(added);
        }
        self.events.push(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)));
    }

    fn open(
        &mut self,
        link_type: LinkType,
        dest_url: CowStr<'a>,
        title: CowStr<'a>,
        id: CowStr<'a>,
        place: Range<usize>,
    ) {
        self.shown.push(place);
        self.links.push(OpenLink { address: dest_url.clone(), title, text: String::new() });
        self.events.push(Event::Start(Tag::Link { link_type, dest_url, title: CowStr::Borrowed(""), id }));
    }

    /// The end of a link, behind which stands where it leads to, and its title.
    fn close(&mut self) {
        self.events.push(Event::End(TagEnd::Link));
        let Some(link) = self.links.pop() else { return };
        let (address, title) = (seen(link.address), seen(link.title));
        let short = address.strip_prefix("https://").unwrap_or(&address).trim_end_matches('/');
        // A longer text may hold another address in which this one stands.
        let is_in_text = short.is_empty() || [short, &*address].contains(&link.text.trim_end_matches('/'));
        let added =
            [(!is_in_text).then(|| short.to_owned()), (!title.is_empty()).then(|| format!("“{title}”"))];
        let added: Vec<String> = added.into_iter().flatten().collect();
        if !added.is_empty() {
            let added = format!(" ({})", added.join(", "));
            if let Some(around) = self.links.last_mut() {
                around.text.push_str(&added);
            }
            self.events.push(Event::Text(added.into()));
        }
    }

    /// Numbers of lists are shown as a browser counts them; another one is not, but where each is the first, which says
    /// nothing.
    fn count(&mut self, event: &Event<'_>, place: &Range<usize>) {
        match event {
            Event::Start(Tag::List(first)) => self.lists.push(first.map(|first| (first, first))),
            Event::End(TagEnd::List(_)) => {
                self.lists.pop();
            }
            Event::Start(Tag::Item) => {
                let Some(Some((first, next))) = self.lists.last_mut() else { return };
                let marker = self.text[place.clone()].trim_start();
                let from = place.end - marker.len();
                let written: String = marker.chars().take_while(char::is_ascii_digit).collect();
                if written.parse().is_ok_and(|number: u64| number == *first || number == *next) {
                    self.shown.push(from..from + written.len());
                }
                *next = next.saturating_add(1);
            }
            _ => {}
        }
    }
}

/// A text of which every character is seen.
fn seen(text: CowStr<'_>) -> CowStr<'_> {
    match visible(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(seen) => seen.into(),
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
        assert_eq!(html.matches("href").count(), 1, "{html}");
        assert!(html.contains("b</a> (javascript:alert(1))"), "what is no link says what it was: {html}");
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
    fn fields_at_the_head_of_a_text_are_code_and_no_heading() {
        let blocks = blocks("---\r\nstatus: READY\r\nby: [a, b]\r\n---\r\n# Plan\r\n\r\nOne\r\n");
        let lines: Vec<_> = blocks.iter().map(|block| (block.first_line, block.last_line)).collect();
        assert_eq!(lines, [(1, 4), (5, 5), (7, 7)]);
        assert!(blocks[0].html.contains("<code>status: READY\nby: [a, b]</code>"), "{}", blocks[0].html);
        assert!(blocks[1].html.starts_with("<h3>Plan"), "{}", blocks[1].html);
        assert_eq!(blocks.iter().filter(|block| block.html.contains("READY")).count(), 1, "said once");
        // What would act in HTML, or end a block of code, is shown.
        let html = rendered("---\na: <script>x</script>\nb: \"```\"\n---");
        assert!(html.contains("&lt;script&gt;") && html.contains("```"), "{html}");
        assert_eq!(html.matches("<pre>").count(), 1, "{html}");
        // Lines across the page, a head that does not end, an empty one.
        for text in [
            "---\n\nstatus: READY\n\n---\n",
            "---\nstatus: READY\n",
            "---\n---\n\nx",
            "a\n\n---\nb: c\n---\n",
        ] {
            assert!(!rendered(text).contains("<code>"), "{text:?}: {}", rendered(text));
        }
    }

    #[test]
    fn a_text_of_a_million_quotes_is_shown_as_lines() {
        let html = rendered(&">".repeat(20_000));
        assert!(html.starts_with("<pre>&gt;"));
    }

    #[test]
    fn what_the_rendering_would_leave_out_is_shown() {
        for (text, said) in [
            ("All well.\n\n[//]: # (delete it)\n[//]: # (and that)\n", vec!["delete it", "and that"]),
            ("- one\n\n  [x]: https://evil.test \"pay 1000\"\n- two\n", vec!["pay 1000"]),
            ("| a | b |\n|---|---|\n| 1 | 2 | delete all |\n", vec!["delete all"]),
            ("```sh pay-bob\nls\n```\n", vec!["sh pay-bob", "ls"]),
            ("[harmless](https://evil.test/really 'pay carol')", vec!["evil.test/really", "pay carol"]),
            ("1. first\n7. seventh\n", vec!["7. seventh"]),
            ("[https://good.test/x.test](https://x.test/)", vec!["</a> (x.test)"]),
            ("[a](http://x.test/b)", vec!["(http://x.test/b)"]),
        ] {
            let html = rendered(text);
            for said in said {
                assert!(html.contains(said), "{text:?} does not say {said:?}: {html}");
            }
        }
    }

    #[test]
    fn what_is_shown_already_is_not_shown_twice() {
        let text = "# A *title*\n\nText with `code`, [a link](https://x.test/) and <https://x.test/y> &amp; more \\* 3.\n\n\
                    > quoted\n> text\n\n- [x] done\n- [ ] open\n\n3. three\n4. four\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n\n\
                    1. every\n1. item\n1. first\n\n- a\n  1. b\n  2. c\n\n> 1. d\n> 2. e\n\n   1. f\n   2. g\n\n\
                    Setext\n------\n\n    indented\n\n```\nx\n```\n\n<b>raw</b>\n\n***\n\nhard  \nbreak ![cat](https://x.test/cat.png)\n";
        let html = rendered(text);
        let pre = html.matches("<pre>").count();
        assert_eq!(pre, 2, "the two blocks of code: {html}");
        assert_eq!(
            html.matches("x.test/y").count(),
            2,
            "an address that is its own text is said once: {html}"
        );
    }

    #[test]
    fn references_to_characters_bring_none_that_is_not_seen() {
        let html = rendered(
            "Pay &#x202e;DSU 001&#x202c; &#8203;zero &#27;esc &lrm;y `&shy;` [a](https://x.test/&#x202e;)",
        );
        assert!(!html.contains(['\u{202e}', '\u{202c}', '\u{200b}', '\u{1b}', '\u{200e}']), "{html}");
        assert!(html.contains("⟨U+202E⟩DSU"), "{html}");
    }

    #[test]
    fn marks_that_turn_the_reading_direction_are_named() {
        assert!(rendered("pay \u{202e}001 USD").contains("U+202E"));
    }
}

//! The tree of a YAML (or JSON) text, with places.
//!
//! Law: nothing is interpreted here. Every node keeps its place and how it was written; maps are
//! lists of entries, so that a repeated key is seen; the field that reads a node decides its type.

use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::Value;

use super::codes::Code;
use super::problem::{Problem, SourceText};
use super::source_map::SourceMap;

/// Longest pipeline file.
pub(super) const SOURCE_BYTES_MAX: usize = 1024 * 1024;
pub(super) const NODES_MAX: usize = 100_000;
/// The most bytes that may be added to a pipeline by what stands in it once and counts at several places.
pub(super) const COPIED_BYTES_MAX: usize = 4 * SOURCE_BYTES_MAX;
const DEPTH_MAX: usize = 64;
const TOO_DEEP: &str = "values are nested too deeply";
const DEPTH_HINT: &str = "64 levels are the most";

#[derive(Debug, Clone)]
pub(super) struct YamlNode {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
    /// The places of a text that does not stand in the file as it is.
    pub(super) written: Option<Arc<SourceMap>>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<YamlNode>),
    Map(Vec<(YamlNode, YamlNode)>),
    /// Something that was already reported: no further complaint.
    Bad,
}

impl YamlNode {
    /// What stands at a place of the file.
    pub(super) fn new(span: Range<usize>, kind: Kind) -> Self {
        Self { span, kind, written: None }
    }

    /// The place of every byte of a scalar's text.
    pub(super) fn source_map(&self, source: &Arc<SourceText>) -> SourceMap {
        match &self.written {
            Some(written) => written.as_ref().clone(),
            None => SourceMap::new(Arc::clone(source), places(source, self)),
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether there is no value: `~`, `null`, or nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "~" | "null" | "Null" | "NULL" | ""))
    }

    pub(super) fn is_bad(&self) -> bool {
        matches!(self.kind, Kind::Bad)
    }

    /// What it is, in words.
    pub(super) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => "nothing",
            Kind::Scalar { plain: true, text } => match scalar(text) {
                Value::Bool(_) => "a bool",
                Value::Number(_) => "a number",
                _ => "a text",
            },
            Kind::Scalar { .. } => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) | Kind::Bad => "a map",
        }
    }

    /// The value under a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&YamlNode> {
        match &self.kind {
            Kind::Map(entries) => {
                entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The value under a key of a map, to be changed.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut YamlNode> {
        match &mut self.kind {
            Kind::Map(entries) => {
                entries.iter_mut().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// A key and its value, taken out of a map.
    pub(super) fn take(&mut self, key: &str) -> Option<(YamlNode, YamlNode)> {
        let Kind::Map(entries) = &mut self.kind else { return None };
        let at = entries.iter().position(|(name, _)| name.text() == Some(key))?;
        Some(entries.remove(at))
    }

    /// The node at a JSON pointer, or the nearest one above it.
    pub(super) fn at_pointer(&self, pointer: &str) -> &YamlNode {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                Kind::Map(_) => node.get(&part),
                Kind::List(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The value as YAML 1.2 reads it, for fields that take any.
    pub(super) fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar { text, plain: true } => scalar(text),
            Kind::Scalar { text, plain: false } => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(YamlNode::value).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value.value()))
                    .collect(),
            ),
            Kind::Bad => Value::Null,
        }
    }
}

/// A text of JSON with escapes for what JSON lets stand as it is, but YAML does not.
pub(crate) fn json_as_yaml(json: &str) -> String {
    // Whether YAML takes a character inside quotes as it is, on one line. Outside of them there is none else.
    let is_plain = |c: char| {
        !matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    if json.chars().all(is_plain) {
        return json.to_owned();
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_plain(c) {
            escaped.push(c);
        } else {
            let mut units = [0; 2];
            escaped.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// A plain scalar by the rules of YAML 1.2; numbers with leading zeros, and whole ones beyond 64 bits, stay text.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['-', '+']);
    let number_like = digits.starts_with(|c: char| c.is_ascii_digit())
        && !(digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0."))
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    if number_like {
        if let Ok(number) = text.parse::<i64>() {
            return Value::from(number);
        }
        if let Ok(number) = text.parse::<u64>() {
            return Value::from(number);
        }
        // As a number it would be another one.
        if digits.chars().all(|c| c.is_ascii_digit()) {
            return Value::String(text.to_owned());
        }
        if let Some(number) = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}

/// Where each byte of a scalar's text, and its end, stand in the file.
///
/// Quotes, escapes and indentation make the text differ from what was written; the two are walked
/// side by side.
fn places(source: &SourceText, node: &YamlNode) -> Vec<usize> {
    let Some(text) = node.text() else { return vec![node.span.start] };
    let start = node.span.start;
    let raw = &source.text[node.span.clone()];
    if raw.starts_with(text) {
        return (start..=start + text.len()).collect();
    }
    let escapes = raw.starts_with('"');
    let mut written = raw.char_indices().peekable();
    if raw.starts_with(['"', '\'']) {
        written.next();
    }
    let mut places = Vec::with_capacity(text.len() + 1);
    for c in text.chars() {
        let mut found = node.span.end;
        while let Some((at, next)) = written.next() {
            if escapes && next == '\\' {
                found = start + at;
                let skip = match written.next().map(|(_, kind)| kind) {
                    Some('x') => 2,
                    Some('u') => 4,
                    Some('U') => 8,
                    _ => 0,
                };
                for _ in 0..skip {
                    written.next();
                }
                break;
            }
            if next == c || (c == ' ' && next == '\n') {
                found = start + at;
                break;
            }
        }
        places.extend((0..c.len_utf8()).map(|byte| found + byte));
    }
    places.push(written.peek().map_or(node.span.end, |(at, _)| start + at));
    places
}

/// Reads a text into a tree. Problems are pushed; `None` where nothing useful could be read.
pub(super) fn read(source: &Arc<SourceText>, problems: &mut Vec<Problem>) -> Option<YamlNode> {
    if source.text.len() > SOURCE_BYTES_MAX {
        let message = format!("a pipeline file has at most 1 MiB; this one has {} bytes", source.text.len());
        problems.push(
            source.problem(Code::Limit, 0..0, message).hint("move long prompts into files of their own"),
        );
        return None;
    }
    let mut builder = Builder { source, problems, stack: Vec::new(), root: None, nodes: 0, documents: 0 };
    for event in Parser::new_from_str(&source.text) {
        match event {
            Ok((event, span)) => {
                let start = span.start.byte_offset().unwrap_or(0);
                let end = span.end.byte_offset().unwrap_or(start);
                if !builder.event(event, start..end) {
                    return None;
                }
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0);
                builder.problems.push(no_yaml(source, &error.info(), at));
                return None;
            }
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        problems.push(
            source
                .problem(Code::Syntax, 0..0, "the file is empty")
                .hint("a pipeline has at least `name:` and `steps:`"),
        );
    }
    root
}

fn no_yaml(source: &Arc<SourceText>, message: &str, at: usize) -> Problem {
    if message.contains("recursion limit") {
        return source.problem(Code::Limit, at..at + 1, TOO_DEEP).hint(DEPTH_HINT);
    }
    let problem = source.problem(Code::Syntax, at..at + 1, format!("this is no YAML: {message}"));
    problem.hinted(syntax_hint(message, &source.text, at))
}

fn syntax_hint(message: &str, text: &str, at: usize) -> Option<String> {
    let line_start = text[..at.min(text.len())].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    if message.contains("unexpected character") {
        return Some("control characters are written as escapes in double quotes, like \"\\x1b\"".to_owned());
    }
    if message.contains("tab") {
        return Some("indent with spaces".to_owned());
    }
    if message.contains("quote") {
        return Some("a quote that was opened above, or here, is not closed".to_owned());
    }
    if message.contains("did not find expected ',' or") && line.contains('{') {
        return Some("inside { } put texts with `${…}`, `,`, `{` or `}` in quotes".to_owned());
    }
    if message.contains("mapping values") && line.matches(": ").count() > 1 {
        return Some("put a value that holds `: ` in quotes".to_owned());
    }
    if message.contains("mapping values") {
        return Some("check the indentation of this line and the one above".to_owned());
    }
    if line.trim_start().contains(['@', '`', '%']) {
        return Some("put a value that begins with @, ` or % in quotes".to_owned());
    }
    None
}

struct Builder<'a> {
    source: &'a Arc<SourceText>,
    problems: &'a mut Vec<Problem>,
    stack: Vec<OpenCollection>,
    root: Option<YamlNode>,
    nodes: usize,
    documents: usize,
}

struct OpenCollection {
    start: usize,
    items: Vec<YamlNode>,
    map: bool,
}

impl Builder<'_> {
    /// Takes one event; `false` ends the reading.
    fn event(&mut self, event: Event<'_>, span: Range<usize>) -> bool {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.report(
                        Code::NotHere,
                        span,
                        "a second document in one file",
                        "write one pipeline per file",
                    );
                    return false;
                }
            }
            Event::Alias(_) => {
                self.report(
                    Code::NotHere,
                    span.clone(),
                    "aliases (`*name`) are not allowed here",
                    "write the value out",
                );
                return self.push(YamlNode::new(span, Kind::Bad));
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.property(anchor, tag.is_some(), &span);
                let plain = style == ScalarStyle::Plain;
                // A missing value has an empty place.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                let end = span.start + self.source.text[span.clone()].trim_end().len();
                let span = if plain { span.start..end } else { span };
                return self.push(YamlNode::new(span, Kind::Scalar { text, plain }));
            }
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag)
                if self.stack.len() >= DEPTH_MAX =>
            {
                self.property(anchor, tag.is_some(), &span);
                self.report(Code::Limit, span, TOO_DEEP, DEPTH_HINT);
                return false;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.property(anchor, tag.is_some(), &span);
                self.stack.push(OpenCollection { start: span.start, items: Vec::new(), map: false });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.property(anchor, tag.is_some(), &span);
                self.stack.push(OpenCollection { start: span.start, items: Vec::new(), map: true });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.stack.pop() else { return false };
                let end = open.start + self.source.text[open.start..span.end].trim_end().len();
                let node_span = open.start..end;
                let kind = if open.map { self.map(open.items) } else { Kind::List(open.items) };
                return self.push(YamlNode::new(node_span, kind));
            }
            _ => {}
        }
        true
    }

    fn push(&mut self, node: YamlNode) -> bool {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            self.report(Code::Limit, node.span, "the file has too many values", "100,000 are the most");
            return false;
        }
        match self.stack.last_mut() {
            Some(open) => open.items.push(node),
            None => self.root = Some(node),
        }
        true
    }

    fn map(&mut self, items: Vec<YamlNode>) -> Kind {
        let mut entries: Vec<(YamlNode, YamlNode)> = Vec::with_capacity(items.len() / 2);
        let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let Some(name) = key.text().map(str::to_owned) else {
                if !key.is_bad() {
                    self.report(Code::Type, key.span, "a key must be a text", "write NAME: VALUE");
                }
                continue;
            };
            match seen.get(&name) {
                Some(first) => {
                    let line = self.source.line(*first);
                    self.report(
                        Code::DuplicateKey,
                        key.span,
                        &format!("the key “{name}” is given twice"),
                        &format!("it stands in line {line} already"),
                    );
                }
                None => {
                    seen.insert(name, key.span.start);
                    entries.push((key, value));
                }
            }
        }
        Kind::Map(entries)
    }

    fn property(&mut self, anchor: usize, tagged: bool, span: &Range<usize>) {
        if anchor > 0 {
            self.report(
                Code::NotHere,
                span.clone(),
                "anchors (`&name`) are not allowed here",
                "write the value out",
            );
        }
        if tagged {
            self.report(
                Code::NotHere,
                span.clone(),
                "tags (`!name`) are not allowed here",
                "leave the tag out",
            );
        }
    }

    fn report(&mut self, code: Code, span: Range<usize>, message: &str, hint: &str) {
        self.problems.push(self.source.problem(code, span, message).hint(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> (Arc<SourceText>, Option<YamlNode>, Vec<Problem>) {
        let source = SourceText::new("t.yaml", text);
        let mut problems = Vec::new();
        let node = read(&source, &mut problems);
        (source, node, problems)
    }

    #[test]
    fn scalars_keep_what_was_written() {
        let (_, node, problems) = tree(
            "a: 1.10\nb: no\nc: 017\nd: 2_000_000\ne: '5'\nf:\ng: true\nh: 1e3\ni: 18446744073709551615\nj: 18446744073709551616",
        );
        assert!(problems.is_empty());
        let node = node.unwrap();
        assert_eq!(node.get("a").and_then(YamlNode::text), Some("1.10"));
        assert_eq!(
            node.value(),
            serde_json::json!({
                "a": 1.1, "b": "no", "c": "017", "d": "2_000_000", "e": "5", "f": null, "g": true, "h": 1000.0,
                "i": u64::MAX, "j": "18446744073709551616"
            })
        );
    }

    #[test]
    fn places_inside_scalars_follow_quotes_escapes_and_indentation() {
        for (text, wanted) in [
            ("a: see HERE", "HERE"),
            ("a: 'it''s HERE'", "HERE"),
            ("a: \"x\\n\\u00e9 HERE\"", "HERE"),
            ("a: |\n    one\n      two HERE\n", "HERE"),
            ("a: >-\n    one\n    two HERE\n", "HERE"),
            ("a: one\n   two HERE", "HERE"),
        ] {
            let (source, node, _) = tree(text);
            let node = node.unwrap();
            let value = node.get("a").unwrap();
            let offset = value.text().unwrap().find(wanted).unwrap();
            let at = places(&source, value)[offset];
            assert_eq!(&source.text[at..at + 4], wanted, "{text}");
        }
    }

    #[test]
    fn json_is_yaml() {
        let (_, node, problems) = tree("{\n\t\"a\": [1, {\"b\": null}],\n\t\"c\": \"x\"\n}");
        assert!(problems.is_empty());
        assert_eq!(node.unwrap().value(), serde_json::json!({"a": [1, {"b": null}], "c": "x"}));
    }
}

//! Writes what locals stand for in the place of their names: in the values, texts and expressions of a pipeline, and in the
//! files that it names.
//!
//! Law: an expression that grows over its bounds is reported where the local is named that makes it so.

use std::sync::Arc;

use super::codes::Code;
use super::locals::{LocalValue, Locals, ROOT};
use super::problem::{Problem, SourceText};
use super::source_map::{LocalUse, SourceMap};
use super::tree_size::size;
use super::written_text::WrittenText;
use super::yaml::{Kind, YamlNode};
use crate::expr::{Expr, FieldUse, SOURCE_BYTES_MAX, TextPart, field_uses, parts};

/// Keys whose value is an expression without `${…}`.
const EXPRESSIONS: [&str; 7] =
    ["accept", "budget_exempt", "expression", "match", "park_when", "policy", "when"];
/// Keys below which stand values of the pipeline's author, whatever their keys are.
const DATA: [&str; 13] = [
    "body", "edit", "else", "env", "fallback", "headers", "input", "items", "labels", "output", "payload",
    "query", "with",
];
/// Keys in whose values nothing is computed.
const FIXED: [&str; 4] = ["config_records", "description", "schema", "secrets"];

/// Maps of the language whose keys are names.
const NAMED: [&str; 3] = ["on_signal", "outputs", "search"];

/// What a text is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextSyntax {
    /// An expression.
    Bare,
    /// A text with `${…}`; one that is a local alone is what that stands for, of any type.
    Text,
    /// The text of a file.
    File,
    /// A shell string: a local is a value in it, never a part of the script.
    Shell,
}

/// The local cannot be written out; it was reported why.
struct BrokenLocal;

/// What a text became.
enum Replacement {
    Same,
    Text(WrittenText),
    /// The local alone.
    Value(YamlNode),
}

/// Writes locals out.
pub(super) struct LocalWriter<'a> {
    pub(super) locals: &'a Locals,
    pub(super) source: &'a Arc<SourceText>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> LocalWriter<'a> {
    /// Writes locals out in a pipeline.
    pub(super) fn pipeline(&mut self, root: &mut YamlNode) {
        let Kind::Map(entries) = &mut root.kind else { return };
        for (key, value) in entries {
            match key.text() {
                // A schema, in which nothing is computed.
                Some("input") | None => {}
                Some(name) => self.entry(name, value),
            }
        }
    }

    fn entry(&mut self, key: &str, value: &mut YamlNode) {
        if FIXED.contains(&key) {
            return;
        }
        let is_scalar = value.text().is_some();
        if NAMED.contains(&key)
            && let Kind::Map(entries) = &mut value.kind
        {
            entries.iter_mut().for_each(|(_, value)| self.construct(value));
        } else if DATA.contains(&key) {
            self.data(value);
        } else if EXPRESSIONS.contains(&key) && is_scalar {
            self.scalar(value, TextSyntax::Bare);
        } else if key == "command" && is_scalar {
            self.scalar(value, TextSyntax::Shell);
        } else {
            self.construct(value);
        }
    }

    /// A part of the language.
    fn construct(&mut self, node: &mut YamlNode) {
        match &mut node.kind {
            Kind::Scalar { .. } => drop(self.scalar(node, TextSyntax::Text)),
            Kind::List(items) => items.iter_mut().for_each(|item| self.construct(item)),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    if let Some(key) = key.text() {
                        self.entry(key, value);
                    }
                }
            }
            Kind::Bad => {}
        }
    }

    /// A value of the pipeline's author; `false` where something of it is broken.
    pub(super) fn data(&mut self, node: &mut YamlNode) -> bool {
        match &mut node.kind {
            Kind::Scalar { .. } => self.scalar(node, TextSyntax::Text),
            Kind::List(items) => self.all(items.iter_mut()),
            Kind::Map(entries) => self.all(entries.iter_mut().map(|(_, value)| value)),
            Kind::Bad => false,
        }
    }

    /// Several values of the author, each also after a broken one.
    fn all<'n>(&mut self, nodes: impl Iterator<Item = &'n mut YamlNode>) -> bool {
        let mut is_sound = true;
        for node in nodes {
            is_sound &= self.data(node);
        }
        is_sound
    }

    /// A scalar; `false` where a local of it is broken: then nothing more is said of it.
    fn scalar(&mut self, node: &mut YamlNode, form: TextSyntax) -> bool {
        let Some(text) = node.text().filter(|text| text.contains(ROOT)) else { return true };
        let map = node.source_map(self.source);
        let outcome = match form {
            TextSyntax::Bare => self.bare(text, &map),
            TextSyntax::Text | TextSyntax::File | TextSyntax::Shell => self.text(text, &map, form),
        };
        match outcome {
            Ok(Replacement::Same) => {}
            Ok(Replacement::Value(value)) => *node = value,
            Ok(Replacement::Text(WrittenText { text, map })) => {
                node.kind = Kind::Scalar { text, plain: false };
                node.written = Some(Arc::new(map));
            }
            Err(BrokenLocal) => {
                node.kind = Kind::Bad;
                return false;
            }
        }
        true
    }

    /// A text of a file with `${…}`; `None` where a local of it is broken.
    pub(super) fn file(&mut self, written: WrittenText) -> Option<WrittenText> {
        match self.text(&written.text, &written.map, TextSyntax::File) {
            Ok(Replacement::Text(written)) => Some(written),
            Ok(Replacement::Same | Replacement::Value(_)) => Some(written),
            Err(BrokenLocal) => None,
        }
    }

    fn bare(&mut self, text: &str, map: &SourceMap) -> Result<Replacement, BrokenLocal> {
        if field_uses(text, ROOT).is_empty() || text.contains("${") {
            return Ok(Replacement::Same);
        }
        // One that cannot be read is reported by the reader.
        let Ok(expr) = Expr::parse(text) else { return Ok(Replacement::Same) };
        self.locals.note_uses(&field_uses(text, ROOT));
        let mut written = WrittenText::empty();
        self.expression(&expr, map, &mut written)?;
        Ok(Replacement::Text(written))
    }

    fn text(&mut self, text: &str, map: &SourceMap, form: TextSyntax) -> Result<Replacement, BrokenLocal> {
        if !text.contains("${") {
            return Ok(Replacement::Same);
        }
        // One that cannot be read is reported by the reader.
        let Ok(parts) = parts(text) else { return Ok(Replacement::Same) };
        for part in &parts {
            if let TextPart::Expr { expr, .. } = part {
                self.locals.note_uses(&field_uses(expr.source(), ROOT));
            }
        }
        let mut written = WrittenText::empty();
        let (mut at, mut is_same, is_single) = (0, true, parts.len() == 1);
        for part in parts {
            let TextPart::Expr { expr, place } = part else { continue };
            let uses = field_uses(expr.source(), ROOT);
            if uses.is_empty() {
                continue;
            }
            is_same = false;
            let map_of_it = map.slice(place.clone());
            written.push_own(text, map, at..place.start - "${".len());
            at = place.end + "}".len();
            let is_alone = expr.source().trim() == &expr.source()[uses[0].place.clone()];
            if is_alone && form != TextSyntax::Shell {
                let (used, value) = self.value(&expr, &map_of_it, &uses[0])?;
                if is_single && form == TextSyntax::Text {
                    return self.alone(value, &used).map(Replacement::Value);
                }
                if let Some(spliced) = spliceable(&value.node, self.source) {
                    self.reserve(spliced.text.len(), 0, &used)?;
                    written.push_local(&spliced, &used);
                    continue;
                }
            }
            written.push_own(text, map, place.start - "${".len()..place.start);
            self.expression(&expr, &map_of_it, &mut written)?;
            written.push_own(text, map, place.end..at);
        }
        if is_same {
            return Ok(Replacement::Same);
        }
        written.push_own(text, map, at..text.len());
        Ok(Replacement::Text(written))
    }

    /// What a local stands for, in the place of a text that is nothing but its name.
    fn alone(&mut self, value: &LocalValue, used: &Arc<LocalUse>) -> Result<YamlNode, BrokenLocal> {
        let size = size(&value.node);
        self.reserve(size.bytes, size.nodes, used)?;
        let mut node = value.node.clone();
        move_to(&mut node, self.source, used);
        Ok(node)
    }

    /// Adds an expression with its locals written out.
    fn expression(
        &mut self,
        expr: &Expr,
        map: &SourceMap,
        written: &mut WrittenText,
    ) -> Result<(), BrokenLocal> {
        let source = expr.source();
        let uses = field_uses(source, ROOT);
        let (start, mut at, mut last) = (written.text.len(), 0, None);
        for one in &uses {
            let (used, value) = self.value(expr, map, one)?;
            written.push_own(source, map, at..one.place.start);
            self.reserve(value.expression.text.len(), 0, &used)?;
            written.push_local(&value.expression, &used);
            at = one.place.end;
            last = Some(used);
        }
        written.push_own(source, map, at..source.len());
        let whole = &written.text[start..];
        if let (Err(error), Some(used)) = (Expr::parse(whole), last) {
            let problem = match whole.len() > SOURCE_BYTES_MAX {
                true => {
                    let message = format!(
                        "with the local “{}” written out, this expression has {} bytes: {SOURCE_BYTES_MAX} are the most",
                        used.name,
                        whole.len()
                    );
                    let hint = "a text may be long where it stands alone: `${local.NAME}`";
                    used.problem(Code::Expression, message).hint(hint)
                }
                false => {
                    let message =
                        format!("the local “{}” cannot be used like that: {}", used.name, error.message);
                    used.problem(Code::Expression, message).hinted(error.hint)
                }
            };
            self.problems.push(problem);
            return Err(BrokenLocal);
        }
        Ok(())
    }

    /// The local that a name in an expression stands for.
    fn value(
        &mut self,
        expr: &Expr,
        map: &SourceMap,
        one: &FieldUse,
    ) -> Result<(Arc<LocalUse>, &'a LocalValue), BrokenLocal> {
        let locals = self.locals;
        let Some(name) = &one.field else {
            let message = format!("`{ROOT}` is no value: it has the pipeline's locals");
            let hint = format!("write {ROOT}.NAME; the variable of a loop needs another name");
            self.problems.push(map.problem(Code::Expression, one.place.clone(), message).hint(hint));
            return Err(BrokenLocal);
        };
        let Some(local) = locals.get(name) else {
            let message = format!("there is no local “{name}”");
            let problem = map.problem(Code::Template, one.place.clone(), message);
            self.problems.push(problem.hint(locals.hint(name)));
            return Err(BrokenLocal);
        };
        let Some(value) = &local.value else { return Err(BrokenLocal) };
        if let Some(variable) = expr.variables().intersection(&value.roots).next() {
            let message = format!("the loop calls its items “{variable}”, which `{ROOT}.{name}` asks for");
            let problem = map.problem(Code::Expression, one.place.clone(), message);
            self.problems.push(problem.hint("give the variable of the loop another name"));
            return Err(BrokenLocal);
        }
        let (source, span) = map.place_of(one.place.clone());
        Ok((Arc::new(LocalUse { name: name.clone(), source, span }), value))
    }

    /// Takes from what may be written out; reports at the name of the local where that is too little.
    fn reserve(&mut self, bytes: usize, nodes: usize, used: &LocalUse) -> Result<(), BrokenLocal> {
        match self.locals.reserve(bytes, nodes) {
            Some(true) => return Ok(()),
            None => {}
            Some(false) => {
                let message =
                    format!("with the local “{}” written out, the pipeline is too large", used.name);
                let problem = used.problem(Code::Limit, message);
                self.problems.push(problem.hint("100,000 values and 4 MiB of text are the most"));
            }
        }
        Err(BrokenLocal)
    }
}

/// The text of a value that may stand inside another text as it is.
fn spliceable(node: &YamlNode, source: &Arc<SourceText>) -> Option<WrittenText> {
    // What follows a `$` could become an expression.
    let text = node.text().filter(|text| node.value().is_string() && !text.ends_with('$'))?;
    Some(WrittenText { text: text.to_owned(), map: node.source_map(source) })
}

/// Gives the texts of a value the place at which its local is named.
fn move_to(node: &mut YamlNode, source: &Arc<SourceText>, used: &Arc<LocalUse>) {
    match &mut node.kind {
        Kind::Scalar { .. } => node.written = Some(Arc::new(node.source_map(source).used(used))),
        Kind::List(items) => items.iter_mut().for_each(|item| move_to(item, source, used)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| move_to(value, source, used)),
        Kind::Bad => {}
    }
    node.span = used.span.clone();
}

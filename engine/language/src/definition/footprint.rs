//! How much memory a compiled definition takes, estimated from its document.
//!
//! Law: the estimate is not less than what is held, give or take a tenth, and follows from the document alone. What is counted
//! where:
//! - A step is its struct and what the graph keeps of it; any other object is the nodes of two maps, since a template keeps its
//!   source beside what is compiled; any other value is a small part of a list.
//! - A text is kept twice, too.
//! - An expression is two trees, whose size follows from the length of its text; equal ones are kept once. Which texts are
//!   expressions the document does not say everywhere, so each that is short enough and no template counts as one.
//! - Texts of `files` are kept as they are.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::model::Step;
use crate::expr::SOURCE_BYTES_MAX;

/// A step: its struct, and what the graph and the tables by step keep of it.
const STEP_BYTES: usize = size_of::<Step>() + 1_024;
/// Any other object, and the node of a map that its first member brings, twice.
const OBJECT_BYTES: usize = 1_536;
/// Any other value, beside its text.
const VALUE_BYTES: usize = 64;
/// An expression without its nodes.
const EXPRESSION_BYTES: usize = 1_024;
/// The nodes of both trees of an expression, for each byte of its text.
const BYTES_OF_SOURCE_BYTE: usize = 60;

/// The bytes that the compiled definition of a canonical document takes, estimated; some of them it shares with other
/// definitions that have the same expressions.
#[must_use]
pub fn compiled_bytes(document: &str) -> usize {
    let mut footprint = Footprint::default();
    let mut reader = serde_json::Deserializer::from_str(document);
    match (Part { footprint: &mut footprint, place: Place::Root }).deserialize(&mut reader) {
        Ok(()) => footprint.bytes,
        // What is no document is not kept.
        Err(_no_document) => footprint.bytes.max(document.len()),
    }
}

#[derive(Default)]
struct Footprint {
    bytes: usize,
    /// Hashes of the expressions that were counted.
    expressions: HashSet<u64>,
}

impl Footprint {
    fn text(&mut self, text: &str) {
        self.bytes += VALUE_BYTES + 2 * text.len();
        if !text.contains("${") {
            return self.expression(text);
        }
        let mut rest = text;
        while let Some((_, behind)) = rest.split_once("${") {
            let expression = &behind[..closing_brace(behind)];
            self.expression(expression);
            rest = &behind[expression.len()..];
        }
    }

    fn expression(&mut self, source: &str) {
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        if source.len() <= SOURCE_BYTES_MAX && self.expressions.insert(hasher.finish()) {
            self.bytes += EXPRESSION_BYTES + source.len() * BYTES_OF_SOURCE_BYTE;
        }
    }
}

/// Where the brace is that closes an expression; a brace within one of its texts may be taken for it, which is near enough.
fn closing_brace(text: &str) -> usize {
    let mut open = 0_usize;
    let closing = text.bytes().position(|byte| {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return true,
            b'}' => open -= 1,
            _within => {}
        }
        false
    });
    closing.unwrap_or(text.len())
}

/// What a value of the document is a part of.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Steps,
    Step,
    Files,
    Within,
}

impl Place {
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Root, "steps" | "on_finish") => Self::Steps,
            (Self::Root, "files") => Self::Files,
            (Self::Files, _) => Self::Files,
            _other => Self::Within,
        }
    }
}

/// A value of the document that is counted.
struct Part<'a> {
    footprint: &'a mut Footprint,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a document")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.footprint.bytes += VALUE_BYTES;
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        self.footprint.bytes += VALUE_BYTES;
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        self.footprint.bytes += VALUE_BYTES;
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        self.footprint.bytes += VALUE_BYTES;
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        self.footprint.bytes += VALUE_BYTES;
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Files => self.footprint.bytes += VALUE_BYTES + text.len(),
            _template => self.footprint.text(text),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let place = match self.place {
            Place::Steps => Place::Step,
            _other => Place::Within,
        };
        self.footprint.bytes += VALUE_BYTES;
        while items.next_element_seed(Part { footprint: &mut *self.footprint, place })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.footprint.bytes += match self.place {
            Place::Step => STEP_BYTES,
            _other => OBJECT_BYTES,
        };
        while let Some(name) = members.next_key::<String>()? {
            self.footprint.bytes += VALUE_BYTES + 2 * name.len();
            let place = self.place.member(&name);
            members.next_value_seed(Part { footprint: &mut *self.footprint, place })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(steps: &str, files: &str) -> usize {
        compiled_bytes(&format!(r#"{{"files":{{{files}}},"name":"p","steps":[{steps}]}}"#))
    }

    #[test]
    fn equal_expressions_are_counted_once_and_files_as_they_are() {
        let long = format!("input.x + {}", "1 + ".repeat(200));
        let when = |id: &str, when: &str| format!(r#"{{"id":"{id}","when":"{when}"}}"#);
        let one = of(&when("a", &long), "");
        let twice = of(&[when("a", &long), when("b", &long)].join(","), "") - one;
        let others = of(&[when("a", &long), when("b", &format!("{long}2"))].join(","), "") - one;
        assert!(others > twice + long.len() * BYTES_OF_SOURCE_BYTE, "{others} {twice}");
        assert!(one > STEP_BYTES + long.len() * BYTES_OF_SOURCE_BYTE);
        let file = of(&when("a", &long), &format!(r#""x.md":"${{{long}}}""#)) - one;
        assert!(file < 2 * long.len() + 2 * VALUE_BYTES, "{file}");
    }

    #[test]
    fn of_a_template_its_expressions_are_counted() {
        let text = "x".repeat(1_000);
        let template = |text: &str| of(&format!(r#"{{"id":"a","otherwise":"{text}"}}"#), "");
        let plain = template(&format!("{text}${{a.b}}{text}"));
        assert!(plain < template(&text), "the text around them is no expression");
        let more = template(&format!("{text}${{a.b}}{text}${{{{'k': a.c}}.k}}"));
        let expected = EXPRESSION_BYTES + "{'k': a.c}.k".len() * BYTES_OF_SOURCE_BYTE;
        assert!(more >= plain + expected && more < plain + 2 * expected, "{plain} {more}");
    }
}

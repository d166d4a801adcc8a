//! Finds the values of secrets, and what looks like a credential, in what work says, and puts `***` in their place.
//!
//! Law: what comes in pieces is masked as if it had come at once; correct JSON stays correct JSON; and what is masked is
//! never longer than what it stands for, but for a number of JSON with four digits.
//!
//! A number of JSON that holds a value becomes the text `"***"`, as in [`Mask::value`], wherever a text is JSON or looks
//! like it ([`json_place`](super::json_place)); one that stands for itself, outside of all lists and objects, becomes `***`.
//!
//! Values come first, then forms ([`Patterns`]).
//!
//! In which forms a value is found: [`value_forms`](super::value_forms).

use std::sync::Arc;

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use everfold_ports::{AttemptEnd, AttemptNotes, AttemptResult, MASK};

use super::json_place::{Bare, JsonPlace, bare_at, ends_value};
use super::spelling::Spelled;
use super::value_forms::{VALUE_BYTES_MIN, ValueForms};
use crate::redact::{PatternStream, Patterns};

/// What stands in a text for what was cut off at its start or at its end.
const CUT: char = '…';
/// What stands for a value of JSON that is no text.
const QUOTED_MASK: &[u8] = b"\"***\"";

/// The values that are to be masked, in all the forms in which they are found, and the patterns.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    values: Arc<ValueForms>,
    patterns: Option<Arc<Patterns>>,
    /// Whether it leaves JSON alone: see [`Mask::plain`].
    is_plain: bool,
}

/// What masking makes of a number or a word of JSON.
enum BareMasked {
    /// It is neither.
    No,
    /// The text ends before that is decided.
    Undecided,
    /// It holds no value, up to here.
    Clean(usize),
    /// It holds one.
    Holds(usize),
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask(***)")
    }
}

impl Mask {
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        Self { values: Arc::new(ValueForms::of(values)), ..Self::default() }
    }

    /// What masks by form alone.
    pub(crate) fn of_patterns(patterns: Option<Arc<Patterns>>) -> Self {
        Self { patterns, ..Self::default() }
    }

    /// Masks by form as well.
    pub(crate) fn with_patterns(self, patterns: Option<Arc<Patterns>>) -> Self {
        Self { patterns, ..self }
    }

    /// What masks the values alone, each by `***`, whether that is JSON or not: what is masked is never longer.
    pub(crate) fn plain(&self) -> Self {
        Self { is_plain: true, ..self.clone().with_patterns(None) }
    }

    /// What masks the name of a file, each value by `***`.
    pub(crate) fn of_names(&self) -> Self {
        Self { values: Arc::new(self.values.of_names()), patterns: self.patterns.clone(), is_plain: true }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.has_values() && self.patterns.is_none()
    }

    fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// Masks as far as values can be recognised; gives where that ends, and whether something was masked.
    fn mask_into(
        &self,
        text: &[u8],
        is_last: bool,
        place: &mut JsonPlace,
        masked: &mut Vec<u8>,
    ) -> (usize, bool) {
        let (mut at, mut is_changed) = (0, false);
        while at < text.len() {
            let is_value = !self.is_plain && place.is_before_value();
            let (end, mark) = match if is_value { self.bare(text, at, is_last) } else { BareMasked::No } {
                BareMasked::Undecided => return (at, is_changed),
                BareMasked::Clean(end) => (end, None),
                BareMasked::Holds(end) => (end, Some(QUOTED_MASK)),
                BareMasked::No => match self.values.at(text, at, is_last) {
                    Spelled::No => (at + 1, None),
                    Spelled::Perhaps => return (at, is_changed),
                    // A secret that is JSON by itself, as the key file of an account.
                    Spelled::Until(end) if is_value && matches!(text[at], b'{' | b'[' | b'"') => {
                        match ends_value(text, end, is_last) {
                            None => return (at, is_changed),
                            Some(true) => (end, Some(QUOTED_MASK)),
                            Some(false) => (end, Some(MASK.as_bytes())),
                        }
                    }
                    Spelled::Until(end) => (end, Some(MASK.as_bytes())),
                },
            };
            masked.extend_from_slice(mark.unwrap_or(&text[at..end]));
            place.pass(&text[at..end]);
            is_changed |= mark.is_some();
            at = end;
        }
        (at, is_changed)
    }

    /// What stands at a place where a value of JSON may stand.
    fn bare(&self, text: &[u8], from: usize, is_last: bool) -> BareMasked {
        let end = match bare_at(text, from, is_last) {
            Bare::No => return BareMasked::No,
            Bare::Perhaps => return BareMasked::Undecided,
            Bare::Until(end) => end,
        };
        for at in from..end {
            match self.values.at(text, at, is_last) {
                Spelled::No => {}
                Spelled::Perhaps => return BareMasked::Undecided,
                Spelled::Until(to) if to <= end => return BareMasked::Holds(end),
                // It goes on behind the number, so this is no JSON.
                Spelled::Until(_) => return BareMasked::No,
            }
        }
        // As it will be written once it was read.
        let read = serde_json::from_slice::<serde_json::Number>(&text[from..end]).map(|it| it.to_string());
        let read = read.unwrap_or_default();
        let holds = (0..read.len()).any(|at| self.values.at(read.as_bytes(), at, true) != Spelled::No);
        if holds { BareMasked::Holds(end) } else { BareMasked::Clean(end) }
    }

    /// The bytes, masked; `None` where nothing of them is to be.
    pub(crate) fn bytes(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut without_values = None;
        if self.has_values() {
            let mut masked = Vec::with_capacity(text.len());
            let (_, is_changed) = self.mask_into(text, true, &mut JsonPlace::default(), &mut masked);
            without_values = is_changed.then_some(masked);
        }
        let left = without_values.as_deref().unwrap_or(text);
        let masked = self.patterns.as_ref().and_then(|patterns| patterns.bytes(left));
        masked.or(without_values)
    }

    pub(crate) fn text(&self, text: &mut String) {
        if let Some(masked) = self.bytes(text.as_bytes()) {
            *text = String::from_utf8_lossy(&masked).into_owned();
        }
        if self.has_values() {
            self.cut_ends(text);
        }
    }

    /// Masks what is left of a value where a text was cut, which [`CUT`] says: the end of one at its start, and the start of
    /// one at its end.
    fn cut_ends(&self, text: &mut String) {
        if let Some(rest) = text.strip_prefix(CUT)
            && let Some(length) = self.values.left_before(rest)
        {
            *text = format!("{CUT}{MASK}{}", &rest[length..]);
        }
        if let Some(rest) = text.strip_suffix(CUT) {
            let begins = |from: &usize| self.values.at(rest.as_bytes(), *from, false) == Spelled::Perhaps;
            let left = (0..(rest.len() + 1).saturating_sub(VALUE_BYTES_MIN)).find(begins);
            if let Some(from) = left.filter(|from| rest.is_char_boundary(*from)) {
                *text = format!("{}{MASK}{CUT}", &rest[..from]);
            }
        }
    }

    fn maybe(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Masks every text of a value, names of fields and digits of numbers included, and the texts and numbers of
    /// fields whose names say that they are secret.
    pub(crate) fn value(&self, value: &mut Value) {
        if !self.is_empty() {
            self.value_of(false, value);
        }
    }

    fn value_of(&self, is_secret: bool, value: &mut Value) {
        match value {
            Value::String(text) if is_secret && !text.is_empty() => MASK.clone_into(text),
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value_of(is_secret, item)),
            Value::Object(fields) => {
                let old = std::mem::take(fields);
                for (mut name, mut value) in old {
                    let is_secret = self.patterns.as_ref().is_some_and(|it| it.name_secret(&name));
                    self.text(&mut name);
                    self.value_of(is_secret, &mut value);
                    fields.insert(name, value);
                }
            }
            Value::Number(number) => {
                if is_secret || (self.has_values() && self.bytes(number.to_string().as_bytes()).is_some()) {
                    *value = Value::String(MASK.to_owned());
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    pub(crate) fn failure(&self, failure: &mut Failure) {
        self.text(&mut failure.message);
        self.maybe(&mut failure.code);
        self.maybe(&mut failure.detail);
        self.maybe(&mut failure.hint);
    }

    fn notes(&self, notes: &mut AttemptNotes) {
        for (mut name, mut value) in std::mem::take(&mut notes.labels) {
            self.text(&mut name);
            self.text(&mut value);
            notes.labels.insert(name, value);
        }
        self.maybe(&mut notes.note);
        self.maybe(&mut notes.code);
    }

    /// Masks everything that an attempt reports.
    pub(crate) fn end(&self, end: &mut AttemptEnd) {
        match &mut end.result {
            AttemptResult::Succeeded(output) => self.value(output),
            AttemptResult::Failed(failure) => self.failure(failure),
            AttemptResult::NoRoom { reason }
            | AttemptResult::Unreadable { reason }
            | AttemptResult::Lost { reason } => self.text(reason),
        }
        self.notes(&mut end.notes);
        end.search.values_mut().for_each(|value| self.value(value));
        if let Some(ask) = &mut end.ask {
            self.value(ask);
        }
    }

    /// Masks what comes in pieces.
    pub(crate) fn stream(&self) -> MaskStream {
        MaskStream {
            mask: self.clone(),
            held: Vec::new(),
            place: JsonPlace::default(),
            is_changed: false,
            patterns: self.patterns.clone().map(PatternStream::new),
        }
    }
}

/// What comes in pieces: the end of a piece that may be the beginning of a value waits for the next.
#[derive(Debug)]
pub(crate) struct MaskStream {
    mask: Mask,
    held: Vec<u8>,
    place: JsonPlace,
    is_changed: bool,
    patterns: Option<PatternStream>,
}

impl MaskStream {
    /// Takes a piece; gives what of it, and of what was held back, may be shown.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        if self.mask.has_values() {
            self.held.extend_from_slice(piece);
            shown.reserve(self.held.len());
            let (end, is_changed) = self.mask.mask_into(&self.held, false, &mut self.place, &mut shown);
            self.is_changed |= is_changed;
            self.held.drain(..end);
        }
        let without_values = if self.mask.has_values() { &shown } else { piece };
        match &mut self.patterns {
            Some(patterns) => patterns.take(without_values),
            None => without_values.to_vec(),
        }
    }

    /// Nothing more comes: gives what was held back.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut shown = Vec::new();
        let (_, is_changed) = self.mask.mask_into(&held, true, &mut self.place, &mut shown);
        self.is_changed |= is_changed;
        match &mut self.patterns {
            Some(patterns) => {
                let mut before = patterns.take(&shown);
                before.extend(patterns.finish());
                before
            }
            None => shown,
        }
    }

    /// Whether something was masked.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed || self.patterns.as_ref().is_some_and(|patterns| patterns.is_changed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::value_forms::hex;
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::json;

    const VALUE: &str = "s3cr\"et/v+lue\\42";

    fn masked(text: &str) -> String {
        let mut text = text.to_owned();
        Mask::new([VALUE]).text(&mut text);
        text
    }

    #[test]
    fn l34_a_value_is_found_in_every_usual_form() {
        let json = serde_json::to_string(&json!({ "token": VALUE })).unwrap();
        assert_eq!(masked(&json), r#"{"token":"***"}"#);
        assert_eq!(masked(&format!("a {VALUE}{VALUE} b")), "a ****** b");
        assert_eq!(masked("?t=s3cr%22et%2Fv%2Blue%5C42&u"), "?t=***&u");
        assert_eq!(masked("?t=s3cr%22et%2fv%2blue%5c42&u"), "?t=***&u");
        // As `json.dumps` of Python, `json_encode` of PHP, `encoding/json` of Go, `quote` and `html.escape` of
        // Python write it, and what mixes them.
        assert_eq!(masked(r#"{"token":"s3cr\"et\/v+lue\\42"}"#), r#"{"token":"***"}"#);
        assert_eq!(masked(r#"{"token":"s3cr\u0022et/v\u002Blue\u005c42"}"#), r#"{"token":"***"}"#);
        assert_eq!(masked("?t=s3cr%22et/v%2Blue%5C42&u"), "?t=***&u");
        assert_eq!(masked("<b>s3cr&quot;et/v+lue\\42</b>"), "<b>***</b>");
        for user in ["", "a", "ad", "ada", "user:"] {
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let shown = masked(&engine.encode(format!("{user}{VALUE}@example.org")));
                assert!(shown.contains("***"), "{user}: {shown}");
            }
        }
        assert_eq!(
            masked(&format!("x{}", String::from_utf8(hex(VALUE.as_bytes(), "0123456789abcdef")).unwrap())),
            "x***"
        );
    }

    #[test]
    fn l34_what_is_left_of_a_value_where_a_text_was_cut_is_masked() {
        let value = "notifysecret-zz99yy88";
        let mask = Mask::new([value]);
        let masked = |text: String| {
            let mut text = text;
            mask.text(&mut text);
            text
        };
        for cut in VALUE_BYTES_MIN..value.len() {
            let end = &value[value.len() - cut..];
            assert_eq!(masked(format!("…{end} and {value}.")), "…*** and ***.");
            assert_eq!(masked(format!("x{}…", &value[..cut])), "x***…");
            let encoded = STANDARD_NO_PAD.encode(value);
            assert_eq!(masked(format!("x{}…", &encoded[..cut])), "x***…");
        }
        // Nothing was cut, or it is of no value.
        for text in [&value[4..], &value[..9], "…else", "none…", "…", "", "…yy8", "…é", "é…"] {
            assert_eq!(masked(text.to_owned()), *text);
        }
    }

    #[test]
    fn l34_a_value_is_found_across_lines_and_each_long_line_of_one_by_itself() {
        assert_eq!(masked("one\ns3cr\"et/\nv+lue\\\r\n42\ntwo"), "one\n***\ntwo");
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nshort\n-----END KEY-----";
        let mut text = "a MIIEvQIBADANBgkqhkiG9w0 b short -----BEGIN KEY-----".to_owned();
        Mask::new([key]).text(&mut text);
        assert_eq!(text, "a *** b short -----BEGIN KEY-----");
        // A short one across lines would be anything.
        let mut text = "12\n34 1234".to_owned();
        Mask::new(["1234"]).text(&mut text);
        assert_eq!(text, "12\n34 ***");
    }

    #[test]
    fn l34_of_two_values_that_begin_alike_the_longer_one_is_meant() {
        let mask = Mask::new(["abcdef", "abcdefghi"]);
        let mut stream = mask.stream();
        let mut shown = stream.take(b"abcdef");
        shown.extend(stream.take(b"ghi abcdef"));
        shown.extend(stream.finish());
        assert_eq!(String::from_utf8(shown).unwrap(), "*** ***");
    }

    #[test]
    fn l34_values_are_masked_in_names_numbers_and_texts() {
        let mut value = json!({"a-12345678": [12_345_678, {"b": "x12345678"}], "c": true});
        Mask::new(["12345678"]).value(&mut value);
        assert_eq!(value, json!({"a-***": ["***", {"b": "x***"}], "c": true}));
    }

    #[test]
    fn a_number_of_json_that_holds_a_value_becomes_a_text_and_the_rest_stays_json() {
        for (text, wanted) in [
            ("{\"stamp\":1620261129000}", "{\"stamp\":\"***\"}"),
            (
                "{\"a\": [1, -20261129.5e1,\n20261129\n], \"b\" : 20261129}",
                "{\"a\": [1, \"***\",\n\"***\"\n], \"b\" : \"***\"}",
            ),
            ("{\"a\":2026112.9e1}", "{\"a\":\"***\"}"),
            ("log {\"a\":20261129} end", "log {\"a\":\"***\"} end"),
            ("[\"[20261129, \\\"a\\\":20261129\", true]", "[\"[***, \\\"a\\\":***\", true]"),
            ("{\"20261129\":20261129}", "{\"***\":\"***\"}"),
            // What is no number of JSON.
            ("20261129", "***"),
            ("pins: 20261129, 20261129", "pins: ***, ***"),
            ("[x20261129, 20261129x]", "[x***, ***x]"),
        ] {
            let mut masked = text.to_owned();
            Mask::new(["20261129"]).text(&mut masked);
            assert_eq!(masked, wanted, "{text}");
        }
        for (value, text) in
            [("1234", "[1234,51234]"), ("true", "[true]"), ("{\"k\":\"v\"}", "[{\"k\":\"v\"}]")]
        {
            let mut masked = text.to_owned();
            Mask::new([value]).text(&mut masked);
            let read: Value = serde_json::from_str(&masked).unwrap();
            assert!(read.as_array().unwrap().iter().all(|item| item == MASK), "{masked}");
        }
    }

    proptest! {
        #[test]
        fn json_stays_json_in_whatever_pieces_it_comes(
            items in proptest::collection::vec((0_u64..2_000_000, "[a-z0-9\"\\\\]{0,6}", any::<f64>()), 0..6),
            value in "[0-9]{4,5}",
            size in 1_usize..9,
            pretty in any::<bool>(),
        ) {
            let json = json!(items.iter().map(|(n, t, f)| json!({t: n, "f": f, "t": [t, value]})).collect::<Vec<_>>());
            let text = if pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
            let mask = Mask::new([value.as_str()]);
            let mut stream = mask.stream();
            let mut shown: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| stream.take(piece)).collect();
            shown.extend(stream.finish());
            let mut whole = text.clone();
            mask.text(&mut whole);
            prop_assert_eq!(std::str::from_utf8(&shown).unwrap(), &whole);
            prop_assert_eq!(stream.is_changed(), whole != text);
            let read: Value = serde_json::from_slice(&shown).unwrap();
            let mut wanted = json;
            mask.value(&mut wanted);
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn l34_pieces_are_masked_as_the_whole(
            parts in proptest::collection::vec(prop_oneof![
                Just(VALUE.to_owned()), Just("s3cr".to_owned()), Just("\n".to_owned()), "[a-z3\"]{0,5}",
                Just("s3cr\\\"et\\/v%2Blue&#92;42".to_owned()), Just("s3cr&quot".to_owned()), Just("%7".to_owned()),
            ], 0..12),
            size in 1_usize..9,
        ) {
            let text = parts.concat();
            let mask = Mask::new([VALUE]);
            let mut stream = mask.stream();
            let mut shown: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| stream.take(piece)).collect();
            shown.extend(stream.finish());
            let shown = String::from_utf8(shown).unwrap();
            let mut whole = text.clone();
            mask.text(&mut whole);
            prop_assert_eq!(&shown, &whole);
            prop_assert!(!shown.contains(VALUE));
        }
    }
}

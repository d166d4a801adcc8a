//! What a process tells: its result file, or its standard output read as declared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use everfold_base::failure::{Failure, FailureKind, is_code};
use everfold_base::json::{Value, strict};
use everfold_ports::{self as execution, AttemptRequest, MASK, RequestedJson, RequestedOutputs, Usage};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, json};

use super::plan::{OutputCheck, Stdout};
use super::unready::Unready;
use super::usage::{cost_micros, sane_dollars, sane_tokens};
use crate::attempt_end::RESULT_BYTES_MAX;
use crate::byte_order_mark::behind_mark;
use crate::private_file::{if_there, is_of_the_system};
use crate::shim::copy_of;
use crate::workspace_path::{ResolvedPath, resolve};
use everfold_system::regular::{self, read_bounded};

/// Names the output in failures where standard output is the output, and not a file.
pub(crate) const ANSWER: &str = "the answer";
/// A note is cut here: it is for readers.
const NOTE_CHARS_MAX: usize = 8 * 1024;

/// What the reserved key holds.
const RESERVED: &str = "a map of usage, note, labels, search, code and ask";

/// What the result file holds beside the output, under its one reserved key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map of usage, note, labels, search, code and ask")]
pub(crate) struct ReservedOutput {
    /// One of them, or a list.
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    labels: Option<Map<String, Value>>,
    /// What the run is found by from now on.
    #[serde(default)]
    pub(crate) search: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    /// What it asks people; the attempt ends with it.
    #[serde(default)]
    pub(crate) ask: Option<Value>,
}

impl ReservedOutput {
    /// The labels, the note and the code, as the core takes them.
    pub(crate) fn read(&self) -> Result<execution::AttemptNotes, Failure> {
        let mut labels = BTreeMap::new();
        for (name, value) in self.labels.iter().flatten() {
            if name.is_empty() {
                return Err(invalid("`everfold.labels` in the result file has a label without a name"));
            }
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => {
                    return Err(invalid(format!("`everfold.labels.{name}` is no text, number or boolean")));
                }
            };
            labels.insert(name.clone(), text);
        }
        let note = self.note.as_ref().map(|note| note.chars().take(NOTE_CHARS_MAX).collect());
        Ok(execution::AttemptNotes {
            labels,
            note,
            code: self.code.clone(),
            ..execution::AttemptNotes::default()
        })
    }
}

/// The fields of an entry of `usage`.
const USAGE_FIELDS: [&str; 6] =
    ["model", "input_tokens", "cached_tokens", "output_tokens", "cost", "session"];

/// The result file, read.
#[derive(Debug, Default)]
pub(crate) struct ResultFile {
    /// The output without the reserved key; `None` when the process left none.
    pub(crate) output: Option<Value>,
    pub(crate) reserved: ReservedOutput,
    pub(crate) usage: Vec<Usage>,
}

/// The failure of a text that is no JSON.
fn no_json(what: &str, error: &serde_json::Error) -> Failure {
    if error.to_string().starts_with("recursion limit exceeded") {
        return invalid(format!("{what} is nested deeper than 128 levels"))
            .with_hint("leave such values as files and declare them under `outputs`");
    }
    invalid(format!("{what} is no JSON: {error}"))
        .with_hint("write one JSON value in UTF-8, and nothing else, or leave the file out")
}

/// Refuses a text whose value would hold another number than it says.
fn keeps_numbers(what: &str, text: &[u8]) -> Result<(), Failure> {
    match strict::beyond_64_bits(behind_mark(text)) {
        Some(number) => {
            Err(invalid(format!("{what} has the number {number}, which does not fit into 64 bits"))
                .with_hint("write it as a text, in double quotes"))
        }
        None => Ok(()),
    }
}

/// A path that may not be read.
pub(super) fn outside(message: String) -> Failure {
    invalid(message).with_hint("only what lies in the workspace, links followed, can be kept: copy it there")
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Validation, message)
}

/// Reads the file that `EVERFOLD_OUTPUT` names; a failure is one of the program that wrote it. A link is not followed:
/// its supervisor masks secrets in what lies in the attempt's folder, and nowhere else.
///
/// # Errors
/// When the system cannot read it, or not now: that says nothing about the file.
pub(crate) fn read_result(path: &Path) -> std::io::Result<Result<ResultFile, Failure>> {
    Ok(match if_there(regular::read_unlinked(path, RESULT_BYTES_MAX)) {
        Ok(Some(Some(bytes))) => result_of(&bytes),
        Ok(Some(None)) => Err(invalid("the result file is larger than 1 MiB")
            .with_hint("leave large results as files and declare them under `outputs`")),
        Ok(None) => Ok(ResultFile::default()),
        Err(error) if regular::is_of_link(&error) => {
            Err(invalid("a link stands in the place of the result file")
                .with_hint("write the result to the file that EVERFOLD_OUTPUT names, or copy it there"))
        }
        Err(error) if is_of_the_system(&error) => return Err(error),
        Err(error) => Err(invalid(format!("the result file could not be read: {error}"))),
    })
}

/// Reads a text that was masked: a number that stands by itself and held a secret is `***`, or has it among its digits.
fn json_of(bytes: &[u8]) -> serde_json::Result<Value> {
    let is_of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' | b'*');
    let bytes = behind_mark(bytes);
    let text = bytes.trim_ascii();
    let is_masked = text.windows(MASK.len()).any(|window| window == MASK.as_bytes());
    match is_masked && text.iter().all(is_of_number) {
        true => Ok(Value::String(MASK.to_owned())),
        false => serde_json::from_slice(bytes),
    }
}

fn result_of(bytes: &[u8]) -> Result<ResultFile, Failure> {
    let bytes = behind_mark(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(ResultFile::default());
    }
    let mut value = json_of(bytes).map_err(|error| no_json("the result file", &error))?;
    keeps_numbers("the result file", bytes)?;
    let reserved = value.as_object_mut().and_then(|fields| fields.remove("everfold"));
    let reserved = match reserved {
        None => return Ok(ResultFile { output: Some(value), ..ResultFile::default() }),
        Some(reserved) => reserved_of(reserved)?,
    };
    let usage = match &reserved.usage {
        None => Vec::new(),
        Some(Value::Array(more)) => more
            .iter()
            .enumerate()
            .map(|(at, one)| usage(one, &format!("[{at}]")))
            .collect::<Result<_, _>>()?,
        Some(one) => vec![usage(one, "")?],
    };
    let output = Some(value).filter(|value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    Ok(ResultFile { output, reserved, usage })
}

/// Reads what stands under the reserved key.
fn reserved_of(reserved: Value) -> Result<ReservedOutput, Failure> {
    let wrong = |what: String| invalid(format!("`everfold` in the result file: {what}"));
    if reserved.is_array() {
        // A list would be taken by the order of the fields.
        return Err(wrong(format!("it is a list, expected {RESERVED}")));
    }
    let reserved: ReservedOutput =
        serde_json::from_value(reserved).map_err(|error| wrong(error.to_string()))?;
    match &reserved.code {
        Some(code) if !is_code(code) => {
            let message = format!("`everfold.code` in the result file is “{code}”, which is no code");
            Err(invalid(message)
                .with_hint("a code has A-Z, 0-9 and `_`, a letter first, and at most 64 of them"))
        }
        _none_or_fits => Ok(reserved),
    }
}

/// Reads an entry; `at` says which one of a list.
fn usage(entry: &Value, at: &str) -> Result<Usage, Failure> {
    let wrong =
        |field: &str, what: String| invalid(format!("`everfold.usage{at}{field}` in the result file{what}"));
    let Value::Object(fields) = entry else {
        let fields = USAGE_FIELDS.join(", ");
        return Err(wrong("", format!(" is {entry}: it is a map of {fields}, or a list of such maps")));
    };
    if let Some(unknown) = fields.keys().find(|name| !USAGE_FIELDS.contains(&name.as_str())) {
        let fields = USAGE_FIELDS.join(", ");
        return Err(wrong("", format!(": unknown field `{unknown}`; it has {fields}")));
    }
    // A number in which a secret was masked is not known.
    let there = |name: &str| fields.get(name).filter(|value| !value.is_null() && *value != MASK);
    let text = |name: &str| match there(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(&format!(".{name}"), format!(" is {other}, not a text"))),
    };
    let tokens = |name: &str| match there(name).map(|value| (value.as_u64(), value)) {
        None => Ok(0),
        Some((Some(tokens), other)) => sane_tokens(tokens).ok_or_else(|| {
            wrong(&format!(".{name}"), format!(" is {other}: one report may tell of 10^12 tokens"))
        }),
        Some((None, other)) => {
            Err(wrong(&format!(".{name}"), format!(" is {other}, not a whole number of 0 or more")))
        }
    };
    let cost_micros = match there("cost") {
        None => 0,
        Some(cost) => {
            let dollars = match cost {
                Value::String(text) => text.trim_end_matches("USD").trim().parse::<f64>().ok(),
                other => other.as_f64(),
            };
            cost_micros(dollars.and_then(sane_dollars).ok_or_else(|| {
                wrong(".cost", format!(" is {cost}, not an amount of US dollars from 0 to 1,000,000"))
            })?)
        }
    };
    Ok(Usage {
        model: text("model")?,
        input_tokens: tokens("input_tokens")?,
        cached_tokens: tokens("cached_tokens")?,
        output_tokens: tokens("output_tokens")?,
        cost_micros,
        session: text("session")?,
    })
}

/// The output of a step that declares how it is read, and that it fits; `None` when it does not declare it.
pub(crate) fn declared_and_fit(
    request: &AttemptRequest,
    said: &Stdout,
    check: Option<&OutputCheck>,
) -> Result<Option<Value>, Unready> {
    let outputs = &request.outputs;
    let declared = declared(outputs, said, &request.workdir.path, &request.folder)?;
    if let (Some(value), Some(check)) = (&declared, check) {
        let what = match &outputs.json {
            Some(RequestedJson::File(path)) => path.as_str(),
            _said => ANSWER,
        };
        check(what, value)?;
    }
    Ok(declared)
}

/// The output of a step that declares how it is read; `None` when it does not.
fn declared(
    outputs: &RequestedOutputs,
    stdout: &Stdout,
    workdir: &Path,
    folder: &Path,
) -> Result<Option<Value>, Unready> {
    let Some(json) = &outputs.json else { return Ok(None) };
    let value = match json {
        RequestedJson::Stdout if stdout.tail.is_some() => {
            Err(invalid("standard output is larger than what is kept of it, so it cannot be read as JSON"))
        }
        RequestedJson::Stdout => json_of(stdout.text.trim().as_bytes())
            .map_err(|error| {
                invalid(format!("standard output is no JSON: {error}"))
                    .with_hint("`json: lenient` takes the last JSON value and leaves other lines alone")
            })
            .and_then(|value| keeps_numbers("standard output", stdout.text.as_bytes()).map(|()| value)),
        RequestedJson::Lenient => last_json(stdout.tail.as_deref().unwrap_or(&stdout.text))
            .ok_or_else(|| invalid("no JSON value stands in standard output")),
        RequestedJson::File(path) => return json_file(workdir, folder, path).map(Some),
    };
    Ok(Some(value?))
}

/// The copy of a declared file in which secrets are masked, where there is one.
pub(crate) fn masked(folder: &Path, path: &str) -> Option<PathBuf> {
    Some(copy_of(folder, path)).filter(|copy| copy.exists())
}

fn json_file(workdir: &Path, folder: &Path, path: &str) -> Result<Value, Unready> {
    let file = match resolve(workdir, path) {
        ResolvedPath::Inside(file) => masked(folder, path).unwrap_or(file),
        ResolvedPath::Missing => return Err(invalid(format!("the declared output {path} is missing")).into()),
        ResolvedPath::Outside(reason) => return Err(outside(reason).into()),
    };
    let bytes = read_bounded(&file, RESULT_BYTES_MAX).map_err(|error| match is_of_the_system(&error) {
        true => Unready::unseen(path, &error),
        false => invalid(format!("{path} could not be read: {error}")).into(),
    })?;
    let bytes = bytes.ok_or_else(|| invalid(format!("{path} is larger than 1 MiB")))?;
    let value = json_of(&bytes).map_err(|error| no_json(path, &error))?;
    keeps_numbers(path, &bytes)?;
    Ok(value)
}

/// The last whole JSON object or list in a text: of those that end last the widest.
pub(crate) fn last_json(text: &str) -> Option<Value> {
    /// Starts tried from the end; a text full of braces is no reason to try all of them.
    const STARTS_MAX: usize = 200_000;
    let text = text.trim_end();
    let starts = text.char_indices().rev().filter(|(_, c)| matches!(c, '{' | '[')).take(STARTS_MAX);
    let mut best: Option<(usize, Value)> = None;
    for (start, _) in starts {
        let mut stream = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        let Some(Ok(value)) = stream.next() else { continue };
        let end = start + stream.byte_offset();
        // One that ends before the best is a sibling within a wider value that begins further ahead, or an earlier value.
        if best.as_ref().is_none_or(|(best_end, _)| end >= *best_end) {
            best = Some((end, value));
        }
    }
    best.map(|(_, value)| value)
}

/// Adds the fields that `match` reads out of standard output.
pub(crate) fn add_matches(
    outputs: &RequestedOutputs,
    stdout: &Stdout,
    output: Value,
) -> Result<Value, Failure> {
    if outputs.matches.is_empty() {
        return Ok(output);
    }
    let mut fields = match output {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return Err(invalid("`match` adds fields, and the output is no object to add them to")),
    };
    for (name, pattern) in &outputs.matches {
        let regex = Regex::new(pattern)
            .map_err(|error| invalid(format!("`match.{name}` is no regular expression: {error}")))?;
        let captures = regex
            .captures(&stdout.text)
            .or_else(|| stdout.tail.as_deref().and_then(|tail| regex.captures(tail)))
            .ok_or_else(|| {
                invalid(format!("`match.{name}`: nothing in standard output matches {pattern}"))
            })?;
        let text = captures.get(1).or_else(|| captures.get(0)).map_or("", |found| found.as_str());
        fields.insert(name.clone(), json!(text));
    }
    Ok(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stdout(text: &str) -> Stdout {
        Stdout { text: text.to_owned(), tail: None }
    }

    #[test]
    fn the_last_json_value_is_found_among_other_lines() {
        for (text, value) in [
            ("noise\n{\"a\": [1, {\"b\": 2}]}\nbye", Some(json!({"a": [1, {"b": 2}]}))),
            ("{\"a\":1}\n{\"a\":2}\n", Some(json!({"a": 2}))),
            ("```json\n[1, [2]]\n```", Some(json!([1, [2]]))),
            (
                "I find: {\"items\": [{\"id\": \"a\"}, {\"id\": \"b\"}], \"n\": {\"x\": [1], \"y\": [2]}}, no more.",
                Some(json!({"items": [{"id": "a"}, {"id": "b"}], "n": {"x": [1], "y": [2]}})),
            ),
            ("[{\"id\": \"a\"}, {\"id\": \"b\"}]", Some(json!([{"id": "a"}, {"id": "b"}]))),
            ("[broken {\"ok\": true}", Some(json!({"ok": true}))),
            ("nothing { here", None),
            ("", None),
        ] {
            assert_eq!(last_json(text), value, "{text}");
        }
    }

    /// Programs of Windows write one. It was refused as a character that no JSON begins with.
    #[test]
    fn json_behind_a_byte_order_mark_is_read() {
        let marked = "\u{feff}{\"n\": 1}\r\n";
        assert_eq!(result_of(marked.as_bytes()).unwrap().output, Some(json!({"n": 1})));
        assert_eq!(json_of(marked.as_bytes()).unwrap(), json!({"n": 1}));
        assert_eq!(result_of("\u{feff}".as_bytes()).unwrap().output, None);
        assert_eq!(keeps_numbers("the answer", marked.as_bytes()), Ok(()));
        let large = "\u{feff}[18446744073709551616]";
        assert!(result_of(large.as_bytes()).is_err(), "the mark hides no number");
    }

    #[test]
    fn a_number_that_would_become_another_one_is_refused() {
        let kept = format!("{{\"n\": {}}}", u64::MAX);
        assert_eq!(result_of(kept.as_bytes()).unwrap().output, Some(json!({"n": u64::MAX})));
        let refused = result_of(b"{\"n\": [18446744073709551616]}").unwrap_err();
        assert!(refused.message.contains("18446744073709551616, which does not fit"), "{refused:?}");
    }

    #[test]
    fn y_the_reserved_key_is_taken_out_of_the_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output.json");
        assert!(read_result(&path).unwrap().unwrap().output.is_none());
        let text = r#"{"n": 1, "everfold": {"usage": {"model": "m", "input_tokens": 5, "cost": "0.25"}, "code": "E7"}}"#;
        std::fs::write(&path, text).unwrap();
        let result = read_result(&path).unwrap().unwrap();
        assert_eq!(result.output, Some(json!({"n": 1})));
        assert_eq!((result.usage[0].cost_micros, result.usage[0].input_tokens), (250_000, 5));
        assert_eq!(result.reserved.code.as_deref(), Some("E7"));
        for (text, part) in [
            ("{", "no JSON"),
            (r#"{"everfold": {"usages": 1}}"#, "usages"),
            (r#"{"everfold": [null, "a note"]}"#, "it is a list, expected a map of usage"),
            (r#"{"everfold": {"code": "timeout"}}"#, "`everfold.code` in the result file is “timeout”"),
            (r#"{"everfold": {"code": "Bad Code"}}"#, "is “Bad Code”, which is no code"),
            (r#"{"everfold": {"code": ""}}"#, "is “”, which is no code"),
            (r#"{"everfold": {"usage": {"cost": "much"}}}"#, "cost"),
            (
                r#"{"everfold": {"usage": {"input": 5}}}"#,
                "`everfold.usage` in the result file: unknown field `input`",
            ),
            (
                r#"{"everfold": {"usage": [{"cost": 1}, 5]}}"#,
                "`everfold.usage[1]` in the result file is 5: it is a map of",
            ),
            (
                r#"{"everfold": {"usage": {"input_tokens": "5"}}}"#,
                "`everfold.usage.input_tokens` in the result file is \"5\", not a whole number of 0 or more",
            ),
            (
                r#"{"everfold": {"usage": [{"output_tokens": -1.5}]}}"#,
                "`everfold.usage[0].output_tokens` in the result file is -1.5, not a whole number",
            ),
            (
                r#"{"everfold": {"usage": {"input_tokens": 10000000000000000000}}}"#,
                "one report may tell of 10^12 tokens",
            ),
            (r#"{"everfold": {"usage": {"cost": 1e300}}}"#, "from 0 to 1,000,000"),
            (
                r#"{"everfold": {"usage": {"model": 4}}}"#,
                "`everfold.usage.model` in the result file is 4, not a text",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let failure = read_result(&path).unwrap().unwrap_err();
            assert_eq!(failure.kind, FailureKind::Validation);
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        std::fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
        assert!(read_result(&path).unwrap().unwrap_err().message.contains("1 MiB"));
    }

    /// What lies elsewhere is not masked by the supervisor, so a secret in it would be recorded.
    #[test]
    fn a_link_in_the_place_of_the_result_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (elsewhere, path) = (folder.path().join("elsewhere.json"), folder.path().join("result.json"));
        std::fs::write(&elsewhere, r#"{"token": "abc"}"#).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        let failure = read_result(&path).unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Validation);
        assert!(failure.message.contains("a link stands in the place of the result file"), "{failure:?}");
    }

    #[test]
    fn y_labels_are_texts_and_a_question_is_kept_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output.json");
        let text = r#"{"everfold": {"labels": {"pr": 17, "ok": true, "team": "blue"}, "search": {"amount": 2.5, "tags": ["a"]}, "note": "opened", "ask": {"text": "go on?"}}}"#;
        std::fs::write(&path, text).unwrap();
        let result = read_result(&path).unwrap().unwrap();
        let parts = result.reserved.read().unwrap();
        let labels: Vec<_> = parts.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["ok=true", "pr=17", "team=blue"]);
        assert_eq!(parts.note.as_deref(), Some("opened"));
        let search = result.reserved.search.clone().unwrap();
        assert_eq!((&search["amount"], &search["tags"]), (&json!(2.5), &json!(["a"])));
        assert_eq!((result.output, result.reserved.ask), (None, Some(json!({"text": "go on?"}))));
        for (text, part) in [
            (r#"{"everfold": {"labels": {"pr": [17]}}}"#, "everfold.labels.pr"),
            (r#"{"everfold": {"labels": {"": "y"}}}"#, "a label without a name"),
        ] {
            std::fs::write(&path, text).unwrap();
            let failure = read_result(&path).unwrap().unwrap().reserved.read().unwrap_err();
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }

    #[test]
    fn declared_outputs_are_read_as_declared() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("r.json"), "{\"x\": 1}").unwrap();
        let read = |json, text: &str| {
            let outputs = RequestedOutputs { json: Some(json), ..RequestedOutputs::default() };
            declared(&outputs, &stdout(text), folder.path(), folder.path())
        };
        assert_eq!(read(RequestedJson::Stdout, " {\"a\":1}\n").unwrap(), Some(json!({"a": 1})));
        assert!(read(RequestedJson::Stdout, "a\n{}").is_err());
        assert_eq!(read(RequestedJson::Lenient, "a\n{}").unwrap(), Some(json!({})));
        assert!(read(RequestedJson::Lenient, "a").is_err());
        assert_eq!(read(RequestedJson::File("r.json".to_owned()), "").unwrap(), Some(json!({"x": 1})));
        assert!(read(RequestedJson::File("none.json".to_owned()), "").is_err());
        assert!(read(RequestedJson::File("../r.json".to_owned()), "").is_err());
    }

    #[test]
    fn matches_add_the_first_group_or_the_whole_match() {
        let outputs = RequestedOutputs {
            matches: [
                ("version".to_owned(), r"version (\S+)".to_owned()),
                ("all".to_owned(), "b.t".to_owned()),
            ]
            .into(),
            ..RequestedOutputs::default()
        };
        let output = add_matches(&outputs, &stdout("version 1.2 built"), json!({"exit_code": 0}));
        assert!(output.is_err(), "`all` does not match");
        let output = add_matches(&outputs, &stdout("version 1.2 bit"), json!({"exit_code": 0})).unwrap();
        assert_eq!(output, json!({"exit_code": 0, "version": "1.2", "all": "bit"}));
    }
}

//! What an agent's output means: its answer, checked against the step's schema.

use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_ports::Usage;
use serde::Deserialize;
use serde_json::json;

use super::settings::OutputFormat;
use super::transcript::{Transcript, one_line};
use super::{claude, codex};
use crate::process::{ANSWER, Answer, EndedProcess, Former, OutputCheck, last_json};

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Validation, message)
}

/// Problems of one answer that are named.
const PROBLEMS_MAX: usize = 5;

/// What follows an answer that the schema refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InvalidAnswerPolicy {
    /// The attempt fails.
    #[default]
    Fail,
    /// The output is null.
    Keep,
}

pub(super) fn interpret(
    format: OutputFormat,
    schema: Option<&Value>,
    on_invalid: InvalidAnswerPolicy,
    continues: bool,
    ended: &EndedProcess<'_>,
) -> Answer {
    let transcript = read(format, ended);
    let mut usage = transcript.usage.clone();
    if continues && usage.is_empty() && transcript.session.is_some() {
        // It ended before it could say what it used up: its session is continued all the same.
        usage.push(Usage { session: transcript.session.clone(), ..Usage::default() });
    }
    let is_protocol = matches!(format, OutputFormat::Claude | OutputFormat::Codex);
    let text = is_protocol.then(|| transcript.text.clone().unwrap_or_default());
    let output = match answer(format, transcript, schema, ended) {
        Err(failure)
            if failure.kind == FailureKind::Validation && on_invalid == InvalidAnswerPolicy::Keep =>
        {
            Ok(Value::Null)
        }
        output => output,
    };
    let check = schema
        .cloned()
        .map(|schema| -> OutputCheck { Arc::new(move |what, value| check(&schema, what, value)) });
    Answer { output, usage, text, check, keeps: on_invalid == InvalidAnswerPolicy::Keep }
}

/// Why an answer cannot be used, where another one may be; and what it was, and in which session.
pub(super) struct Unusable {
    pub(super) failure: Failure,
    pub(super) text: String,
    pub(super) session: Option<String>,
}

/// What is wrong with the answer of a program that ended well; `None` where nothing is, or where asking
/// again would not help.
pub(super) fn unusable(
    format: OutputFormat,
    schema: Option<&Value>,
    former: &Former<'_>,
) -> Option<Unusable> {
    let transcript = read(format, &former.ended);
    if former.ended.exit_code != 0 || !transcript.complete || transcript.error.is_some() {
        return None;
    }
    let (text, session) = (transcript.text.clone().unwrap_or_default(), transcript.session.clone());
    let failure = match (former.broken, &former.declared) {
        (Some(broken), _) => broken.clone(),
        (None, Some(declared)) => declared.as_ref().err()?.clone(),
        (None, None) => answer(format, transcript, schema, &former.ended).err()?,
    };
    (failure.kind == FailureKind::Validation).then_some(Unusable { failure, text, session })
}

/// What a program said that could not continue a session; `None` where it did, or failed for another reason.
pub(super) fn lost_session(format: OutputFormat, former: &Former<'_>) -> Option<String> {
    const WORDS: [&str; 5] = ["session", "conversation", "thread", "rollout", "resume"];
    let transcript = read(format, &former.ended);
    let has_used = transcript.usage.iter().any(|used| used.input_tokens > 0 || used.output_tokens > 0);
    let has_failed = former.ended.exit_code != 0 || transcript.error.is_some();
    if !has_failed || has_used || (transcript.complete && transcript.error.is_none()) {
        return None;
    }
    let names = |line: &str| WORDS.iter().any(|word| line.to_lowercase().contains(word));
    let mut said = former.said.lines().rev().filter(|line| !line.trim_start().starts_with('{'));
    let said = transcript
        .error
        .filter(|error| names(error))
        .or_else(|| said.find(|line| names(line)).map(str::to_owned))?;
    Some(one_line(&said))
}

fn read(format: OutputFormat, ended: &EndedProcess<'_>) -> Transcript {
    let head = &ended.stdout.text;
    // Where the middle is missing, the line that was cut is no JSON and is passed over.
    let tail = ended.stdout.tail.as_deref().unwrap_or_default();
    match format {
        OutputFormat::Claude => claude::read(&mut head.lines().chain(tail.lines())),
        OutputFormat::Codex => codex::read(&mut head.lines().chain(tail.lines())),
        OutputFormat::Text | OutputFormat::Json => {
            let text = if tail.is_empty() { head.clone() } else { format!("{head}\n…\n{tail}") };
            Transcript { text: Some(text.trim().to_owned()), complete: true, ..Transcript::default() }
        }
    }
}

fn answer(
    format: OutputFormat,
    transcript: Transcript,
    schema: Option<&Value>,
    ended: &EndedProcess<'_>,
) -> Result<Value, Failure> {
    if let Some(error) = transcript.error {
        return Err(Failure::new(FailureKind::Error, one_line(&error)).with_detail(error));
    }
    if !transcript.complete {
        return Err(Failure::new(FailureKind::Error, "the agent's output ended before its result")
            .with_hint("read the attempt's log; does the profile's `output` fit the program?"));
    }
    let text = transcript.text.unwrap_or_default();
    let value = match (ended.result, transcript.structured) {
        (Some(result), _) => result.clone(),
        (None, Some(structured)) => structured,
        (None, None) if schema.is_some() || format == OutputFormat::Json => last_json(&text)
            .ok_or_else(|| invalid("the answer holds no JSON").with_detail(one_line(&text)))?,
        (None, None) => json!(text),
    };
    if let Some(schema) = schema {
        check(schema, ANSWER, &value)?;
    }
    Ok(value)
}

/// Says whether a schema can be used at all, before anything is paid for.
pub(super) fn check_schema(schema: &Value) -> Result<(), Failure> {
    validator(schema).map(|_| ())
}

fn validator(schema: &Value) -> Result<jsonschema::Validator, Failure> {
    jsonschema::options()
        .should_validate_formats(true)
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(schema)
        .map_err(|error| invalid(format!("`schema` of the agent is no JSON Schema: {error}")))
}

fn check(schema: &Value, what: &str, value: &Value) -> Result<(), Failure> {
    let validator = validator(schema)?;
    let problems: Vec<String> = validator
        .iter_errors(value)
        .take(PROBLEMS_MAX)
        .map(|error| {
            let path = error.instance_path().to_string();
            format!("{}: {error}", if path.is_empty() { what } else { path.as_str() })
        })
        .collect();
    match problems.first() {
        None => Ok(()),
        Some(first) => {
            Err(invalid(format!("{what} does not fit the schema: {first}")).with_detail(problems.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Stdout;

    fn output(
        format: OutputFormat,
        text: &str,
        schema: Option<Value>,
        on_invalid: InvalidAnswerPolicy,
    ) -> Result<Value, Failure> {
        let stdout = Stdout { text: text.to_owned(), tail: None };
        let ended = EndedProcess { exit_code: 0, stdout: &stdout, result: None };
        interpret(format, schema.as_ref(), on_invalid, false, &ended).output
    }

    #[test]
    fn an_answer_is_checked_against_the_schema() {
        let schema =
            || Some(json!({"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}));
        let text = "Sure!\n```json\n{\"ok\": true}\n```";
        assert_eq!(
            output(OutputFormat::Text, text, schema(), InvalidAnswerPolicy::Fail).unwrap(),
            json!({"ok": true})
        );
        let failure =
            output(OutputFormat::Text, "{\"ok\": 1}", schema(), InvalidAnswerPolicy::Fail).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Validation);
        assert!(failure.message.contains("/ok"), "{}", failure.message);
        assert!(
            output(OutputFormat::Text, "no", schema(), InvalidAnswerPolicy::Fail)
                .unwrap_err()
                .message
                .contains("no JSON")
        );
        assert_eq!(
            output(OutputFormat::Text, "no", schema(), InvalidAnswerPolicy::Keep).unwrap(),
            Value::Null
        );
        assert!(check_schema(&json!({"type": 7})).is_err());
    }

    #[test]
    fn without_a_schema_the_answer_is_text_unless_the_profile_says_json() {
        assert_eq!(
            output(OutputFormat::Text, " hi\n", None, InvalidAnswerPolicy::Fail).unwrap(),
            json!("hi")
        );
        assert_eq!(
            output(OutputFormat::Json, "log\n{\"a\":1}", None, InvalidAnswerPolicy::Fail).unwrap(),
            json!({"a": 1})
        );
    }

    #[test]
    fn an_agent_that_says_it_failed_has_failed_whatever_its_exit_code() {
        let text = include_str!("../../tests/transcripts/claude-error.jsonl");
        let failure = output(OutputFormat::Claude, text, None, InvalidAnswerPolicy::Keep).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Error);
        assert!(
            output(OutputFormat::Claude, "", None, InvalidAnswerPolicy::Fail)
                .unwrap_err()
                .message
                .contains("before its result")
        );
    }
}

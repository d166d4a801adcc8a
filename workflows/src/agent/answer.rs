//! What an agent's output means: its answer, checked against the step's schema.

use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_ports::Usage;
use serde::Deserialize;
use serde_json::json;

use super::agent_error::{AgentCode, AgentError, coded};
use super::settings::OutputFormat;
use super::transcript::{Transcript, UsageGap, one_line};
use super::{claude, codex};
use crate::process::{ANSWER, Answer, EndedProcess, Former, Incomplete, OutputCheck, last_json};

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Validation, message)
}

/// What is wrong with a stream of which the end is missing.
const BROKEN_OFF: &str = "the agent's output ended before its result";

/// The same of a program that says that all went well.
const NO_RESULT: &str =
    "the agent ended with exit code 0 and gave no result: its output ended before its result";

/// What is said of an attempt whose result does not say what it used up.
const USAGE_UNREAD: &str = "its usage could not be read";
/// The same of one that names numbers which cannot be.
const USAGE_OUT_OF_RANGE: &str = "its usage is out of range and was not counted (more than 10^12 tokens, or no cost from 0 to 1,000,000 USD)";

/// A longer line of a log is no message of an error.
const MESSAGE_BYTES_MAX: usize = 2_000;

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

/// What follows an answer that the program itself could not finish: it came to a limit, or its stream broke off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IncompleteAnswerPolicy {
    /// The attempt fails.
    #[default]
    Fail,
    /// The attempt succeeds with what there is, null where that is nothing, and says so.
    Warn,
}

/// How a step's answers are read.
#[derive(Debug, Clone)]
pub(super) struct AnswerTerms {
    pub(super) format: OutputFormat,
    pub(super) schema: Option<Value>,
    pub(super) on_invalid: InvalidAnswerPolicy,
    pub(super) on_incomplete: IncompleteAnswerPolicy,
    /// The step goes on with the session of a former attempt.
    pub(super) continues: bool,
}

pub(super) fn interpret(terms: &AnswerTerms, ended: &EndedProcess<'_>) -> Answer {
    let AnswerTerms { format, on_invalid, .. } = *terms;
    let schema = terms.schema.as_ref();
    let mut transcript = read(format, ended);
    let mut usage = transcript.usage.clone();
    let usage_gap = transcript.usage_gap;
    let was_ended = ended.exit_code < 0;
    if (terms.continues || was_ended) && usage.is_empty() && transcript.session.is_some() {
        // It ended before it could say what it used up: its session is continued all the same.
        usage.push(Usage { session: transcript.session.clone(), ..Usage::default() });
    }
    transcript.error = transcript.error.or_else(|| (!transcript.complete).then(|| broken_off(ended)));
    let again = transcript.error.as_ref().and_then(AgentError::again);
    let incomplete = match terms.on_incomplete {
        IncompleteAnswerPolicy::Fail => None,
        IncompleteAnswerPolicy::Warn => {
            transcript.error.take_if(|error| error.code.is_some_and(AgentCode::is_incomplete))
        }
    };
    let incomplete = incomplete.map(|error| Incomplete {
        code: error.code.map_or_else(String::new, |code| code.as_str().to_owned()),
        note: format!("the answer is not complete: {}", one_line(&error.message)),
    });
    let is_protocol = matches!(format, OutputFormat::Claude | OutputFormat::Codex);
    let text = is_protocol.then(|| transcript.text.clone().unwrap_or_default());
    let output = match answer(format, transcript, schema, ended, incomplete.is_some()) {
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
    Answer {
        output,
        usage,
        text,
        check,
        keeps: on_invalid == InvalidAnswerPolicy::Keep,
        incomplete,
        again,
        remark: match usage_gap {
            UsageGap::None => None,
            UsageGap::Unread => Some(USAGE_UNREAD.to_owned()),
            UsageGap::OutOfRange => Some(USAGE_OUT_OF_RANGE.to_owned()),
        },
    }
}

/// The error of a stream that came to no end: what the program said of it where it failed.
fn broken_off(ended: &EndedProcess<'_>) -> AgentError {
    let broken_off = AgentError::said(BROKEN_OFF);
    if ended.exit_code == 0 {
        return AgentError::said(NO_RESULT).known(Some(AgentCode::Truncated), None);
    }
    let is_message = |line: &&str| line.len() < MESSAGE_BYTES_MAX && !line.trim_start().starts_with('{');
    let said = ended.said.lines().rev().filter(is_message);
    said.map(AgentError::said).find(|error| error.code.is_some()).unwrap_or(broken_off)
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
        (None, None) => answer(format, transcript, schema, &former.ended, false).err()?,
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
    let mut said = former.ended.said.lines().rev().filter(|line| !line.trim_start().starts_with('{'));
    let said = transcript
        .error
        .map(|error| error.message)
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
    is_partial: bool,
) -> Result<Value, Failure> {
    if let Some(error) = transcript.error {
        let failure = Failure::new(FailureKind::Error, one_line(&error.message));
        let failure = match [BROKEN_OFF, NO_RESULT].contains(&error.message.as_str()) {
            true => failure.with_hint("read the attempt's log; does the profile's `output` fit the program?"),
            false => failure.with_detail(error.message),
        };
        return Err(coded(failure, error.code));
    }
    if is_partial && transcript.text.is_none() && transcript.structured.is_none() && ended.result.is_none() {
        return match schema {
            None => Ok(Value::Null),
            Some(schema) => check(schema, ANSWER, &Value::Null).map(|()| Value::Null),
        };
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
        let ended = EndedProcess { exit_code: 0, stdout: &stdout, said: "", result: None };
        interpret(&terms(format, schema, on_invalid, IncompleteAnswerPolicy::Fail), &ended).output
    }

    fn terms(
        format: OutputFormat,
        schema: Option<Value>,
        on_invalid: InvalidAnswerPolicy,
        on_incomplete: IncompleteAnswerPolicy,
    ) -> AnswerTerms {
        AnswerTerms { format, schema, on_invalid, on_incomplete, continues: false }
    }

    /// An answer as `on_incomplete: warn` reads it.
    fn partial(format: OutputFormat, exit_code: i32, text: &str, said: &str) -> Answer {
        let stdout = Stdout { text: text.to_owned(), tail: None };
        let ended = EndedProcess { exit_code, stdout: &stdout, said, result: None };
        let keep = InvalidAnswerPolicy::Fail;
        interpret(&terms(format, None, keep, IncompleteAnswerPolicy::Warn), &ended)
    }

    #[test]
    fn an_answer_that_is_not_complete_may_do_and_is_remarked() {
        let text = include_str!("../../tests/transcripts/claude-error.jsonl");
        let answer = partial(OutputFormat::Claude, 1, text, "");
        assert_eq!(answer.output.unwrap(), json!("Working on it."));
        assert_eq!(answer.incomplete.unwrap().code, "MAX_TURNS");
        // Nothing at all, and a garbled result: null, and a remark.
        for text in ["", "{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"bro"] {
            let answer = partial(OutputFormat::Claude, 0, text, "");
            assert_eq!(answer.output.unwrap(), Value::Null);
            assert_eq!(answer.incomplete.unwrap().code, "TRUNCATED");
        }
        // A limit of the service, and a program that failed, are something else.
        let limited = include_str!("../../tests/transcripts/claude-limited.jsonl");
        let answer = partial(OutputFormat::Claude, 1, limited, "");
        assert_eq!(answer.output.unwrap_err().code.as_deref(), Some("RATE_LIMITED"));
        assert!(answer.incomplete.is_none() && answer.again.is_some());
        let answer = partial(OutputFormat::Codex, 1, "", "Error: it fell over");
        assert!(answer.incomplete.is_none() && answer.output.unwrap_err().code.is_none());
    }

    #[test]
    fn a_program_that_fails_before_its_protocol_begins_is_known_by_what_it_wrote() {
        let said = "{\"text\": \"rate limit\"}\nInvalid API key · Please run /login\nbye";
        let failure = partial(OutputFormat::Claude, 1, "", said).output.unwrap_err();
        assert_eq!(failure.code.as_deref(), Some("UNAUTHORISED"));
        assert!(failure.hint().contains("preflight"), "{}", failure.hint());
        let failure = partial(OutputFormat::Claude, 1, "", "{\"text\": \"rate limit\"}").output.unwrap_err();
        assert_eq!(failure.code, None, "an event is no error of the program");
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

//! The `stream-json` of Claude Code: one JSON object per line, the last one of type `result`.

use std::cell::Cell;
use std::collections::BTreeMap;

use everfold_base::json::Value;
use everfold_ports::Usage;

use super::agent_error::{AgentCode, AgentError, code_of_status, lifted_at};
use super::transcript::{Transcript, UsageGap, events, one_line};
use crate::process::{Meter, cost_micros, sane_dollars, sane_tokens};

/// The model that messages name which the program wrote itself, such as an error of the API.
const SYNTHETIC: &str = "<synthetic>";

/// Reads a transcript; lines that are no JSON, and types that came later, are passed over.
pub(super) fn read(lines: &mut dyn Iterator<Item = &str>) -> Transcript {
    let mut transcript = Transcript::default();
    let (mut model, mut session, mut last_text) = (None, None, None);
    let mut messages = Messages::default();
    // What came before the result and says more of an error.
    let (mut noted, mut again) = (None, None);
    for event in lines.flat_map(events) {
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        session = text("session_id").or(session);
        match event["type"].as_str() {
            Some("system") if event["subtype"] == "init" => {
                model = text("model").or(model);
                messages.begun(&event);
            }
            Some("assistant") if event["message"]["model"] == SYNTHETIC => {
                noted = event["error"].as_str().and_then(code_of_message).or(noted);
            }
            Some("assistant") => {
                model = event["message"]["model"].as_str().map(str::to_owned).or(model);
                noted = event["error"].as_str().and_then(code_of_message);
                messages.note(&event);
                last_text = text_of(&event).or(last_text);
            }
            Some("rate_limit_event") => again = lifted_at(&event).or(again),
            Some("result") => {
                transcript.complete = true;
                transcript.structured = event.get("structured_output").filter(|it| !it.is_null()).cloned();
                transcript.error = error_of(&event).map(|error| {
                    let code = error.code.or(noted);
                    error.known(code, again)
                });
                if transcript.error.as_ref().is_none_or(|error| !is_its_error(&event, error)) {
                    transcript.text = text("result");
                }
                let numbers = ResultNumbers::of(&event);
                transcript.usage_gap = numbers.gap;
                transcript.usage = numbers.usage(model.clone(), session.clone());
            }
            _ => {}
        }
    }
    if transcript.text.is_none() {
        transcript.text = last_text;
    }
    if !transcript.complete {
        // It was stopped, or broke off: what its messages say of themselves is what it used up.
        messages.session.clone_from(&session);
        transcript.usage = messages.used();
    }
    transcript.session = session;
    transcript
}

/// What went wrong, as the result says it.
fn error_of(result: &Value) -> Option<AgentError> {
    let subtype = result["subtype"].as_str().unwrap_or("error");
    if result["is_error"] == true || subtype.starts_with("error") {
        let code = match subtype {
            "error_max_turns" => Some(AgentCode::MaxTurns),
            "error_max_budget_usd" => Some(AgentCode::MaxBudget),
            _other => result["api_error_status"].as_u64().and_then(code_of_status),
        };
        let subtype = subtype.replace('_', " ");
        let message = match result["result"].as_str().filter(|said| !said.trim().is_empty()) {
            Some(said) => said.to_owned(),
            None => match result["errors"][0].as_str() {
                Some(first) => format!("the agent ended with: {subtype}: {}", one_line(first)),
                None => format!("the agent ended with: {subtype}"),
            },
        };
        return Some(AgentError::said(message).known(code, None));
    }
    (result["stop_reason"] == "max_tokens").then(|| {
        let message = "the answer was cut off at the limit of tokens";
        AgentError::said(message).known(Some(AgentCode::Truncated), None)
    })
}

/// Whether the text of a result is its error rather than its answer.
fn is_its_error(result: &Value, error: &AgentError) -> bool {
    result["result"] == error.message.as_str()
}

/// The code of an error that a message names.
fn code_of_message(error: &str) -> Option<AgentCode> {
    match error {
        "rate_limit" => Some(AgentCode::RateLimited),
        "overloaded" => Some(AgentCode::Overloaded),
        "authentication_failed" | "oauth_org_not_allowed" => Some(AgentCode::Unauthorised),
        "max_output_tokens" => Some(AgentCode::Truncated),
        _other => None,
    }
}

/// What the messages of a stream say that they used up. One message comes in several lines, each with the same
/// id and the numbers so far.
#[derive(Debug, Default)]
pub(super) struct Messages {
    by_id: BTreeMap<String, (Option<String>, [u64; 3])>,
    session: Option<String>,
    /// The model that the program began with: that of messages that name none.
    model: Option<String>,
}

impl Messages {
    fn begun(&mut self, init: &Value) {
        self.model = init["model"].as_str().map(str::to_owned).or(self.model.take());
    }

    fn note(&mut self, event: &Value) {
        let (message, used) = (&event["message"], &event["message"]["usage"]);
        let is_counted = used.is_object() && message["model"] != SYNTHETIC;
        let Some(id) = message["id"].as_str().filter(|_| is_counted) else { return };
        let number = |field: &str| used[field].as_u64().and_then(sane_tokens).unwrap_or(0);
        let now = [
            number("input_tokens").saturating_add(number("cache_creation_input_tokens")),
            number("cache_read_input_tokens"),
            number("output_tokens"),
        ];
        let (model, known) = self.by_id.entry(id.to_owned()).or_default();
        *model = message["model"].as_str().map(str::to_owned).or(model.take());
        known.iter_mut().zip(now).for_each(|(known, now)| *known = (*known).max(now));
    }
}

impl Meter for Messages {
    fn line(&mut self, line: &str) -> bool {
        if !line.contains("\"usage\"") && !line.contains("\"init\"") {
            return false;
        }
        let mut is_changed = false;
        for event in events(line) {
            match event["type"].as_str() {
                Some("system") if event["subtype"] == "init" => self.begun(&event),
                Some("assistant") => {
                    self.note(&event);
                    is_changed = true;
                }
                _another => {}
            }
        }
        is_changed
    }

    fn used(&self) -> Vec<Usage> {
        let mut models: BTreeMap<Option<&str>, Usage> = BTreeMap::new();
        for (model, [input, cached, output]) in self.by_id.values() {
            let model = model.as_ref().or(self.model.as_ref());
            let sum = models.entry(model.map(String::as_str)).or_insert_with(|| Usage {
                model: model.cloned(),
                session: self.session.clone(),
                ..Usage::default()
            });
            sum.input_tokens = sum.input_tokens.saturating_add(*input);
            sum.cached_tokens = sum.cached_tokens.saturating_add(*cached);
            sum.output_tokens = sum.output_tokens.saturating_add(*output);
        }
        models.into_values().collect()
    }
}

/// The tokens of a model (input, cached, output) and their cost.
type UsedByModel = (Option<String>, [u64; 3], f64);

/// The numbers of a result, and whether one that it is to have is missing or cannot be.
struct ResultNumbers {
    /// By model where the result tells them apart, else one of no name.
    models: Vec<UsedByModel>,
    gap: UsageGap,
}

impl ResultNumbers {
    /// Tokens written to the cache count as read: the model read them for the first time, and they are paid for as input.
    fn of(result: &Value) -> Self {
        let gap = Cell::new(UsageGap::None);
        let tokens = |of: &Value, names: &[&str], is_wanted: bool| {
            let said = names.iter().find_map(|name| of[*name].as_u64());
            if said.is_some() || is_wanted {
                gap.set(gap.get().max(UsageGap::of(said.and_then(sane_tokens), said.is_some())));
            }
            said.and_then(sane_tokens).unwrap_or(0)
        };
        let wanted = |of: &Value, names: &[&str]| tokens(of, names, true);
        let cache = |of: &Value, names: &[&str]| tokens(of, names, false);
        let mut models = Vec::new();
        if let Some(named) = result["modelUsage"].as_object().filter(|models| !models.is_empty()) {
            let mut names: Vec<&String> = named.keys().collect();
            names.sort_unstable();
            for name in names {
                let used = &named[name];
                let input =
                    wanted(used, &["inputTokens"]).saturating_add(cache(used, &["cacheCreationInputTokens"]));
                let cached = cache(used, &["cacheReadInputTokens"]);
                let output = wanted(used, &["outputTokens"]);
                models.push((Some(name.clone()), [input, cached, output], used["costUSD"].as_f64()));
            }
        } else {
            let used = &result["usage"];
            let written = cache(used, &["cache_creation_input_tokens", "cache_creation_tokens"]);
            let input = wanted(used, &["input_tokens"]).saturating_add(written);
            let cached = cache(used, &["cache_read_input_tokens", "cache_read_tokens"]);
            let output = wanted(used, &["output_tokens"]);
            let cost = ["total_cost_usd", "cost_usd"].iter().find_map(|name| result[*name].as_f64());
            models.push((None, [input, cached, output], cost));
        }
        let mut gap = gap.get();
        let mut cost_of = |said: Option<f64>| {
            gap = gap.max(UsageGap::of(said.and_then(sane_dollars), said.is_some()));
            said.and_then(sane_dollars).unwrap_or(0.0)
        };
        let models = models.into_iter().map(|(name, tokens, cost)| (name, tokens, cost_of(cost))).collect();
        Self { models, gap }
    }

    fn usage(self, model: Option<String>, session: Option<String>) -> Vec<Usage> {
        let used = |(name, [input_tokens, cached_tokens, output_tokens], cost): UsedByModel| Usage {
            model: name.or_else(|| model.clone()),
            input_tokens,
            cached_tokens,
            output_tokens,
            cost_micros: cost_micros(cost),
            session: session.clone(),
        };
        self.models.into_iter().map(used).collect()
    }
}

fn text_of(event: &Value) -> Option<String> {
    let blocks = event["message"]["content"].as_array()?;
    let texts: Vec<&str> = blocks
        .iter()
        .filter(|block| block["type"] == "text")
        .filter_map(|block| block["text"].as_str())
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// A call of a tool in one line: its name, and what it is about.
pub(super) fn call_of(block: &Value) -> String {
    let name = block["name"].as_str().unwrap_or("a tool");
    let input = &block["input"];
    let subject = ["command", "file_path", "pattern", "url", "description"]
        .into_iter()
        .find_map(|field| input[field].as_str());
    match subject {
        Some(subject) => format!("{name}: {}", one_line(subject)),
        None => name.to_owned(),
    }
}

/// What a line of the stream shows while the agent works.
pub(super) fn progress(line: &str) -> Option<String> {
    let event = events(line).into_iter().next()?;
    if event["type"] != "assistant" {
        return None;
    }
    let block = event["message"]["content"].as_array()?.last()?;
    match block["type"].as_str()? {
        "tool_use" => Some(call_of(block)),
        "text" => Some(one_line(block["text"].as_str()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::AskAgain;
    use everfold_base::time::Timestamp;

    const GOOD: &str = include_str!("../../tests/transcripts/claude.jsonl");
    const FAILED: &str = include_str!("../../tests/transcripts/claude-error.jsonl");

    #[test]
    fn answer_usage_cost_model_and_session_are_read() {
        let transcript = read(&mut GOOD.lines());
        assert!(transcript.complete && transcript.error.is_none());
        assert_eq!(
            transcript.text.as_deref(),
            Some("The greeting now handles an empty name. All 4 tests pass.")
        );
        let [main, small] = transcript.usage.as_slice() else { panic!("{:?}", transcript.usage) };
        assert_eq!(small.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
        assert_eq!((small.input_tokens, small.cached_tokens, small.output_tokens), (8 + 5_210, 31_744, 412));
        assert_eq!(small.cost_micros + main.cost_micros, 36_201);
        assert_eq!(small.session.as_deref(), Some("5b6f0a0e-6a5e-4d0e-9a36-0d0a8a8f2c11"));
    }

    #[test]
    fn an_error_result_and_a_stream_without_a_result_are_distinguished() {
        let failed = read(&mut FAILED.lines());
        let error = failed.error.unwrap();
        assert_eq!(error.message, "the agent ended with: error max turns");
        assert_eq!(error.code, Some(AgentCode::MaxTurns));
        assert_eq!(failed.text.as_deref(), Some("Working on it."), "what there is of an answer is kept");
        assert_eq!(failed.usage[0].cost_micros, 12_500);
        let cut = read(&mut GOOD.lines().take(3));
        assert!(!cut.complete);
        let [used] = cut.usage.as_slice() else { panic!("{:?}", cut.usage) };
        assert_eq!((used.input_tokens, used.cached_tokens, used.output_tokens), (5_213, 12_480, 8));
        assert_eq!(used.session.as_deref(), Some("5b6f0a0e-6a5e-4d0e-9a36-0d0a8a8f2c11"));
    }

    #[test]
    fn errors_of_the_service_come_with_their_code_and_the_pause_it_asks_for() {
        let limited = read(&mut include_str!("../../tests/transcripts/claude-limited.jsonl").lines());
        let error = limited.error.unwrap();
        assert_eq!(error.code, Some(AgentCode::RateLimited));
        assert_eq!(error.again(), Some(AskAgain::From(Timestamp(1_763_802_000_000))));
        assert_eq!(limited.text.as_deref(), Some("I'll look at the script first."), "the error is no answer");
        let result = |fields: &str| {
            let line = format!("{{\"type\":\"result\",\"session_id\":\"s\",{fields}}}");
            read(&mut [line.as_str()].into_iter())
        };
        let code = |fields: &str| result(fields).error.and_then(|error| error.code);
        let refused = "\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":401,\"result\":\"No.\"";
        assert_eq!(code(refused), Some(AgentCode::Unauthorised));
        let dear = "\"subtype\":\"error_max_budget_usd\",\"is_error\":true,\"errors\":[\"Reached maximum budget ($1)\"]";
        assert_eq!(code(dear), Some(AgentCode::MaxBudget));
        let cut = result(
            "\"subtype\":\"success\",\"is_error\":false,\"stop_reason\":\"max_tokens\",\"result\":\"and the\"",
        );
        assert_eq!(cut.error.and_then(|error| error.code), Some(AgentCode::Truncated));
        assert_eq!(cut.text.as_deref(), Some("and the"));
        assert_eq!(
            code(
                "\"subtype\":\"success\",\"is_error\":false,\"stop_reason\":\"end_turn\",\"result\":\"rate limit\""
            ),
            None
        );
    }

    #[test]
    fn answer_and_usage_are_found_in_noise() {
        let noisy: Vec<String> =
            GOOD.lines().map(|line| format!("warn: {{x}} {line} {{\"y\": 1}}")).collect();
        let transcript = read(&mut noisy.iter().map(String::as_str));
        let plain = read(&mut GOOD.lines());
        assert!(transcript.complete && transcript.error.is_none());
        assert_eq!((transcript.text, transcript.usage), (plain.text, plain.usage));
    }

    /// ORCH's section 6: other names of the same numbers, and a result whose numbers are none.
    #[test]
    fn o153_o154_numbers_are_found_by_either_name_and_what_is_none_is_told() {
        let read = |fields: &str| {
            let line = format!("{{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"ok\"{fields}}}");
            let transcript = read(&mut [line.as_str()].into_iter());
            let [used] = transcript.usage.try_into().unwrap();
            let Usage { input_tokens, cached_tokens, output_tokens, cost_micros, .. } = used;
            ([input_tokens, cached_tokens, output_tokens, cost_micros], transcript.usage_gap)
        };
        let other = r#","cost_usd":0.25,"usage":{"input_tokens":10,"output_tokens":4,"cache_read_tokens":300,"cache_creation_tokens":20}"#;
        assert_eq!(read(other), ([30, 300, 4, 250_000], UsageGap::None));
        let usual = other
            .replace("_tokens\":3", "_input_tokens\":3")
            .replace("creation_tokens", "creation_input_tokens");
        assert_eq!(
            read(&usual.replace("cost_usd", "total_cost_usd")),
            ([30, 300, 4, 250_000], UsageGap::None)
        );
        for (fields, numbers) in [
            ("", [0; 4]),
            (r#","usage":["a",null],"total_cost_usd":"much""#, [0; 4]),
            (r#","usage":{"input_tokens":"10","output_tokens":4},"total_cost_usd":0.25"#, [0, 0, 4, 250_000]),
            (r#","usage":{"input_tokens":10,"output_tokens":4}"#, [10, 0, 4, 0]),
            (r#","total_cost_usd":0.25"#, [0, 0, 0, 250_000]),
            (r#","modelUsage":{"m":{"inputTokens":10,"outputTokens":4}}"#, [10, 0, 4, 0]),
        ] {
            assert_eq!(read(fields), (numbers, UsageGap::Unread), "{fields}");
        }
        // Of one absurd report the totals never came down again.
        let tokens = |input: &str, cost: &str| {
            format!(r#","total_cost_usd":{cost},"usage":{{"input_tokens":{input},"output_tokens":4}}"#)
        };
        let most = tokens("1000000000000", "1000000");
        assert_eq!(read(&most), ([1_000_000_000_000, 0, 4, 1_000_000_000_000], UsageGap::None));
        for (input, cost, numbers) in [
            ("10000000000000000000", "0.5", [0, 0, 4, 500_000]),
            ("1000000000001", "0.5", [0, 0, 4, 500_000]),
            ("10", "1e300", [10, 0, 4, 0]),
            ("10", "-5.0", [10, 0, 4, 0]),
        ] {
            assert_eq!(read(&tokens(input, cost)), (numbers, UsageGap::OutOfRange), "{input} {cost}");
        }
    }

    #[test]
    fn row_14_messages_are_counted_once_however_many_lines_they_come_in() {
        let mut meter = Messages::default();
        let changed: Vec<bool> = GOOD.lines().map(|line| meter.line(line)).collect();
        assert_eq!(changed.iter().filter(|changed| **changed).count(), 4, "four lines of three messages");
        let [used] = meter.used().try_into().unwrap();
        assert_eq!(
            (used.input_tokens, used.cached_tokens, used.output_tokens),
            (5_213 + 5 + 8, 12_480, 8 + 12 + 30)
        );
        assert_eq!(used.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
        assert!(!meter.line("no JSON \"usage\"") && !meter.line("{\"usage\": 1}"));
    }

    /// Their use was counted twice: while the program worked under no model, with its result under the one that it
    /// began with.
    #[test]
    fn messages_that_name_no_model_are_of_the_one_that_the_program_began_with() {
        let lines = [
            r#"{"type":"system","subtype":"init","session_id":"s","model":"claude-x"}"#,
            r#"{"type":"assistant","message":{"id":"m","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#,
            r#"{"type":"result","subtype":"success","is_error":false,"result":"ok","usage":{"input_tokens":3,"output_tokens":1}}"#,
        ];
        let models = |used: &[Usage]| used.iter().map(|one| one.model.clone()).collect::<Vec<_>>();
        let mut meter = Messages::default();
        assert!(!meter.line(lines[0]), "nothing is used up yet");
        assert!(meter.line(lines[1]));
        assert_eq!(models(&meter.used()), [Some("claude-x".to_owned())]);
        let whole = read(&mut lines.iter().copied());
        assert_eq!(models(&whole.usage), models(&meter.used()));
        let stopped = read(&mut lines[..2].iter().copied());
        assert_eq!((models(&stopped.usage), stopped.usage[0].input_tokens), (models(&meter.used()), 3));
    }

    #[test]
    fn tool_calls_are_progress() {
        let shown: Vec<String> = GOOD.lines().filter_map(progress).collect();
        assert_eq!(shown[0], "I'll look at the script first.");
        assert_eq!(shown[1], "Read: /w/greet.sh");
        assert_eq!(shown[2], "Bash: sh test.sh 2>&1 | tail -5");
    }
}

//! Messages of the protocol, as far as they are used.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::debug::loader::said;
use crate::fault::Fault;

/// What the client asks for.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DapRequest {
    pub(super) seq: i64,
    pub(super) command: String,
    #[serde(default)]
    pub(super) arguments: Value,
}

impl DapRequest {
    /// The request in a message; none: it is no request.
    pub(super) fn of(message: Value) -> Option<Self> {
        let is_request = message["type"] == "request";
        serde_json::from_value(message).ok().filter(|_| is_request)
    }

    /// Its arguments.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, DapRefusal> {
        let given = if self.arguments.is_null() { json!({}) } else { self.arguments.clone() };
        serde_json::from_value(given).map_err(|error| {
            DapRefusal::new(format!("the arguments of {} cannot be read: {error}", self.command))
        })
    }
}

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(super) struct DapRefusal {
    text: String,
    /// Whether the client is to show it by itself, beside what it does with the answer.
    is_shown: bool,
}

impl DapRefusal {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_shown: true }
    }

    /// One of which an answer is the only sign: what the mouse points at has no value.
    pub(super) fn quiet(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_shown: false }
    }
}

impl From<Fault> for DapRefusal {
    fn from(fault: Fault) -> Self {
        Self::new(said(&fault))
    }
}

/// An event for the client.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DapEvent {
    pub(super) event: &'static str,
    pub(super) body: Value,
}

impl DapEvent {
    /// Text in the client's console.
    pub(super) fn output(category: &str, text: &str) -> Self {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        Self { event: "output", body: json!({ "category": category, "output": format!("{text}{end}") }) }
    }

    pub(super) fn message(&self, seq: i64) -> Value {
        json!({ "seq": seq, "type": "event", "event": self.event, "body": self.body })
    }
}

/// The answer to a request, as a message.
pub(super) fn response(seq: i64, request: &DapRequest, answer: &Result<Value, DapRefusal>) -> Value {
    let mut message = json!({
        "seq": seq, "type": "response", "request_seq": request.seq, "command": request.command,
        "success": answer.is_ok(),
    });
    match answer {
        Ok(Value::Null) => {}
        Ok(body) => message["body"] = body.clone(),
        Err(refusal) => {
            message["message"] = json!(refusal.text);
            // Braces in a format are the client's.
            message["body"] = json!({ "error": { "id": 1, "format": "{said}",
                "variables": { "said": refusal.text }, "showUser": refusal.is_shown } });
        }
    }
    message
}

/// A filter of events, as the client lists it.
#[derive(Debug, Clone, Serialize)]
struct ExceptionFilter {
    filter: &'static str,
    label: &'static str,
    description: &'static str,
    default: bool,
    #[serde(rename = "supportsCondition")]
    takes_condition: bool,
    #[serde(rename = "conditionDescription")]
    condition_description: &'static str,
}

/// The filters of events at which it stops, wherever they happen: name, label, what they are.
pub(super) const FILTERS: [(&str, &str, &str); 3] = [
    ("failure", "Failures", "Attempts, steps and runs that failed."),
    ("verdict", "Gates that failed", "Verdicts that are fail."),
    (
        "decision",
        "Decisions",
        "Whatever may take the run one way or another: verdicts, approvals, routes, retries.",
    ),
];

/// The answer to `initialize`.
pub(super) fn capabilities() -> Value {
    let filters: Vec<ExceptionFilter> = FILTERS
        .iter()
        .map(|(filter, label, description)| ExceptionFilter {
            filter,
            label,
            description,
            default: *filter == "failure",
            takes_condition: true,
            condition_description: "words and fields of the event, such as step=build round>2",
        })
        .collect();
    let mut all = json!({ "exceptionBreakpointFilters": filters, "completionTriggerCharacters": ["."] });
    for can in [
        "supportsConfigurationDoneRequest",
        "supportsFunctionBreakpoints",
        "supportsConditionalBreakpoints",
        "supportsExceptionFilterOptions",
        "supportsExceptionInfoRequest",
        "supportsEvaluateForHovers",
        "supportsClipboardContext",
        "supportsStepBack",
        "supportsSteppingGranularity",
        "supportsRestartFrame",
        "supportsRestartRequest",
        "supportsGotoTargetsRequest",
        "supportsCompletionsRequest",
        "supportsLoadedSourcesRequest",
        "supportsBreakpointLocationsRequest",
        "supportsDelayedStackTraceLoading",
        "supportsTerminateRequest",
        "supportsCancelRequest",
    ] {
        all[can] = json!(true);
    }
    all
}

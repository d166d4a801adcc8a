//! Which failures show that a service is not there, rather than that the work went wrong.
//!
//! Law: what the work itself did (an exit code, an answer that does not fit, a request that is refused as
//! wrong) is never an outage. No answer, an answer 408, 429 or 5xx, a time limit, a program that does not
//! start, work that vanished: these are.

use everfold_base::failure::{Failure, FailureKind};

/// Codes of failures that tell of a service.
const CODES: &[&str] =
    &["UNREACHABLE", "NO_ANSWER", "RATE_LIMITED", "OVERLOADED", "PROVIDER_BROKEN", "HTTP_408", "HTTP_429"];

/// What agents' programs print when the model cannot be reached, in lower case.
const SAID: &[&str] = &[
    "overloaded",
    "rate limit",
    "rate_limit",
    "too many requests",
    "service unavailable",
    "usage limit reached",
    "connection error",
    "api error: 429",
    "api error: 5",
];

/// Whether a failure of any work is an outage.
pub(crate) fn is_outage(failure: &Failure) -> bool {
    let is_status = |code: &str| code.strip_prefix("HTTP_5").is_some_and(|rest| rest.len() == 2);
    match failure.kind {
        FailureKind::Spawn | FailureKind::Timeout | FailureKind::Lost => true,
        FailureKind::Error => {
            failure.code.as_deref().is_some_and(|code| CODES.contains(&code) || is_status(code))
        }
        FailureKind::Exit
        | FailureKind::Crash
        | FailureKind::Validation
        | FailureKind::Gate
        | FailureKind::Rejected
        | FailureKind::Budget
        | FailureKind::Cancelled
        | FailureKind::Dependency
        | FailureKind::Conflict => false,
    }
}

/// Whether a failure of an agent is an outage: what its program says counts, too, whatever its exit code.
pub(crate) fn is_agent_outage(failure: &Failure) -> bool {
    let is_limited = matches!(failure.code.as_deref(), Some("RATE_LIMITED" | "OVERLOADED"));
    if failure.kind == FailureKind::Exit && is_limited {
        return true;
    }
    let said = match failure.kind {
        FailureKind::Error | FailureKind::Exit => failure.message.to_ascii_lowercase(),
        _other => String::new(),
    };
    is_outage(failure) || SAID.iter().any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_work_did_wrong_is_no_outage() {
        let failure = |kind, code: Option<&str>, message: &str| Failure {
            code: code.map(str::to_owned),
            ..Failure::new(kind, message)
        };
        for (kind, code, message, is_it, is_agents) in [
            (FailureKind::Spawn, None, "no program", true, true),
            (FailureKind::Timeout, None, "", true, true),
            (FailureKind::Error, Some("HTTP_503"), "", true, true),
            (FailureKind::Error, Some("HTTP_429"), "", true, true),
            (FailureKind::Error, Some("HTTP_404"), "", false, false),
            (FailureKind::Error, Some("HTTP_5"), "", false, false),
            (FailureKind::Error, Some("UNREACHABLE"), "", true, true),
            (FailureKind::Error, Some("CONFLICT"), "", false, false),
            (FailureKind::Exit, None, "exit 1", false, false),
            (FailureKind::Validation, None, "the answer holds no JSON", false, false),
            (FailureKind::Exit, Some("OVERLOADED"), "exit 1", false, true),
            (FailureKind::Exit, Some("UNAUTHORISED"), "exit 1", false, false),
            (FailureKind::Error, None, "API Error: 529 Overloaded", false, true),
            (FailureKind::Error, None, "the agent ended with: error max turns", false, false),
        ] {
            let failure = failure(kind, code, message);
            assert_eq!((is_outage(&failure), is_agent_outage(&failure)), (is_it, is_agents), "{failure:?}");
        }
    }
}

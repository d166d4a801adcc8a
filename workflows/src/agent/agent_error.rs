//! What an agent's program says of its failure: the code by which a retry, a breaker and a reader know it.
//!
//! Law: a code comes from what the program reports as its error (a type of the API, a status, a subtype of its
//! result, its own words), never from its answer. Words that fit nothing give no code.

use std::time::Duration;

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;

use crate::process::AskAgain;

/// Codes of agents' failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgentCode {
    /// The service limits requests or use.
    RateLimited,
    /// The service has too much to do.
    Overloaded,
    /// The service refuses who asks.
    Unauthorised,
    /// The program came to its limit of turns.
    MaxTurns,
    /// The program came to its own limit of cost.
    MaxBudget,
    /// The answer, or the stream that it comes in, was cut off.
    Truncated,
}

/// The codes of answers that the agent's program could not finish.
pub const UNFINISHED: [&str; 3] = ["MAX_TURNS", "MAX_BUDGET", "TRUNCATED"];

impl AgentCode {
    /// As failures and `retry` name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "RATE_LIMITED",
            Self::Overloaded => "OVERLOADED",
            Self::Unauthorised => "UNAUTHORISED",
            Self::MaxTurns => "MAX_TURNS",
            Self::MaxBudget => "MAX_BUDGET",
            Self::Truncated => "TRUNCATED",
        }
    }

    /// Whether the work was begun and not finished, so that what there is of it may do.
    pub(super) fn is_incomplete(self) -> bool {
        UNFINISHED.contains(&self.as_str())
    }

    fn hint(self) -> &'static str {
        match self {
            Self::RateLimited | Self::Overloaded => {
                "`retry: {attempts: 3, only: [RATE_LIMITED, OVERLOADED]}` tries again, not before the service allows it"
            }
            Self::Unauthorised => {
                "log the program in, or give the step its key (`secrets`); `preflight` of the profile finds out beforehand"
            }
            Self::MaxTurns => {
                "raise the program's limit of turns (`args`), or take what there is with `on_incomplete: warn`"
            }
            Self::MaxBudget => {
                "raise the program's limit of cost (`args`), or take what there is with `on_incomplete: warn`"
            }
            Self::Truncated => {
                "make the answer shorter, or raise the program's limit of tokens; `on_incomplete: warn` takes what there is"
            }
        }
    }
}

/// What a program says went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentError {
    pub(super) message: String,
    pub(super) code: Option<AgentCode>,
    again: Option<AskAgain>,
}

impl AgentError {
    /// The error that these words tell of.
    pub(super) fn said(message: impl Into<String>) -> Self {
        let message = message.into();
        let (code, again) = (code_in(&message), again_in(&message));
        Self { message, code, again }
    }

    /// The same with what is known beside the words: a code in place of theirs, and the moment where these name none.
    pub(super) fn known(mut self, code: Option<AgentCode>, again: Option<AskAgain>) -> Self {
        self.code = code.or(self.code);
        self.again = again.or(self.again);
        self
    }

    /// When the service may be asked again, where the error passes by itself.
    pub(super) fn again(&self) -> Option<AskAgain> {
        self.again.filter(|_| matches!(self.code, Some(AgentCode::RateLimited | AgentCode::Overloaded)))
    }
}

/// A failure with its code, and the advice for that.
pub(super) fn coded(failure: Failure, code: Option<AgentCode>) -> Failure {
    let Some(code) = code else { return failure };
    let hint = failure.hint.or_else(|| Some(code.hint().to_owned()));
    Failure { code: Some(code.as_str().to_owned()), hint, ..failure }
}

/// The code of a status of HTTP.
pub(super) fn code_of_status(status: u64) -> Option<AgentCode> {
    match status {
        401 | 403 => Some(AgentCode::Unauthorised),
        429 => Some(AgentCode::RateLimited),
        503 | 529 => Some(AgentCode::Overloaded),
        _other => None,
    }
}

/// What programs and the services behind them write, in lower case; the first that fits counts.
const WORDS: &[(&str, AgentCode)] = &[
    ("authentication_error", AgentCode::Unauthorised),
    ("authentication_failed", AgentCode::Unauthorised),
    ("permission_error", AgentCode::Unauthorised),
    ("invalid_api_key", AgentCode::Unauthorised),
    ("invalid api key", AgentCode::Unauthorised),
    ("incorrect api key", AgentCode::Unauthorised),
    ("please run /login", AgentCode::Unauthorised),
    ("not logged in", AgentCode::Unauthorised),
    ("oauth token", AgentCode::Unauthorised),
    ("sign in again", AgentCode::Unauthorised),
    ("401 unauthorized", AgentCode::Unauthorised),
    ("403 forbidden", AgentCode::Unauthorised),
    ("overloaded", AgentCode::Overloaded),
    ("at capacity", AgentCode::Overloaded),
    ("service unavailable", AgentCode::Overloaded),
    ("rate_limit", AgentCode::RateLimited),
    ("rate limit", AgentCode::RateLimited),
    ("too many requests", AgentCode::RateLimited),
    ("usage limit", AgentCode::RateLimited),
    ("hit your limit", AgentCode::RateLimited),
    ("hour limit reached", AgentCode::RateLimited),
    ("weekly limit reached", AgentCode::RateLimited),
    ("output token maximum", AgentCode::Truncated),
    ("max_output_tokens", AgentCode::Truncated),
];

/// What stands before a status.
const BEFORE_STATUS: [&str; 5] = ["api error: ", "api error (", "status: ", "status ", "error code: "];

fn code_in(message: &str) -> Option<AgentCode> {
    let said = message.to_ascii_lowercase();
    let word = WORDS.iter().find(|(word, _)| said.contains(word)).map(|(_, code)| *code);
    word.or_else(|| {
        BEFORE_STATUS.iter().find_map(|before| {
            let (_, rest) = said.split_once(before)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            code_of_status(digits.parse().ok().filter(|_| digits.len() == 3)?)
        })
    })
}

/// When a service wants to be asked again, as a message says it.
fn again_in(message: &str) -> Option<AskAgain> {
    let said = message.to_ascii_lowercase();
    // `usage limit reached|1753088400`
    if let Some((_, rest)) = said.split_once("limit reached|")
        && let Some(at) = leading_number(rest)
    {
        return Some(AskAgain::From(moment(at)));
    }
    for before in ["retry-after", "retry_after", "retry after"] {
        if let Some((_, rest)) = said.split_once(before)
            && let Some(seconds) = leading_number(rest.trim_start_matches([' ', ':', '=', '"', '\'']))
        {
            return Some(AskAgain::After(Duration::from_secs(seconds)));
        }
    }
    let (_, rest) = said.split_once("again in ")?;
    span(rest).map(AskAgain::After)
}

fn leading_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    // One that is larger than any is the largest.
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
}

/// A moment in seconds since 1970, or in milliseconds where it is too large for these.
fn moment(number: u64) -> Timestamp {
    const SECONDS_MAX: u64 = 100_000_000_000;
    let ms = if number < SECONDS_MAX { number.saturating_mul(1_000) } else { number };
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// A time as `11.054s`, `500ms` or `3 days 4 hours 5 minutes` say it; what follows it is passed over.
fn span(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim_start();
    loop {
        let number_len = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, behind) = rest.split_at(number_len);
        let unit: String = behind.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
        let seconds = match unit.as_str() {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            _no_time => break,
        };
        let Ok(number) = number.trim_end_matches('.').parse::<f64>() else { break };
        let Ok(part) = Duration::try_from_secs_f64(number * seconds) else { break };
        total = total.saturating_add(part);
        rest = behind.trim_start()[unit.len()..].trim_start_matches([',', ' ']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    (!total.is_zero()).then_some(total)
}

/// When a `rate_limit_event` that refuses says the limit is lifted.
pub(super) fn lifted_at(event: &Value) -> Option<AskAgain> {
    let about = &event["rate_limit_info"];
    let at = about["resetsAt"].as_u64().filter(|_| about["status"] == "rejected")?;
    Some(AskAgain::From(moment(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_write_of_their_errors_gives_codes() {
        use AgentCode::{Overloaded, RateLimited, Truncated, Unauthorised};
        for (said, code) in [
            (
                r#"API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_011"}"#,
                Some(Overloaded),
            ),
            ("API Error: Repeated 529 Overloaded errors", Some(Overloaded)),
            (
                r#"API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your limit"}}"#,
                Some(RateLimited),
            ),
            ("Claude AI usage limit reached|1753088400", Some(RateLimited)),
            ("You've hit your limit · resets 3pm (Europe/Berlin)", Some(RateLimited)),
            (
                "exceeded retry limit, last status: 429 Too Many Requests, request id: c4fc59ca",
                Some(RateLimited),
            ),
            ("unexpected status 503 Service Unavailable: upstream", Some(Overloaded)),
            ("Selected model is at capacity. Please try a different model.", Some(Overloaded)),
            (
                "unexpected status 401 Unauthorized: Missing bearer or basic authentication in header",
                Some(Unauthorised),
            ),
            ("Invalid API key · Please run /login", Some(Unauthorised)),
            (
                r#"Failed to authenticate. API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"OAuth token has expired."}}"#,
                Some(Unauthorised),
            ),
            ("API Error: Claude's response exceeded the 32000 output token maximum.", Some(Truncated)),
            (
                "stream disconnected before completion: Incomplete response returned, reason: max_output_tokens",
                Some(Truncated),
            ),
            ("unexpected status 400 Bad Request: no such model", None),
            ("Credit balance is too low", None),
            ("the tests failed", None),
        ] {
            assert_eq!(AgentError::said(said).code, code, "{said}");
        }
    }

    #[test]
    fn the_pause_that_a_service_asks_for_is_read() {
        let seconds = |seconds| Some(AskAgain::After(Duration::from_secs(seconds)));
        for (said, again) in [
            (
                "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000. Please try again in 11.054s. Visit",
                Some(AskAgain::After(Duration::from_millis(11_054))),
            ),
            ("You've hit your usage limit. Try again in 3 days 4 hours 5 minutes.", seconds(273_900)),
            ("usage limit: try again in 1 minute and 30 seconds", seconds(90)),
            (r#"429 rate_limit_error {"retry_after": 17}"#, seconds(17)),
            ("429 Too Many Requests, retry-after: 30", seconds(30)),
            ("429 Too Many Requests, retry-after: 99999999999999999999999", seconds(u64::MAX)),
            ("Claude AI usage limit reached|1753088400", Some(AskAgain::From(Timestamp(1_753_088_400_000)))),
            ("rate limit. Try again later.", None),
            // Only a limit or an overload passes by itself.
            ("Invalid API key, try again in 5s", None),
        ] {
            assert_eq!(AgentError::said(said).again(), again, "{said}");
        }
        let now = Timestamp(1_753_088_000_000);
        assert_eq!(AskAgain::From(Timestamp(1_753_088_400_000)).pause(now), Some(Duration::from_secs(400)));
        assert_eq!(AskAgain::From(Timestamp(0)).pause(now), None, "a moment that is past is no pause");
    }
}

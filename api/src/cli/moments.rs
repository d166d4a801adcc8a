//! Times as people type them: `-10m`, `2h`, `10m ago`, `yesterday`, `2026-11-20`, `2026-11-20 08:15`, RFC 3339.
//!
//! [`version_at`] asks which version a run had at one.
//!
//! Law: a time without a zone is UTC, as every time that is printed. Routes are asked with RFC 3339 alone.

use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::duration;
use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::context::CommandContext;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::http::has_offset_of_a_day;
use crate::text::quoted;

/// The milliseconds of a day.
const DAY: i64 = 86_400_000;

/// A moment of a run or of the log: a number (of a version, or a position), or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypedMoment {
    /// A version or position.
    Number(u64),
    /// A time.
    Time(Timestamp),
}

/// Reads the moment that a flag names.
///
/// # Errors
/// It is neither a number nor a time.
pub(crate) fn moment(flag: &str, text: &str) -> Result<TypedMoment, Fault> {
    match text.parse() {
        Ok(number) => Ok(TypedMoment::Number(number)),
        Err(_no_number) => time(flag, text).map(TypedMoment::Time),
    }
}

/// Reads the moment of a run that `--at` names.
///
/// # Errors
/// It is neither a number nor a time, or 0.
pub(super) fn run_moment(context: &CommandContext, run: &str, text: &str) -> Result<TypedMoment, Fault> {
    match moment("--at", text)? {
        TypedMoment::Number(0) => {
            Err(Fault::new(Code::Usage, "--at 0 is no moment of a run: its first version is 1")
                .hint(format!("`{} events {}` shows its versions", context.program, quoted(run))))
        }
        read => Ok(read),
    }
}

/// Reads the time that a flag names.
///
/// # Errors
/// It is none.
pub(crate) fn time(flag: &str, text: &str) -> Result<Timestamp, Fault> {
    read(text.trim(), clock::now()).ok_or_else(|| {
        let what = if Timestamp::is_too_far(text.trim()) { "too far away" } else { "no time" };
        Fault::new(Code::Usage, format!("{flag} {text}: this is {what}"))
            .hint("write -10m, 2h, yesterday, 2026-11-20, '2026-11-20 08:15' or 2026-11-20T08:15:24Z; times are UTC")
    })
}

/// The time that a flag names, for a route.
///
/// # Errors
/// It is none.
pub(crate) fn time_param(flag: &str, text: Option<&String>) -> Result<Option<String>, Fault> {
    text.map(|text| time(flag, text).map(|at| at.to_string())).transpose()
}

/// The moment that a flag names, for a route.
///
/// # Errors
/// It is neither a number nor a time.
pub(crate) fn moment_param(flag: &str, text: Option<&String>) -> Result<Option<String>, Fault> {
    let written = |moment| match moment {
        TypedMoment::Number(number) => number.to_string(),
        TypedMoment::Time(at) => at.to_string(),
    };
    text.map(|text| moment(flag, text).map(written)).transpose()
}

fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    let midnight = Timestamp(now.0 - now.0.rem_euclid(DAY));
    match text {
        "now" => return Some(now),
        "today" => return Some(midnight),
        "yesterday" => return Some(Timestamp(midnight.0 - DAY)),
        _other => {}
    }
    let ago = text.strip_suffix("ago").map(str::trim_end).unwrap_or(text);
    if let Ok(span) = duration::parse(ago.strip_prefix('-').unwrap_or(ago)) {
        return Some(before(now, span));
    }
    if let Ok(at) = text.parse() {
        return has_offset_of_a_day(text).then_some(at);
    }
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00"));
    let day = match day {
        "today" => date_of(midnight),
        "yesterday" => date_of(Timestamp(midnight.0 - DAY)),
        day if day.len() == 10 => day.to_owned(),
        _no_day => return None,
    };
    match time.strip_suffix('Z').unwrap_or(time) {
        short if short.len() == 5 => format!("{day}T{short}:00Z").parse().ok(),
        whole if whole.len() >= 8 => format!("{day}T{whole}Z").parse().ok(),
        _no_time => None,
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

/// The day of a time: `2026-11-20`.
pub(crate) fn date_of(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// The last version that was recorded by then; `None`: the run began later.
///
/// # Errors
/// There is no such run, or it cannot be read.
pub(super) async fn version_at(
    context: &CommandContext,
    run: &str,
    at: Timestamp,
) -> Result<Option<u64>, Fault> {
    let params = query([("at", Some(at.to_string()))]);
    let then: Result<Value, Fault> =
        context.client.get(&format!("/api/v1/runs/{}/state{params}", encode(run))).await;
    match then {
        Ok(then) => Ok(then["version"].as_u64()),
        Err(fault) if fault.code == Code::NotYet => Ok(None),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        let now: Timestamp = "2026-11-20T08:15:24.500Z".parse().unwrap();
        for (text, wanted) in [
            ("now", "2026-11-20T08:15:24.500Z"),
            ("today", "2026-11-20T00:00:00.000Z"),
            ("yesterday", "2026-11-19T00:00:00.000Z"),
            ("yesterday 18:30", "2026-11-19T18:30:00.000Z"),
            ("-10m", "2026-11-20T08:05:24.500Z"),
            ("10m", "2026-11-20T08:05:24.500Z"),
            ("10m ago", "2026-11-20T08:05:24.500Z"),
            ("2h", "2026-11-20T06:15:24.500Z"),
            ("7d", "2026-11-13T08:15:24.500Z"),
            ("2026-11-20", "2026-11-20T00:00:00.000Z"),
            ("2026-11-20 08:15", "2026-11-20T08:15:00.000Z"),
            ("2026-11-20 08:15:24Z", "2026-11-20T08:15:24.000Z"),
            ("2026-11-20T08:15:24+01:00", "2026-11-20T07:15:24.000Z"),
        ] {
            assert_eq!(read(text, now).map(|at| at.to_string()).as_deref(), Some(wanted), "{text}");
        }
        for (text, what) in
            [("9999-12-31", "too far away"), ("9999-12-31T23:59:59Z", "too far away"), ("soon", "no time")]
        {
            let refused = time("--since", text).unwrap_err();
            assert!(refused.message.ends_with(what), "{}", refused.message);
        }
        for text in [
            "",
            "-",
            "10",
            "10x",
            "tomorrow",
            "2026-13-01",
            "2026-11-20 8",
            "2026-11-20 25:00",
            "yesterday x",
            "2026-11-20T08:15:24+25:00",
        ] {
            assert_eq!(read(text, now), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_a_version_and_no_time() {
        assert_eq!(moment("--at", "12").unwrap(), TypedMoment::Number(12));
        let fault = moment("--at", "noon").unwrap_err();
        assert!(fault.message.contains("--at noon") && fault.hint.unwrap().contains("yesterday"));
    }
}

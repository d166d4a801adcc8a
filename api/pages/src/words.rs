//! How a status, a time, a duration, a cost and a size are written, everywhere the same.

use std::borrow::{Borrow, Cow};
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

/// The sign of a status, beside its word: colour is never alone.
#[must_use]
pub fn glyph(status: &str) -> &'static str {
    match status {
        "running" | "starting" | "working" | "scheduled" | "gating" => "▸",
        "succeeded" | "pass" | "approved" | "done" => "✓",
        "failed" | "failing" | "fail" | "rejected" => "✕",
        "failed, tolerated" => "!",
        "blocked" => "◆",
        "waiting" | "asking" => "◷",
        "queued" => "⋯",
        "paused" | "interrupted" => "‖",
        "stopping" => "◌",
        "cancelled" | "skipped" => "⊘",
        _other => "·",
    }
}

/// The class of a status, for its colour.
#[must_use]
pub fn tone(status: &str) -> &'static str {
    match status {
        "running" | "starting" | "working" | "stopping" | "scheduled" | "gating" => "tone-running",
        "succeeded" | "pass" | "approved" | "done" => "tone-good",
        "failed" | "failing" | "fail" | "rejected" => "tone-bad",
        "blocked" | "failed, tolerated" => "tone-blocked",
        "waiting" | "asking" => "tone-waiting",
        _other => "tone-still",
    }
}

/// In words, why a budget has no room: what is reserved comes back as the work ends that it is for.
#[must_use]
pub fn taken(is_reserved: bool) -> &'static str {
    if is_reserved { "reserved for work that runs" } else { "used up" }
}

/// Whether nothing of a budget was spent when a `BudgetExceeded` was recorded, and something reserved.
#[must_use]
pub fn is_reserved(event: &Value) -> bool {
    let reading = &event["reading"];
    let has_spent = reading["spent"]["cost_micros"].as_u64() != Some(0);
    event["measure"] == "cost" && !has_spent && reading["reserved_micros"].as_u64() > Some(0)
}

/// A duration in milliseconds, in at most two units: `340 ms`, `4.2 s`, `3 m 05 s`, `2 h 14 m`, `3 d 4 h`.
#[must_use]
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    match seconds {
        _ if ms < 1000 => format!("{ms} ms"),
        0..60 if ms % 1000 >= 100 && seconds < 10 => format!("{seconds}.{} s", ms % 1000 / 100),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long something took, or takes so far: between two times of RFC 3339, the second or now.
#[must_use]
pub fn took(from: &str, to: Option<&str>) -> String {
    let Some(from) = millis(from) else { return String::new() };
    let to = to.and_then(millis).unwrap_or_else(now_millis);
    duration(to - from)
}

/// How long ago a time of RFC 3339 is, in one unit: `now`, `40 s`, `5 m`, `3 h`, `2 d`. A time to come: `in 5 m`.
#[must_use]
pub fn age(time: &str) -> String {
    age_up_to(time, now_millis())
}

/// The same up to another moment than now.
#[must_use]
pub fn age_at(time: &str, then: &str) -> String {
    age_up_to(time, millis(then).unwrap_or_else(now_millis))
}

fn age_up_to(time: &str, moment: i64) -> String {
    let Some(at) = millis(time) else { return time.to_owned() };
    let seconds = (moment - at) / 1000;
    // What is past is counted in whole units; what is to come is told by the nearest: 2 days that were given a moment
    // ago are no single day.
    let half = |unit: i64| if seconds < 0 { unit / 2 } else { 0 };
    let text = match seconds.abs() {
        0..2 => return "now".to_owned(),
        s @ 2..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} m", (s + half(60)) / 60),
        s @ 3600..86_400 => format!("{} h", (s + half(3600)) / 3600),
        s => format!("{} d", (s + half(86_400)) / 86_400),
    };
    if seconds < 0 { format!("in {text}") } else { text }
}

/// How long ago a time of RFC 3339 is, for a sentence: `just now`, `5 m ago`, `in 5 m`.
#[must_use]
pub fn long_age(time: &str) -> String {
    match age(time) {
        now if now == "now" => "just now".to_owned(),
        to_come if to_come.starts_with("in ") => to_come,
        past => format!("{past} ago"),
    }
}

/// The same, counted up to a moment: `just before`, `5 m before`, `5 m after`.
#[must_use]
pub fn long_age_at(time: &str, then: &str) -> String {
    match age_at(time, then) {
        now if now == "now" => "just before".to_owned(),
        age => match age.strip_prefix("in ") {
            Some(to_come) => format!("{to_come} after"),
            None => format!("{age} before"),
        },
    }
}

/// A time of RFC 3339 to the second, in UTC: what a page says before its script writes it in the viewer's zone.
#[must_use]
pub fn exact(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// Milliseconds since 1970 of a time of RFC 3339.
#[must_use]
pub fn millis(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Now, in milliseconds since 1970. Pages show ages; nothing that is decided depends on it.
#[must_use]
pub fn now_millis() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A cost as REST writes it (`"0.310000"`), in US dollars with two digits, or more where it is less than a cent.
#[must_use]
pub fn usd(cost: &str) -> String {
    let Ok(value) = cost.parse::<f64>() else { return cost.to_owned() };
    match value {
        0.0 => "0 USD".to_owned(),
        v if v < 0.01 => format!("{v:.4} USD"),
        v => format!("{v:.2} USD"),
    }
}

/// A count with thin spaces between thousands.
#[must_use]
pub fn count(number: impl Borrow<u64>) -> String {
    let digits = number.borrow().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes, in one unit.
#[must_use]
pub fn bytes(size: impl Borrow<u64>) -> String {
    match *size.borrow() {
        size @ 0..1024 => format!("{size} B"),
        s @ 1024..1_048_576 => format!("{} KiB", s / 1024),
        s @ 1_048_576..1_073_741_824 => format!("{:.1} MiB", s as f64 / 1_048_576.0),
        s => format!("{:.1} GiB", s as f64 / 1_073_741_824.0),
    }
}

/// An actor without the kind where the kind is a user: `ada`, `run:…`, `engine`.
#[must_use]
pub fn actor(actor: &str) -> &str {
    actor.strip_prefix("user:").unwrap_or(actor)
}

/// The same as people read it: a run by its short id, `run 3b2cabce`.
#[must_use]
pub fn actor_name(who: &str) -> Cow<'_, str> {
    match who.strip_prefix("run:") {
        Some(id) => Cow::Owned(format!("run {}", short(id))),
        None => Cow::Borrowed(actor(who)),
    }
}

/// A JSON value as people read it: texts as they are, the rest indented.
#[must_use]
pub fn json(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

/// A text as one segment of a path: all but unreserved signs is percent-encoded, so that a `/` or a `?` of a name stays
/// part of it.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b':' | b'@' => {
                encoded.push(char::from(byte))
            }
            // A segment of dots alone would be taken for a step up.
            b'.' if !text.bytes().all(|byte| byte == b'.') => encoded.push('.'),
            byte => {
                let _never_fails = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// The last eight digits of an id.
#[must_use]
pub fn short(id: &str) -> &str {
    id.len().checked_sub(8).and_then(|from| id.get(from..)).unwrap_or(id)
}

/// Which attempt did an item that a retry kept, and of which run.
pub(crate) fn kept(kept: &Value) -> Option<String> {
    let number = |pointer: &str| kept.pointer(pointer).and_then(Value::as_u64);
    let text = |pointer: &str| kept.pointer(pointer).and_then(Value::as_str);
    let (step, run) = (text("/id/path/step")?, text("/run")?);
    let item = number("/id/path/item").map(|item| format!(".{item}")).unwrap_or_default();
    let (round, attempt) = (number("/id/round")?, number("/id/attempt")?);
    Some(format!("done as {step}{item} {round}.{attempt} of run {}", short(run)))
}

/// What was answered, or the part of it that was saved, in one line.
pub(crate) fn answer(answer: &Value) -> String {
    let said = |name: &str| answer.get(name)?.as_str().map(str::to_owned);
    let of_items = |name: &str| answer.get(name).and_then(Value::as_object).into_iter().flatten();
    let whole = ["choice", "text"].into_iter().filter_map(said);
    let items = of_items("items").map(|(id, given)| format!("{id}: {}", json(given)));
    let settled = of_items("states").filter_map(|(id, state)| match state.as_str() {
        Some(state @ ("resolved" | "dismissed")) => Some(format!("{id} {state}")),
        _other => None,
    });
    whole.chain(items).chain(settled).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_units() {
        let texts = [340, 4_230, 42_000, 185_000, 8_040_000, 273_600_000].map(duration);
        assert_eq!(texts, ["340 ms", "4.2 s", "42 s", "3 m 05 s", "2 h 14 m", "3 d 4 h"]);
    }

    #[test]
    fn an_age_of_then_is_of_then() {
        assert_eq!(age_at("2026-11-22T10:00:00Z", "2026-11-22T10:05:30Z"), "5 m");
        assert_eq!(age_at("2026-11-22T10:00:00Z", "2026-11-22T09:00:00Z"), "in 1 h");
        assert_eq!(age_at("2026-11-22T10:00:00Z", "2026-11-22T10:00:01Z"), "now");
        assert_eq!(age_at("2026-11-24T10:00:00Z", "2026-11-22T10:00:49Z"), "in 2 d");
        assert_eq!(age_at("2026-11-22T10:00:00Z", "2026-11-24T09:59:11Z"), "1 d");
    }

    #[test]
    fn costs_below_a_cent_are_not_nothing() {
        assert_eq!(
            ["0.310000", "0.000400", "0", "12.5"].map(usd),
            ["0.31 USD", "0.0004 USD", "0 USD", "12.50 USD"]
        );
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn an_actor_that_is_a_run_has_its_short_id() {
        assert_eq!(actor_name("run:01a20776-ede5-7206-87e6-009665895b10"), "run 65895b10");
        assert_eq!(["user:ada", "token:ci", "engine"].map(actor_name), ["ada", "token:ci", "engine"]);
    }

    #[test]
    fn a_name_never_leaves_its_segment() {
        let texts = ["greet", "quick/check", "a?b#c", "..", "é <b>", "report:1", "v1.2"].map(encoded);
        assert_eq!(
            texts,
            ["greet", "quick%2Fcheck", "a%3Fb%23c", "%2E%2E", "%C3%A9%20%3Cb%3E", "report:1", "v1.2"]
        );
    }

    #[test]
    fn a_name_with_signs_of_addresses_stays_one_segment() {
        assert_eq!(encoded("a b/../c?d#e+f%"), "a%20b%2F..%2Fc%3Fd%23e%2Bf%25");
    }
}

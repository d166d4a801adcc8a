//! What another machine, the list of runs or a function answered.

use super::judgement::{Judgement, Verdict, count, fail, pass, shortened, texts};
use everfold_base::json::{Value, canonical};

/// Judges `{status, headers, body, expect, problem?}`: the status is one of `expect` (default 200 to 299), and
/// the body is what was asked for.
///
/// `expect` is a status, a range such as `2xx` or `200..299`, or a list of these. Another status fails,
/// but one that says “later” (408, 425, 429, 500 and over) is pending.
pub(super) fn http(evidence: &Value) -> Judgement {
    let Some(status) = evidence["status"].as_u64() else { return fail("the evidence has no status") };
    let expect = match &evidence["expect"] {
        Value::Null => Value::from("2xx"),
        given => given.clone(),
    };
    let wanted = match &expect {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut shown = Vec::new();
    for one in wanted {
        let Some((first, last)) = statuses(one) else {
            return fail(format!("expect holds {}, which is no status", shortened(&canonical(one), 80)));
        };
        if (first..=last).contains(&status) {
            return match evidence["problem"].as_str() {
                Some(problem) => fail(format!("status {status}, but {}", shortened(problem, 200))),
                None => pass(format!("status {status}")),
            };
        }
        shown.push(one.as_str().map_or_else(|| canonical(one), str::to_owned));
    }
    let reason = format!("status {status}, not {}", shortened(&shown.join(" or "), 120));
    if matches!(status, 408 | 425 | 429) || status >= 500 {
        Judgement::new(Verdict::Pending, reason)
    } else {
        fail(reason)
    }
}

/// The first and last status of `200`, `2xx` or `200..299`.
#[must_use]
pub fn statuses(expected: &Value) -> Option<(u64, u64)> {
    if let Some(one) = expected.as_u64() {
        return (100..=599).contains(&one).then_some((one, one));
    }
    let text = expected.as_str()?.trim().to_ascii_lowercase();
    if let Some(class) = text.strip_suffix("xx") {
        let class: u64 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let (first, last) = text.split_once("..").unwrap_or((&text, &text));
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|status| (100..=599).contains(status));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Judges `{total, runs}`: at least one run fits.
pub(super) fn runs(evidence: &Value) -> Judgement {
    match evidence["total"].as_u64() {
        None => fail("the evidence counts no runs"),
        Some(0) => fail("no run fits"),
        Some(total) => {
            let newest = evidence["runs"][0]["short_id"].as_str().unwrap_or_default();
            let newest = if newest.is_empty() { String::new() } else { format!(", the newest is {newest}") };
            pass(format!("{} fit{newest}", count(total, "run")))
        }
    }
}

/// Judges `{present, missing}`: no credential is missing.
pub(super) fn credentials(evidence: &Value) -> Judgement {
    let Some(missing) = evidence["missing"].as_array() else {
        return fail("the evidence does not say which credentials are missing");
    };
    match (missing.len(), evidence["present"].as_array().map_or(0, Vec::len)) {
        (0, 0) => pass("no credential is asked for"),
        (0, present) => pass(format!("{} there", count(present as u64, "credential"))),
        _some => fail(format!("missing: {}", shortened(&texts(&evidence["missing"]).join(", "), 300))),
    }
}

/// Judges `{ok, reason?, output}` of a function.
pub(super) fn function(evidence: &Value) -> Judgement {
    let reason = evidence["reason"].as_str().map(|reason| shortened(reason, 300));
    let reason = reason.filter(|reason| !reason.is_empty());
    match evidence["ok"].as_bool() {
        Some(true) => pass(reason.unwrap_or_else(|| "the function says ok".to_owned())),
        Some(false) => fail(reason.unwrap_or_else(|| "the function does not say ok".to_owned())),
        None => fail("the function's result has no `ok` that is true or false"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass, Pending};

    #[test]
    fn a_status_is_expected_not_yet_there_or_wrong() {
        for (evidence, verdict, reason) in [
            (json!({"status": 204}), Pass, "status 204"),
            (json!({"status": 404}), Fail, "status 404, not 2xx"),
            (json!({"status": 503}), Pending, "status 503, not 2xx"),
            (json!({"status": 429, "expect": [200, 404]}), Pending, "status 429, not 200 or 404"),
            (json!({"status": 404, "expect": [200, 404]}), Pass, "status 404"),
            (json!({"status": 301, "expect": "300..399"}), Pass, "status 301"),
            (json!({"status": 500, "expect": "5xx"}), Pass, "status 500"),
            (json!({"status": 200, "expect": "9xx"}), Fail, "expect holds \"9xx\", which is no status"),
            (json!({"body": ""}), Fail, "the evidence has no status"),
            (
                json!({"status": 200, "problem": "the body is no JSON"}),
                Fail,
                "status 200, but the body is no JSON",
            ),
            (json!({"status": 503, "problem": "the body is no JSON"}), Pending, "status 503, not 2xx"),
        ] {
            assert_eq!(http(&evidence), Judgement::new(verdict, reason), "{evidence}");
        }
    }

    #[test]
    fn runs_and_functions_say_yes_or_no() {
        let found = json!({"total": 2, "runs": [{"short_id": "0123abcd"}]});
        assert_eq!(runs(&found), Judgement::new(Pass, "2 runs fit, the newest is 0123abcd"));
        assert_eq!(runs(&json!({"total": 0, "runs": []})), Judgement::new(Fail, "no run fits"));
        assert_eq!(function(&json!({"ok": true})).verdict, Pass);
        let no = json!({"ok": false, "reason": "two open questions"});
        assert_eq!(function(&no), Judgement::new(Fail, "two open questions"));
        assert_eq!(function(&json!({"output": 1})).verdict, Fail);
    }
}

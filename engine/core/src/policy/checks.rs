//! Checks of a commit: a bad one fails, else an open one is pending, else they pass.

use super::judgement::{Judgement, Verdict, count, fail, pass, shortened};
use everfold_base::json::Value;

/// Names that a reason holds.
const NAMES_MAX: usize = 3;

/// Judges `{found, missing, sha, checks: [{name, state, status, url}], total, failed, pending, none}`.
/// `state` of a check is `pass`, `pending` or `fail`; `none` is the verdict where there is no check.
pub(super) fn judge(evidence: &Value) -> Judgement {
    if evidence["found"] == false {
        let missing = evidence["missing"].as_str().unwrap_or("what was asked for");
        return fail(format!("{} is not known there", shortened(missing, 120)));
    }
    let Some(checks) = evidence["checks"].as_array() else { return fail("the evidence lists no checks") };
    let total = evidence["total"].as_u64().unwrap_or(checks.len() as u64).max(checks.len() as u64);
    if let Some(bad) = those(checks, evidence, "failed", "fail") {
        let findings = checks.iter().filter(|check| check["state"] == "fail").cloned().collect();
        return Judgement { findings: Some(findings), ..fail(format!("{bad} of {total} failed")) };
    }
    if let Some(open) = those(checks, evidence, "pending", "pending") {
        return Judgement::new(Verdict::Pending, format!("{open} of {total} not ended"));
    }
    if total > 0 {
        return pass(format!("{} passed", count(total, "check")));
    }
    match evidence["none"].as_str() {
        Some("pass") => pass("there are no checks"),
        Some("fail") => fail("there are no checks"),
        _ => Judgement::new(Verdict::Pending, "there are no checks yet"),
    }
}

/// How many are in that state, with the names of the first. A check of an unknown state is open.
fn those(checks: &[Value], evidence: &Value, counted: &str, state: &str) -> Option<String> {
    let is_in = |check: &&Value| match check["state"].as_str() {
        Some("pass") => false,
        Some("fail") => state == "fail",
        _open => state == "pending",
    };
    let listed = checks.iter().filter(is_in).count() as u64;
    let number = evidence[counted].as_u64().unwrap_or(0).max(listed);
    if number == 0 {
        return None;
    }
    let names = checks.iter().filter(is_in).filter_map(|check| check["name"].as_str());
    let names: Vec<String> = names.take(NAMES_MAX).map(|name| shortened(name, 60)).collect();
    let more = if listed > NAMES_MAX as u64 { ", …" } else { "" };
    Some(if names.is_empty() { number.to_string() } else { format!("{}{more}: {number}", names.join(", ")) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass, Pending};

    #[test]
    fn a_bad_check_fails_before_an_open_one_is_waited_for() {
        let check = |name: &str, state: &str| json!({"name": name, "state": state});
        for (evidence, verdict, reason) in [
            (
                json!({"checks": [check("a", "pass"), check("b", "fail"), check("c", "pending")]}),
                Fail,
                "b: 1 of 3 failed",
            ),
            (json!({"checks": [check("a", "pass"), check("c", "pending")]}), Pending, "c: 1 of 2 not ended"),
            (json!({"checks": [check("a", "pass"), check("b", "pass")]}), Pass, "2 checks passed"),
            (json!({"checks": [check("a", "new word")]}), Pending, "a: 1 of 1 not ended"),
            (json!({"checks": [check("a", "pass")], "total": 300, "failed": 2}), Fail, "2 of 300 failed"),
            (json!({"checks": []}), Pending, "there are no checks yet"),
            (json!({"checks": [], "none": "pass"}), Pass, "there are no checks"),
            (json!({"checks": [], "none": "fail"}), Fail, "there are no checks"),
            (json!({"found": false, "missing": "commit 1f"}), Fail, "commit 1f is not known there"),
            (json!({}), Fail, "the evidence lists no checks"),
        ] {
            let judgement = judge(&evidence);
            assert_eq!((judgement.verdict, judgement.reason.as_str()), (verdict, reason), "{evidence}");
        }
    }

    #[test]
    fn a_rework_names_the_checks_that_failed() {
        let bad = json!({"name": "build", "state": "fail", "url": "https://ci.example.org/1"});
        let judgement = judge(&json!({"checks": [bad, {"name": "lint", "state": "pass"}]}));
        assert_eq!(judgement.findings, Some(json!([bad])));
    }
}

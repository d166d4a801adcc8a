//! Test reports pass with at least one test and none that failed.

use super::judgement::{Judgement, count, fail, pass, shortened};
use everfold_base::json::Value;

/// Judges `{tests, failed, skipped, failures: [{name, message}], files, problem?}`.
pub(super) fn judge(evidence: &Value) -> Judgement {
    if let Some(problem) = evidence["problem"].as_str() {
        return fail(shortened(&format!("a report cannot be read: {problem}"), 300));
    }
    let number = |key: &str| evidence[key].as_u64();
    let (Some(tests), Some(failed)) = (number("tests"), number("failed")) else {
        return fail("the evidence counts no tests");
    };
    let skipped = number("skipped").unwrap_or(0);
    if failed > 0 {
        let first = evidence["failures"][0]["name"].as_str().map(|name| shortened(name, 120));
        let first = first.map(|name| format!(": {name}")).unwrap_or_default();
        let more = if failed > 1 { format!(" and {} more", failed - 1) } else { String::new() };
        return fail(format!("{failed} of {} failed{first}{more}", count(tests, "test")));
    }
    // What was skipped was not tested.
    if tests <= skipped {
        let files = evidence["files"].as_array().map_or(0, Vec::len) as u64;
        return fail(match (files, tests) {
            (0, _) => "no test report was found".to_owned(),
            (_, 0) => format!("no test in {}", count(files, "report")),
            _ => format!("all {} were skipped", count(tests, "test")),
        });
    }
    let left_out = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    pass(format!("{} passed{left_out}", count(tests - skipped, "test")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass};

    #[test]
    fn at_least_one_test_and_none_failed() {
        for (evidence, verdict, reason) in [
            (json!({"tests": 3, "failed": 0}), Pass, "3 tests passed"),
            (json!({"tests": 3, "failed": 0, "skipped": 2}), Pass, "1 test passed, 2 skipped"),
            (
                json!({"tests": 3, "failed": 2, "failures": [{"name": "a::b"}, {"name": "c"}]}),
                Fail,
                "2 of 3 tests failed: a::b and 1 more",
            ),
            (json!({"tests": 1, "failed": 1}), Fail, "1 of 1 test failed"),
            (json!({"tests": 0, "failed": 0, "files": ["r.xml"]}), Fail, "no test in 1 report"),
            (json!({"tests": 0, "failed": 0, "files": []}), Fail, "no test report was found"),
            (
                json!({"tests": 2, "failed": 0, "skipped": 2, "files": ["r"]}),
                Fail,
                "all 2 tests were skipped",
            ),
            (
                json!({"problem": "r.xml is no JUnit report"}),
                Fail,
                "a report cannot be read: r.xml is no JUnit report",
            ),
            (json!({}), Fail, "the evidence counts no tests"),
        ] {
            assert_eq!(judge(&evidence), Judgement::new(verdict, reason), "{evidence}");
        }
    }
}

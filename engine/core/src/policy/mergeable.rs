//! A pull request passes when it can be merged without conflicts, or is merged.

use super::judgement::{Judgement, Verdict, fail, pass, shortened};
use everfold_base::json::Value;

/// Judges `{found, number, state, mergeable, mergeable_state, base}`; a `mergeable` that is not known is
/// pending.
pub(super) fn judge(evidence: &Value) -> Judgement {
    if evidence["found"] == false {
        return fail("there is no such pull request");
    }
    let word = evidence["mergeable_state"].as_str().filter(|word| !word.is_empty());
    let word = word.map(|word| format!(" ({})", shortened(word, 60))).unwrap_or_default();
    let base = shortened(evidence["base"].as_str().unwrap_or("its base"), 120);
    match (evidence["state"].as_str(), evidence["mergeable"].as_bool()) {
        (Some("merged"), _) => pass("it is merged"),
        (Some("closed"), _) => fail("it was closed without a merge"),
        (Some("open"), Some(true)) => pass(format!("no conflicts with {base}")),
        (Some("open"), Some(false)) => fail(format!("it cannot be merged into {base}{word}")),
        (Some("open"), None) => Judgement::new(Verdict::Pending, format!("not known yet{word}")),
        (_, _) => fail("the evidence does not say whether it is open"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass, Pending};

    #[test]
    fn what_is_not_known_is_waited_for() {
        for (evidence, verdict, reason) in [
            (json!({"state": "open", "mergeable": true, "base": "main"}), Pass, "no conflicts with main"),
            (
                json!({"state": "open", "mergeable": null, "mergeable_state": "unknown"}),
                Pending,
                "not known yet (unknown)",
            ),
            (
                json!({"state": "open", "mergeable": false, "mergeable_state": "dirty", "base": "main"}),
                Fail,
                "it cannot be merged into main (dirty)",
            ),
            (json!({"state": "merged", "mergeable": null}), Pass, "it is merged"),
            (json!({"state": "closed", "mergeable": true}), Fail, "it was closed without a merge"),
            (json!({"found": false}), Fail, "there is no such pull request"),
            (json!(null), Fail, "the evidence does not say whether it is open"),
        ] {
            assert_eq!(judge(&evidence), Judgement::new(verdict, reason), "{evidence}");
        }
    }
}

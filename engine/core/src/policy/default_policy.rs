//! The default policies: which one judges the evidence of which kind of probe.

use super::judgement::{Judgement, fail, shortened, texts};
use super::{answer, checks, command, diff, file, frontmatter, mergeable, tests_report};
use everfold_base::json::Value;

/// The version of the default policies and of the way policy values are read; recorded with every
/// decision.
pub const EVALUATOR: u32 = 1;

/// Judges by the default policy of a kind of probe; `None`: the kind has none.
///
/// Total: evidence of a wrong shape fails, with a reason that says so.
#[must_use]
pub fn judge_default(kind: &str, evidence: &Value) -> Option<Judgement> {
    Some(match kind {
        "command" => command::judge(evidence),
        "file" => file::judge(evidence),
        "frontmatter" => frontmatter::judge(evidence),
        "diff" => diff::judge(evidence),
        "tests" => tests_report::judge(evidence),
        "http" => answer::http(evidence),
        "runs" => answer::runs(evidence),
        "function" => answer::function(evidence),
        "ci" => checks::judge(evidence),
        "mergeable" => mergeable::judge(evidence),
        "credentials" => answer::credentials(evidence),
        _ => return None,
    })
}

/// Why evidence that is to be fresh fails whatever a policy says of it: the files that are as they were
/// when the round began.
#[must_use]
pub fn judge_fresh(evidence: &Value) -> Option<Judgement> {
    let unchanged = texts(&evidence["unchanged"]);
    let first = shortened(unchanged.first()?, 120);
    Some(match unchanged.len() {
        1 => fail(format!("{first} is unchanged since the round began")),
        more => fail(format!("{first} and {} more are unchanged since the round began", more - 1)),
    })
}

/// Whether evidence that is to be fresh failed because nothing that it was read from changed since the round began. Of
/// members those count that did not pass.
#[must_use]
pub fn is_stale(evidence: &Value) -> bool {
    if let Some(members) = evidence["members"].as_array() {
        let is_over = |member: &&Value| matches!(member["verdict"].as_str(), Some("pass" | "skipped"));
        let mut failed = members.iter().filter(|member| !is_over(member)).peekable();
        return failed.peek().is_some() && failed.all(|member| is_stale(&member["evidence"]));
    }
    let files = evidence["files"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let named = texts(&evidence["unchanged"]);
    // Files asked for by name, all of them; reports that a pattern finds, of which none is left.
    (!named.is_empty() && named.len() >= files.len())
        || (!texts(&evidence["stale"]).is_empty() && files.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::judge_value;

    const KINDS: [&str; 11] = [
        "command",
        "file",
        "frontmatter",
        "diff",
        "tests",
        "http",
        "runs",
        "function",
        "ci",
        "mergeable",
        "credentials",
    ];

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[A-Z ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop::sample::select(vec![
                "exit",
                "output",
                "files",
                "fields",
                "value",
                "pass",
                "fail",
                "match",
                "problem",
                "verdict",
                "reason",
                "lines",
                "matches",
                "path",
                "exists",
                "max_files",
                "deny",
                "min",
                "tests",
                "failed",
                "failures",
                "status",
                "expect",
                "total",
                "ok",
                "found",
                "checks",
                "state",
                "none",
                "mergeable",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(key, inner, 0..6)
                    .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn same_evidence_same_verdict_whatever_the_evidence(evidence in any_value()) {
            for kind in KINDS {
                let first = judge_default(kind, &evidence);
                prop_assert!(first.as_ref().is_some_and(|it| !it.reason.is_empty() && !it.reason.contains('\n')));
                let again: Value = serde_json::from_str(&everfold_base::json::canonical(&evidence)).unwrap();
                prop_assert_eq!(first, judge_default(kind, &again));
            }
            prop_assert_eq!(judge_value(&evidence), judge_value(&evidence));
        }
    }

    #[test]
    fn a_kind_without_a_default_policy_is_not_judged() {
        assert_eq!(judge_default("config", &Value::Null), None);
    }
}

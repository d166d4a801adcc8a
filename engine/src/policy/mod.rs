//! Judges evidence: the pure half of a gate.
//!
//! Law: equal evidence and equal policy give an equal judgement, always. So a recorded decision can
//! be decided again, and a default policy that changes its mind gets a new [`EVALUATOR`] number.
//!
//! Called by `decide` when a probe's evidence comes in, and by everything that re-decides later.

mod answer;
mod checks;
mod combine;
mod command;
mod diff;
mod file;
mod frontmatter;
mod glob;
mod mergeable;
mod tests_report;
mod value;

use serde::{Deserialize, Serialize};

use crate::json::Value;
pub use answer::statuses;
pub use combine::{Combination, combine};
pub use glob::Glob;
pub use value::judge_value;

/// The version of the default policies and of the way policy values are read; recorded with every
/// decision.
pub const EVALUATOR: u32 = 1;

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// On to the next gate.
    Pass,
    /// The gate's route is taken.
    Fail,
    /// Ask again later.
    Pending,
    /// The gate does not apply.
    Skipped,
}

impl Verdict {
    /// The word used in files, events and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Pending => "pending",
            Self::Skipped => "skipped",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What the gate says.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: String,
    /// What a rework is told; `None`: reason and evidence.
    pub findings: Option<Value>,
}

impl Judgement {
    /// A judgement without findings of its own.
    #[must_use]
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into(), findings: None }
    }
}

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

fn pass(reason: impl Into<String>) -> Judgement {
    Judgement::new(Verdict::Pass, reason)
}

fn fail(reason: impl Into<String>) -> Judgement {
    Judgement::new(Verdict::Fail, reason)
}

/// A text cut to `chars_max` characters, on one line.
fn shortened(text: &str, chars_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The texts of a list; nothing for anything else.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// `1 file`, `2 files`.
fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [&str; 10] =
        ["command", "file", "frontmatter", "diff", "tests", "http", "runs", "function", "ci", "mergeable"];

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
                let again: Value = serde_json::from_str(&crate::json::canonical(&evidence)).unwrap();
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

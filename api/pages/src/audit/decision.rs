//! A decision as the audit lists it, and its evidence in one line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::frame::with_query;
use crate::visible::visible;

/// The longest evidence that a row of the list holds; the decision's own page has all of it.
const EVIDENCE_BYTES_MAX: usize = 4_000;
/// The longest evidence in one line.
const LINE_CHARS_MAX: usize = 140;

/// One decision: of a gate, or of a person.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Decision {
    /// Its run in full; empty where the list is of one run.
    pub(crate) run: String,
    pub(crate) short_id: String,
    /// Of its run; empty where the list is of one run.
    pub(crate) pipeline: String,
    pub(crate) title: Option<String>,
    pub(crate) version: u64,
    pub(crate) position: u64,
    pub(crate) at: String,
    pub(crate) actor: String,
    pub(crate) step: Option<String>,
    pub(crate) round: Option<u32>,
    /// The attempt whose gates were judged.
    pub(crate) attempt: Option<u32>,
    /// Which route sent the step back.
    pub(crate) route: Option<String>,
    /// `gate`, `vote`, `part`, `answer`, `expiry`, `approval`, `override`, `recheck`, `unjudged`, `rework`, `cancel`.
    pub(crate) kind: String,
    pub(crate) gate: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) evidence: Value,
    pub(crate) policy: Option<String>,
    pub(crate) policy_hash: Option<String>,
    pub(crate) evaluator: Option<u32>,
    pub(crate) probe_no: Option<u32>,
    pub(crate) tolerated: bool,
    pub(crate) vote: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) comments: Vec<Value>,
    pub(crate) edited: Option<Value>,
    pub(crate) seen: Value,
    pub(crate) answer: Value,
    pub(crate) decision: Option<String>,
    /// The signal that ended the run.
    pub(crate) signal: Option<String>,
    pub(crate) by: Value,
    pub(crate) policies: BTreeMap<String, String>,
    /// The gates that a person passed over.
    pub(crate) bypassed: Vec<String>,
    /// The output that a person gave the step.
    pub(crate) output: Option<Value>,
    pub(crate) used: Option<u32>,
    pub(crate) max: Option<u32>,
    pub(crate) due: Option<String>,
    /// Whether asking again cannot bring a verdict of a gate.
    pub(crate) permanent: Option<bool>,
    /// The recheck that could not judge the gate.
    pub(crate) asked: Option<ListedRecheck>,
    /// The recheck in whose place it is.
    pub(crate) displaced: Option<ListedRecheck>,
}

/// The recheck that a decision is about.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ListedRecheck {
    pub(crate) version: u64,
    pub(crate) at: String,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    /// The gate that was to be judged.
    pub(crate) gate: Option<String>,
}

impl ListedRecheck {
    /// It, in words.
    pub(crate) fn words(asked: Option<&Self>, displaced: Option<&Self>) -> Option<String> {
        let by = |recheck: &Self| crate::words::actor(&recheck.actor).to_owned();
        match (asked, displaced) {
            (Some(asked), _) => Some(format!("in the recheck that {} asked for", by(asked))),
            (None, Some(displaced)) => {
                let gate = displaced.gate.as_ref().map(|gate| format!(" while {gate} was judged"));
                let by = by(displaced);
                Some(format!("in the place of the recheck that {by} asked for{}", gate.unwrap_or_default()))
            }
            (None, None) => None,
        }
    }
}

impl Decision {
    /// The whole id of its run, where the list says it.
    pub(crate) fn run_id(&self) -> &str {
        if self.run.is_empty() { &self.short_id } else { &self.run }
    }

    /// Whether a gate decided.
    pub(crate) fn is_of_gate(&self) -> bool {
        self.kind == "gate"
    }

    /// Whether a person put a decision in the place of the pipeline's own.
    pub(crate) fn is_override(&self) -> bool {
        self.kind == "override" || (self.kind == "recheck" && !self.policies.is_empty())
    }

    /// Whose decision it is: of an approval everybody whose vote made it, else the actor.
    pub(crate) fn deciders(&self) -> Vec<&str> {
        let by = self.by.as_array().into_iter().flatten().filter_map(Value::as_str);
        let voters: Vec<&str> = by.filter(|_| self.kind == "approval").collect();
        if voters.is_empty() { vec![&self.actor] } else { voters }
    }

    /// The remarks of a vote on places of what was shown: where, and what is said.
    pub(crate) fn remarks(&self) -> Vec<(String, String)> {
        let remark = |remark: &Value| {
            let on = remark.get("on").and_then(Value::as_str).unwrap_or("all of it");
            let line = remark.get("line").and_then(Value::as_u64).map(|line| format!(", line {line}"));
            let text = remark.get("text").and_then(Value::as_str).unwrap_or_default();
            let place = format!("{on}{}", line.unwrap_or_default());
            (visible(&place).into_owned(), visible(text).into_owned())
        };
        self.comments.iter().map(remark).collect()
    }

    /// How many remarks a vote has, in words; empty: none.
    pub(crate) fn remarks_words(&self) -> String {
        match self.comments.len() {
            0 => String::new(),
            1 => "1 remark".to_owned(),
            count => format!("{count} remarks"),
        }
    }

    /// The recheck that came to nothing by it.
    pub(crate) fn recheck(&self) -> Option<&ListedRecheck> {
        self.asked.as_ref().or(self.displaced.as_ref())
    }

    /// Whether it is a vote that another decision, of an approval, counts.
    pub(super) fn is_vote_of(&self, approval: &Self) -> bool {
        approval.kind == "approval"
            && self.kind == "vote"
            && (&self.step, self.round) == (&approval.step, approval.round)
            && self.version <= approval.version
    }

    /// The run in words: its title, or else its pipeline.
    pub(crate) fn run_words(&self) -> String {
        visible(self.title.as_deref().filter(|title| !title.is_empty()).unwrap_or(&self.pipeline))
            .into_owned()
    }

    /// What decided: a gate by its name, else what kind of decision it is.
    pub(crate) fn subject(&self) -> &str {
        match (self.kind.as_str(), &self.gate) {
            ("gate" | "unjudged", Some(gate)) => gate,
            ("rework", _) => "rework",
            ("override", _) if self.signal.is_some() => "ended by a signal",
            ("override", _) => "unblocked",
            ("cancel", _) => "cancelled",
            ("part", _) => "part of an answer",
            ("expiry", _) => "time ran out",
            (kind, _) => kind,
        }
    }

    /// The verdict, as a status.
    pub(crate) fn verdict_word(&self) -> String {
        let said = self.verdict.as_ref().or(self.vote.as_ref()).or(self.decision.as_ref());
        match (self.kind.as_str(), said.map(String::as_str)) {
            ("vote" | "approval", Some("approve")) => "approved".to_owned(),
            ("vote" | "approval", Some("reject")) => "rejected".to_owned(),
            (_, Some(said)) => said.to_owned(),
            ("unjudged", None) if self.permanent == Some(true) => "not judged".to_owned(),
            ("unjudged", None) => "not judged yet".to_owned(),
            ("rework", None) => match (self.used, self.max) {
                (Some(used), Some(max)) => format!("{used} of {max}"),
                (Some(used), None) => format!("no. {used}"),
                _ => String::new(),
            },
            _ => String::new(),
        }
    }

    /// Why.
    pub(crate) fn because(&self) -> String {
        let text = match self.kind.as_str() {
            "rework" => match (&self.gate, self.by.as_str()) {
                (Some(gate), _) => format!("{gate} failed"),
                (None, Some(by)) => format!("{} asked for it", crate::words::actor(by)),
                (None, None) => String::new(),
            },
            "answer" | "part" => shortened(&crate::words::answer(&self.answer)),
            _ => {
                let said = self.reason.clone().or_else(|| self.comment.clone());
                let given = self.edited.as_ref().or(self.output.as_ref());
                let given = given.map(|given| format!("with {}", shortened(&crate::words::json(given))));
                let recheck = ListedRecheck::words(self.asked.as_ref(), self.displaced.as_ref());
                said.into_iter().chain(given).chain(recheck).collect::<Vec<_>>().join(" · ")
            }
        };
        visible(&text).into_owned()
    }

    /// On what, in one line.
    pub(crate) fn on(&self) -> String {
        match self.kind.as_str() {
            "gate" => evidence_line(&self.evidence),
            "vote" | "approval" => {
                let digest = self.seen.as_str().or_else(|| self.seen.get("digest")?.as_str());
                digest.map(|digest| format!("what was seen, {:.12}", digest)).unwrap_or_default()
            }
            "override" | "recheck" => {
                let policies = self.policies.iter().map(|(gate, policy)| format!("{gate}: {policy}"));
                let past = (!self.bypassed.is_empty()).then(|| format!("past {}", self.bypassed.join(", ")));
                shortened(&policies.chain(past).collect::<Vec<_>>().join(" · "))
            }
            _ => String::new(),
        }
    }

    /// The step with its round.
    pub(crate) fn place(&self) -> String {
        match (self.step.as_deref().map(visible), self.round) {
            (Some(step), Some(round)) => format!("{step}, round {round}"),
            (Some(step), None) => step.into_owned(),
            (None, _) => "the run".to_owned(),
        }
    }

    /// Its own page.
    pub(crate) fn path(&self) -> String {
        format!("/audit/{}/{}", self.short_id, self.version)
    }

    /// The run's page with the step selected.
    pub(crate) fn run_path(&self) -> String {
        let path = format!("/runs/{}", self.short_id);
        match &self.step {
            Some(step) if !step.starts_with('$') => with_query(&path, "step", step),
            _ => path,
        }
    }

    /// What it was decided on, for reading; cut where it is long.
    pub(crate) fn evidence_text(&self) -> String {
        let all = self.whole_evidence();
        match all.char_indices().find(|(at, _)| *at >= EVIDENCE_BYTES_MAX) {
            Some((at, _)) => format!("{}…", &all[..at]),
            None => all,
        }
    }

    /// What it was decided on.
    pub(super) fn basis(&self) -> &Value {
        match self.kind.as_str() {
            "gate" => &self.evidence,
            "answer" | "part" => &self.answer,
            _ => &self.seen,
        }
    }

    /// What it was decided on, all of it.
    pub(crate) fn whole_evidence(&self) -> String {
        let value = self.basis();
        if value.is_null() {
            return String::new();
        }
        visible(&crate::words::json(value)).into_owned()
    }

    /// Whether the list cuts its evidence.
    pub(crate) fn is_cut(&self) -> bool {
        self.whole_evidence().len() > EVIDENCE_BYTES_MAX
    }

    /// The page on which another policy can be tried for this gate.
    pub(crate) fn backtest_path(&self) -> String {
        let path = with_query("/audit/backtest", "gate", self.gate.as_deref().unwrap_or_default());
        match self.policy.as_deref().filter(|policy| !policy.is_empty()) {
            Some(policy) => with_query(&path, "policy", policy),
            None => path,
        }
    }
}

/// Evidence in one line: the command and the last line that it wrote, the file and what stood in it, else its plain values.
pub(crate) fn evidence_line(evidence: &Value) -> String {
    let Some(map) = evidence.as_object() else {
        return if evidence.is_null() { String::new() } else { shortened(&crate::words::json(evidence)) };
    };
    let mut words = Vec::new();
    if let Some(argv) = map.get("argv").and_then(Value::as_array) {
        let argv: Vec<&str> = argv.iter().filter_map(Value::as_str).collect();
        let command = match argv.as_slice() {
            ["sh", .., script] => (*script).to_owned(),
            argv => argv.join(" "),
        };
        words.push(command.lines().next().unwrap_or_default().chars().take(60).collect());
        let output = map.get("output").and_then(Value::as_str).unwrap_or_default();
        words.extend(output.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned));
        return shortened(&words.join(" → "));
    }
    for (name, value) in map.iter().filter(|(name, _)| *name != "source") {
        match value {
            Value::Null | Value::Object(_) => {}
            Value::Array(list) if list.is_empty() => {}
            Value::Array(list) => {
                let plain: Vec<String> =
                    list.iter().filter(|item| !item.is_object()).take(4).map(crate::words::json).collect();
                if !plain.is_empty() {
                    words.push(format!("{name} {}", plain.join(", ")));
                }
            }
            plain => words.push(format!("{name} {}", crate::words::json(plain))),
        }
    }
    shortened(&words.join(" · "))
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = visible(&line);
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn evidence_of_a_command_is_its_script_and_its_last_line() {
        let evidence = json!({"argv": ["sh", "-e", "-c", "sh test.sh"], "exit": 1, "output": "a\n5 failed\n\n", "source": {}});
        assert_eq!(evidence_line(&evidence), "sh test.sh → 5 failed");
    }

    #[test]
    fn other_evidence_is_its_plain_values() {
        let evidence = json!({"added": 47, "names": ["a", "b"], "source": {"commit": "x"}, "since": null});
        assert_eq!(evidence_line(&evidence), "added 47 · names a, b");
        assert_eq!(evidence_line(&Value::Null), "");
    }

    #[test]
    fn a_decision_says_what_was_answered_and_what_was_put_in_anothers_place() {
        let because = |value: Value| Decision::deserialize(value).expect("the decision is whole").because();
        let answer = json!({"choice": null, "items": {"who": "sales"}, "states": {"who": "answered", "when": "dismissed"}});
        assert_eq!(because(json!({"kind": "part", "answer": answer})), "who: sales; when dismissed");
        assert_eq!(because(json!({"kind": "vote", "edited": "A second draft"})), "with A second draft");
        let given = json!({"kind": "override", "reason": "it is fine", "output": {"n": 1}});
        assert_eq!(because(given), "it is fine · with { \"n\": 1 }");
    }

    #[test]
    fn an_approval_names_everybody_whose_vote_made_it() {
        let of = |value: Value| Decision::deserialize(value).expect("the decision is whole");
        let approval = of(json!({"kind": "approval", "actor": "token:b", "by": ["token:a", "token:b"],
            "step": "ok", "round": 1, "version": 9}));
        assert_eq!(approval.deciders(), ["token:a", "token:b"]);
        assert_eq!(of(json!({"kind": "rework", "actor": "engine", "by": "token:a"})).deciders(), ["engine"]);
        let vote = |round: u32| of(json!({"kind": "vote", "step": "ok", "round": round, "version": 8}));
        assert!(vote(1).is_vote_of(&approval) && !vote(2).is_vote_of(&approval));
    }

    #[test]
    fn a_vote_has_its_remarks() {
        let vote = Decision::deserialize(json!({"kind": "vote", "comments": [
            {"on": "plan.md", "line": 3, "text": "why?"}, {"text": "no"},
        ]}))
        .expect("the decision is whole");
        let remark = |place: &str, text: &str| (place.to_owned(), text.to_owned());
        assert_eq!(vote.remarks(), [remark("plan.md, line 3", "why?"), remark("all of it", "no")]);
        assert_eq!(vote.remarks_words(), "2 remarks");
    }

    #[test]
    fn a_recheck_of_which_nothing_came_is_told_with_who_asked_for_it() {
        let of = |value: Value| Decision::deserialize(value).expect("the decision is whole");
        let asked = json!({"version": 8, "at": "2026-11-20T10:00:00Z", "actor": "token:ci", "reason": null, "gate": "tests"});
        let failed = of(json!({"kind": "unjudged", "gate": "tests", "reason": "no answer", "asked": asked}));
        assert_eq!((failed.subject(), failed.verdict_word().as_str()), ("tests", "not judged yet"));
        assert_eq!(failed.because(), "no answer · in the recheck that token:ci asked for");
        let second = of(json!({"kind": "recheck", "displaced": asked}));
        assert_eq!(
            second.because(),
            "in the place of the recheck that token:ci asked for while tests was judged"
        );
        assert_eq!(of(json!({"kind": "recheck", "reason": "once more"})).because(), "once more");
    }

    #[test]
    fn only_a_recheck_with_a_policy_of_its_own_is_an_override() {
        let of = |value: Value| Decision::deserialize(value).expect("the decision is whole").is_override();
        assert!(of(json!({"kind": "override", "decision": "proceed"})));
        assert!(of(json!({"kind": "recheck", "policies": {"size": "true"}})));
        assert!(!of(json!({"kind": "recheck"})));
    }
}

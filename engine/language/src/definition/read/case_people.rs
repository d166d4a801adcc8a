//! Test cases: what people decide, and the signals that come.

use super::super::Work;
use super::super::case::{CaseDecision, CaseDecisionKind, CaseSignal};
use super::super::codes::Code;
use super::super::yaml::YamlNode;
use super::case::CaseScope;
use super::reader::{Keys, PipelineReader, Shape};
use crate::words::{UnblockDecision, Vote};
use everfold_base::id::{StepId, StepPath};
use everfold_base::json::Value;

/// The user who decides where a decision names none.
const DECIDER: &str = "approver";

/// The keys of a decision.
pub(super) const DECISION: Shape = Shape {
    what: "a decision",
    keys: &[
        "approve", "reject", "changes", "answer", "unblock", "by", "roles", "after", "comment", "value",
        "choice", "text", "items", "states", "decision", "output", "reason", "refused",
    ],
};
/// The keys of a signal.
pub(super) const SIGNAL: Shape =
    Shape { what: "a signal", keys: &["signal", "data", "after", "at", "by", "hook", "refused"] };

const VERBS: [&str; 5] = ["approve", "reject", "changes", "answer", "unblock"];
const UNBLOCKS: [(&str, UnblockDecision); 5] = [
    ("retry", UnblockDecision::Retry),
    ("recheck", UnblockDecision::Recheck),
    ("proceed", UnblockDecision::Proceed),
    ("skip", UnblockDecision::Skip),
    ("fail", UnblockDecision::Fail),
];

impl PipelineReader<'_> {
    /// The decisions of a case, or of a child run in it.
    pub(super) fn decisions(&mut self, keys: Keys<'_>, scope: &CaseScope<'_>) -> Vec<CaseDecision> {
        let Some(node) = keys.get("decide") else { return Vec::new() };
        let items = self.list(node, "`decide`");
        items.iter().filter_map(|item| self.decision(item, scope)).collect()
    }

    fn decision(&mut self, node: &YamlNode, scope: &CaseScope<'_>) -> Option<CaseDecision> {
        let keys = self.keys(node, &DECISION)?;
        let given: Vec<&str> = VERBS.into_iter().filter(|verb| keys.get(verb).is_some()).collect();
        let [verb] = given.as_slice() else {
            let span = self.first_line(node.span.clone());
            let message = match given.first() {
                Some(_) => format!("a decision is one thing, not `{}`", given.join("` and `")),
                None => "a decision says what is decided".to_owned(),
            };
            self.report(Code::Combination, span, message).hint =
                Some(format!("write one of {}: and the step behind it", VERBS.join(":, ")));
            return None;
        };
        let task = self.task(keys.get(verb)?, verb, scope)?;
        self.belongs(keys, verb);
        let comment = keys.get("comment").and_then(|comment| self.text(comment, "`comment`"));
        let value = keys.get("value").map(YamlNode::value);
        let vote = |vote| CaseDecisionKind::Vote { vote, comment: comment.clone(), value: value.clone() };
        let kind = match *verb {
            "approve" => vote(Vote::Approve),
            "reject" => vote(Vote::Reject),
            "changes" => vote(Vote::Changes),
            "answer" => {
                let parts = ["choice", "text", "items", "states"];
                let part = |key: &str| Some((key.to_owned(), keys.get(key)?.value()));
                CaseDecisionKind::Answer(Value::Object(parts.into_iter().filter_map(part).collect()))
            }
            _unblock => CaseDecisionKind::Unblock {
                decision: match keys.get("decision") {
                    Some(word) => self.word(word, "`decision`", &UNBLOCKS)?,
                    None => UnblockDecision::Retry,
                },
                output: keys.get("output").map(YamlNode::value),
                reason: keys.get("reason").and_then(|reason| self.text(reason, "`reason`")),
            },
        };
        Some(CaseDecision {
            task,
            kind,
            by: self.user(keys, DECIDER),
            roles: keys.get("roles").map(|roles| self.texts(roles, "`roles`")).unwrap_or_default(),
            after: self.span_or_none(keys, "after"),
            refused: keys.get("refused").and_then(|code| self.text(code, "`refused`")),
            line: self.source.line(node.span.start),
        })
    }

    /// Reports keys that belong to another decision.
    fn belongs(&mut self, keys: Keys<'_>, verb: &str) {
        let own: &[&str] = match verb {
            "answer" => &["choice", "text", "items", "states"],
            "unblock" => &["decision", "output", "reason"],
            _vote => &["comment", "value"],
        };
        let others =
            ["comment", "value", "choice", "text", "items", "states", "decision", "output", "reason"];
        for key in others.into_iter().filter(|key| !own.contains(key) && keys.get(key).is_some()) {
            self.report(
                Code::Combination,
                keys.key_span(key),
                format!("`{key}` says nothing beside `{verb}`"),
            )
            .hint = Some(format!("beside `{verb}` stand: {}", own.join(", ")));
        }
    }

    /// The step that a decision is about; an item of it as `STEP.0`.
    fn task(&mut self, node: &YamlNode, verb: &str, scope: &CaseScope<'_>) -> Option<StepPath> {
        let text = self.text(node, &format!("`{verb}`"))?;
        let path: StepPath = match text.parse() {
            Ok(path) => path,
            Err(_) => StepPath::step(&StepId::new(&text)),
        };
        let steps = || scope.definition.steps.iter().chain(&scope.definition.on_finish);
        let Some(step) = steps().find(|step| step.id == path.step) else {
            let names: Vec<&str> = steps().map(|step| step.id.as_str()).collect();
            self.unknown_thing(node, path.step.as_str(), "step", &names);
            return None;
        };
        let asks = match verb {
            "unblock" => true,
            "answer" => {
                matches!(step.work, Some(Work::Question(_))) || matches!(step.work, Some(Work::Task(_)))
            }
            _vote => matches!(step.work, Some(Work::Approval(_))),
        };
        if !asks {
            let what = if verb == "answer" { "asks no question" } else { "is no approval" };
            self.report(Code::Combination, node.span.clone(), format!("the step {} {what}", step.id)).hint =
                Some(
                    "`approve`, `reject` and `changes` decide an approval, `answer` answers a question"
                        .to_owned(),
                );
            return None;
        }
        Some(path)
    }

    /// The signals of a case.
    pub(super) fn case_signals(&mut self, keys: Keys<'_>, scope: &CaseScope<'_>) -> Vec<CaseSignal> {
        let Some(node) = keys.get("signals") else { return Vec::new() };
        let items = self.list(node, "`signals`");
        items.iter().filter_map(|item| self.case_signal(item, scope)).collect()
    }

    fn case_signal(&mut self, node: &YamlNode, scope: &CaseScope<'_>) -> Option<CaseSignal> {
        let keys = self.keys(node, &SIGNAL)?;
        let Some(name) = keys.get("signal") else {
            self.missing(node, SIGNAL.what, "signal", "signal: its name");
            return None;
        };
        let name = self.signal_name(name)?;
        let at = match keys.get("at") {
            None => None,
            Some(at) => {
                let steps: Vec<&str> = scope.definition.steps.iter().map(|step| step.id.as_str()).collect();
                let text = self.text(at, "`at`")?;
                if !steps.contains(&text.as_str()) {
                    self.unknown_thing(at, &text, "step", &steps);
                    return None;
                }
                Some(StepId::new(&text))
            }
        };
        Some(CaseSignal {
            name,
            data: keys.get("data").map(YamlNode::value).unwrap_or_default(),
            after: self.span_or_none(keys, "after"),
            at,
            by: self.user(keys, DECIDER),
            hook: keys.get("hook").and_then(|hook| self.text(hook, "`hook`")),
            refused: keys.get("refused").and_then(|code| self.text(code, "`refused`")),
            line: self.source.line(node.span.start),
        })
    }
}

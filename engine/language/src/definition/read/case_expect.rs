//! Test cases: what must come of them.

use std::collections::BTreeMap;

use super::super::Step;
use super::super::case::{CaseExpectation, ExpectedFailure, ExpectedNotice, ExpectedStep};
use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::case::CaseScope;
use super::reader::{PipelineReader, Shape};
use crate::words::EVENT_NAMES;
use everfold_base::id::StepId;

/// The keys of an expectation.
pub(super) const EXPECT: Shape = Shape {
    what: "`expect`",
    keys: &[
        "status", "refused", "failure", "output", "labels", "steps", "gates", "blocked", "notices", "cost",
        "took", "events",
    ],
};
/// The keys of an expected failure.
pub(super) const FAILURE: Shape = Shape { what: "`failure`", keys: &["step", "kind", "code", "message"] };
/// The keys of an expected step.
pub(super) const STEP: Shape =
    Shape { what: "an expected step", keys: &["status", "rounds", "attempts", "work", "output", "failure"] };
/// The keys of an expected notice.
pub(super) const NOTICE: Shape =
    Shape { what: "an expected notice", keys: &["notice", "function", "event", "with"] };

/// The words for what a run is doing, as the core says them.
pub const RUN_STATUSES: [&str; 9] =
    ["queued", "running", "waiting", "paused", "blocked", "stopping", "succeeded", "failed", "cancelled"];
/// The words for what a step is doing, as the core says them.
pub const STEP_STATUSES: [&str; 10] = [
    "pending",
    "scheduled",
    "running",
    "gating",
    "waiting",
    "succeeded",
    "failed",
    "skipped",
    "cancelled",
    "blocked",
];
const VERDICTS: [&str; 4] = ["pass", "fail", "pending", "skipped"];

impl PipelineReader<'_> {
    /// What must come of a case.
    pub(super) fn expectation(&mut self, node: &YamlNode, scope: &CaseScope<'_>) -> CaseExpectation {
        let Some(keys) = self.keys(node, &EXPECT) else { return CaseExpectation::default() };
        let all: Vec<&Step> = scope.definition.steps.iter().chain(&scope.definition.on_finish).collect();
        let names: Vec<&str> = all.iter().map(|step| step.id.as_str()).collect();
        let mut expect = CaseExpectation {
            status: keys.get("status").and_then(|word| self.one_of(word, "`status`", &RUN_STATUSES)),
            refused: keys.get("refused").and_then(|code| self.text(code, "`refused`")),
            failure: keys.get("failure").and_then(|failure| self.expected_failure(failure, &names)),
            output: keys.entry("output").map(YamlNode::value),
            cost: keys.get("cost").and_then(|cost| self.money(cost, "`cost`")),
            took: keys.get("took").and_then(|took| self.span(took, "`took`")).map(|span| span.0),
            ..CaseExpectation::default()
        };
        if expect.refused.is_some()
            && let Kind::Map(entries) = &node.kind
            && entries.len() > 1
        {
            let hint = "a start that is refused leaves no run: leave the others out".to_owned();
            self.report(Code::Combination, keys.key_span("refused"), "`refused` stands alone").hint =
                Some(hint);
        }
        if let Some(Kind::Map(entries)) = keys.get("labels").map(|labels| &labels.kind) {
            let label = |(key, value): &(YamlNode, YamlNode)| Some((key.text()?.to_owned(), value.value()));
            expect.labels = entries.iter().filter_map(label).collect();
        }
        if let Some(steps) = keys.get("steps") {
            for (name, value) in self.known(steps, "`steps` of `expect`", "step", &names) {
                let step = self.expected_step(value, &names);
                expect.steps.extend(step.map(|step| (StepId::new(&name), step)));
            }
        }
        if let Some(gates) = keys.get("gates") {
            for (name, value) in self.known(gates, "`gates` of `expect`", "step", &names) {
                let own: Vec<&str> = all
                    .iter()
                    .filter(|step| step.id.as_str() == name)
                    .flat_map(|step| &step.gates)
                    .map(|gate| gate.id.as_str())
                    .collect();
                let known = self.known(value, &format!("`gates` of {name}"), "gate", &own);
                let said: BTreeMap<String, String> = known
                    .into_iter()
                    .filter_map(|(gate, word)| Some((gate, self.one_of(word, "a verdict", &VERDICTS)?)))
                    .collect();
                expect.gates.insert(StepId::new(&name), said);
            }
        }
        if let Some(blocked) = keys.get("blocked") {
            let steps = self.texts(blocked, "`blocked`");
            for step in &steps {
                let own = step.split('.').next().unwrap_or(step);
                if !names.contains(&own) {
                    self.unknown_thing(blocked, own, "step", &names);
                }
            }
            expect.blocked = Some(steps);
        }
        if let Some(notices) = keys.entry("notices") {
            let known: Vec<&str> = scope.definition.notify.iter().map(|notice| notice.id.as_str()).collect();
            let items = if notices.is_null() { &[] } else { self.list(notices, "`notices`") };
            let read = |item| self.expected_notice(item, &known);
            expect.notices = Some(items.iter().filter_map(read).collect());
        }
        if let Some(events) = keys.get("events") {
            let items = self.list(events, "`events`");
            expect.events =
                items.iter().filter_map(|item| self.one_of(item, "an event", EVENT_NAMES)).collect();
        }
        expect
    }

    fn one_of(&mut self, node: &YamlNode, what: &str, words: &[&'static str]) -> Option<String> {
        let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
        self.word(node, what, &words).map(str::to_owned)
    }

    fn expected_failure(&mut self, node: &YamlNode, steps: &[&str]) -> Option<ExpectedFailure> {
        let keys = self.keys(node, &FAILURE)?;
        let step = keys.get("step").and_then(|step| self.text(step, "`step`"));
        if let (Some(name), Some(node)) = (&step, keys.get("step"))
            && !steps.contains(&name.split('.').next().unwrap_or(name))
        {
            self.unknown_thing(node, name, "step", steps);
        }
        Some(ExpectedFailure {
            step,
            kind: keys.get("kind").and_then(|kind| self.failure_kind(kind)),
            code: keys.get("code").and_then(|code| self.text(code, "`code`")),
            message: keys.get("message").and_then(|message| self.text(message, "`message`")),
        })
    }

    /// `{status, rounds, …}`, or the status alone.
    fn expected_step(&mut self, node: &YamlNode, steps: &[&str]) -> Option<ExpectedStep> {
        if node.text().is_some() {
            let status = self.one_of(node, "a step's status", &STEP_STATUSES)?;
            return Some(ExpectedStep { status: Some(status), ..ExpectedStep::default() });
        }
        let keys = self.keys(node, &STEP)?;
        Some(ExpectedStep {
            status: keys.get("status").and_then(|word| self.one_of(word, "`status`", &STEP_STATUSES)),
            rounds: keys.get("rounds").and_then(|rounds| self.number(rounds, "`rounds`", 0)),
            attempts: keys.get("attempts").and_then(|attempts| self.number(attempts, "`attempts`", 0)),
            work: keys.entry("work").map(YamlNode::value),
            output: keys.entry("output").map(YamlNode::value),
            failure: keys.get("failure").and_then(|failure| self.expected_failure(failure, steps)),
        })
    }

    /// `{notice, function, event, with}`, or the notice's id alone.
    fn expected_notice(&mut self, node: &YamlNode, known: &[&str]) -> Option<ExpectedNotice> {
        let (name, keys) = if node.text().is_some() {
            (node, None)
        } else {
            let keys = self.keys(node, &NOTICE)?;
            let Some(name) = keys.get("notice") else {
                self.missing(node, NOTICE.what, "notice", "notice: its id");
                return None;
            };
            (name, Some(keys))
        };
        let notice = self.text(name, "`notice`")?;
        if !known.contains(&notice.as_str()) {
            self.unknown_thing(name, &notice, "notice", known);
            return None;
        }
        let get = |key: &str| keys.and_then(|keys| keys.get(key));
        Some(ExpectedNotice {
            notice,
            function: get("function").and_then(|function| self.text(function, "`function`")),
            event: get("event").and_then(|event| self.one_of(event, "`event`", EVENT_NAMES)),
            with: get("with").map(YamlNode::value),
        })
    }
}

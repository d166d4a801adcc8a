//! Test cases: what work and probes give.

use std::collections::BTreeMap;

use super::super::case::{
    CaseStubs, ProbeStub, ProbeStubs, StepStub, StepStubs, StubFailure, StubResult, StubTurns, StubUsage,
};
use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{ExecutorTask, Gate, Member, Probe, Step, Work};
use super::case::CaseScope;
use super::reader::{Keys, PipelineReader, Shape};
use everfold_base::failure::FailureKind;
use everfold_base::id::StepId;

/// The keys of a stub.
pub(super) const STUB: Shape = Shape {
    what: "a stub",
    keys: &["output", "fail", "ask", "lost", "run", "takes", "usage", "files", "items"],
};
/// The keys of a stub's failure.
pub(super) const FAIL: Shape = Shape { what: "`fail`", keys: &["kind", "code", "message"] };
/// The keys of what a stub uses up.
pub(super) const USAGE: Shape =
    Shape { what: "`usage`", keys: &["model", "input_tokens", "cached_tokens", "output_tokens", "cost"] };
/// The keys of a child run's stubs.
pub(super) const CHILD: Shape =
    Shape { what: "`run` of a stub", keys: &["steps", "gates", "admit", "decide"] };

impl PipelineReader<'_> {
    /// The stubs of work and probes that stand beside each other.
    pub(super) fn case_stubs(&mut self, keys: Keys<'_>, scope: &CaseScope<'_>) -> CaseStubs {
        let all: Vec<&Step> = scope.definition.steps.iter().chain(&scope.definition.on_finish).collect();
        let names: Vec<&str> = all.iter().map(|step| step.id.as_str()).collect();
        let of = |name: &str| all.iter().find(|step| step.id.as_str() == name).copied();
        let mut stubs = CaseStubs::default();
        if let Some(node) = keys.get("steps") {
            for (name, value) in self.known(node, "`steps`", "step", &names) {
                let Some(step) = of(&name) else { continue };
                if let Some(found) = self.step_stubs(value, step, scope) {
                    stubs.steps.insert(StepId::new(&name), found);
                }
            }
        }
        if let Some(node) = keys.get("gates") {
            for (name, value) in self.known(node, "`gates`", "step", &names) {
                let Some(step) = of(&name) else { continue };
                let found = self.gates_stubs(value, &format!("`gates` of {name}"), &step.gates);
                stubs.gates.insert(StepId::new(&name), found);
            }
        }
        if let Some(node) = keys.get("admit") {
            stubs.admit = self.gates_stubs(node, "`admit`", &scope.definition.admit.gates);
        }
        stubs
    }

    fn step_stubs(&mut self, node: &YamlNode, step: &Step, scope: &CaseScope<'_>) -> Option<StepStubs> {
        let kind = match &step.work {
            Some(Work::Task(task)) => task.kind.clone(),
            other => {
                let hint = match other {
                    Some(Work::Approval(_) | Work::Question(_)) => {
                        "people decide it: write it under `decide`"
                    }
                    Some(Work::Wait(_)) => "virtual time passes by itself; a signal stands under `signals`",
                    _no_work => "it has gates alone: write what they find under `gates`",
                };
                let span = self.first_line(node.span.clone());
                let message = format!("the step {} has no work that a stub could do", step.id);
                self.report(Code::Combination, span, message).hint = Some(hint.to_owned());
                return None;
            }
        };
        let items = node.get("items").filter(|items| !items.is_null());
        let Some(items) = items else {
            return self
                .turns(node, |reader, node| reader.stub(node, &kind, step, scope))
                .map(StepStubs::Attempts);
        };
        let keys = self.keys(node, &STUB)?;
        if step.foreach.is_none() {
            let message = format!("the step {} has no `foreach`, so it has no items", step.id);
            self.report(Code::Combination, keys.key_span("items"), message);
        }
        if let Kind::Map(entries) = &node.kind
            && entries.len() > 1
        {
            let hint = "write each item's stub under `items`".to_owned();
            self.report(Code::Combination, keys.key_span("items"), "`items` stands alone in a stub").hint =
                Some(hint);
        }
        let list = self.list(items, "`items`");
        let read = |item| self.turns(item, |reader, node| reader.stub(node, &kind, step, scope));
        Some(StepStubs::Items(list.iter().filter_map(read).collect()))
    }

    /// One answer for each time, or a list of answers one after the other.
    fn turns<T>(
        &mut self,
        node: &YamlNode,
        mut read: impl FnMut(&mut Self, &YamlNode) -> Option<T>,
    ) -> Option<StubTurns<T>> {
        match &node.kind {
            Kind::List(items) => {
                Some(StubTurns::InTurn(items.iter().filter_map(|item| read(self, item)).collect()))
            }
            _one => read(self, node).map(StubTurns::Always),
        }
    }

    fn stub(&mut self, node: &YamlNode, kind: &str, step: &Step, scope: &CaseScope<'_>) -> Option<StepStub> {
        let keys = self.keys(node, &STUB)?;
        let results = ["output", "fail", "ask", "lost", "run"];
        let given: Vec<&str> = results.into_iter().filter(|key| keys.entry(key).is_some()).collect();
        if let [_, second, ..] = given.as_slice() {
            let message = format!("a stub ends in one way, not with `{}`", given.join("` and `"));
            self.report(Code::Combination, keys.key_span(second), message);
            return None;
        }
        let result = match given.first() {
            Some(&"fail") => StubResult::Fail(self.stub_failure(keys, kind)?),
            Some(&"ask") => match keys.get("ask")? {
                ask if ask.text().is_some() => StubResult::Ask(serde_json::json!({"text": ask.value()})),
                ask => StubResult::Ask(ask.value()),
            },
            Some(&"lost") => StubResult::Lost(self.text(keys.get("lost")?, "`lost`")?),
            Some(&"run") => StubResult::Run(Box::new(self.child_stubs(keys, step, scope)?)),
            _output => StubResult::Output(keys.entry("output").map(YamlNode::value).unwrap_or_default()),
        };
        let files = keys.get("files").map(|files| self.stub_files(files, step)).unwrap_or_default();
        let usage = keys.get("usage").map(|usage| self.stub_usage(usage)).unwrap_or_default();
        Some(StepStub { result, takes: self.span_or_none(keys, "takes"), usage, files })
    }

    fn stub_failure(&mut self, keys: Keys<'_>, work: &str) -> Option<StubFailure> {
        let node = keys.entry("fail")?;
        let kind = if work == ExecutorTask::COMMAND { FailureKind::Exit } else { FailureKind::Error };
        let failure = StubFailure { kind, code: None, message: "it fails, says the stub".to_owned() };
        if node.is_null() {
            return Some(failure);
        }
        if node.text().is_some() {
            return Some(StubFailure { message: self.text(node, "`fail`")?, ..failure });
        }
        let keys = self.keys(node, &FAIL)?;
        Some(StubFailure {
            kind: keys.get("kind").and_then(|kind| self.failure_kind(kind)).unwrap_or(failure.kind),
            code: keys.get("code").and_then(|code| self.text(code, "`code`")),
            message: match keys.get("message") {
                Some(message) => self.text(message, "`message`")?,
                None => failure.message,
            },
        })
    }

    /// A kind of failure.
    pub(super) fn failure_kind(&mut self, node: &YamlNode) -> Option<FailureKind> {
        self.word(node, "`kind`", &FailureKind::ALL.map(|kind| (kind.as_str(), kind)))
    }

    fn stub_files(&mut self, node: &YamlNode, step: &Step) -> BTreeMap<String, String> {
        let names: Vec<&str> = step.outputs.files.keys().map(String::as_str).collect();
        let known = self.known(node, "`files`", "file in `outputs`", &names);
        known.into_iter().filter_map(|(name, text)| Some((name, self.text(text, "a file's text")?))).collect()
    }

    fn stub_usage(&mut self, node: &YamlNode) -> Vec<StubUsage> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.one_usage(item)).collect(),
            _one => self.one_usage(node).into_iter().collect(),
        }
    }

    fn one_usage(&mut self, node: &YamlNode) -> Option<StubUsage> {
        let keys = self.keys(node, &USAGE)?;
        let mut tokens = |key: &str| {
            let found = keys.get(key).and_then(|tokens| self.number::<u64>(tokens, &format!("`{key}`"), 0));
            found.unwrap_or(0)
        };
        let (input_tokens, cached_tokens) = (tokens("input_tokens"), tokens("cached_tokens"));
        let output_tokens = tokens("output_tokens");
        Some(StubUsage {
            model: keys.get("model").and_then(|model| self.text(model, "`model`")),
            input_tokens,
            cached_tokens,
            output_tokens,
            cost: keys.get("cost").and_then(|cost| self.money(cost, "`cost`")),
        })
    }

    /// The stubs of a child run that really runs.
    fn child_stubs(&mut self, keys: Keys<'_>, step: &Step, scope: &CaseScope<'_>) -> Option<CaseStubs> {
        let node = keys.get("run")?;
        let named = match &step.work {
            Some(Work::Task(task)) if task.kind == ExecutorTask::RUN => {
                task.spec.source()["pipeline"].as_str().unwrap_or_default()
            }
            _other => {
                let message = format!("the step {} runs no pipeline", step.id);
                self.report(Code::Combination, keys.key_span("run"), message).hint =
                    Some("say what its work gives: `output` or `fail`".to_owned());
                return None;
            }
        };
        let Some(definition) = (scope.find)(scope.definition, named) else {
            let message = format!("the pipeline “{named}” of the step {} cannot be had here", step.id);
            let hint = "one that is named by its path, or comes with Everfold, can run in a case; of others say the end: `output` or `fail`";
            self.report(Code::Combination, keys.key_span("run"), message).hint = Some(hint.to_owned());
            return None;
        };
        let inner = CaseScope { definition: &definition, find: scope.find };
        let keys = self.keys(node, &CHILD)?;
        let decide = self.decisions(keys, &inner);
        Some(CaseStubs { decide, ..self.case_stubs(keys, &inner) })
    }

    fn gates_stubs(&mut self, node: &YamlNode, what: &str, gates: &[Gate]) -> BTreeMap<String, ProbeStubs> {
        let names: Vec<&str> = gates.iter().map(|gate| gate.id.as_str()).collect();
        let mut stubs = BTreeMap::new();
        for (name, value) in self.known(node, what, "gate", &names) {
            let Some(gate) = gates.iter().find(|gate| gate.id == name) else { continue };
            let found = match &gate.probe {
                Probe::Expression(_) => {
                    let span = self.first_line(value.span.clone());
                    let message = format!("the gate {name} is judged by an expression alone");
                    self.report(Code::Combination, span, message).hint =
                        Some("it needs no stub: leave it out".to_owned());
                    None
                }
                Probe::Task(_) => {
                    let turns = self
                        .turns(value, |reader, node| reader.probe_stub(node, &name, gate.policy.is_some()));
                    turns.map(ProbeStubs::Probes)
                }
                several => Some(ProbeStubs::Members(self.member_stubs(value, &name, several))),
            };
            stubs.extend(found.map(|found| (name, found)));
        }
        stubs
    }

    /// The stubs of a gate with several probes, by the names of its members.
    fn member_stubs(
        &mut self,
        node: &YamlNode,
        gate: &str,
        probe: &Probe,
    ) -> BTreeMap<Vec<usize>, StubTurns<ProbeStub>> {
        let mut members = Vec::new();
        collect_members(probe, &mut Vec::new(), &mut members);
        let names: Vec<&str> = members.iter().map(|(name, ..)| name.as_str()).collect();
        let mut stubs = BTreeMap::new();
        for (name, value) in
            self.known(node, &format!("the stub of the gate {gate}"), "probe in this gate", &names)
        {
            let Some((_, place, has_policy)) = members.iter().find(|(known, ..)| *known == name) else {
                continue;
            };
            let what = format!("{gate}.{name}");
            if let Some(turns) = self.turns(value, |reader, node| reader.probe_stub(node, &what, *has_policy))
            {
                stubs.insert(place.clone(), turns);
            }
        }
        stubs
    }

    fn probe_stub(&mut self, node: &YamlNode, gate: &str, has_policy: bool) -> Option<ProbeStub> {
        if node.text().is_some() && !node.is_null() {
            let words =
                [("pass", ProbeWord::Pass), ("fail", ProbeWord::Fail), ("pending", ProbeWord::Pending)];
            let word = self.word(node, &format!("the stub of the gate {gate}"), &words)?;
            if has_policy {
                let message = format!(
                    "the gate {gate} has a policy of its own, so “{}” says nothing",
                    node.text().unwrap_or_default()
                );
                self.report(Code::Combination, node.span.clone(), message).hint =
                    Some("give the evidence that the policy judges: { exit: 0, output: \"\" }".to_owned());
                return None;
            }
            return Some(match word {
                ProbeWord::Pass => ProbeStub::Pass,
                ProbeWord::Fail => ProbeStub::Fail,
                ProbeWord::Pending => ProbeStub::Pending,
            });
        }
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(
                node,
                &format!("the stub of the gate {gate}"),
                "a map of evidence, or pass, fail or pending",
            );
            return None;
        };
        match entries.as_slice() {
            [(key, why)] if key.text() == Some("unavailable") => {
                self.text(why, "`unavailable`").map(ProbeStub::Unavailable)
            }
            _evidence => Some(ProbeStub::Evidence(node.value())),
        }
    }
}

#[derive(Clone, Copy)]
enum ProbeWord {
    Pass,
    Fail,
    Pending,
}

/// The probes of a gate that are really asked: name, place, and whether a policy of its own judges it.
fn collect_members(probe: &Probe, place: &mut Vec<usize>, found: &mut Vec<(String, Vec<usize>, bool)>) {
    let members: Vec<&Member> = match probe {
        Probe::All(members) | Probe::Any(members) | Probe::AtLeast { of: members, .. } => {
            members.iter().collect()
        }
        Probe::Not(member) => vec![&**member],
        Probe::Expression(_) | Probe::Task(_) => Vec::new(),
    };
    for (at, member) in members.into_iter().enumerate() {
        place.push(at);
        if let Probe::Task(task) = &member.probe {
            let name = member.id.clone().unwrap_or_else(|| task.kind.clone());
            found.push((name, place.clone(), member.policy.is_some()));
        }
        collect_members(&member.probe, place, found);
        place.pop();
    }
}

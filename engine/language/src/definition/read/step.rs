//! One step with its settings; `defaults` are folded in here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{Ask, Condition, ExecutorTask, Join, Outputs, Routes, Setting, Span, Step, Work};
use super::defaults::Defaults;
use super::needs::NeededSteps;
use super::reader::{Keys, PipelineReader, Section, Shape};
use super::route::limit_reworks;
use super::route_cause::RouteCause;
use super::uses::{ExprPlace, KnownRole, Wants};
use super::work::WORKS;
use everfold_base::id::StepId;

/// What a step may hold.
pub(super) const SHAPE: Shape = Shape {
    what: "a step",
    keys: &[
        "id",
        "like",
        "stage",
        "needs",
        "when",
        "else",
        "standby",
        "max_rounds",
        "retry_from",
        "timeout",
        "deadline",
        "remind",
        "grace",
        "retry",
        "idempotent",
        "on_lost",
        "outside",
        "on_success",
        "on_fail",
        "on_signal",
        "gates",
        "outputs",
        "labels",
        "env",
        "secrets",
        "as",
        "api",
        "workspace",
        "approved",
        "clean",
        "resources",
        "priority",
        "budget_exempt",
        "ask",
        "foreach",
        "command",
        "agent",
        "function",
        "with",
        "http",
        "run",
        "signal",
        "approval",
        "question",
        "wait",
    ],
};

/// The time limit of an attempt where neither the step nor `defaults` sets one.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The same for a step of `on_finish`; shorter, because the run's end waits for it.
const TIMEOUT_FINISH: Duration = Duration::from_secs(10 * 60);

/// A step as it was read, with the places that later checks name.
pub(in super::super) struct StepDraft {
    pub(in super::super) step: Step,
    pub(in super::super) id_span: Range<usize>,
    /// `needs` as written; `None` leaves it to the step above.
    pub(in super::super) needs: Option<NeededSteps>,
    pub(in super::super) when_span: Range<usize>,
    /// It belongs to `on_finish`.
    pub(in super::super) finish: bool,
    pub(in super::super) standby_span: Range<usize>,
    /// Where each step of its `approved` is named.
    pub(in super::super) approved: Vec<Range<usize>>,
}

impl PipelineReader<'_> {
    pub(super) fn steps(
        &mut self,
        node: &YamlNode,
        section: Section,
        defaults: &Defaults,
        drafts: &mut Vec<StepDraft>,
    ) {
        let mut stage = None;
        self.section = section;
        for item in self.list(node, section.key()) {
            self.step = Some(drafts.len());
            let (uses, reworks, signals) = (self.uses.len(), self.reworks.len(), self.signals.len());
            let read = self.one_step(item, defaults);
            self.role = KnownRole::None;
            if read.is_none() {
                // The parts of a step that could not be read are not checked; its id still counts as known.
                self.uses.truncate(uses);
                self.reworks.truncate(reworks);
                self.signals.truncate(signals);
                let id = item.get("id").or_else(|| self.meant(item, "id"));
                self.broken.extend(id.and_then(YamlNode::text).map(str::to_owned));
            }
            if let Some(mut draft) = read {
                // A step without a stage belongs to the stage of the step before.
                match &draft.step.stage {
                    Some(own) => stage = Some(own.clone()),
                    None => {
                        let bytes = stage.as_ref().map_or(0, String::len);
                        if self.may_copy(&draft.id_span, bytes) {
                            draft.step.stage.clone_from(&stage);
                        }
                    }
                }
                if drafts.iter().any(|other| other.step.id == draft.step.id) {
                    let message = format!("there is a step “{}” already", draft.step.id);
                    self.report(Code::DuplicateStep, draft.id_span.clone(), message).hint =
                        Some("each step has an id of its own, also in `on_finish`".to_owned());
                }
                drafts.push(draft);
            }
        }
        self.step = None;
        self.section = Section::Pipeline;
    }

    fn one_step(&mut self, node: &YamlNode, defaults: &Defaults) -> Option<StepDraft> {
        let finish = self.section == Section::OnFinish;
        let keys = self.keys(node, &SHAPE)?;
        let id = match keys.get("id") {
            Some(id) => self.id(id, "step id", false),
            None => {
                self.missing(node, "a step", "id", "id: build");
                None
            }
        };
        if finish {
            for key in ["needs", "standby", "max_rounds", "retry_from", "on_signal", "ask", "remind"] {
                if keys.get(key).is_some() {
                    let span = keys.key_span(key);
                    self.report(Code::OnFinish, span, format!("`{key}` has no meaning in `on_finish`"))
                        .hint = Some("its steps run once, in the order of the file".to_owned());
                }
            }
        }
        self.note_folder(keys);
        let acts_as = self.step_role(keys, defaults.acts_as.as_ref());
        let place = ExprPlace::Step;
        let foreach = keys.get("foreach").and_then(|node| self.foreach(node));
        let when = keys.get("when").and_then(|node| self.expression(node, "`when`", place, Wants::Bool));
        let work = self.work(keys);
        let gates = keys.get("gates").map_or_else(Vec::new, |node| self.gates(node));
        let kind = match &work {
            Some(Work::Task(task)) => Some(task.kind.as_str()),
            _ => None,
        };
        // A child run sets its own time limits.
        let timed = kind.is_some_and(|kind| kind != ExecutorTask::RUN);
        let tried = kind.is_some();
        let has_gates = keys.get("gates").is_some();
        if keys.get("foreach").is_some() && has_gates && WORKS.iter().all(|kind| keys.entry(kind).is_none()) {
            let span = keys.key_span("foreach");
            self.report(Code::Combination, span, "`foreach` goes around work, here are only gates").hint =
                Some("a gate may look at a whole list: expression: output.all(item, …)".to_owned());
        }
        let process = keys.entry("command").is_some()
            || keys.entry("agent").is_some()
            || keys.get("gates").is_some_and(has_command);
        let takes_env = process && self.may_copy(&node.span, defaults.env_bytes);
        let mut env = if takes_env { defaults.env.clone() } else { BTreeMap::new() };
        if let Some(node) = keys.get("env") {
            env.extend(self.env(node));
        }
        for key in ["env", "secrets", "api"] {
            if keys.get(key).is_some() && !process {
                let span = keys.key_span(key);
                self.report(
                    Code::Combination,
                    span,
                    format!("`{key}` is for processes: `command`, `agent` and gates with `command`"),
                )
                .hint = Some("take it out: nothing of this step is a process".to_owned());
            }
        }
        self.without_meaning(keys);
        let limit = if finish { TIMEOUT_FINISH } else { TIMEOUT };
        let task_default = (timed || tried && finish).then_some(Setting::Fixed(Span(limit)));
        let timeout = keys
            .get("timeout")
            .and_then(|node| self.some_span(node, "`timeout`", place))
            .filter(|_| tried)
            .or_else(|| defaults.timeout.clone().filter(|_| timed))
            .or(task_default);
        let deadline = keys.get("deadline").and_then(|node| self.some_span(node, "`deadline`", place));
        let remind = match keys.get("remind") {
            Some(node) => self.fixed_reminders(node),
            None => defaults.remind.clone().filter(|_| !finish),
        };
        let grace = keys
            .get("grace")
            .and_then(|node| self.span_setting(node, "`grace`", place))
            .or_else(|| defaults.grace.clone())
            .unwrap_or(Setting::Fixed(Span(Duration::from_secs(10))));
        let retry = keys
            .get("retry")
            .and_then(|node| self.retry(node))
            .or_else(|| {
                let takes_retry = tried && self.may_copy(&node.span, defaults.retry_bytes);
                defaults.retry.clone().filter(|_| takes_retry)
            })
            .unwrap_or_default();
        let on_lost =
            keys.get("on_lost").and_then(|node| self.on_lost(node)).or(defaults.on_lost.filter(|_| tried));
        let on_fail = match (keys.get("on_fail"), &defaults.on_fail) {
            (Some(node), _) if keys.entry("approval").is_some() => self.routes(node, RouteCause::Rejection),
            (Some(node), _) => self.routes(node, RouteCause::Failure),
            (None, Some(route)) if !finish && self.may_copy(&node.span, route.bytes) => {
                let mut routes = self.default_route(route);
                if keys.entry("approval").is_none() {
                    routes.0.iter_mut().for_each(limit_reworks);
                }
                routes
            }
            (None, _) => Routes::default(),
        };
        let approved = keys.get("approved").map_or_else(Vec::new, |node| self.approved(node));
        let retry_from = keys.get("retry_from").and_then(|node| self.retry_from(node));
        let (join, needs) = match keys.get("needs") {
            Some(node) => self.needs(node),
            None => (Join::Done, None),
        };
        let step = Step {
            id: StepId::new(&id?),
            stage: keys.get("stage").and_then(|node| self.text(node, "`stage`")),
            needs: Vec::new(),
            join,
            when,
            otherwise: keys.get("else").and_then(|node| self.template(node, ExprPlace::Else)),
            standby: keys.get("standby").and_then(|node| self.bool(node, "`standby`")).unwrap_or_default(),
            max_rounds: keys
                .get("max_rounds")
                .and_then(|node| self.number_setting(node, "`max_rounds`", 1, place)),
            retry_from,
            timeout,
            deadline,
            remind,
            grace,
            retry,
            idempotent: keys.get("idempotent").and_then(|node| self.bool(node, "`idempotent`")),
            on_lost,
            outside: keys.get("outside").and_then(|node| self.bool(node, "`outside`")),
            on_success: keys
                .get("on_success")
                .map_or_else(Routes::default, |node| self.routes(node, RouteCause::Success)),
            on_fail,
            gates,
            outputs: keys.get("outputs").map_or_else(Outputs::default, |node| self.outputs(node)),
            labels: keys.get("labels").map_or_else(BTreeMap::new, |node| self.labels(node, ExprPlace::Gate)),
            env,
            on_signal: keys.get("on_signal").map_or_else(BTreeMap::new, |node| self.on_signal(node)),
            secrets: keys.get("secrets").map_or_else(Vec::new, |node| self.secret_names(node)),
            acts_as,
            api: keys.get("api").and_then(|node| self.api(node)),
            resources: keys.get("resources").map_or_else(Vec::new, |node| self.resources(node)),
            priority: keys
                .get("priority")
                .and_then(|node| self.number_setting(node, "`priority`", i32::MIN, place)),
            budget_exempt: keys
                .get("budget_exempt")
                .and_then(|node| self.condition(node, "`budget_exempt`"))
                .filter(|condition| *condition != Condition::Fixed(false)),
            ask: keys.get("ask").and_then(|node| self.ask(node)).filter(|ask| *ask != Ask::default()),
            workspace: keys.get("workspace").and_then(|node| self.step_workspace(node)).unwrap_or_default(),
            approved: approved.iter().map(|(name, _)| StepId::new(name)).collect(),
            clean: keys.get("clean").and_then(|node| self.bool(node, "`clean`")).unwrap_or_default(),
            foreach,
            work,
        };
        Some(StepDraft {
            step,
            id_span: keys.get("id").map_or_else(|| node.span.clone(), |id| id.span.clone()),
            needs,
            when_span: keys.get("when").map_or_else(|| node.span.clone(), |when| when.span.clone()),
            finish,
            standby_span: keys.key_span("standby"),
            approved: approved.into_iter().map(|(_, span)| span).collect(),
        })
    }

    /// Reports keys that have no effect on the step's kind of work.
    fn without_meaning(&mut self, keys: Keys<'_>) {
        let has = |kinds: &[&str]| kinds.iter().any(|kind| keys.entry(kind).is_some());
        let is_process = has(&["command", "agent"]);
        let is_executed = is_process || has(&["function", "http", "run", "signal"]);
        if !has(&WORKS) && keys.get("gates").is_none() {
            return;
        }
        if keys.get("outputs").is_some() && !is_process {
            let span = keys.key_span("outputs");
            self.report(Code::NoEffect, span, "`outputs` is for processes: `command` and `agent`").hint =
                Some("of other work the output itself is kept: steps.ID.output".to_owned());
        }
        if is_executed {
            return;
        }
        if keys.get("timeout").is_some() {
            let own = ["approval", "question", "wait"].into_iter().find(|kind| has(&[kind]));
            let place = own.unwrap_or("poll");
            let span = keys.key_span("timeout");
            self.report(Code::Combination, span, "`timeout` is for attempts of work that is executed").hint =
                Some(format!("write `deadline` for the whole round, or `timeout` in `{place}`"));
        }
        for (key, code) in [
            ("grace", Code::NoEffect),
            ("retry", Code::NoEffect),
            ("idempotent", Code::NoEffect),
            ("on_lost", Code::NoEffect),
            ("outside", Code::NoEffect),
            ("ask", Code::Combination),
            ("clean", Code::Combination),
            ("resources", Code::Combination),
        ] {
            if keys.get(key).is_some() {
                let message = format!(
                    "`{key}` is for work that is executed: `command`, `agent`, `function`, `http`, `run`, `signal`"
                );
                let span = keys.key_span(key);
                self.report(code, span, message);
            }
        }
    }

    /// The step with which a person's `retry` begins; it is checked as the target of a rework is.
    fn retry_from(&mut self, node: &YamlNode) -> Option<StepId> {
        let target = self.id(node, "step id", false)?;
        self.reworks.push(super::ReworkUse {
            step: self.step,
            target: target.clone(),
            span: node.span.clone(),
            unlimited: None,
            then: None,
            hold: true,
            of_run: false,
        });
        Some(StepId::new(&target))
    }

    /// Reports a construct of `on_finish` that would wait for a person.
    pub(super) fn no_person(&mut self, span: Range<usize>, what: &str) {
        if self.section == Section::OnFinish {
            self.report(Code::OnFinish, span, format!("{what} has no place in `on_finish`")).hint =
                Some("the run has ended: nothing can be decided or reworked any more".to_owned());
        }
    }
}

/// Whether one of some gates starts a process.
fn has_command(gates: &YamlNode) -> bool {
    match &gates.kind {
        Kind::List(items) => items.iter().any(has_command),
        Kind::Map(entries) => entries.iter().any(|(key, value)| match key.text() {
            Some("command") => true,
            Some("all" | "any" | "not" | "at_least" | "of") => has_command(value),
            _ => false,
        }),
        _ => false,
    }
}

//! One step with its settings; `defaults` are folded in here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{
    Ask, Condition, ExecutorTask, Join, OnLost, Outputs, Reminders, Retry, Routes, Setting, Span, Step, Work,
};
use super::reader::{Keys, PipelineReader, Section, Shape};
use super::route::{RouteCause, limit_reworks};
use super::uses::{ExprPlace, KnownRole, Wants};
use super::work::WORKS;
use crate::expr::Template;
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

/// How needs must end, where that is not [`Join::Done`] for short.
pub(super) const NEEDS: Shape = Shape { what: "`needs`", keys: &["done", "succeeded", "any"] };

pub(super) const DEFAULTS: Shape = Shape {
    what: "`defaults`",
    keys: &["timeout", "remind", "grace", "retry", "on_fail", "on_lost", "env", "as"],
};

/// The time limit of an attempt where neither the step nor `defaults` sets one.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The same for a step of `on_finish`; shorter, because the run's end waits for it.
const TIMEOUT_FINISH: Duration = Duration::from_secs(10 * 60);

/// The ids of `needs` with their places.
pub(in super::super) type NeededSteps = Vec<(String, Range<usize>)>;

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

/// The values of `defaults`, which a step uses for the keys that it does not set.
#[derive(Default)]
pub(super) struct Defaults {
    timeout: Option<Setting<Span>>,
    remind: Option<Reminders<Span>>,
    grace: Option<Setting<Span>>,
    retry: Option<Retry>,
    on_lost: Option<OnLost>,
    env: BTreeMap<String, Template>,
    acts_as: Option<Template>,
    /// How long `env` is, written out.
    env_bytes: usize,
    /// How long `retry` is, written out.
    retry_bytes: usize,
    /// Read again for each step, because the checks of a rework depend on the step that it belongs to.
    on_fail: Option<DefaultRoute>,
}

/// The routes of `defaults.on_fail` with the reworks and expressions that stand in them.
struct DefaultRoute {
    routes: Routes,
    /// How long they are, written out.
    bytes: usize,
    reworks: Range<usize>,
    uses: Range<usize>,
}

impl PipelineReader<'_> {
    pub(super) fn defaults(&mut self, node: &YamlNode) -> Defaults {
        let Some(keys) = self.keys(node, &DEFAULTS) else { return Defaults::default() };
        let (reworks, uses) = (self.reworks.len(), self.uses.len());
        let on_fail =
            keys.get("on_fail").map(|node| self.routes(node, RouteCause::Rejection)).map(|routes| {
                let bytes = written_bytes(&routes);
                DefaultRoute {
                    routes,
                    bytes,
                    reworks: reworks..self.reworks.len(),
                    uses: uses..self.uses.len(),
                }
            });
        // Each step has a role of its own.
        let env =
            keys.get("env").map_or_else(BTreeMap::new, |node| self.for_any_role(|reader| reader.env(node)));
        let retry = keys.get("retry").and_then(|node| self.retry(node));
        Defaults {
            timeout: keys.get("timeout").and_then(|node| self.some_span(node, "`timeout`", ExprPlace::Step)),
            remind: keys.get("remind").and_then(|node| self.fixed_reminders(node)),
            grace: keys.get("grace").and_then(|node| self.span_setting(node, "`grace`", ExprPlace::Step)),
            on_lost: keys.get("on_lost").and_then(|node| self.on_lost(node)),
            env_bytes: written_bytes(&env),
            retry_bytes: written_bytes(&retry),
            env,
            retry,
            acts_as: keys.get("as").and_then(|node| self.acts_as(node, ExprPlace::Work)),
            on_fail,
        }
    }

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
                self.broken.extend(item.get("id").and_then(YamlNode::text).map(str::to_owned));
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
                self.missing(node.span.clone(), "a step", "id", "id: build");
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

    /// `defaults.on_fail` as a route of the step that is being read.
    fn default_route(&mut self, route: &DefaultRoute) -> Routes {
        for index in route.reworks.clone() {
            let original = &self.reworks[index];
            let copy = super::ReworkUse { step: self.step, ..original.clone() };
            self.reworks.push(copy);
        }
        for index in route.uses.clone() {
            let original = &self.uses[index];
            let (expr, source_map) = (original.expr.clone(), original.source_map.clone());
            let (place, wants, shell) = (original.place, original.wants, original.shell);
            // A route may not hold secrets, so the expression keeps `secrets: false`.
            self.remember(expr, source_map, place, wants, shell);
        }
        route.routes.clone()
    }

    /// A list of steps, or a map that says how they must end.
    fn needs(&mut self, node: &YamlNode) -> (Join, Option<NeededSteps>) {
        if !matches!(node.kind, Kind::Map(_)) {
            return (Join::Done, Some(self.needed_steps(node)));
        }
        let Some(keys) = self.keys(node, &NEEDS) else { return (Join::Done, None) };
        let ways = [("done", Join::Done), ("succeeded", Join::Succeeded), ("any", Join::Any)];
        let given: Vec<_> =
            ways.into_iter().filter_map(|(way, join)| Some((way, join, keys.get(way)?))).collect();
        match given.as_slice() {
            [(way, join, node)] => {
                let needs = self.needed_steps(node);
                if *join != Join::Done && matches!(&node.kind, Kind::List(items) if items.is_empty()) {
                    let message = format!("`{way}` of `needs` has at least one step");
                    self.report(Code::Value, node.span.clone(), message).hint =
                        Some("write needs: [] for a step that begins at once".to_owned());
                }
                (*join, Some(needs))
            }
            [] => {
                // An unknown key was reported.
                if matches!(&node.kind, Kind::Map(entries) if entries.is_empty()) {
                    let message = "this `needs` names no step";
                    self.report(Code::MissingKey, node.span.clone(), message).hint =
                        Some("write needs: [ONE, TWO], or needs: [] to begin at once".to_owned());
                }
                (Join::Done, None)
            }
            [(first, ..), (second, ..), ..] => {
                let span = keys.key_span(second);
                let message = format!("`needs` says one thing of its steps, not `{first}` and `{second}`");
                self.report(Code::Combination, span, message).hint = Some(
                    "put a step with gates alone before this one, which needs the others its own way"
                        .to_owned(),
                );
                (Join::Done, None)
            }
        }
    }

    /// The approvals that `approved` names: one, or a list.
    fn approved(&mut self, node: &YamlNode) -> NeededSteps {
        let items: Vec<&YamlNode> = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut named: NeededSteps = Vec::new();
        for item in items {
            let Some(name) = self.text(item, "`approved`") else { continue };
            if !named.iter().any(|(other, _)| *other == name) {
                named.push((name, item.span.clone()));
            }
        }
        named
    }

    fn needed_steps(&mut self, node: &YamlNode) -> Vec<(String, Range<usize>)> {
        let mut needs: Vec<(String, Range<usize>)> = Vec::new();
        for item in self.list(node, "`needs`") {
            let Some(name) = self.text(item, "a need") else { continue };
            if needs.iter().any(|(other, _)| *other == name) {
                self.report(Code::Value, item.span.clone(), format!("“{name}” is needed twice")).hint =
                    Some("take one of the two out".to_owned());
                continue;
            }
            needs.push((name, item.span.clone()));
        }
        needs
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

/// How long a value is, written out.
fn written_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |text| text.len())
}

//! One step with its settings; `defaults` are folded in here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::super::codes::Code;
use super::super::yaml::{Kind, Node};
use super::super::{Join, OnLost, Outputs, Retry, Routes, Setting, Span, Step, StepWorkspace, Work};
use super::route::Cause;
use super::{Keys, Place, Reader, Shape, Wants};
use crate::expr::Template;
use crate::id::StepId;

/// What a step may hold.
pub(super) const SHAPE: Shape = Shape {
    what: "a step",
    keys: &[
        "id",
        "stage",
        "needs",
        "join",
        "when",
        "standby",
        "max_rounds",
        "timeout",
        "grace",
        "retry",
        "idempotent",
        "on_lost",
        "on_success",
        "on_fail",
        "gates",
        "outputs",
        "labels",
        "env",
        "workspace",
        "foreach",
        "command",
        "agent",
        "function",
        "with",
        "approval",
        "wait",
    ],
    later: &[
        "deadline",
        "clean",
        "on_signal",
        "secrets",
        "resources",
        "priority",
        "budget_exempt",
        "ask",
        "http",
        "run",
        "question",
    ],
};

pub(super) const DEFAULTS: Shape = Shape {
    what: "`defaults`",
    keys: &["timeout", "grace", "retry", "on_fail", "on_lost", "env"],
    later: &[],
};

pub(super) const RETRY: Shape = Shape { what: "`retry`", keys: &["attempts", "backoff", "only"], later: &[] };

/// The limit of an attempt where neither step nor `defaults` says one.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The same of a step of `on_finish`: the run's end waits for it.
const TIMEOUT_FINISH: Duration = Duration::from_secs(10 * 60);

/// A step as it was read, with the places that later checks name.
pub(in super::super) struct Draft {
    pub(in super::super) step: Step,
    pub(in super::super) id_span: Range<usize>,
    /// `needs` as written; `None` leaves it to the step above.
    pub(in super::super) needs: Option<Vec<(String, Range<usize>)>>,
    pub(in super::super) when_span: Range<usize>,
    /// It belongs to `on_finish`.
    pub(in super::super) finish: bool,
    pub(in super::super) standby_span: Range<usize>,
}

/// What every step takes over where it says nothing.
#[derive(Default)]
pub(super) struct Defaults {
    timeout: Option<Setting<Span>>,
    grace: Option<Setting<Span>>,
    retry: Option<Retry>,
    on_lost: Option<OnLost>,
    env: BTreeMap<String, Template>,
    /// Read again for each step, because a rework is judged from the step that it belongs to.
    on_fail: Option<DefaultRoute>,
}

/// The routes of `defaults.on_fail` with the reworks and expressions that stand in them.
struct DefaultRoute {
    routes: Routes,
    reworks: Range<usize>,
    uses: Range<usize>,
}

impl Reader<'_> {
    pub(super) fn defaults(&mut self, node: &Node) -> Defaults {
        let Some(keys) = self.keys(node, &DEFAULTS) else { return Defaults::default() };
        let (reworks, uses) = (self.reworks.len(), self.uses.len());
        let on_fail = keys.get("on_fail").map(|node| self.routes(node, Cause::Engine)).map(|routes| {
            DefaultRoute { routes, reworks: reworks..self.reworks.len(), uses: uses..self.uses.len() }
        });
        Defaults {
            timeout: keys.get("timeout").and_then(|node| self.span_setting(node, "`timeout`", Place::Step)),
            grace: keys.get("grace").and_then(|node| self.span_setting(node, "`grace`", Place::Step)),
            retry: keys.get("retry").and_then(|node| self.retry(node)),
            on_lost: keys.get("on_lost").and_then(|node| self.on_lost(node)),
            env: keys.get("env").map_or_else(BTreeMap::new, |node| self.env(node)),
            on_fail,
        }
    }

    pub(super) fn steps(
        &mut self,
        node: &Node,
        what: &str,
        finish: bool,
        defaults: &Defaults,
        drafts: &mut Vec<Draft>,
    ) {
        let mut stage = None;
        self.finishing = finish;
        for item in self.list(node, what) {
            self.step = Some(drafts.len());
            let (uses, reworks) = (self.uses.len(), self.reworks.len());
            let read = self.one_step(item, finish, defaults);
            if read.is_none() {
                // What belongs to a step that is not there cannot be judged; its name still counts.
                self.uses.truncate(uses);
                self.reworks.truncate(reworks);
                self.broken.extend(item.get("id").and_then(Node::text).map(str::to_owned));
            }
            if let Some(mut draft) = read {
                // A step without a stage stands in the column of the one before.
                match &draft.step.stage {
                    Some(own) => stage = Some(own.clone()),
                    None => draft.step.stage.clone_from(&stage),
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
        self.finishing = false;
    }

    fn one_step(&mut self, node: &Node, finish: bool, defaults: &Defaults) -> Option<Draft> {
        let keys = self.keys(node, &SHAPE)?;
        let id = match keys.get("id") {
            Some(id) => self.id(id, "step id", false),
            None => {
                self.missing(node.span.clone(), "a step", "id", "id: build");
                None
            }
        };
        if finish {
            for key in ["needs", "join", "standby", "max_rounds"] {
                if keys.get(key).is_some() {
                    let span = keys.key_span(key);
                    self.report(Code::OnFinish, span, format!("`{key}` has no meaning in `on_finish`"))
                        .hint = Some("its steps run once, in the order of the file".to_owned());
                }
            }
        }
        let place = Place::Step;
        let foreach = keys.get("foreach").and_then(|node| self.foreach(node));
        let when = keys.get("when").and_then(|node| self.expression(node, "`when`", place, Wants::Bool));
        let work = self.work(keys, finish);
        let gates = keys.get("gates").map_or_else(Vec::new, |node| self.gates(node));
        let kind = match &work {
            Some(Work::Task(task)) => Some(task.kind.clone()),
            _ => None,
        };
        if keys.get("foreach").is_some() && !self.has_task(keys) {
            let span = keys.key_span("foreach");
            self.report(Code::Combination, span, "`foreach` goes around `command`, `agent` or `function`");
        }
        let command_gate = |node: &Node| match &node.kind {
            Kind::List(gates) => gates.iter().any(|gate| gate.get("command").is_some()),
            _ => false,
        };
        let process = keys.entry("command").is_some()
            || keys.entry("agent").is_some()
            || keys.get("gates").is_some_and(command_gate);
        let mut env = if process { defaults.env.clone() } else { BTreeMap::new() };
        if let Some(node) = keys.get("env") {
            env.extend(self.env(node));
            if !process {
                let span = keys.key_span("env");
                self.report(
                    Code::Combination,
                    span,
                    "`env` is for processes: `command`, `agent` and gates with `command`",
                );
            }
        }
        let limit = if self.finishing { TIMEOUT_FINISH } else { TIMEOUT };
        let task_default = kind.as_ref().map(|_| Setting::Fixed(Span(limit)));
        let timeout = keys
            .get("timeout")
            .and_then(|node| self.span_setting(node, "`timeout`", place))
            .or_else(|| defaults.timeout.clone().filter(|_| kind.is_some()))
            .or(task_default);
        let grace = keys
            .get("grace")
            .and_then(|node| self.span_setting(node, "`grace`", place))
            .or_else(|| defaults.grace.clone())
            .unwrap_or(Setting::Fixed(Span(Duration::from_secs(10))));
        let retry = keys
            .get("retry")
            .and_then(|node| self.retry(node))
            .or_else(|| defaults.retry.clone().filter(|_| kind.is_some()))
            .unwrap_or_default();
        let on_lost = keys
            .get("on_lost")
            .and_then(|node| self.on_lost(node))
            .or(defaults.on_lost.filter(|_| kind.is_some()));
        let on_fail = match (keys.get("on_fail"), &defaults.on_fail) {
            (Some(node), _) => self.routes(node, Cause::Engine),
            (None, Some(route)) if !finish => self.default_route(route),
            (None, _) => Routes::default(),
        };
        let join =
            keys.get("join").and_then(|node| self.word(node, "`join`", &[("all", Join::All)], &["any"]));
        let step = Step {
            id: StepId::new(&id?),
            stage: keys.get("stage").and_then(|node| self.text(node, "`stage`")),
            needs: Vec::new(),
            join: join.unwrap_or_default(),
            when,
            standby: keys.get("standby").and_then(|node| self.bool(node, "`standby`")).unwrap_or_default(),
            max_rounds: keys
                .get("max_rounds")
                .and_then(|node| self.number_setting(node, "`max_rounds`", 1, place)),
            timeout,
            deadline: None,
            grace,
            retry,
            idempotent: keys.get("idempotent").and_then(|node| self.bool(node, "`idempotent`")),
            on_lost,
            on_success: keys
                .get("on_success")
                .map_or_else(Routes::default, |node| self.routes(node, Cause::Engine)),
            on_fail,
            gates,
            outputs: keys.get("outputs").map_or_else(Outputs::default, |node| self.outputs(node)),
            labels: keys.get("labels").map_or_else(BTreeMap::new, |node| self.labels(node, Place::Gate)),
            env,
            on_signal: BTreeMap::new(),
            secrets: Vec::new(),
            resources: Vec::new(),
            priority: None,
            budget_exempt: None,
            ask: None,
            workspace: keys.get("workspace").and_then(|node| self.step_workspace(node)).unwrap_or_default(),
            clean: false,
            foreach,
            work,
        };
        Some(Draft {
            step,
            id_span: keys.get("id").map_or_else(|| node.span.clone(), |id| id.span.clone()),
            needs: keys.get("needs").map(|node| self.needs(node)),
            when_span: keys.get("when").map_or_else(|| node.span.clone(), |when| when.span.clone()),
            finish,
            standby_span: keys.key_span("standby"),
        })
    }

    /// `defaults.on_fail` as a route of the step that is being read.
    fn default_route(&mut self, route: &DefaultRoute) -> Routes {
        for index in route.reworks.clone() {
            let original = &self.reworks[index];
            let copy = super::ReworkUse {
                step: self.step,
                target: original.target.clone(),
                span: original.span.clone(),
                unlimited: original.unlimited.clone(),
            };
            self.reworks.push(copy);
        }
        for index in route.uses.clone() {
            let original = &self.uses[index];
            let (expr, origin) = (original.expr.clone(), original.origin.clone());
            let (place, wants, shell) = (original.place, original.wants, original.shell);
            self.remember(expr, origin, place, wants, shell);
        }
        route.routes.clone()
    }

    fn needs(&mut self, node: &Node) -> Vec<(String, Range<usize>)> {
        let mut needs: Vec<(String, Range<usize>)> = Vec::new();
        for item in self.list(node, "`needs`") {
            let Some(name) = self.text(item, "a need") else { continue };
            if needs.iter().any(|(other, _)| *other == name) {
                self.report(Code::Value, item.span.clone(), format!("“{name}” is needed twice"));
                continue;
            }
            needs.push((name, item.span.clone()));
        }
        needs
    }

    fn retry(&mut self, node: &Node) -> Option<Retry> {
        let keys = self.keys(node, &RETRY)?;
        let Some(attempts) = keys.get("attempts") else {
            self.missing(node.span.clone(), "`retry`", "attempts", "attempts: 3 (the first one included)");
            return None;
        };
        let attempts = self.number_setting(attempts, "`attempts`", 1, Place::Step)?;
        let mut retry = Retry { attempts, ..Retry::default() };
        if let Some(backoff) = keys.get("backoff") {
            (retry.backoff_min, retry.backoff_max) = self.backoff(backoff)?;
        }
        if let Some(only) = keys.get("only") {
            retry.only = self.failure_names(only);
        }
        Some(retry)
    }

    fn backoff(&mut self, node: &Node) -> Option<(Span, Span)> {
        let text = self.text(node, "`backoff`")?;
        let (min, max) = text.split_once("..").unwrap_or((&text, &text));
        let read = |text: &str| crate::duration::parse(text.trim()).ok().map(Span);
        match (read(min), read(max)) {
            (Some(min), Some(max)) if min <= max => Some((min, max)),
            (Some(_), Some(_)) => {
                self.report(
                    Code::Value,
                    node.span.clone(),
                    "`backoff` goes from the shorter pause to the longer one",
                );
                None
            }
            _ => {
                self.report(Code::Value, node.span.clone(), format!("“{text}” is no range of pauses")).hint =
                    Some("write 1s..60s, or one duration".to_owned());
                None
            }
        }
    }

    fn on_lost(&mut self, node: &Node) -> Option<OnLost> {
        let words = [("retry", OnLost::Retry), ("block", OnLost::Block), ("fail", OnLost::Fail)];
        self.word(node, "`on_lost`", &words, &[])
    }

    fn env(&mut self, node: &Node) -> BTreeMap<String, Template> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`env`", "a map");
            return BTreeMap::new();
        };
        let mut env = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !letters || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
                self.report(
                    Code::Value,
                    key.span.clone(),
                    format!("“{name}” is no name of an environment variable"),
                )
                .hint = Some("letters, digits and `_`, no digit first".to_owned());
                continue;
            }
            if name.starts_with("EVERFOLD_") {
                self.report(
                    Code::Value,
                    key.span.clone(),
                    format!("`{name}` is Everfold's own: names with EVERFOLD_ are reserved"),
                );
                continue;
            }
            if let Some(template) = self.text_template(value, &format!("`{name}`"), Place::Work) {
                env.insert(name.to_owned(), template);
            }
        }
        env
    }

    fn step_workspace(&mut self, node: &Node) -> Option<StepWorkspace> {
        const DIR: Shape = Shape { what: "`workspace` of a step", keys: &["dir"], later: &[] };
        if matches!(node.kind, Kind::Map(_)) {
            let keys = self.keys(node, &DIR)?;
            let Some(dir) = keys.get("dir") else {
                self.missing(node.span.clone(), "`workspace` of a step", "dir", "dir: PATH, or run, or none");
                return None;
            };
            return self.text_template(dir, "`dir`", Place::Work).map(StepWorkspace::Dir);
        }
        let words = [("run", 0), ("none", 1)];
        Some(match self.word(node, "`workspace` of a step", &words, &["own"])? {
            0 => StepWorkspace::Run,
            _ => StepWorkspace::None,
        })
    }

    fn has_task(&self, keys: Keys<'_>) -> bool {
        ["command", "agent", "function"].iter().any(|kind| keys.entry(kind).is_some())
    }

    /// Reports what waits for a person where none will come.
    pub(super) fn no_person(&mut self, span: Range<usize>, what: &str) {
        if self.finishing {
            self.report(Code::OnFinish, span, format!("{what} has no place in `on_finish`")).hint =
                Some("the run has ended: nothing can be decided or reworked any more".to_owned());
        }
    }
}

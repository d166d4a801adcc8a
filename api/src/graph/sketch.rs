//! What a picture shows of a definition, before it is placed.

use everfold_engine::definition::{
    self, Definition, ExecutorTask, Gate, Join, Member, Probe, RouteTo, Routes, Step, Wait, Work,
};
use serde_json::Value;

use super::words::{json_text, one_line, route_words, setting, times};

/// A step as a box.
#[derive(Debug)]
pub(super) struct StepBox {
    pub(super) id: String,
    pub(super) kind: SketchKind,
    /// What it does, in a few words.
    pub(super) summary: String,
    /// `when`, `foreach`, `retry`: what else decides how it runs.
    pub(super) notes: Vec<String>,
    pub(super) gates: Vec<GateLine>,
    /// What follows the work itself, where the file says: cause and route.
    pub(super) routes: Vec<(String, String)>,
    pub(super) foreach: bool,
    pub(super) standby: bool,
    /// It belongs to `on_finish`.
    pub(super) finish: bool,
}

/// What a step does, as far as pictures tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SketchKind {
    Command,
    Agent,
    Function,
    /// A request to a service.
    Http,
    /// A child run.
    Run,
    /// A signal to other runs.
    Signal,
    Approval,
    Question,
    Wait,
    /// Gates only.
    Gates,
}

#[derive(Debug)]
pub(super) struct GateLine {
    pub(super) id: String,
    pub(super) probe: String,
    /// Where its failure leads.
    pub(super) route: String,
}

/// A route backwards that a signal takes.
#[derive(Debug)]
pub(super) struct SignalBack {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) signal: String,
    pub(super) times: String,
}

/// A route backwards.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: String,
}

#[derive(Debug)]
pub(super) struct Sketch {
    pub(super) name: String,
    pub(super) description: String,
    /// What surrounds the steps: triggers, the key, slots, budgets, signals, notices.
    pub(super) about: Vec<String>,
    /// Steps in the order of the file, then those of `on_finish`.
    pub(super) boxes: Vec<StepBox>,
    /// Needs: from, to.
    pub(super) arrows: Vec<(usize, usize)>,
    pub(super) backs: Vec<Back>,
    /// Those of signals, which [`Sketch::drawn`] joins.
    pub(super) signal_backs: Vec<SignalBack>,
}

impl SketchKind {
    /// Whether people are asked.
    pub(super) fn is_person(self) -> bool {
        matches!(self, Self::Approval | Self::Question)
    }
}

impl Sketch {
    pub(super) fn of(definition: &Definition) -> Self {
        let find = |id: &str| definition.steps.iter().position(|step| step.id.as_str() == id);
        let mut sketch = Self {
            name: definition.name.clone(),
            description: definition.description.clone(),
            about: super::about::about(definition),
            boxes: definition.steps.iter().map(|step| describe(step, false)).collect(),
            arrows: Vec::new(),
            backs: Vec::new(),
            signal_backs: Vec::new(),
        };
        for (to, step) in definition.steps.iter().enumerate() {
            sketch
                .arrows
                .extend(step.needs.iter().filter_map(|need| find(need.as_str())).map(|from| (from, to)));
            for (cause, routes) in all_routes(step) {
                for (target, times) in reworks(routes) {
                    let Some(target) = find(&target) else { continue };
                    let label = if times.is_empty() { cause.clone() } else { format!("{cause} {times}") };
                    sketch.add_back(to, target, &label);
                }
            }
            for (signal, routes) in &step.on_signal {
                for (target, times) in reworks(routes) {
                    let Some(target) = find(&target) else { continue };
                    let signal = signal.clone();
                    sketch.signal_backs.push(SignalBack { from: to, to: target, signal, times });
                }
            }
        }
        sketch.boxes.extend(definition.on_finish.iter().map(|step| describe(step, true)));
        sketch
    }

    /// Adds a cause of a route backwards.
    pub(super) fn add_back(&mut self, from: usize, to: usize, label: &str) {
        match self.backs.iter_mut().find(|back| back.from == from && back.to == to) {
            Some(back) => {
                back.label.push_str(", ");
                back.label.push_str(label);
            }
            None => self.backs.push(Back { from, to, label: label.to_owned() }),
        }
    }
}

/// The routes of a step with what causes them, without those of signals.
fn all_routes(step: &Step) -> Vec<(String, &Routes)> {
    let mut routes = vec![("success".to_owned(), &step.on_success), ("failure".to_owned(), &step.on_fail)];
    routes.extend(own_routes(step).into_iter().map(|(cause, route)| (cause.to_owned(), route)));
    for gate in &step.gates {
        routes.push((gate.id.clone(), &gate.on_fail));
        if let Some(poll) = &gate.poll {
            routes.push((format!("{} timeout", gate.id), &poll.on_timeout));
        }
    }
    routes
}

/// The routes that belong to the kind of work.
fn own_routes(step: &Step) -> Vec<(&'static str, &Routes)> {
    let mut routes = match &step.work {
        Some(Work::Approval(approval)) => vec![
            ("rejected", &approval.on_reject),
            ("changes", &approval.on_changes),
            ("timeout", &approval.on_timeout),
        ],
        Some(Work::Question(question)) => vec![("timeout", &question.on_timeout)],
        Some(Work::Wait(wait)) => vec![("timeout", &wait.on_timeout)],
        Some(Work::Task(_)) | None => Vec::new(),
    };
    routes.extend(step.ask.as_ref().map(|ask| ("timeout", &ask.on_timeout)));
    routes.retain(|(_, routes)| !routes.is_empty());
    routes
}

/// The targets of reworks in some routes, with how often.
fn reworks(routes: &Routes) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for route in &routes.0 {
        let mut current = Some(route);
        while let Some(route) = current {
            if let RouteTo::Rework(step) = &route.to {
                found.push((step.to_string(), times(route)));
            }
            current = route.then.as_deref();
        }
    }
    found
}

fn describe(step: &Step, finish: bool) -> StepBox {
    let (kind, summary) = match &step.work {
        None => (SketchKind::Gates, "gates".to_owned()),
        Some(Work::Task(task)) => task_words(task),
        Some(Work::Approval(approval)) => {
            let roles =
                if approval.roles.is_empty() { "anyone".to_owned() } else { approval.roles.join(", ") };
            (SketchKind::Approval, format!("approval by {roles}"))
        }
        Some(Work::Question(question)) => {
            let roles =
                if question.roles.is_empty() { "anyone".to_owned() } else { question.roles.join(", ") };
            (SketchKind::Question, format!("question to {roles}"))
        }
        Some(Work::Wait(wait)) => (SketchKind::Wait, format!("wait {}", wait_words(wait))),
    };
    let mut notes = Vec::new();
    if let Some(when) = &step.when {
        notes.push(format!("when {}", one_line(when.source())));
    }
    if let Some(foreach) = &step.foreach {
        let name = foreach.name.as_deref().unwrap_or("item");
        notes.push(format!("for each {name} in {}", one_line(&json_text(foreach.items.source()))));
    }
    match step.join {
        Join::Done => {}
        Join::Any => notes.push("as soon as one of its needs succeeded".to_owned()),
        Join::Succeeded => notes.push("where all of its needs succeeded".to_owned()),
    }
    if let Some(deadline) = &step.deadline {
        notes.push(format!("each round within {}", setting(deadline)));
    }
    let gates = step.gates.iter().map(|gate| gate_line(gate, step)).collect();
    let mut routes: Vec<(String, String)> =
        own_routes(step).into_iter().map(|(cause, routes)| (cause.to_owned(), route_words(routes))).collect();
    if !step.on_fail.is_empty() && step.work.is_some() {
        routes.push(("failed".to_owned(), route_words(&step.on_fail)));
    }
    if !step.on_success.is_empty() {
        routes.push(("succeeded".to_owned(), route_words(&step.on_success)));
    }
    for (name, signal) in &step.on_signal {
        routes.push((format!("signal {name}"), route_words(signal)));
    }
    let foreach = step.foreach.is_some();
    StepBox {
        id: step.id.to_string(),
        kind,
        summary,
        notes,
        gates,
        routes,
        foreach,
        standby: step.standby,
        finish,
    }
}

fn task_words(task: &ExecutorTask) -> (SketchKind, String) {
    let spec = task.spec.source();
    let text = |key: &str| spec.get(key).and_then(Value::as_str).map(one_line);
    match task.kind.as_str() {
        ExecutorTask::AGENT => {
            let who = text("role").or_else(|| text("profile"));
            (SketchKind::Agent, who.map_or_else(|| "agent".to_owned(), |who| format!("agent {who}")))
        }
        ExecutorTask::FUNCTION => {
            (SketchKind::Function, text("name").unwrap_or_else(|| "function".to_owned()))
        }
        ExecutorTask::HTTP => (SketchKind::Http, request_words(spec)),
        ExecutorTask::RUN => {
            let pipeline = text("pipeline").filter(|named| !definition::is_inline(named));
            let words =
                pipeline.map_or_else(|| "steps of each item".to_owned(), |named| format!("run {named}"));
            (SketchKind::Run, words)
        }
        ExecutorTask::SIGNAL => (SketchKind::Signal, format!("signal {}", text("name").unwrap_or_default())),
        _ => (SketchKind::Command, format!("$ {}", command_line(spec))),
    }
}

fn request_words(spec: &Value) -> String {
    let part = |key: &str| spec.get(key).and_then(Value::as_str).unwrap_or_default();
    one_line(&format!("{} {}", part("method"), part("url")))
}

/// A command in one line, with expressions as they were written.
fn command_line(spec: &Value) -> String {
    if let Some(words) = spec.get("argv").and_then(Value::as_array) {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return one_line(&words.join(" "));
    }
    let mut shell = spec.get("shell").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (name, value) in spec.get("vars").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        shell = shell.replace(&format!("\"$${{{name}}}\""), value).replace(&format!("$${{{name}}}"), value);
    }
    one_line(&shell.replace("$${", "${"))
}

fn gate_line(gate: &Gate, step: &Step) -> GateLine {
    let routes = if gate.on_fail.is_empty() { &step.on_fail } else { &gate.on_fail };
    GateLine { id: gate.id.clone(), probe: probe_words(&gate.probe), route: route_words(routes) }
}

fn wait_words(wait: &Wait) -> String {
    match (&wait.span, &wait.until, &wait.signal) {
        (Some(span), ..) => setting(span),
        (None, Some(until), _) => format!("until {}", one_line(&json_text(until.source()))),
        (None, None, signal) => format!("for signal {}", signal.as_deref().unwrap_or_default()),
    }
}

fn probe_words(probe: &Probe) -> String {
    let members = |members: &[Member]| {
        let words: Vec<String> = members.iter().map(|member| probe_words(&member.probe)).collect();
        one_line(&words.join(", "))
    };
    match probe {
        Probe::All(of) => format!("all of {}", members(of)),
        Probe::Any(of) => format!("any of {}", members(of)),
        Probe::Not(of) => format!("not {}", probe_words(&of.probe)),
        Probe::AtLeast { n, of } => format!("{} of {}", setting(n), members(of)),
        Probe::Expression(expr) => one_line(expr.source()),
        Probe::Task(task) if task.kind == ExecutorTask::COMMAND => {
            format!("$ {}", command_line(task.spec.source()))
        }
        Probe::Task(task) if task.kind == ExecutorTask::HTTP => request_words(task.spec.source()),
        Probe::Task(task) => {
            const TELLING: [&str; 7] = ["file", "exists", "glob", "name", "path", "sha", "pr"];
            let spec = task.spec.source();
            let what = TELLING.into_iter().find_map(|key| spec.get(key).and_then(Value::as_str));
            what.map_or_else(|| task.kind.clone(), |what| format!("{} {}", task.kind, one_line(what)))
        }
    }
}

//! The panel of a selected step: what it was given, what it made, how each try went.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::event::Event;
use super::facts::{FailureFacts, RunFacts, StepFacts, UsageFacts};
use super::graph::LayoutNode;
use super::next::{NextAct, for_step, log_path};
use super::spans::{AttemptFacts, worst};
use super::waits::{Wait, in_line, waits};
use crate::frame::Frame;
use crate::visible::visible;
use crate::words;

/// Tries and gates that a panel lists; the newest.
const ROWS_MAX: usize = 40;
/// Items that a panel lists.
const ITEMS_MAX: usize = 10;
/// The longest text of an input or output, in characters.
const TEXT_MAX: usize = 12_000;

/// A run that a step started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChildFacts {
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) started_at: String,
    pub(crate) ended_at: Option<String>,
    pub(crate) active_steps: Vec<String>,
    pub(crate) parent: Option<super::facts::ParentFacts>,
    pub(crate) usage: UsageFacts,
}

impl ChildFacts {
    /// Its title, or its pipeline.
    pub(crate) fn name(&self) -> &str {
        self.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&self.pipeline)
    }

    /// How long it took, or took until the shown moment.
    pub(crate) fn took(&self, frame: &Frame) -> String {
        words::took(&self.started_at, self.ended_at.as_deref().or(frame.then.as_deref()))
    }

    /// The step, or the item, that started it.
    pub(crate) fn by(&self) -> &str {
        self.parent.as_ref().map_or("", |parent| &parent.step)
    }
}

/// The panel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panel {
    /// The step or the item that is selected.
    pub(crate) path: String,
    pub(crate) step: StepFacts,
    /// An item: its number.
    pub(crate) item: Option<String>,
    /// What the definition says of it.
    pub(crate) summary: String,
    pub(crate) rules: Vec<(String, String)>,
    pub(crate) failure: Option<FailureFacts>,
    /// What it was given, and what it made, at the shown try.
    pub(crate) given: Option<String>,
    pub(crate) made: Option<String>,
    /// The shown try: `2.1`.
    pub(crate) instance: String,
    pub(crate) tries: Vec<Try>,
    pub(crate) tries_total: usize,
    pub(crate) gates: Vec<Judged>,
    pub(crate) waits: Vec<Wait>,
    pub(crate) items: Vec<Try>,
    pub(crate) children: Vec<ChildFacts>,
    pub(crate) said: Vec<SaidOfStep>,
    /// Events before this version were not looked at.
    pub(crate) from_version: u64,
    run: String,
}

/// A try.
#[derive(Debug, Clone, Default)]
pub(crate) struct Try {
    /// The step or item.
    pub(crate) path: String,
    pub(crate) instance: String,
    pub(crate) state: &'static str,
    pub(crate) took: String,
    pub(crate) queued: String,
    pub(crate) at: String,
    pub(crate) message: String,
    pub(crate) cost: String,
    pub(crate) tokens: u64,
    pub(crate) lines: u64,
    pub(crate) log: Option<String>,
    pub(crate) is_selected: bool,
}

/// A verdict of a gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judged {
    pub(crate) gate: String,
    pub(crate) instance: String,
    pub(crate) probe_no: u64,
    pub(crate) verdict: String,
    pub(crate) is_tolerated: bool,
    pub(crate) reason: String,
    pub(crate) evidence: String,
    pub(crate) policy: String,
    pub(crate) at: String,
}

/// A timer or a signal of the step.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaidOfStep {
    pub(crate) at: String,
    /// Who said it, where it was not the engine.
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) detail: String,
}

/// What a panel is made of.
pub(crate) struct PanelOf<'a> {
    pub(crate) run: &'a RunFacts,
    pub(crate) attempts: &'a [AttemptFacts],
    pub(crate) events: &'a [Event],
    pub(crate) node: Option<&'a LayoutNode>,
    pub(crate) children: Vec<ChildFacts>,
    /// The selected step or item, and the try.
    pub(crate) path: &'a str,
    pub(crate) attempt: Option<&'a str>,
    pub(crate) now: i64,
}

impl Panel {
    /// The panel of a step; none where the run has no such step.
    pub(crate) fn of(of: PanelOf<'_>) -> Option<Self> {
        let step = of.run.step(of.path)?.clone();
        let item = of.path.split_once('.').map(|(_, item)| item.to_owned());
        let is_whole = item.is_none() && step.items.is_some();
        let used = usage(of.events);
        let own: Vec<&AttemptFacts> = of
            .attempts
            .iter()
            .filter(|it| if is_whole { it.base() == of.path } else { it.step == of.path })
            .collect();
        let newest = own.last().filter(|_| !is_whole).map(|it| it.instance());
        let instance = of.attempt.map(str::to_owned).or(newest).unwrap_or_else(|| step.instance());
        let row = |attempt: &&AttemptFacts| tried(of.run, attempt, &used, of.now, &instance);
        let (tries, items) = if is_whole {
            (Vec::new(), worst(&own, of.now, ITEMS_MAX).iter().map(row).collect())
        } else {
            (own.iter().rev().take(ROWS_MAX).map(row).collect(), Vec::new())
        };
        let (given, made) = texts(of.events, of.path, &instance);
        let failure = match item {
            None => step.failure.clone(),
            Some(_) => own.last().and_then(|it| it.end.as_ref()?.failure.clone()),
        };
        Some(Self {
            path: of.path.to_owned(),
            summary: of.node.map(|node| node.summary.clone()).unwrap_or_default(),
            rules: of.node.map(rules).unwrap_or_default(),
            failure,
            given,
            made,
            tries,
            tries_total: own.len(),
            gates: judged(of.events, of.path, &step),
            waits: waits(of.run)
                .into_iter()
                .filter(|wait| is_of(wait.step.as_deref(), of.path))
                .chain(in_line(of.run, &step.id))
                .collect(),
            items,
            children: of.children.into_iter().filter(|child| is_of(Some(child.by()), of.path)).collect(),
            said: said(of.events, of.path),
            from_version: of.events.first().map_or(1, |event| event.version),
            run: of.run.short_id.clone(),
            instance,
            item,
            step,
        })
    }

    /// What can be done about this step.
    pub(crate) fn acts(&self, run: &RunFacts, frame: &Frame) -> Vec<NextAct> {
        for_step(run, &self.step, &self.path).into_iter().filter(|act| act.is_open_to(frame)).collect()
    }

    /// The overview with a try of this step selected.
    pub(crate) fn try_path(&self, one: &Try) -> String {
        let (path, attempt) = (words::encoded(&one.path), words::encoded(&one.instance));
        format!("/runs/{}?step={path}&attempt={attempt}#panel", self.run)
    }

    /// Whether the shown try is all that there is.
    pub(crate) fn log_path(&self) -> Option<String> {
        let shown = self.tries.iter().find(|it| it.instance == self.instance).or(self.tries.first())?;
        shown.log.clone()
    }

    /// How long the current round took so far.
    pub(crate) fn took(&self) -> String {
        match (&self.step.started_at, &self.step.ended_at) {
            (Some(from), Some(to)) if self.step.round > 0 => words::took(from, Some(to)),
            _ => String::new(),
        }
    }

    /// The kept files: names, and their addresses.
    pub(crate) fn outputs(&self) -> Vec<(String, String)> {
        let base = format!("/runs/{}/artefacts?step={}", self.run, words::encoded(&self.step.id));
        self.step
            .outputs
            .keys()
            .map(|name| (name.clone(), format!("{base}&name={}", words::encoded(name))))
            .collect()
    }
}

fn is_of(step: Option<&str>, path: &str) -> bool {
    step.is_some_and(|step| step == path || step.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

type Used = BTreeMap<(String, String), (f64, u64)>;

/// Cost and tokens by step and try.
fn usage(events: &[Event]) -> Used {
    let mut used = Used::new();
    for event in events.iter().filter(|event| event.kind() == "UsageRecorded") {
        let Some(place) = event.place() else { continue };
        let number = |name: &str| event.at("/usage").get(name).and_then(Value::as_u64).unwrap_or(0);
        let entry =
            used.entry((place.path.clone(), format!("{}.{}", place.round, place.attempt))).or_default();
        entry.0 += number("cost_micros") as f64 / 1e6;
        entry.1 += number("input_tokens") + number("output_tokens");
    }
    used
}

fn tried(run: &RunFacts, attempt: &AttemptFacts, used: &Used, now: i64, shown: &str) -> Try {
    let instance = attempt.instance();
    let (cost, tokens) = used.get(&(attempt.step.clone(), instance.clone())).copied().unwrap_or_default();
    let queued =
        match (words::millis(&attempt.scheduled_at), attempt.started_at.as_deref().and_then(words::millis)) {
            (Some(from), Some(to)) if to - from >= 1000 => words::duration(to - from),
            _ => String::new(),
        };
    let end = attempt.end.as_ref();
    let lines = end.and_then(|end| end.log.as_ref()).map_or(0, |log| log.lines);
    let has_log = run.step(&attempt.step).is_some_and(StepFacts::has_log) && attempt.started_at.is_some();
    Try {
        path: attempt.step.clone(),
        state: attempt.state(),
        took: if attempt.started_at.is_some() {
            words::duration(attempt.took_ms(now))
        } else {
            String::new()
        },
        queued,
        at: attempt.started_at.clone().unwrap_or_else(|| attempt.scheduled_at.clone()),
        message: end
            .and_then(|end| end.failure.as_ref())
            .map(|failure| visible(&failure.message).into_owned())
            .unwrap_or_default(),
        cost: if cost > 0.0 { format!("{cost:.6}") } else { String::new() },
        tokens,
        lines,
        log: has_log.then(|| log_path(&run.short_id, &attempt.step, attempt.round, attempt.attempt)),
        is_selected: instance == shown,
        instance,
    }
}

/// What a try was given and what it made.
fn texts(events: &[Event], path: &str, instance: &str) -> (Option<String>, Option<String>) {
    let own = |event: &&Event| {
        let place = event.place();
        place.is_some_and(|it| it.path == path && format!("{}.{}", it.round, it.attempt) == instance)
    };
    let shown = |value: &Value| match value {
        Value::Null => None,
        value => Some(cut(&words::json(value))),
    };
    let (mut given, mut made) = (None, None);
    for event in events.iter().filter(own) {
        match event.kind() {
            "StepScheduled" => given = shown(spec(event.at("/work"))),
            "RetryScheduled" if !event.at("/task").is_null() => given = shown(spec(event.at("/task"))),
            "ApprovalRequested" | "QuestionAsked" => {
                given = shown(event.at("/show")).or_else(|| shown(event.at("/text")))
            }
            "AttemptSucceeded" => made = shown(event.at("/output")),
            "QuestionAnswered" => made = shown(event.at("/answer")),
            "ApprovalDecided" => made = shown(event.at("/decision")),
            _other => {}
        }
    }
    (given, made)
}

/// The specification of work, which lies under the executor's own fields.
fn spec(work: &Value) -> &Value {
    for pointer in ["/task/task/spec", "/task/spec", "/spec"] {
        if let Some(spec) = work.pointer(pointer) {
            return spec;
        }
    }
    if work.is_string() { &Value::Null } else { work }
}

fn judged(events: &[Event], path: &str, step: &StepFacts) -> Vec<Judged> {
    let own = events.iter().rev().filter(|event| {
        event.kind() == "GateEvaluated"
            && event.place().is_some_and(|place| place.path == path || place.step() == path)
    });
    let found: Vec<Judged> = own
        .take(ROWS_MAX)
        .map(|event| Judged {
            gate: event.text("gate").to_owned(),
            instance: event
                .place()
                .map(|place| format!("{}.{}", place.round, place.attempt))
                .unwrap_or_default(),
            probe_no: event.number("probe_no").unwrap_or(1),
            verdict: event.text("verdict").to_owned(),
            is_tolerated: event.event.get("tolerated") == Some(&Value::Bool(true)),
            reason: visible(event.text("reason")).into_owned(),
            evidence: evidence(event.at("/evidence")),
            policy: event.text("policy").to_owned(),
            at: event.recorded_at.clone(),
        })
        .collect();
    if !found.is_empty() {
        return found;
    }
    let known = step.gates.iter().map(|gate| Judged {
        gate: gate.gate.clone(),
        instance: step.instance(),
        probe_no: u64::from(gate.probe_no),
        verdict: gate.verdict.clone(),
        is_tolerated: gate.tolerated,
        reason: gate.reason.clone(),
        ..Judged::default()
    });
    known.collect()
}

/// What a gate looked at, in one line: what a program said, else the whole.
fn evidence(evidence: &Value) -> String {
    let text = |key: &str| evidence.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let line = match (text("output"), text("value")) {
        (Some(output), _) => {
            output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
        }
        (None, Some(value)) => value.to_owned(),
        (None, None) if evidence.is_null() => String::new(),
        (None, None) => {
            let mut shown = evidence.clone();
            if let Some(fields) = shown.as_object_mut() {
                fields.remove("source");
            }
            shown.to_string()
        }
    };
    visible(&line).chars().take(300).collect()
}

/// Timers and signals of the step that are told nowhere else.
fn said(events: &[Event], path: &str) -> Vec<SaidOfStep> {
    let mut found = Vec::new();
    for event in events {
        if event.place().is_none_or(|place| place.path != path) && event.at("/by/step").as_str() != Some(path)
        {
            continue;
        }
        let Some((what, detail)) = said_of(event) else { continue };
        let who = if event.actor == "engine" { String::new() } else { event.actor.clone() };
        let detail = visible(&detail).chars().take(300).collect();
        found.push(SaidOfStep { at: event.recorded_at.clone(), who, what, detail });
    }
    found.split_off(found.len().saturating_sub(12))
}

/// What one event says, and what was said with it.
fn said_of(event: &Event) -> Option<(String, String)> {
    let timer = event.at("/timer/kind").as_str().unwrap_or_default();
    let comment = || event.text("comment").to_owned();
    Some(match event.kind() {
        "TimerSet" => (format!("timer {timer}"), format!("until {}", words::exact(event.text("at")))),
        "TimerFired" => (format!("timer {timer} is due"), String::new()),
        "RetryScheduled" => ("next try".to_owned(), format!("not before {}", words::exact(event.text("at")))),
        "ProgressReported" => ("progress".to_owned(), event.at("/progress").to_string()),
        "SignalTaken" => ("signal taken".to_owned(), event.text("how").to_owned()),
        "ApprovalRequested" | "QuestionAsked" => ("asks".to_owned(), event.text("title").to_owned()),
        "VoteCast" => (format!("votes: {}", event.text("vote")), comment()),
        "ApprovalDecided" => (format!("it is decided: {}", event.text("decision")), comment()),
        "AnswerSaved" => ("saved a part of the answer".to_owned(), String::new()),
        "QuestionAnswered" => ("answered".to_owned(), String::new()),
        _other => return None,
    })
}

/// What the definition says of a step, by name.
fn rules(node: &LayoutNode) -> Vec<(String, String)> {
    let named = |note: &String| {
        let known = ["when", "for each", "each round within"].into_iter();
        let found = known.filter_map(|name| Some((name, note.strip_prefix(name)?.strip_prefix(' ')?))).next();
        found.map_or_else(
            || ("begins".to_owned(), note.clone()),
            |(name, rest)| (name.to_owned(), rest.to_owned()),
        )
    };
    let notes = node.notes.iter().map(named);
    let gates = node
        .gates
        .iter()
        .map(|gate| (format!("gate {}", gate.id), format!("{} · else {}", gate.probe, gate.route)));
    let routes = node.routes.iter().map(|route| (format!("when {}", route.cause), route.to.clone()));
    notes.chain(gates).chain(routes).take(24).collect()
}

fn cut(text: &str) -> String {
    let text = &*visible(text);
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn evidence_is_the_last_line_of_what_a_program_said() {
        assert_eq!(
            evidence(&json!({"exit": 1, "output": "a\n5 passed, 2 failed\n\n"})),
            "5 passed, 2 failed"
        );
        assert_eq!(evidence(&json!({"ok": true, "source": {"function": "x"}})), "{\"ok\":true}");
        assert_eq!(evidence(&Value::Null), "");
    }
}

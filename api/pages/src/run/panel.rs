//! The panel of a selected step: what it was given, what it made, how each try went.

use std::collections::BTreeMap;

use serde_json::Value;

use super::children::ChildFacts;
use super::event::Event;
use super::facts::{FailureFacts, RunFacts, StepFacts};
use super::graph::LayoutNode;
use super::items::{ItemList, ItemNames, ItemsAsked, item_state};
use super::judged::{Judged, judged};
use super::next::{NextAct, for_step, log_path};
use super::spans::AttemptFacts;
use super::waits::{Wait, in_line, waits};
use crate::frame::Frame;
use crate::tabs::plain;
use crate::visible::visible;
use crate::words;

/// Tries that a panel lists; the newest.
const ROWS_MAX: usize = 40;
/// The longest text of an input or output, in characters.
const TEXT_MAX: usize = 12_000;

/// The panel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panel {
    /// The step or the item that is selected.
    pub(crate) path: String,
    pub(crate) step: StepFacts,
    /// An item: its number.
    pub(crate) item: Option<String>,
    /// What it is called.
    pub(crate) name: Option<String>,
    /// How it stands.
    pub(crate) state: String,
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
    /// The newest tries of items, as far as they are listed.
    pub(crate) items: Vec<Try>,
    pub(crate) list: ItemList,
    pub(crate) children: Vec<ChildFacts>,
    pub(crate) said: Vec<SaidOfStep>,
    /// Events before this version were not looked at.
    pub(crate) from_version: u64,
    run: String,
    names: ItemNames,
}

/// A try.
#[derive(Debug, Clone, Default)]
pub(crate) struct Try {
    /// The step or item.
    pub(crate) path: String,
    /// What the item is called.
    pub(crate) name: String,
    /// Empty: it did not begin.
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
    /// Older events of what is selected.
    pub(crate) older: &'a [Event],
    pub(crate) names: &'a ItemNames,
    pub(crate) asked: &'a ItemsAsked,
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
        let known: Vec<&Event> = of.older.iter().chain(of.events).collect();
        let used = usage(&known);
        let own: Vec<&AttemptFacts> = of
            .attempts
            .iter()
            .filter(|it| if is_whole { it.base() == of.path } else { it.step == of.path })
            .collect();
        let newest = own.last().filter(|_| !is_whole).map(|it| it.instance());
        let instance = of.attempt.map(str::to_owned).or(newest).unwrap_or_else(|| step.instance());
        let row = |attempt: &&AttemptFacts| tried(of.run, attempt, &used, of.now, &instance);
        let (tries, list) = if is_whole {
            let list = ItemList::of(of.run, &step, of.attempts, of.events, of.asked, of.now);
            (Vec::new(), list)
        } else {
            (own.iter().rev().take(ROWS_MAX).map(row).collect(), ItemList::default())
        };
        let items = list.rows.iter().map(|it| {
            let path = format!("{}.{}", step.id, it.number);
            let newest = it.attempt.and_then(|at| of.attempts.get(at));
            let name = of.names.of_path(&path).unwrap_or_default().to_owned();
            let shown = newest.map(|attempt| row(&attempt)).unwrap_or_default();
            Try { path, name, state: it.state, ..shown }
        });
        let items = items.collect();
        let (given, made) = texts(&known, of.path, &instance);
        let failure = match item {
            None => step.failure.clone(),
            Some(_) => own.last().and_then(|it| it.end.as_ref()?.failure.clone()),
        };
        let state = match item {
            None => step.word().to_owned(),
            Some(_) => item_state(of.run, &step, of.path, own.last().copied(), of.events).to_owned(),
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
            gates: judged(&known, of.path, of.attempt, &step),
            waits: waits(of.run)
                .into_iter()
                .filter(|wait| is_of(wait.step.as_deref(), of.path))
                .chain(in_line(of.run, &step.id))
                .collect(),
            items,
            list,
            name: of.names.of_path(of.path).map(str::to_owned),
            state,
            children: of.children.into_iter().filter(|child| is_of(Some(child.by()), of.path)).collect(),
            said: said(&known, of.path),
            from_version: of.events.first().map_or(1, |event| event.version),
            run: of.run.short_id.clone(),
            names: of.names.clone(),
            instance,
            item,
            step,
        })
    }

    /// What can be done about this step.
    pub(crate) fn acts(&self, run: &RunFacts, frame: &Frame) -> Vec<NextAct> {
        // An item that ended is not cancelled.
        let is_over = matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled" | "skipped");
        let fits = |act: &NextAct| !(self.item.is_some() && is_over && act.is_danger);
        let acts = for_step(run, &self.step, &self.path).into_iter();
        acts.filter(|act| fits(act) && act.is_open_to(frame)).collect()
    }

    /// The overview with a try of this step selected.
    pub(crate) fn try_path(&self, one: &Try) -> String {
        let (path, attempt) = (words::encoded(&one.path), words::encoded(&one.instance));
        match attempt.as_str() {
            "" => format!("/runs/{}?step={path}#panel", self.run),
            attempt => format!("/runs/{}?step={path}&attempt={attempt}#panel", self.run),
        }
    }

    /// This panel with items of one state alone; an empty one: with all.
    pub(crate) fn state_path(&self, state: &str) -> String {
        self.list_path(state, 1)
    }

    /// This panel with another page of its items.
    pub(crate) fn page_path(&self, page: usize) -> String {
        self.list_path(self.list.state.unwrap_or_default(), page)
    }

    fn list_path(&self, state: &str, page: usize) -> String {
        let mut path = format!("/runs/{}?step={}", self.run, words::encoded(&self.path));
        if !state.is_empty() {
            path.push_str(&format!("&items={state}"));
        }
        if page > 1 {
            path.push_str(&format!("&page={page}"));
        }
        format!("{path}#panel")
    }

    /// The attempt whose newest lines are shown: the chosen one, while it goes on.
    pub(crate) fn live(&self) -> Option<&Try> {
        let shown = self.tries.iter().find(|it| it.instance == self.instance).or(self.tries.first())?;
        (shown.state == "running" && shown.log.is_some()).then_some(shown)
    }

    /// Whether the shown try is all that there is.
    pub(crate) fn log_path(&self) -> Option<String> {
        let shown = self.tries.iter().find(|it| it.instance == self.instance).or(self.tries.first())?;
        shown.log.clone()
    }

    /// How long the current round took so far, or the newest try of an item.
    pub(crate) fn took(&self) -> String {
        if self.item.is_some() {
            return self.tries.first().map(|it| it.took.clone()).unwrap_or_default();
        }
        match (&self.step.started_at, &self.step.ended_at) {
            (Some(from), Some(to)) if self.step.round > 0 => words::took(from, Some(to)),
            _ => String::new(),
        }
    }

    /// How many items the step has.
    pub(crate) fn step_items(&self) -> u64 {
        self.step.items.map_or(0, |items| items.total)
    }

    /// What the item is called that started a run.
    pub(crate) fn child_name(&self, child: &ChildFacts) -> Option<&str> {
        self.names.of_path(child.by())
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
fn usage(events: &[&Event]) -> Used {
    let mut used = Used::new();
    for event in events.iter().filter(|event| event.kind() == "UsageRecorded") {
        let Some(place) = event.place() else { continue };
        let number = |name: &str| event.at("/usage").get(name).and_then(Value::as_u64).unwrap_or(0);
        let entry =
            used.entry((place.path.clone(), format!("{}.{}", place.round, place.attempt))).or_default();
        let less = event.at("/less_micros").as_u64().unwrap_or(0);
        entry.0 += (number("cost_micros") as f64 - less as f64) / 1e6;
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
    let wrote = end.is_some_and(|end| end.log.is_some()) || attempt.started_at.is_some();
    let has_log = run.step(&attempt.step).is_some_and(StepFacts::has_log) && wrote;
    Try {
        path: attempt.step.clone(),
        name: String::new(),
        state: attempt.state(),
        took: took(attempt, now),
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

/// How long a try took. The begin of quick work may be recorded behind its end, or never: then all since it was
/// scheduled counts.
fn took(attempt: &AttemptFacts, now: i64) -> String {
    let Some(end) = attempt.end.as_ref().and_then(|end| words::millis(&end.at)) else {
        return match attempt.started_at {
            Some(_) => words::duration(attempt.took_ms(now)),
            None => String::new(),
        };
    };
    let started = attempt.started_at.as_deref().and_then(words::millis).filter(|from| *from <= end);
    started
        .or_else(|| words::millis(&attempt.scheduled_at))
        .map(|from| words::duration(end - from))
        .unwrap_or_default()
}

/// What a try was given and what it made.
fn texts(events: &[&Event], path: &str, instance: &str) -> (Option<String>, Option<String>) {
    let own = |event: &&&Event| {
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
            // An item that a retry kept was given what the attempt that did it was given.
            "StepScheduled" if !event.at("/work/kept").is_null() => {}
            "StepScheduled" => given = shown(spec(event.at("/work"))),
            "RetryScheduled" if !event.at("/task").is_null() => given = shown(spec(event.at("/task"))),
            "ApprovalRequested" | "QuestionAsked" => {
                given = shown(event.at("/show")).or_else(|| shown(event.at("/text")))
            }
            "AttemptSucceeded" | "ChildFinished" => made = shown(event.at("/output")),
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

/// Timers and signals of the step that are told nowhere else.
fn said(events: &[&Event], path: &str) -> Vec<SaidOfStep> {
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
        // When a gate is asked again stands with what is waited for.
        "TimerSet" | "TimerFired" if timer == "poll" => return None,
        "TimerSet" => (format!("timer {timer}"), format!("until {}", words::exact(event.text("at")))),
        "TimerFired" => (format!("timer {timer} is due"), String::new()),
        "StepScheduled" => ("kept".to_owned(), words::kept(event.at("/work/kept"))?),
        "RetryScheduled" => ("next try".to_owned(), format!("not before {}", words::exact(event.text("at")))),
        "ProgressReported" => ("progress".to_owned(), progress(event.at("/progress"))),
        "SignalTaken" => ("signal taken".to_owned(), event.text("how").to_owned()),
        "ApprovalRequested" | "QuestionAsked" => ("asks".to_owned(), event.text("title").to_owned()),
        "VoteCast" => (format!("votes: {}", event.text("vote")), comment()),
        "ApprovalDecided" => (format!("it is decided: {}", event.text("decision")), comment()),
        "AnswerSaved" => ("saved a part of the answer".to_owned(), String::new()),
        "QuestionAnswered" => ("answered".to_owned(), String::new()),
        _other => return None,
    })
}

/// How far work is, as it says: `3 of 8 · linking`.
fn progress(progress: &Value) -> String {
    let number = |key: &str| progress.get(key).and_then(Value::as_u64);
    let done = match (number("done"), number("of").filter(|of| *of > 0)) {
        (Some(done), Some(of)) => format!("{done} of {of}"),
        (Some(done), None) => format!("{done} done"),
        _ => return progress.to_string(),
    };
    match progress.get("note").and_then(Value::as_str).map(plain).filter(|note| !note.is_empty()) {
        Some(note) => format!("{done} · {note}"),
        None => done,
    }
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

    fn event(event: Value) -> Event {
        Event {
            version: 1,
            recorded_at: "2026-11-22T15:00:00Z".to_owned(),
            actor: "engine".to_owned(),
            event,
        }
    }

    #[test]
    fn a_try_whose_begin_was_told_late_took_what_lies_before_its_end() {
        let attempt = |started: Option<&str>| AttemptFacts {
            scheduled_at: "2026-11-22T15:00:00Z".to_owned(),
            started_at: started.map(str::to_owned),
            end: Some(super::super::spans::AttemptEnd {
                at: "2026-11-22T15:00:02Z".to_owned(),
                ..super::super::spans::AttemptEnd::default()
            }),
            ..AttemptFacts::default()
        };
        let took = |started| took(&attempt(started), 0);
        assert_eq!(took(Some("2026-11-22T15:00:01Z")), "1 s");
        assert_eq!(took(Some("2026-11-22T15:00:03Z")), "2 s");
        assert_eq!(took(None), "2 s");
    }

    #[test]
    fn progress_is_read_without_what_steers_a_terminal() {
        let id = json!({"path": {"step": "s", "item": null}, "round": 1, "attempt": 1});
        let one = event(json!({"type": "ProgressReported", "id": id,
            "progress": {"done": 15, "of": 30, "note": "\u{1b}[31mtick\u{1b}[0m"}}));
        assert_eq!(said(&[&one], "s")[0].detail, "15 of 30 · tick");
    }
}

//! The head of every page of a run: its headline and its tabs.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::below::{BelowRun, asked_below};
use super::facts::{RunFacts, StepFacts};
use super::next::{NextAct, acts, further, log_path, to_decide, with_distinct_labels};
use super::waits::{Wait, waits};
use crate::board::{RunAttribute, RunFilter};
use crate::frame::{Frame, NavPlace, Visit};
use crate::problem::Problem;
use crate::words;

/// The pages of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunTab {
    Overview,
    Events,
    Log,
    Gates,
    Artefacts,
    Cost,
    Children,
    Definition,
    Debugger,
    Compare,
}

impl RunTab {
    /// All tabs with their words and the ends of their addresses, in their order.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 10] = [
        (Self::Overview, "Overview", ""),
        (Self::Events, "Events", "/events"),
        (Self::Log, "Log", "/log"),
        (Self::Gates, "Gates", "/gates"),
        (Self::Artefacts, "Artefacts", "/artefacts"),
        (Self::Cost, "Cost", "/cost"),
        (Self::Children, "Children", "/children"),
        (Self::Definition, "Definition", "/definition"),
        (Self::Debugger, "Debugger", "/debug"),
        (Self::Compare, "Compare", "/compare"),
    ];

    /// What tells it from the run's other pages in the title of a browser's tab; nothing of the overview.
    fn of_title(self) -> String {
        let own = Self::ALL.iter().filter(|(tab, _, end)| *tab == self && !end.is_empty());
        own.map(|(_, word, _)| format!(" · {word}")).collect()
    }
}

/// The most buttons of the headline.
const ACTS_MAX: usize = 8;

/// How far a step is, by what it says itself.
fn says(step: &StepFacts) -> String {
    let items = step.items.map(|items| format!("{} of {} items", items.ended, items.total));
    let progress = || {
        let progress = step.progress.as_ref()?;
        let done = match progress.of {
            0 => format!("{} done", progress.done),
            of => format!("{} of {of}", progress.done),
        };
        Some(progress.note.as_ref().map_or(done.clone(), |note| format!("{done} · {note}")))
    };
    let stopped = step.line.clone().filter(|_| step.is_suspended());
    let said = stopped.or(items).or_else(progress).or_else(|| step.line.clone());
    let text = said.unwrap_or_default();
    text.chars().take(SAYS_MAX).collect()
}

/// The longest line of a running step in the headline, in characters.
const SAYS_MAX: usize = 160;
/// The longest input or output that is shown whole, in characters.
const TEXT_MAX: usize = 12_000;

/// A value as text; none where it says nothing.
fn shown(value: &Value) -> Option<String> {
    let is_nothing = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    let text = words::json(value);
    let cut =
        text.char_indices().nth(TEXT_MAX).and_then(|(end, _)| text.get(..end)).map(|text| format!("{text}…"));
    (!is_nothing).then(|| cut.unwrap_or(text))
}

/// A value with every character of its texts to be seen.
fn seen(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(crate::visible::visible(text).into_owned()),
        Value::Array(items) => Value::Array(items.iter().map(seen).collect()),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), seen_field(name, value))).collect()
        }
        other => other.clone(),
    }
}

/// A field; what a program wrote for a terminal is read without what steers that.
fn seen_field(name: &str, value: &Value) -> Value {
    match value {
        Value::String(text) if matches!(name, "line" | "note") && text.contains('\u{1b}') => {
            Value::String(crate::tabs::plain(text))
        }
        value => seen(value),
    }
}

/// A field of a run; its default where it is not there.
fn read<T: DeserializeOwned + Default>(view: &Value, name: &str) -> T {
    view.get(name).and_then(|value| T::deserialize(value).ok()).unwrap_or_default()
}

/// A step that goes on now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    pub(crate) step: String,
    /// `2.1`; empty of steps with items.
    pub(crate) instance: String,
    pub(crate) since: String,
    /// A signal stopped its process.
    pub(crate) is_suspended: bool,
    /// Its work is done, and a gate is asked about it.
    pub(crate) is_judged: bool,
    /// How far it is, or the newest line of its output.
    pub(crate) says: String,
    pub(crate) log: Option<String>,
}

/// The head of a page of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunHead {
    pub(crate) facts: RunFacts,
    /// The whole answer of `GET /runs/{run}`, or of `GET /runs/{run}/state` at a former moment.
    pub(crate) view: Value,
    pub(crate) tab: RunTab,
    /// What runs that it started ask people.
    below: BelowRun,
}

/// The headline of a run, and the tabs of its pages.
#[derive(Template)]
#[template(path = "run/headline.html")]
pub(crate) struct RunHeadline<'a> {
    frame: &'a Frame,
    head: &'a RunHead,
}

impl RunHead {
    /// What stands above the panel on each page of the run.
    pub(crate) fn headline<'a>(&'a self, frame: &'a Frame) -> RunHeadline<'a> {
        RunHeadline { frame, head: self }
    }

    /// Reads a run by any of its names, at the moment that the page shows.
    pub(crate) async fn load(visit: &Visit, run: &str, tab: RunTab) -> Result<Self, Problem> {
        let run = words::encoded(run);
        let path = match &visit.at {
            None => format!("/runs/{run}"),
            Some(_) => visit.at_moment(&format!("/runs/{run}/state")),
        };
        let view: Value = visit.rest.get(&path).await?;
        let facts = RunFacts::deserialize(seen(&view))
            .map_err(|error| Problem::within(format!("the run cannot be read: {error}")))?;
        let below = asked_below(visit, &facts).await;
        Ok(Self { facts, view, tab, below })
    }

    /// The frame of this page; it follows this run's changes.
    pub(crate) fn frame(&self, visit: &Visit) -> Frame {
        let facts = &self.facts;
        let glyph = words::glyph(&facts.status);
        let tab = self.tab.of_title();
        let title = format!("{glyph} {}{tab} · {}", self.title(), facts.short_id);
        let mut frame = visit.frame(title, NavPlace::Elsewhere);
        frame.follows = Some(facts.id.clone());
        frame
    }

    /// The title, or the pipeline's name where there is none.
    pub(crate) fn title(&self) -> &str {
        self.facts.name()
    }

    /// Its labels, each with the table of the runs that have it, too.
    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        let labels: BTreeMap<String, String> = read(&self.view, "labels");
        RunFilter::label_tables(&labels)
    }

    /// Its search attributes, with their values as they are: what the facts have is for readers alone.
    pub(crate) fn search_attributes(&self) -> Vec<RunAttribute> {
        RunAttribute::all(&read(&self.view, "search"))
    }

    /// The address of a tab.
    pub(crate) fn tab_path(&self, end: &str) -> String {
        format!("/runs/{}{end}", self.facts.short_id)
    }

    /// Whether a tab is the one that is shown.
    pub(crate) fn is_tab(&self, tab: &RunTab) -> bool {
        self.tab == *tab
    }

    /// The address of its pipeline; where that was never saved, of the definition that the run brought.
    pub(crate) fn pipeline_path(&self) -> String {
        let below = format!("?run={}", self.facts.short_id);
        crate::pipelines::pipeline_path(&self.facts.pipeline, &below)
    }

    /// The page of a step of this run: its overview with the step selected.
    pub(crate) fn step_path(&self, step: &str) -> String {
        format!("/runs/{}?step={}", self.facts.short_id, words::encoded(step))
    }

    /// What it waits for, people first.
    pub(crate) fn waits(&self) -> Vec<Wait> {
        self.below.waits().chain(waits(&self.facts)).collect()
    }

    /// The steps that go on now, the oldest first.
    pub(crate) fn running(&self) -> Vec<Running> {
        let facts = &self.facts;
        let is_asked_later = |step: &StepFacts| {
            facts.awaits.iter().any(|awaited| awaited.step == step.id && awaited.kind == "timer")
        };
        let is_judged = |step: &StepFacts| step.status == "gating" && !is_asked_later(step);
        let goes_on = |step: &&StepFacts| {
            let works = matches!(step.status.as_str(), "running" | "starting" | "working");
            (works || is_judged(step)) && !facts.is_ended()
        };
        let mut running: Vec<Running> = facts
            .steps
            .iter()
            .filter(goes_on)
            .filter_map(|step| {
                let log = (step.has_log() && step.items.is_none() && step.attempt > 0)
                    .then(|| log_path(&facts.short_id, &step.id, step.round, step.attempt));
                Some(Running {
                    step: step.id.clone(),
                    instance: if step.items.is_none() { step.instance() } else { String::new() },
                    since: step.started_at.clone()?,
                    is_suspended: step.is_suspended(),
                    is_judged: is_judged(step),
                    says: says(step),
                    log,
                })
            })
            .collect();
        running.sort_by(|one, other| one.since.cmp(&other.since));
        running
    }

    /// What can be done next, the most likely first, as far as this caller may.
    pub(crate) fn acts(&self, frame: &Frame) -> Vec<NextAct> {
        let below = self.below.asked().filter_map(to_decide);
        let open = below.chain(acts(&self.facts)).filter(|act| act.is_open_to(frame));
        with_distinct_labels(open.take(ACTS_MAX).collect())
    }

    /// The other actions, for the menu.
    pub(crate) fn further(&self, frame: &Frame) -> Vec<NextAct> {
        further(&self.facts).into_iter().filter(|act| act.is_open_to(frame)).collect()
    }

    /// Its input; none where it has none.
    pub(crate) fn input_text(&self) -> Option<String> {
        shown(&self.facts.input)
    }

    /// Its result.
    pub(crate) fn output_text(&self) -> Option<String> {
        shown(&self.facts.output)
    }

    /// How long it took, or took until the shown moment; none while it goes on now.
    pub(crate) fn took(&self, frame: &Frame) -> Option<String> {
        let facts = &self.facts;
        let end = facts.ended_at.as_ref().or(frame.then.as_ref())?;
        Some(words::took(&facts.started_at, Some(end)))
    }

    /// The run that started this one, where a run did.
    pub(crate) fn started_by_run(&self) -> Option<&str> {
        self.facts.started_by.strip_prefix("run:").map(words::short)
    }

    /// The run that this one began as a copy of.
    pub(crate) fn origin_words(&self) -> Option<(String, String)> {
        let origin = self.facts.origin.as_ref()?;
        let how = if origin.how.is_empty() { "fork" } else { &origin.how };
        let short = words::short(&origin.run);
        Some((format!("{how} of {short} at {}", origin.version), format!("/runs/{short}")))
    }

    /// Where and by which gate or attempt it failed: `unit 1.2`.
    pub(crate) fn failed_at(&self) -> Option<(String, String)> {
        let failure = self.facts.failure.as_ref()?;
        let step = failure.step.clone()?;
        let place = match (failure.round, failure.attempt) {
            (Some(round), Some(attempt)) if attempt > 0 => format!("{step} {round}.{attempt}"),
            (Some(round), _) => format!("{step} {round}"),
            _ => step.clone(),
        };
        Some((place, self.step_path(&step)))
    }
}

//! The list of runs.

use std::collections::{BTreeMap, HashMap};

use everfold_engine::event::{Origin, RunEvent};
use everfold_engine::execution::RunQuery;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use serde::Serialize;

use crate::activity::Activity;
use crate::{Fact, Projection};

/// A run as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// The last 8 digits of the id.
    pub short_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// For readers.
    pub title: Option<String>,
    /// Addresses and filters.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub status: RunStatus,
    /// The steps that something goes on in, or that wait for people.
    pub steps: Vec<String>,
    /// How it failed, in one line.
    pub failure: Option<String>,
    /// Why it stands still, where somebody said so.
    pub paused: Option<String>,
    /// Who started it.
    pub started_by: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When the last event was recorded.
    pub updated_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its last version.
    pub version: Version,
    /// The place of its first event in the store: the order of the list.
    pub position: Position,
    /// The run that started it.
    pub parent: Option<RunId>,
    /// The run whose history this one began with.
    pub origin: Option<Origin>,
}

/// Which runs are wanted; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// One of these; empty: any.
    pub status: Vec<RunStatus>,
    /// The pipeline's name.
    pub pipeline: Option<String>,
    /// Labels with these values; no value: the label is there.
    pub labels: Vec<(String, Option<String>)>,
    /// Words that all stand in title, pipeline, id or labels; case does not matter.
    pub words: Vec<String>,
    /// Started later than this.
    pub started_after: Option<Timestamp>,
    /// Started by this run.
    pub parent: Option<RunId>,
}

/// Part of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPage {
    /// The runs, newest first.
    pub items: Vec<RunRow>,
    /// Where the next part begins, if there is one.
    pub next: Option<Position>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    row: RunRow,
    activity: Activity,
}

/// The read model `runs`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunRows {
    by_id: HashMap<RunId, Entry>,
    /// By the position of the first event.
    order: BTreeMap<Position, RunId>,
    /// The runs that a run started, oldest first.
    children: HashMap<RunId, Vec<RunId>>,
}

impl RunRows {
    /// One run.
    #[must_use]
    pub fn get(&self, run: RunId) -> Option<RunRow> {
        self.by_id.get(&run).map(Entry::shown)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The ids, newest first.
    pub fn newest(&self) -> impl Iterator<Item = RunId> + '_ {
        self.order.values().rev().copied()
    }

    /// How many runs fit, and the newest of them.
    #[must_use]
    pub fn find(&self, query: &RunQuery) -> (u64, Vec<RunRow>) {
        let filter = RunFilter {
            status: query.status.clone(),
            pipeline: query.pipeline.clone(),
            labels: query.labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
            ..RunFilter::default()
        };
        let newest = self.order.values().rev().filter_map(|run| self.by_id.get(run));
        let (mut total, mut rows) = (0, Vec::new());
        for entry in newest.filter(|entry| filter.fits(entry)) {
            total += 1;
            if rows.len() < query.limit {
                rows.push(entry.shown());
            }
        }
        (total, rows)
    }

    /// The runs that a run started, oldest first.
    #[must_use]
    pub fn children(&self, run: RunId) -> &[RunId] {
        self.children.get(&run).map_or(&[], Vec::as_slice)
    }

    /// The runs that fit, newest first, at most `limit`, those before `cursor` only.
    #[must_use]
    pub fn list(&self, filter: &RunFilter, cursor: Option<Position>, limit: usize) -> RunPage {
        let until = cursor.unwrap_or(Position(u64::MAX));
        let mut items: Vec<RunRow> = self
            .order
            .range(..until)
            .rev()
            .filter_map(|(_, run)| self.by_id.get(run))
            .filter(|entry| filter.fits(entry))
            .take(limit.saturating_add(1))
            .map(Entry::shown)
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(|row| row.position) } else { None };
        RunPage { items, next }
    }
}

impl Entry {
    /// What depends on the open parts is worked out here, not with every event.
    fn shown(&self) -> RunRow {
        RunRow { status: self.activity.status(), steps: self.activity.steps(), ..self.row.clone() }
    }
}

impl RunFilter {
    fn fits(&self, entry: &Entry) -> bool {
        let row = &entry.row;
        let has_label = |(key, value): &(String, Option<String>)| {
            row.labels.get(key).is_some_and(|is| value.as_ref().is_none_or(|value| value == is))
        };
        (self.status.is_empty() || self.status.contains(&entry.activity.status()))
            && self.pipeline.as_ref().is_none_or(|pipeline| *pipeline == row.pipeline)
            && self.labels.iter().all(has_label)
            && self.parent.is_none_or(|parent| row.parent == Some(parent))
            && self.started_after.is_none_or(|after| row.started_at > after)
            && self.words.iter().all(|word| row.mentions(&word.to_lowercase()))
    }
}

impl RunRow {
    fn mentions(&self, word: &str) -> bool {
        let labels = self.labels.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        let texts = [self.pipeline.as_str(), self.title.as_deref().unwrap_or_default()];
        texts.into_iter().chain(labels).any(|text| text.to_lowercase().contains(word))
            || self.id.to_string().contains(word)
    }
}

impl Projection for RunRows {
    const NAME: &'static str = "runs";
    const SCHEMA: u32 = 3;

    fn apply(&mut self, fact: &Fact<'_>) {
        let header = &fact.envelope.header;
        if let RunEvent::RunStarted(event) = fact.event {
            let row = RunRow {
                id: fact.run,
                short_id: fact.run.short(),
                pipeline: event.pipeline.clone(),
                title: event.title.clone(),
                labels: event.labels.clone(),
                status: RunStatus::Running,
                steps: Vec::new(),
                failure: None,
                paused: None,
                started_by: header.actor.to_string(),
                started_at: header.recorded_at,
                updated_at: header.recorded_at,
                ended_at: None,
                version: header.version,
                position: fact.envelope.position,
                // A run that goes on from another one's history is nobody's child.
                parent: event.parent.as_ref().map(|parent| parent.run).filter(|_| !fact.is_copied()),
                origin: None,
            };
            if let Some(parent) = row.parent {
                self.children.entry(parent).or_default().push(fact.run);
            }
            self.order.insert(fact.envelope.position, fact.run);
            self.by_id.insert(fact.run, Entry { row, activity: Activity::default() });
        }
        if let RunEvent::RunForked(event) = fact.event
            && let Some(entry) = self.by_id.get_mut(&fact.run)
        {
            let row = &mut entry.row;
            self.order.remove(&row.position);
            row.position = fact.envelope.position;
            row.origin = Some(event.origin.clone());
            row.title = event.title.clone().or(row.title.take());
            row.started_by = header.actor.to_string();
            row.started_at = header.recorded_at;
            self.order.insert(row.position, fact.run);
        }
        let Some(entry) = self.by_id.get_mut(&fact.run) else { return };
        let told = match fact.event {
            RunEvent::AttemptSucceeded(event) => Some((&event.id, &event.told)),
            RunEvent::AttemptFailed(event) => Some((&event.id, &event.told)),
            RunEvent::AttemptAsked(event) => Some((&event.id, &event.told)),
            _other => None,
        };
        if let Some((_, told)) = told.filter(|(id, _)| entry.activity.is_heard(id)) {
            entry.row.labels.extend(told.labels.clone());
        }
        entry.activity.apply(fact.event, header.recorded_at);
        let row = &mut entry.row;
        row.version = header.version;
        row.updated_at = header.recorded_at;
        match fact.event {
            RunEvent::RunPaused(event) => row.paused.clone_from(&event.reason),
            RunEvent::BreakpointHit(event) => {
                row.paused = Some(format!("a breakpoint before {}", event.path))
            }
            RunEvent::RunHalted(event) => {
                let reason = event.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                row.paused = Some(format!("{} is paused{reason}", event.scope));
            }
            RunEvent::RunResumed(_) | RunEvent::RunReleased(_) | RunEvent::CancelRequested(_) => {
                row.paused = None
            }
            RunEvent::BudgetExceeded(event) => {
                row.paused = Some(format!("the budget {} is used up", event.reading.budget));
            }
            RunEvent::FundsGranted(_) => row.paused = None,
            RunEvent::StepSucceeded(event) => row.labels.extend(event.labels.clone()),
            RunEvent::RunFailed(event) => row.failure = Some(event.failure.message.clone()),
            _other => {}
        }
        if entry.activity.status().is_ended() && row.ended_at.is_none() {
            row.ended_at = Some(header.recorded_at);
        }
    }
}

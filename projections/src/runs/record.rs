//! One run's row with its past.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_engine::event::{Origin, RunEvent};
use everfold_engine::failure::Failure;
use everfold_engine::id::{Position, RunId, StepId, Version};
use everfold_engine::json::Hash;
use everfold_engine::state::RunStatus;
use everfold_engine::text::one_line;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::marks::{Mark, Marks, part};
use super::terms::Indexed;
use super::told;
use crate::activity::{Activity, Awaits};
use crate::projection::FoldError;
use crate::stages::Stages;
use crate::{Fact, rowcodec};

/// What a row takes beside its marks, for most runs.
const BESIDE_MARKS_BYTES: usize = 224;

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
    /// Who started it.
    pub started_by: String,
    /// When it began.
    pub started_at: Timestamp,
    /// What it shows; a part of the row in JSON.
    #[serde(flatten, serialize_with = "told::told")]
    pub shown: Shown,
    /// When the last event was recorded.
    pub updated_at: Timestamp,
    /// Its last version.
    pub version: Version,
    /// The place in the store from which on it is to be seen: the order of the list.
    pub position: Position,
    /// The place of its last event: the row holds since then.
    pub since: Position,
    /// The step of another run that started it.
    #[serde(serialize_with = "told::parent")]
    pub parent: Option<RowParent>,
    /// The run whose history this one began with.
    pub origin: Option<Origin>,
    /// The definition that the run is pinned to, where its steps name stages.
    #[serde(skip)]
    pub(super) definition: Option<Hash>,
}

/// What changes of a run while it lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// What it is doing.
    pub status: RunStatus,
    /// Since when it has been doing that at these steps.
    pub moved_at: Timestamp,
    /// The steps that something goes on in, or that wait for people.
    pub steps: Vec<StepId>,
    /// How it failed.
    pub failure: Option<RowFailure>,
    /// Why it stands still, where somebody said so.
    pub paused: Option<String>,
    /// Addresses and filters.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Whom it waits for.
    pub awaits: Vec<Awaits>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it used up.
    pub usage: RowUsage,
}

/// What a run used up, counted as its own state counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowUsage {
    /// Tokens read, those from a cache among them.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
}

/// How a run failed: what its last event says, without the detail, which may be long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFailure {
    /// The step that made it fail, or an item of it.
    pub step: Option<String>,
    /// How; without `detail`.
    pub failure: Failure,
}

/// The step of another run that started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowParent {
    /// Its run.
    pub run: RunId,
    /// The step, or an item of it.
    pub step: String,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            status: RunStatus::Running,
            moved_at: Timestamp(0),
            steps: Vec::new(),
            failure: None,
            paused: None,
            labels: Arc::default(),
            awaits: Vec::new(),
            ended_at: None,
            usage: RowUsage::default(),
        }
    }
}

/// What never changes of a run once it is to be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fixed {
    pub(super) id: RunId,
    pub(super) pipeline: String,
    pub(super) title: Option<String>,
    pub(super) started_by: String,
    pub(super) started_at: Timestamp,
    pub(super) position: Position,
    pub(super) parent: Option<RowParent>,
    pub(super) origin: Option<Origin>,
    /// The definition that the run is pinned to, where its steps name stages.
    pub(super) definition: Option<Hash>,
}

/// A run's row, what it is folded with, and its marks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) fixed: Fixed,
    pub(super) shown: Shown,
    version: Version,
    updated_at: Timestamp,
    since: Position,
    activity: Activity,
    #[serde(skip)]
    pub(super) indexed: Indexed,
    /// Those of the definition.
    #[serde(skip)]
    pub(super) stages: Option<Arc<Stages>>,
    pub(super) marks: Marks,
}

impl Record {
    /// The row of a run that starts.
    pub(super) fn started(fact: &Fact<'_>) -> Option<Self> {
        let RunEvent::RunStarted(event) = fact.event else { return None };
        let around = fact.around;
        let fixed = Fixed {
            id: fact.run,
            pipeline: event.pipeline.clone(),
            title: event.title.clone(),
            started_by: around.actor.to_string(),
            started_at: around.recorded_at,
            position: fact.position,
            parent: event
                .parent
                .as_ref()
                .map(|parent| RowParent { run: parent.run, step: parent.id.path.to_string() }),
            origin: None,
            definition: Some(event.definition),
        };
        let shown = Shown { labels: Arc::new(event.labels.clone()), ..Shown::default() };
        let mut record = Self {
            fixed,
            shown,
            version: Version::ZERO,
            updated_at: around.recorded_at,
            since: fact.position,
            activity: Activity::default(),
            indexed: Indexed::default(),
            stages: None,
            marks: Marks::default(),
        };
        record.fold(fact);
        Some(record)
    }

    /// The row of a run that goes on from another one's history.
    pub(super) fn forked(fact: &Fact<'_>) -> Option<Self> {
        let RunEvent::RunForked(event) = fact.event else { return None };
        let mut history = fact.taken_over();
        let mut record = Self::started(&history.next()?)?;
        // What the origin spent stays its own.
        history.filter(|fact| !matches!(fact.event, RunEvent::UsageRecorded(_))).for_each(|fact| {
            record.fold(&fact);
        });
        let around = fact.around;
        record.fixed = Fixed {
            title: event.title.clone().or(record.fixed.title),
            started_by: around.actor.to_string(),
            started_at: around.recorded_at,
            position: fact.position,
            // A run that goes on from another one's history is nobody's child.
            parent: None,
            origin: Some(event.origin.clone()),
            definition: Some(event.definition),
            ..record.fixed
        };
        record.shown.paused = None;
        record.fold(fact);
        Some(record)
    }

    /// Folds one fact. Gives the parts of what it shows that changed with it; what follows from the open
    /// parts is worked out by [`Record::mark`].
    fn fold(&mut self, fact: &Fact<'_>) -> u8 {
        let around = fact.around;
        let told = match fact.event {
            RunEvent::AttemptSucceeded(event) => Some((&event.id, &event.told)),
            RunEvent::AttemptFailed(event) => Some((&event.id, &event.told)),
            RunEvent::AttemptAsked(event) => Some((&event.id, &event.told)),
            _other => None,
        };
        let mut changed = 0;
        if let Some((_, told)) =
            told.filter(|(id, told)| !told.labels.is_empty() && self.activity.is_heard(id))
        {
            Arc::make_mut(&mut self.shown.labels).extend(told.labels.clone());
            changed |= part::LABELS;
        }
        self.activity.apply(fact.event, around.recorded_at);
        self.version = around.version;
        self.updated_at = around.recorded_at;
        self.since = fact.position;
        let shown = &mut self.shown;
        let had = shown.paused.is_some();
        match fact.event {
            RunEvent::RunPaused(event) => shown.paused.clone_from(&event.reason),
            RunEvent::BreakpointHit(event) => {
                shown.paused = Some(format!("a breakpoint before {}", event.path));
            }
            RunEvent::RunHalted(event) => {
                let reason = event.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                shown.paused = Some(format!("{} is paused{reason}", event.scope));
            }
            RunEvent::RunResumed(_)
            | RunEvent::RunReleased(_)
            | RunEvent::CancelRequested(_)
            | RunEvent::RunAbandoned(_) => {
                shown.paused = None;
            }
            RunEvent::BudgetExceeded(event) => {
                shown.paused = Some(format!("the budget {} is used up", event.reading.budget));
            }
            RunEvent::FundsGranted(_) => shown.paused = None,
            RunEvent::StepSucceeded(event) if !event.labels.is_empty() => {
                Arc::make_mut(&mut shown.labels).extend(event.labels.clone());
                changed |= part::LABELS;
            }
            RunEvent::RunFailed(event) => {
                let failure = Failure { detail: None, ..event.failure.clone() };
                shown.failure =
                    Some(RowFailure { step: event.path.as_ref().map(ToString::to_string), failure });
                changed |= part::FAILURE;
            }
            RunEvent::UsageRecorded(event) => {
                let (usage, total) = (&event.usage, &mut shown.usage);
                let read = usage.input_tokens.saturating_add(usage.cached_tokens);
                total.input_tokens = total.input_tokens.saturating_add(read);
                total.output_tokens = total.output_tokens.saturating_add(usage.output_tokens);
                total.cost_micros = total.cost_micros.saturating_add(usage.cost_micros);
                changed |= part::SPENT;
            }
            _other => {}
        }
        // Said again, it may be another reason.
        if had || shown.paused.is_some() {
            changed |= part::PAUSED;
        }
        changed
    }

    /// Folds one fact of a run that is to be seen.
    ///
    /// Gives the marks that are full, to be put away.
    pub(super) fn apply(&mut self, fact: &Fact<'_>) -> Result<Option<Marks>, FoldError> {
        let changed = self.fold(fact);
        self.mark(changed)
    }

    /// Works out what the run shows now, and marks it.
    pub(super) fn mark(&mut self, mut changed: u8) -> Result<Option<Marks>, FoldError> {
        let full = self.marks.is_full().then(|| std::mem::take(&mut self.marks));
        let shown = &mut self.shown;
        let status = self.activity.status();
        let is_elsewhere = self.activity.show_steps(&mut shown.steps);
        if is_elsewhere {
            changed |= part::STEPS;
        }
        if is_elsewhere || status != shown.status || shown.moved_at == Timestamp(0) {
            (shown.status, shown.moved_at) = (status, self.updated_at);
            changed |= part::STATUS;
        }
        if self.activity.is_awaiting() || !shown.awaits.is_empty() {
            let awaits = self.activity.awaits();
            if awaits != shown.awaits {
                shown.awaits = awaits;
                changed |= part::AWAITS;
            }
        }
        if status.is_ended() && shown.ended_at.is_none() {
            shown.ended_at = Some(self.updated_at);
            changed |= part::ENDED;
        }
        let mark = Mark { position: self.since, version: self.version, at: self.updated_at };
        self.marks.add(&mark, changed, &self.shown)?;
        Ok(full)
    }

    /// The place of its last event.
    pub(super) fn row_since(&self) -> Position {
        self.since
    }

    /// The row as it is.
    pub(super) fn into_row(self) -> RunRow {
        let mark = Mark { position: self.since, version: self.version, at: self.updated_at };
        self.fixed.into_row(&mark, self.shown)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, FoldError> {
        rowcodec::encode_in(BESIDE_MARKS_BYTES + self.marks.len(), self)
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Result<Self, FoldError> {
        let record: Self = rowcodec::read(&mut bytes)?;
        Ok(Self { indexed: Indexed::of(&record.shown), ..record })
    }

    /// A row that was read, to be shown.
    pub(super) fn shown_row(mut bytes: &[u8]) -> Result<Self, FoldError> {
        rowcodec::read(&mut bytes)
    }
}

impl Fixed {
    pub(super) fn into_row(self, mark: &Mark, shown: Shown) -> RunRow {
        RunRow {
            id: self.id,
            short_id: self.id.short(),
            pipeline: self.pipeline,
            // Former versions kept titles as they were given.
            title: self.title.map(|title| one_line(&title).into_owned()),
            started_by: self.started_by,
            started_at: self.started_at,
            shown,
            updated_at: mark.at,
            version: mark.version,
            position: self.position,
            since: mark.position,
            parent: self.parent,
            origin: self.origin,
            definition: self.definition,
        }
    }
}

//! One run's row as it is folded and stored, with its history.

use std::sync::Arc;

use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::{AttemptNotes, CancelRequested, RunAbandoned, RunEvent};
use serde::{Deserialize, Serialize};

use super::activity::Activity;
use super::index_terms::{self, IndexedTerms, RowTerms};
use super::pause_notes::PauseNotes;
use super::row::{RowIdentity, RunRow};
use super::row_history::{HistoryEntry, RowHistory};
use super::row_part;
use super::row_state::{RowFailure, RowParent, RowProgress, RowState};
use crate::columns::StepColumns;
use crate::event_readers::{ROW, passed_over};
use crate::index::bitmap_index::TermChanges;
use crate::projection::{Fact, FoldError};
use crate::row_codec;

/// What a row takes beside its history, for most runs.
const BESIDE_HISTORY_BYTES: usize = 224;

/// A run's row, what it is folded with, and its history. It is stored as it stands here, and begins as
/// [`stored_row`](super::stored_row) reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RowRecord {
    since: Position,
    version: Version,
    updated_at: Timestamp,
    pub(super) fixed: RowIdentity,
    pub(super) shown: RowState,
    activity: Activity,
    /// Its note says who had it cancelled, and why.
    cancelled: bool,
    pauses: PauseNotes,
    #[serde(skip)]
    pub(super) indexed: IndexedTerms,
    /// Those of the definition.
    #[serde(skip)]
    pub(super) stages: Option<Arc<StepColumns>>,
    pub(super) history: RowHistory,
}

impl RowRecord {
    /// The row of a run that starts.
    pub(super) fn started(fact: &Fact<'_>) -> Option<Self> {
        let RunEvent::RunStarted(event) = fact.event else { return None };
        let context = fact.context;
        let fixed = RowIdentity {
            id: fact.run,
            pipeline: event.pipeline.clone(),
            number: event.number.as_ref().map(|number| number.number),
            title: event.title.clone(),
            started_by: context.actor.to_string(),
            initiator: event.initiator.as_ref().map(ToString::to_string),
            started_at: context.recorded_at,
            position: fact.position,
            parent: event.parent.as_ref().map(|parent| RowParent {
                run: parent.run,
                step: parent.id.path.to_string(),
                top: event.top.unwrap_or(parent.run),
            }),
            origin: None,
            definition: Some(event.definition),
            steps: 0,
        };
        let shown = RowState { labels: Arc::new(event.labels.clone()), ..RowState::default() };
        let mut record = Self {
            since: fact.position,
            version: Version::ZERO,
            updated_at: context.recorded_at,
            fixed,
            shown,
            activity: Activity::default(),
            cancelled: false,
            pauses: PauseNotes::default(),
            indexed: IndexedTerms::default(),
            stages: None,
            history: RowHistory::default(),
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
        history
            .filter(|fact| !matches!(fact.event, RunEvent::UsageRecorded(_) | RunEvent::ProgressReported(_)))
            .for_each(|fact| {
                record.fold(&fact);
            });
        let context = fact.context;
        record.fixed = RowIdentity {
            title: event.title.clone().or(record.fixed.title),
            started_by: context.actor.to_string(),
            initiator: event.initiator.as_ref().map(ToString::to_string),
            started_at: context.recorded_at,
            position: fact.position,
            // A fork has no parent.
            parent: None,
            origin: Some(event.origin.clone()),
            definition: Some(event.definition),
            ..record.fixed
        };
        (record.shown.paused, record.cancelled, record.pauses) = (None, false, PauseNotes::default());
        record.fold(fact);
        Some(record)
    }

    /// Folds one fact. Gives the parts of what it shows that changed with it; what follows from the open
    /// parts is worked out by [`RowRecord::add_entry`].
    fn fold(&mut self, fact: &Fact<'_>) -> u16 {
        let context = fact.context;
        let notes = reported(fact.event);
        let mut changed = 0;
        if let Some((_, notes)) =
            notes.filter(|(id, notes)| !notes.labels.is_empty() && self.activity.is_heard(id))
        {
            Arc::make_mut(&mut self.shown.labels).extend(notes.labels.clone());
            changed |= row_part::LABELS;
        }
        self.activity.apply(fact.event, context.recorded_at);
        self.version = context.version;
        self.updated_at = context.recorded_at;
        self.since = fact.position;
        let shown = &mut self.shown;
        let had = shown.paused.is_some();
        match fact.event {
            RunEvent::RunPaused(_)
            | RunEvent::BreakpointHit(_)
            | RunEvent::RunHalted(_)
            | RunEvent::RunResumed(_)
            | RunEvent::RunReleased(_)
            | RunEvent::BudgetExceeded(_)
            | RunEvent::FundsGranted(_) => {
                // Of a run that is cancelled the note says who had it cancelled.
                if !self.cancelled {
                    self.pauses.apply(fact.event, self.activity.waits_for_funds());
                    shown.paused = self.pauses.text();
                }
            }
            RunEvent::CancelRequested(CancelRequested { reason })
            | RunEvent::RunAbandoned(RunAbandoned { reason }) => {
                if !self.cancelled {
                    let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                    shown.paused = Some(format!("cancelled by {}{why}", context.actor));
                    (self.cancelled, self.pauses) = (true, PauseNotes::default());
                }
            }
            RunEvent::StepSucceeded(event) => {
                if !event.labels.is_empty() {
                    Arc::make_mut(&mut shown.labels).extend(event.labels.clone());
                    changed |= row_part::LABELS;
                }
            }
            // Their labels are taken above, while the attempt is still heard.
            RunEvent::AttemptSucceeded(_) | RunEvent::AttemptFailed(_) | RunEvent::AttemptAsked(_) => {}
            RunEvent::RunFailed(event) => {
                let failure = Failure { detail: None, ..event.failure.clone() };
                shown.failure =
                    Some(RowFailure { step: event.path.as_ref().map(ToString::to_string), failure });
                changed |= row_part::FAILURE;
            }
            RunEvent::ProgressReported(event) => {
                let (done, of) = (event.progress.done, event.progress.of);
                shown.progress = Some(RowProgress { step: event.id.path.to_string(), done, of });
                changed |= row_part::SPENT;
            }
            RunEvent::SearchSet(event) => {
                let search = Arc::make_mut(&mut shown.search);
                for (name, value) in &event.values {
                    match value {
                        Some(value) => search.insert(name.clone(), value.clone()),
                        None => search.remove(name),
                    };
                }
                changed |= row_part::SEARCH;
            }
            RunEvent::UsageRecorded(event) => {
                let (usage, total) = (&event.usage, &mut shown.usage);
                let read = usage.input_tokens.saturating_add(usage.cached_tokens);
                total.input_tokens = total.input_tokens.saturating_add(read);
                total.output_tokens = total.output_tokens.saturating_add(usage.output_tokens);
                total.cost_micros = event.added_to(total.cost_micros);
                changed |= row_part::SPENT;
            }
            other => passed_over(other, ROW),
        }
        // Said again, it may be another reason.
        if had || shown.paused.is_some() {
            changed |= row_part::PAUSED;
        }
        changed
    }

    /// Folds one fact of a run that is to be seen.
    ///
    /// Returns the history where it is full, to be stored.
    pub(super) fn apply(&mut self, fact: &Fact<'_>) -> Result<Option<RowHistory>, FoldError> {
        let changed = self.fold(fact);
        self.add_entry(changed)
    }

    /// Works out what the run shows now, and adds it to the history.
    pub(super) fn add_entry(&mut self, mut changed: u16) -> Result<Option<RowHistory>, FoldError> {
        let full = self.history.is_full().then(|| std::mem::take(&mut self.history));
        let shown = &mut self.shown;
        let status = self.activity.status();
        let is_elsewhere = self.activity.show_steps(&mut shown.steps);
        if is_elsewhere {
            changed |= row_part::STEPS;
        }
        if is_elsewhere || status != shown.status || shown.moved_at == Timestamp(0) {
            (shown.status, shown.moved_at) = (status, self.updated_at);
            changed |= row_part::STATUS;
        }
        if self.activity.is_awaiting() || !shown.awaits.is_empty() {
            let awaits = self.activity.awaits();
            if awaits != shown.awaits {
                shown.awaits = awaits;
                changed |= row_part::AWAITS;
            }
        }
        let counts =
            self.activity.step_counts(self.fixed.steps).filter(|counts| *counts != shown.step_counts);
        if let Some(counts) = counts {
            shown.step_counts = counts;
            changed |= row_part::COUNTS;
        }
        if status.is_ended() && shown.ended_at.is_none() {
            shown.ended_at = Some(self.updated_at);
            changed |= row_part::ENDED;
        }
        let entry = HistoryEntry { position: self.since, version: self.version, at: self.updated_at };
        self.history.add(&entry, changed, &self.shown)?;
        Ok(full)
    }

    /// Brings the index terms up to what the row shows.
    pub(super) fn update_terms(&mut self, terms: &mut TermChanges, number: u32) {
        let Self { fixed, shown, stages, indexed, .. } = self;
        let row = RowTerms { fixed, shown, stages: stages.as_deref(), indexed };
        index_terms::update(terms, number, row);
    }

    /// The place of its last event.
    pub(super) fn row_since(&self) -> Position {
        self.since
    }

    /// The row as it is.
    pub(super) fn into_row(self) -> RunRow {
        let entry = HistoryEntry { position: self.since, version: self.version, at: self.updated_at };
        self.fixed.into_row(&entry, self.shown)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, FoldError> {
        row_codec::encode_in(BESIDE_HISTORY_BYTES + self.history.len(), self)
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Result<Self, FoldError> {
        let record: Self = row_codec::read(&mut bytes)?;
        Ok(Self { indexed: IndexedTerms::of(&record.shown), ..record })
    }

    /// A row that was read, to be shown.
    pub(super) fn shown_row(mut bytes: &[u8]) -> Result<Self, FoldError> {
        row_codec::read(&mut bytes)
    }
}

/// What an attempt reported at its end beside its result.
fn reported(event: &RunEvent) -> Option<(&AttemptId, &AttemptNotes)> {
    match event {
        RunEvent::AttemptSucceeded(event) => Some((&event.id, &event.notes)),
        RunEvent::AttemptFailed(event) => Some((&event.id, &event.notes)),
        RunEvent::AttemptAsked(event) => Some((&event.id, &event.notes)),
        _no_end => None,
    }
}

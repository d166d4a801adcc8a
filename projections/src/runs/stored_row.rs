//! A run's row as it is stored: what is asked for of it is read when it is asked for, and no more.
//!
//! Law: it has the values that the whole row has.

use std::borrow::Cow;
use std::sync::Arc;

use everfold_base::id::{Position, RunId, Version};
use everfold_base::text::one_line;
use everfold_base::time::Timestamp;
use everfold_core::state::RunStatus;
use serde::Deserialize;

use super::record::RowRecord;
use super::row::{RowIdentity, RowStepCounts, RunRow};
use super::row_reader::RowBytes;
use super::row_state::RowUsage;
use super::run_filter::FilteredHead;
use super::step_counts::StepCounts;
use crate::projection::FoldError;
use crate::row_codec;

/// A run's row, of which nothing is read yet.
#[derive(Debug, Clone)]
pub struct StoredRow(RowSource);

#[derive(Debug, Clone)]
enum RowSource {
    /// As it is, or was when it ended.
    Stored(RowBytes),
    /// As it was at a past position, read of its history.
    Past(Arc<RunRow>),
}

/// A value that was read of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue<'a> {
    /// The row does not have it.
    Absent,
    /// A whole number.
    Whole(u64),
    /// A number with a fraction.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A moment.
    Time(Timestamp),
}

/// What a stored row begins with: what the run is, and its status.
#[derive(Debug, Deserialize)]
pub(super) struct RowHead<'a> {
    since: Position,
    version: Version,
    updated_at: Timestamp,
    #[serde(borrow)]
    fixed: RowIdentity<&'a str>,
    status: RunStatus,
}

/// What follows behind the head.
#[derive(Debug, Deserialize)]
struct StoredFigures {
    moved_at: Timestamp,
    ended_at: Option<Timestamp>,
    usage: RowUsage,
    step_counts: StepCounts,
}

impl<'a> RowHead<'a> {
    pub(super) fn read(mut bytes: &'a [u8]) -> Result<Self, FoldError> {
        row_codec::read(&mut bytes)
    }

    /// The place of the row's last event, which stands first.
    pub(super) fn since(mut bytes: &'a [u8]) -> Result<Position, FoldError> {
        row_codec::read(&mut bytes)
    }

    /// What filters ask of it.
    pub(super) fn filtered(&self) -> FilteredHead<'_> {
        FilteredHead {
            status: self.status,
            pipeline: self.fixed.pipeline,
            number: self.fixed.number,
            started_at: self.fixed.started_at,
            parent: self.fixed.parent.as_ref(),
            origin: self.fixed.origin.as_ref(),
        }
    }

    /// The value of a field as expressions name it; `None`: the head does not have it.
    fn value(&self, field: &str) -> Option<FieldValue<'a>> {
        use FieldValue::{Absent, Text, Time, Whole};
        let fixed = &self.fixed;
        Some(match field {
            "id" => Text(fixed.id.to_string().into()),
            "short_id" => Text(fixed.id.short().into()),
            "pipeline" => Text(fixed.pipeline.into()),
            "number" => fixed.number.map_or(Absent, Whole),
            "title" => fixed.title.map_or(Absent, |title| Text(one_line(title))),
            "status" => Text(self.status.as_str().into()),
            "started_by" => Text(fixed.started_by.into()),
            "initiator" => fixed.initiator.map_or(Absent, |who| Text(who.into())),
            "started_at" => Time(fixed.started_at),
            "updated_at" => Time(self.updated_at),
            "version" => Whole(self.version.0),
            "position" => Whole(fixed.position.0),
            "since" => Whole(self.since.0),
            _another => return None,
        })
    }
}

impl StoredFigures {
    /// The same of what follows behind the head.
    fn value(&self, of: &RowHead<'_>, field: &str, now: Timestamp) -> Option<FieldValue<'static>> {
        use FieldValue::{Absent, Number, Time, Whole};
        let counts = |count: fn(RowStepCounts) -> u32| {
            RowStepCounts::of(of.fixed.steps, &self.step_counts)
                .map_or(Absent, |counts| Whole(u64::from(count(counts))))
        };
        Some(match field {
            "ended_at" => self.ended_at.map_or(Absent, Time),
            "elapsed" => {
                let elapsed = self.ended_at.unwrap_or(now).since(of.fixed.started_at);
                Whole(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
            }
            "moved_at" => Time(self.moved_at),
            "cost" => Number(self.usage.cost_micros as f64 / 1e6),
            "usage.input_tokens" => Whole(self.usage.input_tokens),
            "usage.output_tokens" => Whole(self.usage.output_tokens),
            "step_counts.total" => counts(|counts| counts.total),
            "step_counts.pending" => counts(|counts| counts.pending),
            "step_counts.open" => counts(|counts| counts.open),
            "step_counts.succeeded" => counts(|counts| counts.succeeded),
            "step_counts.failed" => counts(|counts| counts.failed),
            "step_counts.skipped" => counts(|counts| counts.skipped),
            "step_counts.cancelled" => counts(|counts| counts.cancelled),
            _another => return None,
        })
    }
}

impl StoredRow {
    pub(super) fn stored(bytes: RowBytes) -> Self {
        Self(RowSource::Stored(bytes))
    }

    pub(super) fn past(row: RunRow) -> Self {
        Self(RowSource::Past(Arc::new(row)))
    }

    /// The run.
    ///
    /// # Errors
    /// The row is not what was written.
    pub fn id(&self) -> Result<RunId, FoldError> {
        match &self.0 {
            RowSource::Stored(bytes) => Ok(RowHead::read(bytes.as_slice())?.fixed.id),
            RowSource::Past(row) => Ok(row.id),
        }
    }

    /// The value of a field, by its name or by its path into one, at a moment; `None`: only the whole row has it.
    ///
    /// # Errors
    /// The row is not what was written.
    pub fn value(&self, field: &str, now: Timestamp) -> Result<Option<FieldValue<'_>>, FoldError> {
        let RowSource::Stored(bytes) = &self.0 else { return Ok(None) };
        let mut bytes = bytes.as_slice();
        let head: RowHead<'_> = row_codec::read(&mut bytes)?;
        if let Some(value) = head.value(field) {
            return Ok(Some(value));
        }
        let figures: StoredFigures = row_codec::read(&mut bytes)?;
        Ok(figures.value(&head, field, now))
    }

    /// All of it.
    ///
    /// # Errors
    /// The row is not what was written.
    pub fn whole(&self) -> Result<Arc<RunRow>, FoldError> {
        match &self.0 {
            RowSource::Stored(bytes) => Ok(Arc::new(RowRecord::shown_row(bytes.as_slice())?.into_row())),
            RowSource::Past(row) => Ok(Arc::clone(row)),
        }
    }
}

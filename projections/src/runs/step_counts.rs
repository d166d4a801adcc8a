//! How many steps of a run are how far, counted from its events.
//!
//! Law: what is counted is the step, never an item of it; a step that a rework or a fork begins anew counts as never
//! begun until it begins. Steps that a failure elsewhere kept from beginning were not cancelled for their own sake, and
//! count as never begun, as in [`RunState::step_status`](everfold_core::state::RunState::step_status).
//! An end counts when it is recorded: which one is certain in a paused run only the definition says, which is not read here.
//! The steps that lists name as active are those that are counted as open, so that the two never differ.

use everfold_base::id::{Round, StepId, StepPath};
use everfold_core::event::{OriginKind, RunEvent};
use serde::{Deserialize, Serialize};

use crate::event_readers::{STEP_COUNTS, passed_over};
use crate::projection::FoldError;
use crate::row_codec::{number, read_number};
use crate::small_map::SmallMap;

/// How many steps of a run are how far; the others have not begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    /// Have begun and not ended: at work, at their gates, waiting, blocked.
    pub open: u32,
    /// Ended well.
    pub succeeded: u32,
    /// Failed for good, tolerated or not.
    pub failed: u32,
    /// Did not apply, or were passed over.
    pub skipped: u32,
    /// Were ended with their run.
    pub cancelled: u32,
}

/// How far a step is that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StepPart {
    Open,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

/// The steps of a run that have begun, and their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BegunSteps {
    steps: SmallMap<StepId, StepPart>,
    counts: StepCounts,
    /// It is certain that the run fails.
    failing: bool,
    /// The run was cancelled before that was certain.
    cancelling: bool,
    /// The run was given up: whatever had not ended was cancelled.
    abandoned: bool,
    /// Other steps may be open since it was asked last. It is asked whenever a row is stored, with what it showed.
    #[serde(skip)]
    is_moved: bool,
}

impl StepCounts {
    /// All that have begun.
    #[must_use]
    pub fn begun(&self) -> u32 {
        self.parts().iter().sum()
    }

    fn parts(&self) -> [u32; 5] {
        [self.open, self.succeeded, self.failed, self.skipped, self.cancelled]
    }

    fn of_part(&mut self, part: StepPart) -> &mut u32 {
        match part {
            StepPart::Open => &mut self.open,
            StepPart::Succeeded => &mut self.succeeded,
            StepPart::Failed => &mut self.failed,
            StepPart::Skipped => &mut self.skipped,
            StepPart::Cancelled => &mut self.cancelled,
        }
    }

    /// Writes a byte that says which counts are not 0, and those.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let parts = self.parts();
        let there =
            parts.iter().enumerate().fold(0, |there, (bit, count)| there | (u8::from(*count > 0) << bit));
        bytes.push(there);
        parts.into_iter().filter(|count| *count > 0).for_each(|count| number(bytes, u64::from(count)));
    }

    /// Reads what [`StepCounts::write`] wrote, and moves behind it.
    pub(super) fn read(bytes: &mut &[u8]) -> Result<Self, FoldError> {
        let (there, rest) =
            bytes.split_first().ok_or_else(|| FoldError::Row("counts of steps end too early".to_owned()))?;
        *bytes = rest;
        let mut count = |bit: u8| match there >> bit & 1 {
            0 => Ok(0),
            _there => read_number(bytes).map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        };
        Ok(Self {
            open: count(0)?,
            succeeded: count(1)?,
            failed: count(2)?,
            skipped: count(3)?,
            cancelled: count(4)?,
        })
    }
}

impl BegunSteps {
    /// Folds one event.
    pub(super) fn apply(&mut self, event: &RunEvent) {
        match event {
            RunEvent::StepScheduled(event) => self.put(&event.id.path, StepPart::Open),
            RunEvent::StepSucceeded(event) => self.put(&event.path, StepPart::Succeeded),
            RunEvent::StepSkipped(event) => self.put(&event.path, StepPart::Skipped),
            RunEvent::StepFailed(event) => {
                let ends_run = event.path.item.is_none() && !event.tolerated && event.finish.is_none();
                self.failing |= ends_run && !self.cancelling;
                self.put(&event.path, StepPart::Failed);
            }
            RunEvent::StepCancelled(event) => {
                // Nothing else ends steps that have not begun.
                self.failing |= !self.cancelling;
                if event.round != Round::ZERO || !self.failing {
                    self.put(&event.path, StepPart::Cancelled);
                }
            }
            RunEvent::ReworkRequested(event) => event.reset.iter().for_each(|step| self.forget(step)),
            RunEvent::RunForked(event) => {
                let goes_on = event.origin.how == OriginKind::Fork;
                (self.failing, self.cancelling) = (self.failing && goes_on, self.cancelling && goes_on);
                event.reset.iter().for_each(|step| self.forget(step));
            }
            RunEvent::CancelRequested(_) => self.cancelling = true,
            RunEvent::RunAbandoned(_) => {
                (self.abandoned, self.is_moved) = (true, true);
                let open = self.steps.values_mut().filter(|part| **part == StepPart::Open);
                open.for_each(|part| *part = StepPart::Cancelled);
                self.counts.cancelled += std::mem::take(&mut self.counts.open);
            }
            other => passed_over(other, STEP_COUNTS),
        }
    }

    fn put(&mut self, path: &StepPath, part: StepPart) {
        if path.item.is_some() {
            return;
        }
        self.is_moved = true;
        let former = self.steps.insert(path.step.clone(), part);
        if let Some(former) = former {
            *self.counts.of_part(former) -= 1;
        }
        *self.counts.of_part(part) += 1;
    }

    fn forget(&mut self, step: &StepId) {
        self.is_moved = true;
        if let Some(former) = self.steps.remove(step) {
            *self.counts.of_part(former) -= 1;
        }
    }

    /// Puts the steps that are open, in the order of names. Says whether that is news.
    pub(super) fn show_open(&mut self, shown: &mut Vec<StepId>) -> bool {
        if !std::mem::take(&mut self.is_moved) {
            return false;
        }
        let open = || self.steps.iter().filter(|(_, part)| *part == StepPart::Open).map(|(step, _)| step);
        if open().eq(shown.iter()) {
            return false;
        }
        *shown = open().cloned().collect();
        true
    }

    /// The counts, of a run whose definition has so many steps.
    pub(super) fn counts(&self, total: u32) -> StepCounts {
        let mut counts = self.counts;
        if self.abandoned && !self.failing {
            counts.cancelled += total.saturating_sub(counts.begun());
        }
        counts
    }
}

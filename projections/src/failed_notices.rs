//! The read model `notices`: notices that runs could not deliver.
//!
//! Law: it lists deliveries that runs gave up after trying. That one was resent or dismissed is recorded in the
//! engine's own stream of notices; the list of notices joins both.

use everfold_base::id::{Position, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::RunEvent;
use serde::{Deserialize, Serialize};

use crate::event_readers::{FAILED_NOTICES, is_read_by, passed_over};
use crate::projection::{Fact, FoldError, Projection};
use crate::row_codec;
use crate::snapshot::{KeyReader as _, ReadSnapshot};
use crate::write_batch::WriteBatch;

const BY_POSITION: u8 = b'n';
const BY_NAME: u8 = b'r';

/// A notice that a run gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedNotice {
    /// Where it was given up, in the store.
    pub position: Position,
    /// The run.
    pub run: RunId,
    /// The version of the event that it is about.
    pub version: Version,
    /// The notice of the run's pipeline.
    pub notice: String,
    /// Tries in all.
    pub tries: u32,
    /// Why the last one failed.
    pub message: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// The read model `notices`.
#[derive(Debug, Default)]
pub struct FailedNoticesModel;

/// The read model `notices`, to be asked.
pub struct FailedNoticesView<'a>(ReadSnapshot<'a>);

fn by_position(position: Position) -> Vec<u8> {
    [&[BY_POSITION][..], &position.0.to_be_bytes()].concat()
}

fn by_name(run: RunId, version: Version, notice: &str) -> Vec<u8> {
    [&[BY_NAME][..], run.0.as_bytes(), &version.0.to_be_bytes(), notice.as_bytes()].concat()
}

impl<'a> FailedNoticesView<'a> {
    pub(crate) fn new(snapshot: ReadSnapshot<'a>) -> Self {
        Self(snapshot)
    }

    /// What was given up before a position, newest first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn newest(&self, before: Option<Position>, limit: usize) -> Result<Vec<FailedNotice>, FoldError> {
        let to = by_position(before.unwrap_or(Position(u64::MAX)));
        let found = self.0.scan(&by_position(Position::ZERO), &to, true, limit)?;
        found.iter().map(|(_, row)| row_codec::read(&mut row.as_slice())).collect()
    }

    /// What one run gave up, oldest event first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn of_run(&self, run: RunId, limit: usize) -> Result<Vec<FailedNotice>, FoldError> {
        let (from, to) = (by_name(run, Version::ZERO, ""), by_name(run, Version(u64::MAX), ""));
        let found = self.0.scan(&from, &to, false, limit)?;
        found.iter().map(|(_, row)| row_codec::read(&mut row.as_slice())).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn find(
        &self,
        run: RunId,
        version: Version,
        notice: &str,
    ) -> Result<Option<FailedNotice>, FoldError> {
        let row = self.0.get(&by_name(run, version, notice))?;
        row.map(|row| row_codec::read(&mut &*row)).transpose()
    }
}

impl Projection for FailedNoticesModel {
    const NAME: &'static str = "notices";
    const SCHEMA: u32 = 1;

    fn handles(event: &RunEvent) -> bool {
        is_read_by(event, FAILED_NOTICES)
    }

    fn open(_batch: &WriteBatch) -> Result<Self, FoldError> {
        Ok(Self)
    }

    fn apply(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let RunEvent::NoticeFailed(failed) = fact.event else {
            passed_over(fact.event, FAILED_NOTICES);
            return Ok(());
        };
        // One that was never tried could not be rendered, or a newer one took its place.
        if failed.tries == 0 || fact.is_copied() {
            return Ok(());
        }
        let lost = FailedNotice {
            position: fact.position,
            run: fact.run,
            version: failed.version,
            notice: failed.notice.clone(),
            tries: failed.tries,
            message: failed.message.clone(),
            at: fact.context.recorded_at,
        };
        let row = row_codec::encode(&lost)?;
        batch.put(&by_name(lost.run, lost.version, &lost.notice), row.clone());
        batch.put(&by_position(lost.position), row);
        Ok(())
    }

    fn publish(&mut self, _batch: &mut WriteBatch) -> Result<(), FoldError> {
        Ok(())
    }

    fn settle(&mut self, _batch: &mut WriteBatch) -> Result<(), FoldError> {
        Ok(())
    }

    fn unsettled(&self) -> usize {
        0
    }

    fn trim(&mut self) {}
}

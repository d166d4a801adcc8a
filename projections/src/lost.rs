//! The read model `notices`: what runs had to tell and nobody could be told.
//!
//! Law: it holds what runs gave up after trying. That somebody had it sent again, or dropped it, stands in the
//! engine's own stream of notices; who lists both puts them together.

use everfold_engine::event::RunEvent;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Fact;
use crate::look::{Keys as _, Look};
use crate::projection::{FoldError, Projection};
use crate::rowcodec;
use crate::tx::Tx;

const BY_POSITION: u8 = b'n';
const BY_NAME: u8 = b'r';

/// A notice that a run gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostNotice {
    /// Where it was given up, in the store.
    pub position: Position,
    /// The run.
    pub run: RunId,
    /// The version of the event that it tells of.
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
pub struct Lost;

/// The read model `notices`, to be asked.
pub struct LostView<'a>(Look<'a>);

fn by_position(position: Position) -> Vec<u8> {
    [&[BY_POSITION][..], &position.0.to_be_bytes()].concat()
}

fn by_name(run: RunId, version: Version, notice: &str) -> Vec<u8> {
    [&[BY_NAME][..], run.0.as_bytes(), &version.0.to_be_bytes(), notice.as_bytes()].concat()
}

impl<'a> LostView<'a> {
    pub(crate) fn new(look: Look<'a>) -> Self {
        Self(look)
    }

    /// What was given up before a position, newest first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn newest(&self, before: Option<Position>, limit: usize) -> Result<Vec<LostNotice>, FoldError> {
        let to = by_position(before.unwrap_or(Position(u64::MAX)));
        let found = self.0.scan(&by_position(Position::ZERO), &to, true, limit)?;
        found.iter().map(|(_, row)| rowcodec::read(&mut row.as_slice())).collect()
    }

    /// What one run gave up, oldest event first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn of_run(&self, run: RunId, limit: usize) -> Result<Vec<LostNotice>, FoldError> {
        let (from, to) = (by_name(run, Version::ZERO, ""), by_name(run, Version(u64::MAX), ""));
        let found = self.0.scan(&from, &to, false, limit)?;
        found.iter().map(|(_, row)| rowcodec::read(&mut row.as_slice())).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn find(&self, run: RunId, version: Version, notice: &str) -> Result<Option<LostNotice>, FoldError> {
        let row = self.0.get(&by_name(run, version, notice))?;
        row.map(|row| rowcodec::read(&mut &*row)).transpose()
    }
}

impl Projection for Lost {
    const NAME: &'static str = "notices";
    const SCHEMA: u32 = 1;

    fn heeds(event: &RunEvent) -> bool {
        matches!(event, RunEvent::NoticeFailed(_))
    }

    fn open(_tx: &Tx) -> Result<Self, FoldError> {
        Ok(Self)
    }

    fn apply(&mut self, fact: &Fact<'_>, tx: &mut Tx) -> Result<(), FoldError> {
        let RunEvent::NoticeFailed(failed) = fact.event else { return Ok(()) };
        // One that was never tried could not be rendered, or a newer one took its place.
        if failed.tries == 0 || fact.is_copied() {
            return Ok(());
        }
        let lost = LostNotice {
            position: fact.position,
            run: fact.run,
            version: failed.version,
            notice: failed.notice.clone(),
            tries: failed.tries,
            message: failed.message.clone(),
            at: fact.around.recorded_at,
        };
        let row = rowcodec::encode(&lost)?;
        tx.put(&by_name(lost.run, lost.version, &lost.notice), row.clone());
        tx.put(&by_position(lost.position), row);
        Ok(())
    }

    fn publish(&mut self, _tx: &mut Tx) -> Result<(), FoldError> {
        Ok(())
    }

    fn settle(&mut self, _tx: &mut Tx) -> Result<(), FoldError> {
        Ok(())
    }

    fn unsettled(&self) -> usize {
        0
    }

    fn trim(&mut self) {}
}

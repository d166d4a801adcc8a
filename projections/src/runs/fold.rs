//! The fold of `runs`: rows in memory while something happens to them, in the shelf at checkpoints.

use std::sync::Arc;

use everfold_engine::event::RunEvent;
use everfold_engine::id::RunId;
use everfold_engine::json::Hash;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::marks::Marks;
use super::pack::{self, Packing};
use super::record::Record;
use super::windows::Windows;
use super::{shorts, terms};
use crate::look::{Keys, Look};
use crate::postings::Changes;
use crate::projection::{FoldError, Projection};
use crate::quick::QuickMap;
use crate::shelf::Value;
use crate::stages::{Staged, Stages};
use crate::tx::Tx;
use crate::{Fact, rowcodec, spine};

/// Rows that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 2_048;
/// Marks of an ended run that are put away beside its row where the row is long.
const MARKS_BYTES_MAX: usize = 400;
/// Ends in one value.
pub(super) const ENDS: u32 = 1_024;
const HEAD: &[u8] = b"H";
/// Definitions whose stages stay in memory.
const STAGES_MAX: usize = 256;

/// The read model `runs`.
pub struct Runs {
    head: RunsHead,
    cached: QuickMap<u32, Cached>,
    numbers: QuickMap<RunId, u32>,
    /// Where runs are that are not among them.
    windows: Windows,
    /// The run of the last fact that is among them: its next one often follows.
    last: Option<(RunId, u32)>,
    packing: Packing,
    /// Rows whose indexes do not follow yet.
    touched: Vec<u32>,
    /// Rows that the next checkpoint puts under their own keys.
    unsettled: Vec<u32>,
    changes: Changes,
    is_head_changed: bool,
    /// Of definitions that runs were pinned to lately.
    stages: QuickMap<Hash, Option<Arc<Stages>>>,
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunsHead {
    pub(super) count: u32,
    pub(super) ended: u32,
}

struct Cached {
    record: Record,
    /// As it was shown last.
    row: Value,
    place: Place,
    touched: bool,
    unsettled: bool,
}

/// Where the shelf has a row, or will have it with the next checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nowhere.
    New,
    /// Under its own key.
    Own,
    /// Among others. It is not packed again.
    Packed,
}

pub(super) fn record_key(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [b'r', a, b, c, d]
}

fn stages_key(definition: &Hash) -> Vec<u8> {
    [&b"g"[..], &definition.0].concat()
}

pub(super) fn marks_key(number: u32, first: u64) -> Vec<u8> {
    [&[b'h'][..], &number.to_be_bytes(), &first.to_be_bytes()].concat()
}

pub(super) fn ends_key(block: u32) -> [u8; 5] {
    let [a, b, c, d] = block.to_be_bytes();
    [b'e', a, b, c, d]
}

/// The latest start of each 256 rows, so that a list of what began after a time knows where to end.
pub(super) mod starts {
    use super::*;
    use crate::shelf::ShelfError;

    const BLOCK: u32 = 256;
    const GROUP: u32 = 256;

    fn key(group: u32) -> [u8; 5] {
        let [a, b, c, d] = group.to_be_bytes();
        [b'b', a, b, c, d]
    }

    fn latest(bytes: &[u8]) -> i64 {
        bytes.try_into().map_or(i64::MIN, i64::from_le_bytes)
    }

    /// Notes the start of a row.
    pub(in crate::runs) fn add(tx: &mut Tx, number: u32, at: Timestamp) -> Result<(), ShelfError> {
        let block = number / BLOCK;
        let bytes = tx.entry(&key(block / GROUP))?;
        let place = (block % GROUP) as usize * 8;
        if bytes.len() < place + 8 {
            bytes.resize(place, 0);
            bytes.extend_from_slice(&i64::MIN.to_le_bytes());
        }
        let slot = &mut bytes[place..place + 8];
        let later = latest(slot).max(at.0);
        slot.copy_from_slice(&later.to_le_bytes());
        Ok(())
    }

    /// The first row that may have started after a time.
    pub(in crate::runs) fn first_after(
        tx: &dyn Keys,
        count: u32,
        after: Timestamp,
    ) -> Result<u32, ShelfError> {
        for group in 0..count.div_ceil(BLOCK * GROUP) {
            let bytes = tx.get(&key(group))?.unwrap_or_default();
            let found = bytes.chunks_exact(8).position(|slot| latest(slot) > after.0);
            if let Some(found) = found {
                return Ok((group * GROUP + found as u32) * BLOCK);
            }
        }
        Ok(count)
    }
}

impl Runs {
    /// The number of a run's row.
    fn number_of(&mut self, tx: &Tx, run: RunId) -> Result<Option<u32>, FoldError> {
        if let Some(number) = self.numbers.get(&run) {
            return Ok(Some(*number));
        }
        let candidates = self.windows.candidates(tx, self.head.count, run, &self.numbers)?;
        find(run, candidates, |number| Ok(self.load(tx, number)?.map(|it| it.record)))
    }

    /// The stages of a definition.
    fn stages_of(&mut self, tx: &Tx, definition: Option<Hash>) -> Result<Option<Arc<Stages>>, FoldError> {
        let Some(definition) = definition else { return Ok(None) };
        if let Some(known) = self.stages.get(&definition) {
            return Ok(known.clone());
        }
        if self.stages.len() >= STAGES_MAX {
            self.stages.clear();
        }
        let found = stages(tx, &definition)?.map(Arc::new);
        self.stages.insert(definition, found.clone());
        Ok(found)
    }

    /// A row that is not in memory, to be folded on.
    fn load(&self, tx: &Tx, number: u32) -> Result<Option<Cached>, FoldError> {
        let cached = |record, place| {
            let row = Value::default();
            Cached { record, row, place, touched: false, unsettled: false }
        };
        if let Some(row) = self.packing.get(number) {
            return Ok(Some(cached(Record::decode(row)?, Place::Packed)));
        }
        if let Some(bytes) = tx.get(&record_key(number))? {
            return Ok(Some(cached(Record::decode(&bytes)?, Place::Own)));
        }
        let packed = pack::read(tx, number, Record::decode)?.transpose()?;
        Ok(packed.map(|record| cached(record, Place::Packed)))
    }

    fn add(&mut self, record: Record, tx: &mut Tx) -> Result<(), FoldError> {
        let number = self.head.count;
        self.head.count += 1;
        self.is_head_changed = true;
        spine::born(tx, number, record.fixed.position)?;
        starts::add(tx, number, record.fixed.started_at)?;
        shorts::add(tx, number, record.fixed.id)?;
        self.numbers.insert(record.fixed.id, number);
        self.windows.add(record.fixed.id, number);
        let row = Value::default();
        let cached = Cached { record, row, place: Place::New, touched: true, unsettled: false };
        self.cached.insert(number, cached);
        self.touched.push(number);
        Ok(())
    }

    /// Puts marks away for good.
    fn put_away(number: u32, marks: &Marks, tx: &mut Tx) -> Result<(), FoldError> {
        tx.put(&marks_key(number, marks.first.0), rowcodec::encode(marks)?);
        Ok(())
    }

    /// Shows a row as it is now. One whose run has ended is packed, and let go of.
    fn show(&mut self, number: u32, tx: &mut Tx) -> Result<(), FoldError> {
        let Some(cached) = self.cached.get_mut(&number) else { return Ok(()) };
        let record = &mut cached.record;
        let mut row = record.encode()?;
        let mut is_packed = cached.place != Place::Packed && record.shown.status.is_ended();
        if is_packed && row.len() > pack::ROW_BYTES_MAX && record.marks.len() > MARKS_BYTES_MAX {
            Self::put_away(number, &std::mem::take(&mut record.marks), tx)?;
            row = record.encode()?;
        }
        is_packed &= row.len() <= pack::ROW_BYTES_MAX;
        let row = Value::new(row);
        tx.show(&record_key(number), Value::clone(&row));
        if !is_packed {
            cached.row = row;
            if !std::mem::replace(&mut cached.unsettled, true) {
                self.unsettled.push(number);
            }
            return Ok(());
        }
        self.packing.add(number, row);
        if cached.place == Place::Own {
            tx.put_through(&record_key(number), Value::default());
        }
        self.numbers.remove(&cached.record.fixed.id);
        self.last = None;
        self.cached.remove(&number);
        Ok(())
    }
}

/// The row of a run among those that may be it.
fn find(
    run: RunId,
    candidates: Vec<u32>,
    row: impl Fn(u32) -> Result<Option<Record>, FoldError>,
) -> Result<Option<u32>, FoldError> {
    for number in candidates {
        if row(number)?.is_some_and(|record| record.fixed.id == run) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// The stages of a definition.
pub(super) fn stages(keys: &dyn Keys, definition: &Hash) -> Result<Option<Stages>, FoldError> {
    match keys.get(&stages_key(definition))? {
        Some(bytes) => rowcodec::read(&mut &*bytes).map(Some),
        None => Ok(None),
    }
}

/// How many rows readers see.
pub(super) fn head(look: &Look<'_>) -> Result<RunsHead, FoldError> {
    match look.get(HEAD)? {
        Some(bytes) => rowcodec::read(&mut &*bytes),
        None => Ok(RunsHead::default()),
    }
}

/// Reads a row.
pub(super) fn read(look: &Look<'_>, number: u32) -> Result<Option<Record>, FoldError> {
    match look.get(&record_key(number))? {
        Some(bytes) => Record::shown_row(&bytes).map(Some),
        None => pack::read(look, number, Record::shown_row)?.transpose(),
    }
}

/// The number of a run's row.
pub(super) fn number_of(look: &Look<'_>, count: u32, run: RunId) -> Result<Option<u32>, FoldError> {
    find(run, terms::candidates(look, count, run)?, |number| read(look, number))
}

impl Projection for Runs {
    const NAME: &'static str = "runs";
    const SCHEMA: u32 = 9;

    fn heeds(_event: &RunEvent) -> bool {
        true
    }

    fn open(tx: &Tx) -> Result<Self, FoldError> {
        let head = match tx.get(HEAD)? {
            Some(bytes) => rowcodec::read(&mut &*bytes)?,
            None => RunsHead::default(),
        };
        Ok(Self {
            head,
            cached: QuickMap::default(),
            numbers: QuickMap::default(),
            windows: Windows::default(),
            last: None,
            packing: Packing::default(),
            touched: Vec::new(),
            unsettled: Vec::new(),
            changes: Changes::default(),
            is_head_changed: false,
            stages: QuickMap::default(),
        })
    }

    fn define(&mut self, staged: &Staged, tx: &mut Tx) -> Result<(), FoldError> {
        tx.put(&stages_key(&staged.definition), rowcodec::encode(&staged.stages)?);
        self.stages.remove(&staged.definition);
        Ok(())
    }

    fn apply(&mut self, fact: &Fact<'_>, tx: &mut Tx) -> Result<(), FoldError> {
        let new = match fact.event {
            RunEvent::RunStarted(_) => Record::started(fact),
            RunEvent::RunForked(_) => Record::forked(fact),
            _other => None,
        };
        if let Some(mut record) = new {
            record.stages = self.stages_of(tx, record.fixed.definition)?;
            if record.stages.is_none() {
                record.fixed.definition = None;
            }
            record.mark(0)?;
            return self.add(record, tx);
        }
        let number = match self.last.filter(|(run, _)| *run == fact.run) {
            Some((_, number)) => Some(number),
            None => self.numbers.get(&fact.run).copied(),
        };
        let number = match number {
            Some(number) => number,
            // Looked for in the shelf.
            None => {
                let Some(number) = self.number_of(tx, fact.run)? else { return Ok(()) };
                if !self.cached.contains_key(&number) {
                    let Some(mut loaded) = self.load(tx, number)? else { return Ok(()) };
                    loaded.record.stages = self.stages_of(tx, loaded.record.fixed.definition)?;
                    self.cached.insert(number, loaded);
                }
                self.numbers.insert(fact.run, number);
                number
            }
        };
        self.last = Some((fact.run, number));
        let Some(cached) = self.cached.get_mut(&number) else { return Ok(()) };
        let had_ended = cached.record.shown.status.is_ended();
        let full = cached.record.apply(fact)?;
        if !std::mem::replace(&mut cached.touched, true) {
            self.touched.push(number);
        }
        if !had_ended && cached.record.shown.status.is_ended() {
            spine::ended(tx, number, fact.position)?;
            let ends = tx.entry(&ends_key(self.head.ended / ENDS))?;
            ends.extend_from_slice(&number.to_le_bytes());
            self.head.ended += 1;
            self.is_head_changed = true;
        }
        if let Some(marks) = full {
            Self::put_away(number, &marks, tx)?;
        }
        Ok(())
    }

    fn publish(&mut self, tx: &mut Tx) -> Result<(), FoldError> {
        let mut touched = std::mem::take(&mut self.touched);
        for number in &touched {
            if let Some(cached) = self.cached.get_mut(number) {
                cached.touched = false;
                terms::update(&mut self.changes, *number, &mut cached.record);
            }
        }
        self.changes.flush(tx)?;
        for number in touched.drain(..) {
            self.show(number, tx)?;
        }
        self.touched = touched;
        if std::mem::take(&mut self.is_head_changed) {
            tx.put(HEAD, rowcodec::encode(&self.head)?);
        }
        Ok(())
    }

    fn settle(&mut self, tx: &mut Tx) -> Result<(), FoldError> {
        for number in self.unsettled.drain(..) {
            // One that ended since is packed.
            if let Some(cached) = self.cached.get_mut(&number) {
                (cached.unsettled, cached.place) = (false, Place::Own);
                tx.put_through(&record_key(number), std::mem::take(&mut cached.row));
            }
        }
        Ok(self.packing.settle(tx)?)
    }

    fn unsettled(&self) -> usize {
        self.unsettled.len() + self.packing.waiting() / 4
    }

    fn trim(&mut self) {
        self.packing.settled();
        if self.cached.len() <= IDLE_MAX {
            return;
        }
        // Those that have ended are looked at no more; of the others what is left is enough.
        let mut room = IDLE_MAX / 2;
        self.cached.retain(|_, cached| {
            let busy = cached.touched || cached.unsettled;
            let stays = busy || (!cached.record.shown.status.is_ended() && room > 0);
            if stays && !busy {
                room -= 1;
            }
            stays
        });
        let cached = &self.cached;
        self.numbers.retain(|_, number| cached.contains_key(number));
        self.last = None;
    }
}

//! The fold of `runs`: rows in memory while something happens to them, in the shelf at checkpoints.

use everfold_engine::event::RunEvent;
use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::marks::Marks;
use super::pack::{self, Packing};
use super::record::Record;
use super::{shorts, terms};
use crate::postings::Changes;
use crate::projection::{FoldError, Projection};
use crate::quick::QuickMap;
use crate::tx::Tx;
use crate::{Fact, rowcodec, spine};

/// Rows that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 2_048;
/// Marks of an ended run that are put away beside its row where the row is long.
const MARKS_BYTES_MAX: usize = 400;
/// Ends in one value.
pub(super) const ENDS: u32 = 1_024;
const HEAD: &[u8] = b"H";

/// The read model `runs`.
pub struct Runs {
    pub(super) head: RunsHead,
    cached: QuickMap<u32, Cached>,
    numbers: QuickMap<RunId, u32>,
    packing: Packing,
    /// Rows whose indexes do not follow yet.
    touched: Vec<u32>,
    /// Rows that the next checkpoint puts under their own keys.
    unsettled: Vec<u32>,
    changes: Changes,
    is_head_changed: bool,
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunsHead {
    pub(super) count: u32,
    pub(super) ended: u32,
}

struct Cached {
    record: Record,
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
    pub(in crate::runs) fn first_after(tx: &Tx, count: u32, after: Timestamp) -> Result<u32, ShelfError> {
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
    pub(super) fn number_of(&self, tx: &Tx, run: RunId) -> Result<Option<u32>, FoldError> {
        if let Some(number) = self.numbers.get(&run) {
            return Ok(Some(*number));
        }
        for number in terms::candidates(tx, self.head.count, run)? {
            if self.read(tx, number, |record| record.fixed.id == run)? == Some(true) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Shows a row, from memory or from the shelf.
    pub(super) fn read<T>(
        &self,
        tx: &Tx,
        number: u32,
        read: impl FnOnce(&Record) -> T,
    ) -> Result<Option<T>, FoldError> {
        if let Some(cached) = self.cached.get(&number) {
            return Ok(Some(read(&cached.record)));
        }
        if let Some(bytes) = tx.get(&record_key(number))? {
            return Ok(Some(read(&Record::shown_row(&bytes)?)));
        }
        let packed = self.packing.read(tx, number, |bytes| Record::shown_row(bytes).map(|row| read(&row)))?;
        packed.transpose()
    }

    /// A row out of the shelf, to be folded on.
    fn load(&self, tx: &Tx, number: u32) -> Result<Option<Cached>, FoldError> {
        let cached = |record, place| Cached { record, place, touched: false, unsettled: false };
        if let Some(bytes) = tx.get(&record_key(number))? {
            return Ok(Some(cached(Record::decode(&bytes)?, Place::Own)));
        }
        let packed = self.packing.read(tx, number, Record::decode)?.transpose()?;
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
        let cached = Cached { record, place: Place::New, touched: true, unsettled: false };
        self.cached.insert(number, cached);
        self.touched.push(number);
        Ok(())
    }

    /// Puts marks away for good.
    fn put_away(number: u32, marks: &Marks, tx: &mut Tx) -> Result<(), FoldError> {
        tx.put(&marks_key(number, marks.first.0), rowcodec::encode(marks)?);
        Ok(())
    }

    /// Packs a row whose run has ended, and lets go of it. Says whether it did.
    fn pack(&mut self, number: u32, tx: &mut Tx) -> Result<bool, FoldError> {
        let Some(cached) = self.cached.get_mut(&number) else { return Ok(false) };
        let record = &mut cached.record;
        if cached.place == Place::Packed || !record.shown.status.is_ended() {
            return Ok(false);
        }
        let mut row = record.encode()?;
        if row.len() > pack::ROW_BYTES_MAX && record.marks.len() > MARKS_BYTES_MAX {
            Self::put_away(number, &std::mem::take(&mut record.marks), tx)?;
            row = record.encode()?;
        }
        if row.len() > pack::ROW_BYTES_MAX {
            return Ok(false);
        }
        self.packing.add(number, row);
        if cached.place == Place::Own {
            tx.put(&record_key(number), Vec::new());
        }
        self.numbers.remove(&cached.record.fixed.id);
        self.cached.remove(&number);
        Ok(true)
    }
}

impl Projection for Runs {
    const NAME: &'static str = "runs";
    const SCHEMA: u32 = 4;

    fn open(tx: &Tx) -> Result<Self, FoldError> {
        let head = match tx.get(HEAD)? {
            Some(bytes) => rowcodec::read(&mut &*bytes)?,
            None => RunsHead::default(),
        };
        Ok(Self {
            head,
            cached: QuickMap::default(),
            numbers: QuickMap::default(),
            packing: Packing::default(),
            touched: Vec::new(),
            unsettled: Vec::new(),
            changes: Changes::default(),
            is_head_changed: false,
        })
    }

    fn apply(&mut self, fact: &Fact<'_>, tx: &mut Tx) -> Result<(), FoldError> {
        let new = match fact.event {
            RunEvent::RunStarted(_) => Record::started(fact),
            RunEvent::RunForked(_) => Record::forked(fact),
            _other => None,
        };
        if let Some(mut record) = new {
            record.mark(0)?;
            return self.add(record, tx);
        }
        let number = match self.numbers.get(&fact.run) {
            Some(number) => *number,
            None => {
                let Some(number) = self.number_of(tx, fact.run)? else { return Ok(()) };
                if !self.cached.contains_key(&number) {
                    let Some(loaded) = self.load(tx, number)? else { return Ok(()) };
                    self.cached.insert(number, loaded);
                }
                self.numbers.insert(fact.run, number);
                number
            }
        };
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
            if !self.pack(number, tx)?
                && let Some(cached) = self.cached.get_mut(&number)
                && !std::mem::replace(&mut cached.unsettled, true)
            {
                self.unsettled.push(number);
            }
        }
        self.touched = touched;
        Ok(())
    }

    fn settle(&mut self, tx: &mut Tx, most: usize) -> Result<bool, FoldError> {
        let rest = self.unsettled.len().saturating_sub(most);
        for number in self.unsettled.drain(rest..) {
            // One that ended since is packed.
            if let Some(cached) = self.cached.get_mut(&number) {
                (cached.unsettled, cached.place) = (false, Place::Own);
                tx.put_through(&record_key(number), cached.record.encode()?);
            }
        }
        if rest > 0 {
            return Ok(true);
        }
        self.packing.settle(tx)?;
        if std::mem::take(&mut self.is_head_changed) {
            tx.put(HEAD, rowcodec::encode(&self.head)?);
        }
        Ok(false)
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
    }
}

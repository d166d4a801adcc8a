//! The fold of `runs`: rows in memory while something happens to them, in the storage at checkpoints.

use std::sync::Arc;

use everfold_base::id::RunId;
use everfold_base::json::Hash;
use everfold_core::event::RunEvent;
use serde::{Deserialize, Serialize};

use super::index_terms;
use super::packed_rows::{self, RowPacker};
use super::record::RowRecord;
use super::row_history::RowHistory;
use super::windows::Windows;
use crate::columns::{DefinitionColumns, StepColumns};
use crate::event_readers::{ROW_START, passed_over};
use crate::id_map::IdMap;
use crate::index::bitmap_index::TermChanges;
use crate::index::short_ids;
use crate::index::{lifetimes, start_times};
use crate::projection::Fact;
use crate::projection::{FoldError, Projection};
use crate::row_codec;
use crate::snapshot::{KeyReader, ReadSnapshot};
use crate::storage::StorageValue;
use crate::write_batch::WriteBatch;

/// Rows that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 2_048;
/// History of an ended run that is stored beside its row where the row is long.
const HISTORY_BYTES_MAX: usize = 400;
/// Ends in one value.
pub(super) const ENDS: u32 = 1_024;
const HEAD: &[u8] = b"H";
/// Definitions that stay in memory.
const DEFINITIONS_MAX: usize = 256;

/// The read model `runs`.
pub struct RunsModel {
    head: RunsHead,
    cached: IdMap<u32, CachedRow>,
    numbers: IdMap<RunId, u32>,
    /// Finds the rows of runs that are not in `numbers`.
    windows: Windows,
    /// The run of the last fact, and its row: the next fact is often of the same run.
    last: Option<(RunId, u32)>,
    packer: RowPacker,
    /// Rows whose indexes do not follow yet.
    touched: Vec<u32>,
    /// Rows that the next checkpoint puts under their own keys.
    unsettled: Vec<u32>,
    changes: TermChanges,
    is_head_changed: bool,
    /// Definitions that runs were pinned to lately.
    definitions: IdMap<Hash, PinnedDefinition>,
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunsHead {
    pub(super) count: u32,
    pub(super) ended: u32,
}

/// What rows take from the definition that their run is pinned to.
#[derive(Clone, Default)]
struct PinnedDefinition {
    /// 0: the log does not have it.
    steps: u32,
    stages: Option<Arc<StepColumns>>,
}

struct CachedRow {
    record: RowRecord,
    /// As it was published last.
    row: StorageValue,
    placement: RowPlacement,
    touched: bool,
    unsettled: bool,
}

/// Where the storage has a row, or will have it with the next checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowPlacement {
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

fn definition_key(definition: &Hash) -> Vec<u8> {
    [&b"g"[..], &definition.0].concat()
}

pub(super) fn history_key(number: u32, first: u64) -> Vec<u8> {
    [&[b'h'][..], &number.to_be_bytes(), &first.to_be_bytes()].concat()
}

pub(super) fn ends_key(block: u32) -> [u8; 5] {
    let [a, b, c, d] = block.to_be_bytes();
    [b'e', a, b, c, d]
}

impl RunsModel {
    /// The number of a run's row.
    fn number_of(&mut self, batch: &WriteBatch, run: RunId) -> Result<Option<u32>, FoldError> {
        if let Some(number) = self.numbers.get(&run) {
            return Ok(Some(*number));
        }
        let candidates = self.windows.candidates(batch, self.head.count, run, &self.numbers)?;
        find(run, candidates, |number| Ok(self.load(batch, number)?.map(|it| it.record)))
    }

    /// What rows take from a definition.
    fn definition_of(
        &mut self,
        batch: &WriteBatch,
        definition: Option<Hash>,
    ) -> Result<PinnedDefinition, FoldError> {
        let Some(definition) = definition else { return Ok(PinnedDefinition::default()) };
        if let Some(known) = self.definitions.get(&definition) {
            return Ok(known.clone());
        }
        if self.definitions.len() >= DEFINITIONS_MAX {
            self.definitions.clear();
        }
        let found = match stored_definition(batch, &definition)? {
            Some((steps, stages)) => PinnedDefinition { steps, stages: stages.map(Arc::new) },
            None => PinnedDefinition::default(),
        };
        self.definitions.insert(definition, found.clone());
        Ok(found)
    }

    /// A row that is not in memory, to be folded on.
    fn load(&self, batch: &WriteBatch, number: u32) -> Result<Option<CachedRow>, FoldError> {
        let cached = |record, placement| {
            let row = StorageValue::default();
            CachedRow { record, row, placement, touched: false, unsettled: false }
        };
        if let Some(row) = self.packer.get(number) {
            return Ok(Some(cached(RowRecord::decode(row)?, RowPlacement::Packed)));
        }
        if let Some(bytes) = batch.get(&record_key(number))? {
            return Ok(Some(cached(RowRecord::decode(&bytes)?, RowPlacement::Own)));
        }
        let packed = packed_rows::read(batch, number, RowRecord::decode)?.transpose()?;
        Ok(packed.map(|record| cached(record, RowPlacement::Packed)))
    }

    fn add(&mut self, record: RowRecord, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let number = self.head.count;
        self.head.count += 1;
        self.is_head_changed = true;
        lifetimes::born(batch, number, record.fixed.position)?;
        start_times::add(batch, number, record.fixed.started_at)?;
        short_ids::add(batch, number, record.fixed.id)?;
        self.numbers.insert(record.fixed.id, number);
        self.windows.add(record.fixed.id, number);
        let row = StorageValue::default();
        let cached = CachedRow { record, row, placement: RowPlacement::New, touched: true, unsettled: false };
        self.cached.insert(number, cached);
        self.touched.push(number);
        Ok(())
    }

    /// Stores a full part of a row's history for good.
    fn store_history(number: u32, history: &RowHistory, batch: &mut WriteBatch) -> Result<(), FoldError> {
        batch.put(&history_key(number, history.first.0), row_codec::encode(history)?);
        Ok(())
    }

    /// Publishes a row as it is now. The row of an ended run is packed, and dropped from memory.
    fn show(&mut self, number: u32, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let Some(cached) = self.cached.get_mut(&number) else { return Ok(()) };
        let record = &mut cached.record;
        let mut row = record.encode()?;
        let mut is_packed = cached.placement != RowPlacement::Packed && record.shown.status.is_ended();
        if is_packed && row.len() > packed_rows::ROW_BYTES_MAX && record.history.len() > HISTORY_BYTES_MAX {
            Self::store_history(number, &std::mem::take(&mut record.history), batch)?;
            row = record.encode()?;
        }
        is_packed &= row.len() <= packed_rows::ROW_BYTES_MAX;
        let row = StorageValue::new(row);
        batch.show(&record_key(number), StorageValue::clone(&row));
        if !is_packed {
            cached.row = row;
            if !std::mem::replace(&mut cached.unsettled, true) {
                self.unsettled.push(number);
            }
            return Ok(());
        }
        self.packer.add(number, row);
        if cached.placement == RowPlacement::Own {
            batch.put_through(&record_key(number), StorageValue::default());
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
    row: impl Fn(u32) -> Result<Option<RowRecord>, FoldError>,
) -> Result<Option<u32>, FoldError> {
    for number in candidates {
        if row(number)?.is_some_and(|record| record.fixed.id == run) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// How many steps a definition has, and its stages.
fn stored_definition(
    keys: &dyn KeyReader,
    definition: &Hash,
) -> Result<Option<(u32, Option<StepColumns>)>, FoldError> {
    match keys.get(&definition_key(definition))? {
        Some(bytes) => row_codec::read(&mut &*bytes).map(Some),
        None => Ok(None),
    }
}

/// The stages of a definition.
pub(super) fn stages(keys: &dyn KeyReader, definition: &Hash) -> Result<Option<StepColumns>, FoldError> {
    Ok(stored_definition(keys, definition)?.and_then(|(_, stages)| stages))
}

/// How many rows readers see.
pub(super) fn head(snapshot: &ReadSnapshot<'_>) -> Result<RunsHead, FoldError> {
    match snapshot.get(HEAD)? {
        Some(bytes) => row_codec::read(&mut &*bytes),
        None => Ok(RunsHead::default()),
    }
}

/// Reads a row.
pub(super) fn read(snapshot: &ReadSnapshot<'_>, number: u32) -> Result<Option<RowRecord>, FoldError> {
    match snapshot.get(&record_key(number))? {
        Some(bytes) => RowRecord::shown_row(&bytes).map(Some),
        None => packed_rows::read(snapshot, number, RowRecord::shown_row)?.transpose(),
    }
}

/// The number of a run's row.
pub(super) fn number_of(
    snapshot: &ReadSnapshot<'_>,
    count: u32,
    run: RunId,
) -> Result<Option<u32>, FoldError> {
    find(run, index_terms::candidates(snapshot, count, run)?, |number| read(snapshot, number))
}

impl Projection for RunsModel {
    const NAME: &'static str = "runs";
    const SCHEMA: u32 = 19;

    fn handles(_event: &RunEvent) -> bool {
        true
    }

    fn open(batch: &WriteBatch) -> Result<Self, FoldError> {
        let head = match batch.get(HEAD)? {
            Some(bytes) => row_codec::read(&mut &*bytes)?,
            None => RunsHead::default(),
        };
        Ok(Self {
            head,
            cached: IdMap::default(),
            numbers: IdMap::default(),
            windows: Windows::default(),
            last: None,
            packer: RowPacker::default(),
            touched: Vec::new(),
            unsettled: Vec::new(),
            changes: TermChanges::default(),
            is_head_changed: false,
            definitions: IdMap::default(),
        })
    }

    fn define(&mut self, defined: &DefinitionColumns, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let stages = defined.stages.as_ref().map(|(columns, _)| columns);
        batch.put(&definition_key(&defined.definition), row_codec::encode(&(defined.steps, stages))?);
        self.definitions.remove(&defined.definition);
        Ok(())
    }

    fn apply(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let new = match fact.event {
            RunEvent::RunStarted(_) => RowRecord::started(fact),
            RunEvent::RunForked(_) => RowRecord::forked(fact),
            other => {
                passed_over(other, ROW_START);
                None
            }
        };
        if let Some(mut record) = new {
            let pinned = self.definition_of(batch, record.fixed.definition)?;
            (record.fixed.steps, record.stages) = (pinned.steps, pinned.stages);
            if record.stages.is_none() {
                record.fixed.definition = None;
            }
            record.add_entry(0)?;
            return self.add(record, batch);
        }
        let number = match self.last.filter(|(run, _)| *run == fact.run) {
            Some((_, number)) => Some(number),
            None => self.numbers.get(&fact.run).copied(),
        };
        let number = match number {
            Some(number) => number,
            // Read from the storage.
            None => {
                let Some(number) = self.number_of(batch, fact.run)? else { return Ok(()) };
                if !self.cached.contains_key(&number) {
                    let Some(mut loaded) = self.load(batch, number)? else { return Ok(()) };
                    loaded.record.stages = self.definition_of(batch, loaded.record.fixed.definition)?.stages;
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
            lifetimes::ended(batch, number, fact.position)?;
            let ends = batch.entry(&ends_key(self.head.ended / ENDS))?;
            ends.extend_from_slice(&number.to_le_bytes());
            self.head.ended += 1;
            self.is_head_changed = true;
        }
        if let Some(history) = full {
            Self::store_history(number, &history, batch)?;
        }
        Ok(())
    }

    fn publish(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let mut touched = std::mem::take(&mut self.touched);
        for number in &touched {
            if let Some(cached) = self.cached.get_mut(number) {
                cached.touched = false;
                cached.record.update_terms(&mut self.changes, *number);
            }
        }
        self.changes.flush(batch)?;
        for number in touched.drain(..) {
            self.show(number, batch)?;
        }
        self.touched = touched;
        if std::mem::take(&mut self.is_head_changed) {
            batch.put(HEAD, row_codec::encode(&self.head)?);
        }
        Ok(())
    }

    fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        for number in self.unsettled.drain(..) {
            // One that ended since is packed; one that was changed behind its end is named twice.
            if let Some(cached) = self.cached.get_mut(&number).filter(|cached| cached.unsettled) {
                (cached.unsettled, cached.placement) = (false, RowPlacement::Own);
                batch.put_through(&record_key(number), std::mem::take(&mut cached.row));
            }
        }
        Ok(self.packer.settle(batch)?)
    }

    fn unsettled(&self) -> usize {
        self.unsettled.len() + self.packer.waiting() / 4
    }

    fn trim(&mut self) {
        self.packer.settled();
        if self.cached.len() <= IDLE_MAX {
            return;
        }
        // Ended runs are dropped; of the others some stay.
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

//! What a model remembers of each run that has not ended.
//!
//! Law: it is written only of runs that go on at a checkpoint; a run that began and ended between two
//! costs no key.
//!
//! Used by models whose facts do not tell everything that their rows say.

use everfold_base::id::RunId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id_map::IdMap;
use crate::projection::FoldError;
use crate::row_codec;
use crate::storage::StorageValue;
use crate::write_batch::WriteBatch;

/// Runs that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 4_096;

struct OpenRunEntry<T> {
    value: T,
    unsettled: bool,
    /// The storage has it.
    stored: bool,
}

/// Values by run.
pub(crate) struct OpenRuns<T> {
    entries: IdMap<RunId, OpenRunEntry<T>>,
    /// Runs that ended and are still stored.
    gone: Vec<RunId>,
    unsettled: usize,
}

impl<T> Default for OpenRuns<T> {
    fn default() -> Self {
        Self { entries: IdMap::default(), gone: Vec::new(), unsettled: 0 }
    }
}

fn key(run: RunId) -> Vec<u8> {
    [&[b'q'][..], run.0.as_bytes()].concat()
}

impl<T: Serialize + DeserializeOwned> OpenRuns<T> {
    /// Adds a run.
    pub(crate) fn begin(&mut self, run: RunId, value: T) {
        let before = self.entries.insert(run, OpenRunEntry { value, unsettled: true, stored: false });
        self.unsettled += usize::from(before.is_none_or(|entry| !entry.unsettled));
    }

    /// The value of a run.
    pub(crate) fn get(&mut self, run: RunId, batch: &WriteBatch) -> Result<Option<&T>, FoldError> {
        self.load(run, batch)?;
        Ok(self.entries.get(&run).map(|entry| &entry.value))
    }

    /// The value of a run, to be changed.
    pub(crate) fn change(&mut self, run: RunId, batch: &WriteBatch) -> Result<Option<&mut T>, FoldError> {
        self.load(run, batch)?;
        let Some(entry) = self.entries.get_mut(&run) else { return Ok(None) };
        if !std::mem::replace(&mut entry.unsettled, true) {
            self.unsettled += 1;
        }
        Ok(Some(&mut entry.value))
    }

    fn load(&mut self, run: RunId, batch: &WriteBatch) -> Result<(), FoldError> {
        if !self.entries.contains_key(&run)
            && let Some(bytes) = batch.get(&key(run))?
        {
            let value = row_codec::read(&mut &*bytes)?;
            self.entries.insert(run, OpenRunEntry { value, unsettled: false, stored: true });
        }
        Ok(())
    }

    /// Removes a run.
    pub(crate) fn end(&mut self, run: RunId, batch: &WriteBatch) -> Result<(), FoldError> {
        self.load(run, batch)?;
        if let Some(entry) = self.entries.remove(&run) {
            self.unsettled -= usize::from(entry.unsettled);
            if entry.stored {
                self.gone.push(run);
            }
        }
        Ok(())
    }

    /// Puts what changed, before a checkpoint.
    pub(crate) fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        for run in std::mem::take(&mut self.gone) {
            batch.put_through(&key(run), StorageValue::default());
        }
        for (run, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.unsettled) {
            batch.put_through(&key(*run), StorageValue::new(row_codec::encode(&entry.value)?));
            (entry.unsettled, entry.stored) = (false, true);
        }
        self.unsettled = 0;
        Ok(())
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled + self.gone.len()
    }

    /// Shrinks the cache by what is stored.
    pub(crate) fn trim(&mut self) {
        if self.entries.len() > IDLE_MAX {
            self.entries.retain(|_, entry| entry.unsettled);
        }
    }
}

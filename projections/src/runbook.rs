//! What a model must remember of each run that goes on.
//!
//! Law: it is written only of runs that go on at a checkpoint; a run that began and ended between two
//! costs no key.
//!
//! Used by models whose facts do not tell everything that their rows say.

use everfold_engine::id::RunId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::projection::FoldError;
use crate::quick::QuickMap;
use crate::rowcodec;
use crate::shelf::Value;
use crate::tx::Tx;

/// Runs that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 4_096;

struct Page<T> {
    value: T,
    unsettled: bool,
    /// The shelf has it.
    stored: bool,
}

/// Notes on runs.
pub(crate) struct RunBook<T> {
    pages: QuickMap<RunId, Page<T>>,
    /// Runs that ended and that the shelf still knows.
    gone: Vec<RunId>,
    unsettled: usize,
}

impl<T> Default for RunBook<T> {
    fn default() -> Self {
        Self { pages: QuickMap::default(), gone: Vec::new(), unsettled: 0 }
    }
}

fn key(run: RunId) -> Vec<u8> {
    [&[b'q'][..], run.0.as_bytes()].concat()
}

impl<T: Serialize + DeserializeOwned> RunBook<T> {
    /// Begins with a run.
    pub(crate) fn begin(&mut self, run: RunId, value: T) {
        let before = self.pages.insert(run, Page { value, unsettled: true, stored: false });
        self.unsettled += usize::from(before.is_none_or(|page| !page.unsettled));
    }

    /// What is noted of a run.
    pub(crate) fn get(&mut self, run: RunId, tx: &Tx) -> Result<Option<&T>, FoldError> {
        self.load(run, tx)?;
        Ok(self.pages.get(&run).map(|page| &page.value))
    }

    /// What is noted of a run, to be changed.
    pub(crate) fn change(&mut self, run: RunId, tx: &Tx) -> Result<Option<&mut T>, FoldError> {
        self.load(run, tx)?;
        let Some(page) = self.pages.get_mut(&run) else { return Ok(None) };
        if !std::mem::replace(&mut page.unsettled, true) {
            self.unsettled += 1;
        }
        Ok(Some(&mut page.value))
    }

    fn load(&mut self, run: RunId, tx: &Tx) -> Result<(), FoldError> {
        if !self.pages.contains_key(&run)
            && let Some(bytes) = tx.get(&key(run))?
        {
            let value = rowcodec::read(&mut &*bytes)?;
            self.pages.insert(run, Page { value, unsettled: false, stored: true });
        }
        Ok(())
    }

    /// Forgets a run.
    pub(crate) fn end(&mut self, run: RunId, tx: &Tx) -> Result<(), FoldError> {
        self.load(run, tx)?;
        if let Some(page) = self.pages.remove(&run) {
            self.unsettled -= usize::from(page.unsettled);
            if page.stored {
                self.gone.push(run);
            }
        }
        Ok(())
    }

    /// Puts what changed, before a checkpoint.
    pub(crate) fn settle(&mut self, tx: &mut Tx) -> Result<(), FoldError> {
        for run in std::mem::take(&mut self.gone) {
            tx.put_through(&key(run), Value::default());
        }
        for (run, page) in self.pages.iter_mut().filter(|(_, page)| page.unsettled) {
            tx.put_through(&key(*run), Value::new(rowcodec::encode(&page.value)?));
            (page.unsettled, page.stored) = (false, true);
        }
        self.unsettled = 0;
        Ok(())
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled + self.gone.len()
    }

    /// Forgets what the shelf has, where there is much.
    pub(crate) fn trim(&mut self) {
        if self.pages.len() > IDLE_MAX {
            self.pages.retain(|_, page| page.unsettled);
        }
    }
}

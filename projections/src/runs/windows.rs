//! A cache of the id index: the rows of runs that started at about the same time are looked up once for all of them.
//! A window is the runs whose ids begin with the same eight digits; a clock draws such ids within about a minute.
//!
//! After a restart no run's number is in memory. The index by id finds all that began in the same minute, so
//! that looking through them for each run again would take the square of their number.
//!
//! Law: what is in memory of a window is all of it.

use everfold_base::id::RunId;

use super::index_terms;
use crate::id_map::IdMap;
use crate::index::short_ids;
use crate::snapshot::KeyReader;
use crate::storage::StorageError;

/// Rows that stay in memory: 8 MiB.
const ROWS_MAX: usize = 1 << 18;

/// The windows that were read.
#[derive(Default)]
pub(super) struct Windows {
    read: IdMap<u32, ()>,
    numbers: IdMap<u64, u32>,
    /// Rows whose ids begin and end as another row's, with the same key.
    twins: Vec<(u64, u32)>,
}

/// Both ends of an id.
fn key(run: RunId) -> u64 {
    of(index_terms::window_of(run), short_ids::of(run))
}

fn of(window: u32, short: u32) -> u64 {
    u64::from(window) << 32 | u64::from(short)
}

impl Windows {
    /// Notes a new row, where its window is in memory.
    pub(super) fn add(&mut self, run: RunId, number: u32) {
        if self.read.contains_key(&index_terms::window_of(run)) {
            self.put(key(run), number);
        }
    }

    fn put(&mut self, key: u64, number: u32) {
        if *self.numbers.entry(key).or_insert(number) != number && !self.twins.contains(&(key, number)) {
            self.twins.push((key, number));
        }
    }

    /// The rows that may be a run's, by both ends of its id. `known` are those that the index may not have yet.
    pub(super) fn candidates(
        &mut self,
        keys: &dyn KeyReader,
        count: u32,
        run: RunId,
        known: &IdMap<RunId, u32>,
    ) -> Result<Vec<u32>, StorageError> {
        let window = index_terms::window_of(run);
        if !self.read.contains_key(&window) {
            if self.numbers.len() >= ROWS_MAX {
                *self = Self::default();
            }
            index_terms::walk_window(keys, count, window, |number, short| {
                self.put(of(window, short), number)
            })?;
            for (run, number) in known.iter().filter(|(run, _)| index_terms::window_of(**run) == window) {
                self.put(key(*run), *number);
            }
            self.read.insert(window, ());
        }
        let key = key(run);
        let twins = self.twins.iter().filter(|(twin, _)| *twin == key).map(|(_, number)| *number);
        Ok(self.numbers.get(&key).copied().into_iter().chain(twins).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use std::borrow::Cow;
    use std::cell::Cell;

    use everfold_base::id::Position;

    use super::*;
    use crate::index::bitmap_index::TermChanges;
    use crate::write_batch::WriteBatch;

    /// Counts the reads of keys.
    struct CountingReader<'a>(&'a WriteBatch, Cell<usize>);

    impl KeyReader for CountingReader<'_> {
        fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StorageError> {
            self.1.set(self.1.get() + 1);
            self.0.get(key)
        }
    }

    fn run(number: u32) -> RunId {
        RunId(uuid::Uuid::from_u128(
            0x0198_c1f0_0000_7000_8000_0000_0000_0000 + u128::from(number) * 0x1_0001,
        ))
    }

    #[test]
    fn row_71_the_rows_of_runs_that_started_in_one_window_are_looked_up_once_for_all() {
        const RUNS: u32 = 10_000;
        let mut batch = WriteBatch::in_memory();
        let mut changes = TermChanges::default();
        for number in 0..RUNS {
            short_ids::add(&mut batch, number, run(number)).unwrap();
            index_terms::add_window(&mut changes, run(number), number);
        }
        changes.flush(&mut batch).unwrap();
        batch.publish(Position(1));
        let keys = CountingReader(&batch, Cell::new(0));
        let (mut windows, nothing) = (Windows::default(), IdMap::default());
        for number in 0..RUNS {
            assert_eq!(windows.candidates(&keys, RUNS, run(number), &nothing).unwrap(), [number]);
        }
        let asked = keys.1.get();
        assert!(asked < 100, "{asked} values were read for {RUNS} runs");
        // A query has no cache: it reads a value for some thousand runs.
        assert_eq!(index_terms::candidates(&keys, RUNS, run(77)).unwrap(), [77]);
        assert!(keys.1.get() - asked < 100, "{} values were read for one run", keys.1.get() - asked);
    }

    #[test]
    fn row_71_what_the_index_does_not_have_yet_is_found_too() {
        let batch = WriteBatch::in_memory();
        let mut windows = Windows::default();
        let known: IdMap<RunId, u32> = [(run(1), 1)].into_iter().collect();
        assert_eq!(windows.candidates(&batch, 2, run(1), &known).unwrap(), [1]);
        windows.add(run(2), 2);
        assert_eq!(windows.candidates(&batch, 3, run(2), &IdMap::default()).unwrap(), [2]);
        // The same ends, another middle.
        let twin = RunId(uuid::Uuid::from_u128(run(2).0.as_u128() | 1 << 70));
        windows.add(twin, 3);
        assert_eq!(windows.candidates(&batch, 4, twin, &IdMap::default()).unwrap(), [2, 3]);
        assert!(windows.candidates(&batch, 4, run(9), &IdMap::default()).unwrap().is_empty());
    }
}

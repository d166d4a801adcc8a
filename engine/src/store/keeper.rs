//! What goes on beside the writing: checkpoints of the index, and building it again when it failed.
//!
//! Law: a checkpoint only saves work at the next start; it proves nothing and may fail. The mark in
//! `store.json` never says more than the journal holds durably. The writer waits for an index that is being
//! built, so a build that ends in a panic has failed like any other.
//!
//! A thread of the store; it sleeps while nothing was written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::gate::IndexHealth;
use super::mark::{self, IndexState};
use super::renew::{self, INDEX_FOLDER};
use super::shared::Shared;
use super::sled::Index;
use super::{ReadError, reserve, sled_store};

/// How long written groups wait for a checkpoint of the index.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(5);
/// How long to wait before an index that could not be built is tried again.
const HEAL_AGAIN_AFTER: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Wanted {
    checkpoint: bool,
    heal: bool,
    stop: bool,
}

/// The desk of the keeper thread.
pub(crate) struct Keeper {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Keeper {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { wanted: Mutex::default(), changed: Condvar::new() })
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was written that a checkpoint should cover.
    pub(crate) fn set_dirty(&self) {
        let mut wanted = self.wanted();
        if !wanted.checkpoint {
            wanted.checkpoint = true;
            self.changed.notify_all();
        }
    }

    /// The index failed.
    pub(crate) fn heal_now(&self) {
        self.wanted().heal = true;
        self.changed.notify_all();
    }

    /// Ends [`Self::run`].
    pub(crate) fn stop(&self) {
        self.wanted().stop = true;
        self.changed.notify_all();
    }

    /// The thread's whole life.
    pub(crate) fn run(&self, shared: &Shared) {
        let mut wanted = self.wanted();
        while !wanted.stop {
            if wanted.heal {
                // Before the work: a group that fails meanwhile asks for another round.
                wanted.heal = false;
                drop(wanted);
                let healed = guarded(|| tried_twice(shared))
                    .unwrap_or_else(|why| Err(IndexHealth::Failed { why: why.to_owned(), is_full: false }));
                wanted = self.wanted();
                match healed {
                    Ok(()) if !wanted.heal => shared.gate.set_index(IndexHealth::Whole),
                    Ok(()) => {}
                    Err(failed) => {
                        shared.gate.set_index(failed);
                        wanted = self.wait(wanted, HEAL_AGAIN_AFTER);
                        wanted.heal = true;
                    }
                }
            } else if wanted.checkpoint {
                let renew_after = shared.options.renew_mark_after.min(CHECKPOINT_AFTER);
                wanted = self.wait(wanted, renew_after);
                if wanted.stop || wanted.heal {
                    continue;
                }
                if renew_after < CHECKPOINT_AFTER {
                    drop(wanted);
                    if let Ok(Err(error)) = guarded(|| renew_mark(shared)) {
                        tracing::debug!(%error, "store.json stays what it was until the next checkpoint");
                    }
                    wanted = self.wait(self.wanted(), CHECKPOINT_AFTER.saturating_sub(renew_after));
                }
                if wanted.stop || wanted.heal {
                    continue;
                }
                wanted.checkpoint = false;
                drop(wanted);
                match guarded(|| checkpoint(shared)) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the index could not be made durable; a start may take longer");
                    }
                    Err(why) => {
                        tracing::error!(why, "a checkpoint failed; the next one is made all the same")
                    }
                }
                wanted = self.wanted();
            } else {
                wanted = self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Waits that long, or until the end is wanted or the index fails.
    fn wait<'a>(&'a self, wanted: MutexGuard<'a, Wanted>, span: Duration) -> MutexGuard<'a, Wanted> {
        let heals = wanted.heal;
        let waited =
            self.changed.wait_timeout_while(wanted, span, |wanted| !wanted.stop && wanted.heal == heals);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Turns a panic into an error: this thread lives as long as the store.
fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, &'static str> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_panic| "a panic within Everfold")
}

/// Builds the index again. What failed for any cause but a full disk is tried once more at once: the
/// disk may have been full, and not be so any more by the time it is looked at.
fn tried_twice(shared: &Shared) -> Result<(), IndexHealth> {
    let mut is_second = false;
    loop {
        let Err(error) = heal(shared) else { return Ok(()) };
        tracing::error!(%error, "the index could not be built again; trying once more");
        let is_full = reserve::is_wanted_by(&error, &shared.folder);
        // Half an index would keep the room that the next try needs.
        let is_ours = shared.check_ours().is_ok();
        if is_ours {
            renew::discard(&shared.folder);
        }
        if is_full || is_second || !is_ours {
            return Err(IndexHealth::Failed { why: error.to_string(), is_full });
        }
        is_second = true;
    }
}

/// Replaces `store.json` as soon as something is written after a checkpoint: a backup of before is another file then,
/// also where its bytes are put into the files that lie there.
fn renew_mark(shared: &Shared) -> Result<(), ReadError> {
    if shared.check_ours().is_err() {
        return Ok(()); // It has been said.
    }
    write_mark(shared)
}

/// Makes the index durable and says in `store.json` how far the journal goes.
fn checkpoint(shared: &Shared) -> Result<(), ReadError> {
    if shared.check_ours().is_err() {
        return Ok(()); // It has been said.
    }
    if let Err(error) = reserve::keep(shared.files.as_ref(), &shared.folder, &shared.options.segments) {
        tracing::debug!(%error, "no room for the reserve");
    }
    shared.backlog.settle_all(shared)?;
    let index = shared.index()?;
    index.expire((shared.options.clock)())?;
    index.checkpoint()?;
    write_mark(shared)
}

/// Builds the index again from the journal, beside the old one, and replaces that.
fn heal(shared: &Shared) -> Result<(), ReadError> {
    is_still_ours(shared)?;
    // What was published by now is in the index or in the backlog; what comes meanwhile need not be.
    let published = shared.published.borrow().position;
    if !shared.backlog.has_failed()
        && let Err(error) = shared.backlog.bring_in(shared)
    {
        tracing::warn!(%error, "the index takes no more");
    }
    if shared.index().map_or(true, |index| index.held() < published) {
        // Readers may not see less than was acknowledged: they wait.
        if let Some(old) = shared.set_index(None) {
            sled_store::wait_for_readers(old);
        }
        match reopen(shared) {
            Ok(()) => return Ok(()),
            Err(error @ ReadError::IndexInUse(_)) => return Err(error),
            Err(error) => tracing::warn!(%error, "the index cannot go on and is built anew"),
        }
    }
    let last = shared.mark().journal.position;
    let beside = renew::beside(&shared.folder);
    drop(renew::build(&beside, &shared.options, &shared.segments, last)?);
    if let Some(old) = shared.set_index(None) {
        sled_store::wait_for_readers(old);
    }
    is_still_ours(shared)?;
    shared.mark().index = IndexState::Building;
    write_mark(shared)?;
    let index = renew::swap(&shared.folder, &shared.options)?;
    // What was under way when it failed has been published since.
    let last = shared.mark().journal.position;
    renew::fill(&index, &shared.options, &shared.segments, last)?;
    index.flush()?;
    shared.mark().index = IndexState::Open { boot: shared.options.boot_id.clone() };
    write_mark(shared)?;
    shared.set_index(Some(index));
    shared.backlog.mended();
    tracing::info!("the index is built again");
    Ok(())
}

/// Building takes a while; what is in the folder by then is looked at again before it is replaced.
fn is_still_ours(shared: &Shared) -> Result<(), ReadError> {
    shared.check_ours().map_err(|lost| ReadError::IndexInUse(lost.to_string()))
}

/// Lets an index that failed under way, on a full disk most likely, go on from where it was: what it
/// holds is a beginning of what the journal holds, as after a kill.
fn reopen(shared: &Shared) -> Result<(), ReadError> {
    if reserve::is_full(&shared.folder) {
        reserve::give_up(shared.files.as_ref(), &shared.folder);
    }
    let index = Index::open(&shared.folder.join(INDEX_FOLDER), shared.options.cache_bytes)?;
    let last = shared.mark().journal.position;
    if index.held() > last {
        return Err(ReadError::Index("it is ahead of the journal".into()));
    }
    renew::fill(&index, &shared.options, &shared.segments, last)?;
    index.flush()?;
    shared.set_index(Some(index));
    shared.backlog.mended();
    Ok(())
}

fn write_mark(shared: &Shared) -> Result<(), ReadError> {
    let mark = shared.mark().clone();
    mark::write(shared.files.as_ref(), &shared.folder, &mark)
        .map_err(|source| ReadError::Io { path: shared.folder.join(mark::FILE_NAME), source })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::clock;
    use crate::store::bench::Source;
    use crate::store::{AppendError, EventStore as _, SledOptions, SledStore, Writability};

    const NAME: &str = "keeper-under-test";

    /// Lets a test that fails end.
    struct Stop<'a>(&'a Keeper);

    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.stop();
        }
    }

    #[test]
    fn row_06_a_panic_while_the_index_is_built_does_not_leave_the_writer_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let panics = Arc::new(AtomicBool::new(true));
        let asked = panics.clone();
        let system = clock::system();
        let options = SledOptions {
            clock: Arc::new(move || {
                let is_meant = std::thread::current().name() == Some(NAME);
                assert!(!(is_meant && asked.load(Ordering::SeqCst)), "as asked");
                system()
            }),
            ..SledOptions::default()
        };
        let store = SledStore::open(folder.path(), options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut source = Source::new(100);
        runtime.block_on(store.append(source.next(1))).unwrap();
        let keeper = Keeper::new();
        store.shared().gate.set_index(IndexHealth::Building);
        keeper.heal_now();
        std::thread::scope(|scope| {
            let _stop = Stop(&keeper);
            let body = || keeper.run(store.shared());
            std::thread::Builder::new().name(NAME.into()).spawn_scoped(scope, body).unwrap();
            runtime.block_on(async {
                let next = source.next(1);
                let refused = store.append(next.clone()).await.unwrap_err();
                assert!(matches!(refused, AppendError::ReadOnly(_)), "{refused}");
                panics.store(false, Ordering::SeqCst);
                store.writability().wait_for(|now| *now == Writability::Writable).await.unwrap();
                store.append(next).await.unwrap();
            });
        });
        assert_eq!(store.last_position().0, 2);
    }
}

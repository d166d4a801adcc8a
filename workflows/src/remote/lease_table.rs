//! The table of work that workers fetch: what is offered, which worker holds what, which workers poll.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::EffectId;
use everfold_ports::{AttemptEnd, AttemptResult};
use everfold_system::clock;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::attempt::{Attempt, Held, OfferStage, WorkOffer, seal_log};
use super::known_worker::{KnownWorker, forget};
use super::name::WorkerName;
use super::protocol::{Job, WorkerPoll, WorkerRefusal};
use super::queue::{Match, Queues};
use super::record::{self, EndResult, Lease, RecordedEnd};
use crate::attempt_end::ended_now;

/// How many polls may wait at once.
const POLLS_MAX: usize = 10_000;
/// What is offered, which worker holds what, which workers poll. Cheap to clone.
#[derive(Clone)]
pub struct LeaseTable {
    pub(super) inner: Arc<TableState>,
}

/// What all clones of a table share.
pub(super) struct TableState {
    pub(super) layout: Layout,
    pub(super) lease: Duration,
    queues: Mutex<Queues>,
    open: Mutex<HashMap<EffectId, Arc<Attempt>>>,
    workers: Mutex<BTreeMap<WorkerName, KnownWorker>>,
    /// Held while a folder is read and its attempt entered, and while one is changed that is not entered.
    pub(super) door: tokio::sync::Mutex<()>,
}

/// Takes an attempt out of the table however its future ends, also by being dropped.
struct Entered {
    table: LeaseTable,
    attempt: Arc<Attempt>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let offer = &self.attempt.offer;
        self.table.queues().withdraw(&offer.function, &offer.id);
        let mut open = self.table.open();
        if open.get(&offer.id).is_some_and(|own| Arc::ptr_eq(own, &self.attempt)) {
            open.remove(&offer.id);
        }
        drop(open);
        self.attempt.ended.cancel();
    }
}

/// A poll in progress.
struct Polling {
    table: LeaseTable,
    worker: WorkerName,
    waits: Option<u64>,
}

impl Drop for Polling {
    fn drop(&mut self) {
        if let Some(number) = self.waits {
            self.table.queues().leave(number);
        }
        if let Some(seen) = self.table.seen().get_mut(&self.worker) {
            seen.polls -= 1;
            seen.at = clock::now();
        }
    }
}

enum LeaseAdmission {
    Goes(Entered),
    Ended(Box<RecordedEnd>),
}

impl LeaseTable {
    /// A table over the attempts of a data folder; `lease` is how long a worker holds an attempt without
    /// a heartbeat.
    #[must_use]
    pub fn new(layout: &Layout, lease: Duration) -> Self {
        let inner = TableState {
            layout: layout.clone(),
            lease,
            queues: Mutex::default(),
            open: Mutex::default(),
            workers: Mutex::default(),
            door: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Offers an attempt, or goes on with what its folder says, and resolves with its end. Dropping the
    /// future leaves it with the worker.
    pub(crate) async fn carry(&self, offer: WorkOffer) -> AttemptEnd {
        let folder = offer.folder.clone();
        let entered = match self.enter(offer).await {
            Ok(LeaseAdmission::Goes(entered)) => entered,
            Ok(LeaseAdmission::Ended(end)) => {
                let mut end = ended(*end);
                end.notes.log = blocking(move || seal_log(&folder, 0)).await;
                return end;
            }
            Err(error) => {
                let message = format!("what is kept of the attempt cannot be read: {error}");
                return ended_now(AttemptResult::Failed(Failure::new(FailureKind::Spawn, message)));
            }
        };
        let mut end = self.awaited(&entered.attempt).await;
        if !matches!(end.result, AttemptResult::NoRoom { .. }) {
            let attempt = Arc::clone(&entered.attempt);
            end.notes.log = blocking(move || attempt.close_log()).await;
        }
        end
    }

    /// Resolves with the end of an attempt: a worker reports it, or time brings it.
    async fn awaited(&self, attempt: &Attempt) -> AttemptEnd {
        loop {
            let next = {
                let mut stage = attempt.stage.lock().await;
                match &mut *stage {
                    OfferStage::Ended(end) => return ended(RecordedEnd::clone(end)),
                    OfferStage::Offered => None,
                    OfferStage::Held(held) => {
                        match held.due(Instant::now(), &attempt.offer, self.inner.lease) {
                            None => Some(held.next()),
                            Some(end) => {
                                if let Err(error) = write_end(attempt, &end).await {
                                    // Without it a former engine's folder would say that it is held.
                                    let reason = format!("the end could not be kept: {error}");
                                    return ended_now(AttemptResult::NoRoom { reason });
                                }
                                *stage = OfferStage::Ended(Box::new(end.clone()));
                                return ended(end);
                            }
                        }
                    }
                }
            };
            match next {
                None => attempt.changed.notified().await,
                Some(next) => {
                    tokio::select! {
                        () = attempt.changed.notified() => {}
                        () = tokio::time::sleep_until(next) => {}
                    }
                }
            }
        }
    }

    async fn enter(&self, offer: WorkOffer) -> std::io::Result<LeaseAdmission> {
        let _door = self.inner.door.lock().await;
        let folder = offer.folder.clone();
        let (lease, end) = blocking(move || record::read(&folder)).await?;
        if let Some(end) = end {
            return Ok(LeaseAdmission::Ended(Box::new(end)));
        }
        let (observer, function, id) =
            (Arc::clone(&offer.observer), offer.function.clone(), offer.id.clone());
        let stage = match lease {
            None => OfferStage::Offered,
            Some(lease) => {
                observer.started();
                observer.line(&format!("{} does it", lease.worker));
                OfferStage::Held(Held::new(lease, self.inner.lease, offer.timeout))
            }
        };
        let is_offered = matches!(stage, OfferStage::Offered);
        let attempt = Arc::new(Attempt::new(offer, stage));
        self.open().insert(id.clone(), Arc::clone(&attempt));
        let entered = Entered { table: self.clone(), attempt };
        if is_offered {
            observer.line(&format!("waits for a worker that does {function}"));
            self.queues().put(&function, id);
        }
        Ok(LeaseAdmission::Goes(entered))
    }

    /// Ends an attempt; resolves when no worker holds it.
    pub(crate) async fn cancel(&self, id: EffectId, folder: std::path::PathBuf, grace: Duration) {
        let cancelled = || Failure::new(FailureKind::Cancelled, "cancelled");
        let door = self.inner.door.lock().await;
        let entered = self.open().get(&id).cloned();
        let Some(attempt) = entered else {
            let written = blocking(move || {
                let (_, end) = record::read(&folder)?;
                let end =
                    end.is_none().then(|| RecordedEnd::own(EndResult::Failed(cancelled()), clock::now()));
                end.map_or(Ok(()), |end| record::write_end(&folder, &end))
            });
            if let Err(error) = written.await {
                tracing::warn!(attempt = %id, %error, "a cancel could not be kept");
            }
            return;
        };
        drop(door);
        let mut stage = attempt.stage.lock().await;
        match &mut *stage {
            OfferStage::Offered => {
                self.queues().withdraw(&attempt.offer.function, &id);
                *stage = OfferStage::Ended(Box::new(RecordedEnd::own(
                    EndResult::Failed(cancelled()),
                    clock::now(),
                )));
            }
            OfferStage::Held(held) => held.stop(cancelled(), grace),
            OfferStage::Ended(_) => {}
        }
        drop(stage);
        attempt.changed.notify_one();
        attempt.ended.cancelled().await;
    }

    /// Gives a worker work, as soon as there is some; nothing where none came in time.
    ///
    /// # Errors
    /// Too many wait, or a lease cannot be kept.
    pub async fn poll(&self, worker: &WorkerName, poll: WorkerPoll) -> Result<Vec<Job>, WorkerRefusal> {
        let mut polling = self.polling(worker, &poll)?;
        let deadline = Instant::now() + poll.wait;
        loop {
            let found = self.queues().take_or_wait(&poll.functions, poll.capacity, polling.waits.take());
            let woken = match found {
                Match::Offers(offers) => {
                    let jobs = self.hand_out(offers, worker).await?;
                    if jobs.is_empty() {
                        continue;
                    }
                    return Ok(jobs);
                }
                Match::Waits(number, woken) => {
                    polling.waits = Some(number);
                    woken
                }
            };
            if tokio::time::timeout_at(deadline, woken).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    fn polling(&self, worker: &WorkerName, poll: &WorkerPoll) -> Result<Polling, WorkerRefusal> {
        if self.queues().waiting() >= POLLS_MAX {
            return Err(WorkerRefusal::TooMany);
        }
        let now = clock::now();
        let mut workers = self.seen();
        if !workers.contains_key(worker) {
            forget(&mut workers, now);
        }
        let known = workers.entry(worker.clone());
        let seen = known.or_insert_with(|| KnownWorker {
            functions: BTreeSet::new(),
            polls: 0,
            since: now,
            at: now,
        });
        seen.functions = poll.functions.iter().cloned().collect();
        (seen.polls, seen.at) = (seen.polls + 1, now);
        drop(workers);
        Ok(Polling { table: self.clone(), worker: worker.clone(), waits: None })
    }

    /// Makes offers a worker's. It goes on where the poll is dropped meanwhile, so that nothing stays half
    /// taken; what no worker received is offered again.
    async fn hand_out(&self, offers: Vec<EffectId>, worker: &WorkerName) -> Result<Vec<Job>, WorkerRefusal> {
        let (table, worker) = (self.clone(), worker.clone());
        let (respond, responded) = oneshot::channel();
        tokio::spawn(async move {
            let (mut jobs, mut wrong) = (Vec::new(), None);
            for id in offers {
                let Some(attempt) = table.open().get(&id).cloned() else { continue };
                match table.lend(&attempt, &worker).await {
                    Ok(job) => jobs.extend(job),
                    Err(error) => {
                        wrong = Some(error);
                        table.queues().put(&attempt.offer.function, id);
                    }
                }
            }
            let answer = match wrong {
                Some(error) if jobs.is_empty() => Err(WorkerRefusal::NotKept(error.to_string())),
                _given => Ok(jobs),
            };
            if let Err(Ok(unheard)) = respond.send(answer) {
                for job in unheard {
                    table.give_back(&job).await;
                }
            }
        });
        responded.await.unwrap_or_else(|_| Err(WorkerRefusal::NotKept("the engine ends".to_owned())))
    }

    async fn lend(&self, attempt: &Arc<Attempt>, worker: &WorkerName) -> std::io::Result<Option<Job>> {
        let offer = &attempt.offer;
        let mut stage = attempt.stage.lock().await;
        if !matches!(*stage, OfferStage::Offered) || attempt.ended.is_cancelled() {
            return Ok(None);
        }
        let lease = Lease {
            lease: format!("{:032x}", clock::draw_u128()),
            worker: worker.clone(),
            taken_at: clock::now(),
        };
        let (folder, written) = (offer.folder.clone(), lease.clone());
        blocking(move || record::write_lease(&folder, &written)).await?;
        let held = Held::new(lease, self.inner.lease, offer.timeout);
        let job = Job::new(offer, &held, self.inner.lease);
        *stage = OfferStage::Held(held);
        offer.observer.started();
        offer.observer.line(&format!("{worker} does it"));
        attempt.changed.notify_one();
        Ok(Some(job))
    }

    async fn give_back(&self, job: &Job) {
        let Some(attempt) = self.open().get(&job.id.0).cloned() else { return };
        let mut stage = attempt.stage.lock().await;
        let is_its = matches!(&*stage, OfferStage::Held(held) if held.lease.lease == job.lease && held.stopping.is_none());
        if !is_its {
            return;
        }
        let folder = attempt.offer.folder.clone();
        // Where that cannot be, the lease ends by itself.
        if blocking(move || record::remove_lease(&folder)).await.is_ok() {
            *stage = OfferStage::Offered;
            drop(stage);
            attempt.changed.notify_one();
            self.queues().put(&attempt.offer.function, job.id.0.clone());
        }
    }

    /// How long a worker holds an attempt without a heartbeat.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.inner.lease
    }

    pub(super) fn queues(&self) -> MutexGuard<'_, Queues> {
        self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> MutexGuard<'_, HashMap<EffectId, Arc<Attempt>>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, BTreeMap<WorkerName, KnownWorker>> {
        self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn noticed(&self, worker: &WorkerName) {
        if let Some(seen) = self.seen().get_mut(worker) {
            seen.at = clock::now();
        }
    }

    pub(super) fn entered(&self, id: &EffectId) -> Option<Arc<Attempt>> {
        self.open().get(id).cloned()
    }
}

fn ended(end: RecordedEnd) -> AttemptEnd {
    let RecordedEnd { result, usage, at, .. } = end;
    AttemptEnd { usage, ..AttemptEnd::new(result.into(), at) }
}

/// Writes the end of an attempt into its folder.
pub(super) async fn write_end(attempt: &Attempt, end: &RecordedEnd) -> std::io::Result<()> {
    let (folder, end) = (attempt.offer.folder.clone(), end.clone());
    blocking(move || record::write_end(&folder, &end)).await
}

/// Does what waits for the disk on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends; all waiters are dropped with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

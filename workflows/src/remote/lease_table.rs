//! The table of work that workers fetch: what is offered, which worker holds what, which workers poll.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::EffectId;
use everfold_base::json::Hash;
use everfold_ports::{AttemptEnd, AttemptResult, AttemptStop, RecordReceipt, WorkerReservation};
use everfold_system::clock;
use lru::LruCache;
use tokio::time::Instant;

use super::attempt::{Attempt, CarryMode, Held, OfferStage, WorkOffer};
use super::end::{End, EndResult};
use super::former_record::{self, FormerRecord};
use super::holdings::Holdings;
use super::known_worker::KnownWorker;
use super::lease::Lease;
use super::name::WorkerName;
use super::queue::{Queues, ReservedOffer};
use crate::attempt_end::ended_now;

/// How many cancels are remembered of attempts that are not in the table, or not yet.
const CANCELS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

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
    open: Mutex<OpenAttempts>,
    workers: Mutex<BTreeMap<WorkerName, KnownWorker>>,
    offers: AtomicU64,
}

/// The attempts in the table.
pub(super) struct OpenAttempts {
    pub(super) entered: HashMap<EffectId, Arc<Attempt>>,
    pub(super) holdings: Holdings,
    /// Cancelled before they were entered: an attempt is cancelled as soon as it is launched, and entered a moment later.
    cancelled: LruCache<EffectId, AttemptStop>,
    reserved: HashMap<EffectId, ReservedLease>,
}

/// The lease of an attempt that a worker takes with its schedule, until the attempt is entered.
struct ReservedLease {
    lease: Lease,
    text: String,
    /// The worker's poll.
    poll: u64,
}

/// Lets the poll go that waits for an attempt, where that does not come.
struct PollReservation {
    table: LeaseTable,
    id: EffectId,
    lease: Hash,
}

impl Drop for PollReservation {
    fn drop(&mut self) {
        let given_up = self.table.open().take_reserved(&self.id, self.lease);
        if let Some(ReservedLease { poll, .. }) = given_up {
            self.table.queues().give_up(poll);
        }
    }
}

impl OpenAttempts {
    /// What is reserved of an attempt under this lease.
    fn take_reserved(&mut self, id: &EffectId, lease: Hash) -> Option<ReservedLease> {
        if self.reserved.get(id)?.lease.hash == lease { self.reserved.remove(id) } else { None }
    }
}

/// Takes an attempt out of the table however its future ends, also by being dropped.
struct Entered {
    table: LeaseTable,
    attempt: Arc<Attempt>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let offer = &self.attempt.offer;
        self.table.queues().withdraw(&offer.function, offer.nth, offer.id.run);
        let mut open = self.table.open();
        // Another one may have been entered in its place.
        if open.entered.get(&offer.id).is_some_and(|own| Arc::ptr_eq(own, &self.attempt)) {
            open.entered.remove(&offer.id);
            open.holdings.take(&offer.id);
        }
        drop(open);
        self.attempt.ended.cancel();
    }
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
            open: Mutex::new(OpenAttempts {
                entered: HashMap::new(),
                holdings: Holdings::default(),
                cancelled: LruCache::new(CANCELS_MAX),
                reserved: HashMap::new(),
            }),
            workers: Mutex::default(),
            offers: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The number of the next offer: of those of a run the lowest goes first, whenever its task comes to offer it.
    pub(crate) fn next_offer(&self) -> u64 {
        self.inner.offers.fetch_add(1, Ordering::Relaxed)
    }

    /// Offers an attempt, or goes on with the worker that holds it, and resolves with its end. Dropping the future leaves
    /// it with the worker.
    pub(crate) async fn carry(&self, offer: WorkOffer) -> AttemptEnd {
        let folder = offer.folder.clone();
        // What this version began has a holder in the run's events, or none at all; only a log makes it a folder.
        let former = match offer.held.is_none() && std::fs::symlink_metadata(&folder).is_ok() {
            true => blocking(move || former_record::read(&folder)).await,
            false => Ok(FormerRecord::default()),
        };
        let entered = match former.map(|former| self.enter(offer, former)) {
            Ok(entered) => entered,
            Err(error) => {
                let message = format!("what a former version kept of the attempt cannot be read: {error}");
                return ended_now(AttemptResult::Failed(Failure::new(FailureKind::Spawn, message)));
            }
        };
        let mut end = self.awaited(&entered.attempt).await;
        if !entered.attempt.has_no_log() {
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
                if let OfferStage::Held(held) = &mut *stage {
                    let end = held.due(Instant::now(), &attempt.offer, self.inner.lease);
                    if held.stopping.is_some() {
                        attempt.stopping.cancel();
                    }
                    if let Some(end) = end {
                        *stage = OfferStage::Ended(Box::new(end));
                    }
                }
                match &mut *stage {
                    OfferStage::Ended(end) => {
                        attempt.stopping.cancel();
                        return end.hand_over();
                    }
                    OfferStage::Offered => None,
                    OfferStage::Held(held) => Some(held.next()),
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

    fn enter(&self, offer: WorkOffer, former: FormerRecord) -> Entered {
        let (observer, function, id) =
            (Arc::clone(&offer.observer), offer.function.clone(), offer.id.clone());
        let lease = offer.held.as_ref().map(Lease::from).or(former.lease);
        let mut open = self.open();
        let cancelled = open.cancelled.pop(&id);
        let held = offer.held.as_ref().filter(|_| cancelled.is_none());
        let reserved = held.and_then(|held| open.take_reserved(&id, held.holder.lease));
        let is_former = reserved.is_none() && lease.is_some() || former.end.is_some();
        let is_missed =
            is_former && lease.as_ref().is_some_and(|lease| !self.is_said_to_hold(&lease.worker, &id));
        let stage = match (former.end, cancelled, lease, reserved) {
            (Some(end), ..) => OfferStage::Ended(Box::new(end.into())),
            (None, Some(cause), lease, _) => {
                let why = if lease.is_some() { stopped() } else { untaken(cause, &offer) };
                OfferStage::Ended(Box::new(End::own(EndResult::Failed(why), clock::now())))
            }
            (None, None, None, _) if offer.mode == CarryMode::Reattach => OfferStage::Ended(Box::new(
                End::own(EndResult::Lost("no worker holds it".to_owned()), clock::now()),
            )),
            (None, None, None, _) => OfferStage::Offered,
            (None, None, Some(_), Some(ReservedLease { lease, text, poll })) => {
                let worker = lease.worker.clone();
                let come = ReservedOffer { id: id.clone(), lease: text };
                // A poll that has gone received nothing: the table offers the attempt to other workers.
                if self.queues().come(poll, come) {
                    observer.line(&format!("{worker} does it"));
                    OfferStage::Held(Held::new(lease, self.inner.lease, offer.timeout))
                } else {
                    OfferStage::Offered
                }
            }
            (None, None, Some(lease), None) if is_missed => OfferStage::Ended(Box::new(End::own(
                EndResult::Lost(held_no_longer(&lease.worker)),
                clock::now(),
            ))),
            (None, None, Some(lease), None) => {
                open.holdings.give(id.clone(), &lease.worker);
                match &offer.held {
                    Some(_) => observer.started(),
                    // A former version recorded it elsewhere: from now on it is a fact of the run.
                    None => observer.taken(lease.holder(), RecordReceipt::new().0),
                }
                observer.line(&format!("{} does it", lease.worker));
                OfferStage::Held(Held::taken_over(lease, self.inner.lease, offer.timeout))
            }
        };
        let is_offered = matches!(stage, OfferStage::Offered);
        let attempt = Arc::new(Attempt::new(offer, stage, is_former));
        open.entered.insert(id.clone(), Arc::clone(&attempt));
        drop(open);
        let entered = Entered { table: self.clone(), attempt };
        if is_offered {
            observer.line(&format!("waits for a worker that does {function}"));
            self.queues().put(&function, entered.attempt.offer.nth, id);
        }
        entered
    }

    /// Whether a poll waits for work.
    pub(crate) fn has_waiting(&self) -> bool {
        self.queues().waiting() > 0
    }

    /// Reserves an attempt for a worker that waits for such work. It gets the attempt when that is entered as held under this
    /// lease.
    pub(crate) fn reserve(&self, id: &EffectId, function: &str) -> Option<WorkerReservation> {
        let (poll, worker) = self.queues().reserve(function)?;
        let (lease, text) = Lease::draw(worker);
        let (holder, hash) = (lease.holder(), lease.hash);
        self.open().reserved.insert(id.clone(), ReservedLease { lease, text, poll });
        let release = PollReservation { table: self.clone(), id: id.clone(), lease: hash };
        Some(WorkerReservation { holder, release: Box::new(release) })
    }

    /// Ends an attempt; resolves when no worker holds it.
    pub(crate) async fn cancel(&self, id: EffectId, cause: AttemptStop, grace: Duration) {
        let attempt = {
            let mut open = self.open();
            let Some(attempt) = open.entered.get(&id).cloned() else {
                // Where it comes yet, it ends at once; where it does not, its run records an end without it.
                open.cancelled.put(id, cause);
                return;
            };
            attempt
        };
        let mut stage = attempt.stage.lock().await;
        match &mut *stage {
            OfferStage::Offered => {
                self.queues().withdraw(&attempt.offer.function, attempt.offer.nth, id.run);
                let why = untaken(cause, &attempt.offer);
                *stage = OfferStage::Ended(Box::new(End::own(EndResult::Failed(why), clock::now())));
            }
            OfferStage::Held(held) => {
                let why = match (cause, attempt.offer.timeout) {
                    (AttemptStop::TimeLimit, Some(limit)) => Failure::time_limit(limit),
                    (AttemptStop::Interrupt, _) => Failure::new(FailureKind::Cancelled, "interrupted"),
                    (AttemptStop::Cancel | AttemptStop::TimeLimit, _) => stopped(),
                };
                held.stop(why, cause, grace);
                attempt.stopping.cancel();
            }
            OfferStage::Ended(_) => {}
        }
        drop(stage);
        attempt.changed.notify_one();
        attempt.ended.cancelled().await;
    }

    /// Whether a worker holds an attempt, as far as it says what it holds.
    fn is_said_to_hold(&self, worker: &WorkerName, id: &EffectId) -> bool {
        let seen = self.seen();
        seen.get(worker).and_then(|seen| seen.holds.as_ref()).is_none_or(|holds| holds.contains(id))
    }

    /// How long a worker holds an attempt without a heartbeat.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.inner.lease
    }

    pub(super) fn queues(&self) -> MutexGuard<'_, Queues> {
        self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> MutexGuard<'_, OpenAttempts> {
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
        self.open().entered.get(id).cloned()
    }
}

pub(super) fn held_no_longer(worker: &WorkerName) -> String {
    format!("{worker} says that it does not hold it: it was started again, or never received it")
}

fn stopped() -> Failure {
    Failure::new(FailureKind::Cancelled, "cancelled")
}

/// Why an attempt ended that no worker took.
fn untaken(cause: AttemptStop, offer: &WorkOffer) -> Failure {
    match (cause, offer.timeout) {
        (AttemptStop::TimeLimit, Some(limit)) => Failure::no_worker(limit, &offer.function),
        _of_another_cause => stopped(),
    }
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

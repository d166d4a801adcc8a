//! The table of work that workers fetch: what is offered, which worker holds what, which workers poll.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::EffectId;
use everfold_base::json::Hash;
use everfold_ports::{AttemptEnd, AttemptResult, RecordReceipt, WorkerReservation};
use everfold_system::clock;
use futures::future::join_all;
use lru::LruCache;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::attempt::{Attempt, Held, OfferStage, WorkOffer};
use super::end::{End, EndResult, RECORDED_WITHIN, durable};
use super::former_record::{self, FormerRecord};
use super::holdings::Holdings;
use super::known_worker::{KnownWorker, forget};
use super::lease::Lease;
use super::name::WorkerName;
use super::protocol::{Job, WorkerPoll, WorkerRefusal};
use super::queue::{Match, Queues, ReservedOffer, Seeker};
use crate::attempt_end::ended_now;

/// How many polls may wait at once.
const POLLS_MAX: usize = 10_000;
/// How long a poll that has work waits for more that is on its way to the disk: its leases count already.
const COMES_WITHIN: Duration = Duration::from_secs(1);
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
}

/// The attempts in the table.
pub(super) struct OpenAttempts {
    pub(super) entered: HashMap<EffectId, Arc<Attempt>>,
    holdings: Holdings,
    /// Cancelled before they were entered: an attempt is cancelled as soon as it is launched, and entered a moment later.
    cancelled: LruCache<EffectId, ()>,
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
        self.table.queues().withdraw(&offer.function, &offer.id);
        let mut open = self.table.open();
        if open.entered.get(&offer.id).is_some_and(|own| Arc::ptr_eq(own, &self.attempt)) {
            open.entered.remove(&offer.id);
            open.holdings.take(&offer.id);
        }
        drop(open);
        self.attempt.ended.cancel();
    }
}

/// Work that was reserved for a poll and is on its way to its worker: offered again where the poll goes before.
struct UnheardOffers {
    table: LeaseTable,
    offers: Vec<ReservedOffer>,
}

impl Drop for UnheardOffers {
    fn drop(&mut self) {
        let (table, offers) = (self.table.clone(), std::mem::take(&mut self.offers));
        if !offers.is_empty() {
            tokio::spawn(async move {
                for ReservedOffer { id, lease } in offers {
                    table.give_back(&id, &lease).await;
                }
            });
        }
    }
}

impl From<&Job> for ReservedOffer {
    fn from(job: &Job) -> Self {
        Self { id: job.id.0.clone(), lease: job.lease.clone() }
    }
}

/// A poll in progress.
struct Polling {
    table: LeaseTable,
    worker: WorkerName,
    waits: Option<u64>,
}

impl Polling {
    /// It waits no longer; gives what was reserved for it and has come.
    fn leave(&mut self) -> Vec<ReservedOffer> {
        self.waits.take().map(|number| self.table.queues().leave(number)).unwrap_or_default()
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        drop(UnheardOffers { table: self.table.clone(), offers: self.leave() });
        if let Some(seen) = self.table.seen().get_mut(&self.worker) {
            seen.polls -= 1;
            seen.at = clock::now();
        }
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
        };
        Self { inner: Arc::new(inner) }
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
                if let OfferStage::Held(held) = &mut *stage
                    && let Some(end) = held.due(Instant::now(), &attempt.offer, self.inner.lease)
                {
                    *stage = OfferStage::Ended(Box::new(end));
                }
                match &mut *stage {
                    OfferStage::Ended(end) => return end.hand_over(),
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
        let is_cancelled = open.cancelled.pop(&id).is_some();
        let held = offer.held.as_ref().filter(|_| !is_cancelled);
        let reserved = held.and_then(|held| open.take_reserved(&id, held.holder.lease));
        let is_former = reserved.is_none() && lease.is_some() || former.end.is_some();
        let is_missed =
            is_former && lease.as_ref().is_some_and(|lease| !self.is_said_to_hold(&lease.worker, &id));
        let stage = match (former.end, lease, reserved) {
            (Some(end), ..) => OfferStage::Ended(Box::new(end.into())),
            (None, ..) if is_cancelled => OfferStage::Ended(Box::new(cancelled_now())),
            (None, None, _) => OfferStage::Offered,
            (None, Some(_), Some(ReservedLease { lease, text, poll })) => {
                let worker = lease.worker.clone();
                let come = ReservedOffer { id: id.clone(), lease: text };
                // Where the poll has gone, nobody was given it.
                if self.queues().come(poll, come) {
                    observer.line(&format!("{worker} does it"));
                    OfferStage::Held(Held::new(lease, self.inner.lease, offer.timeout))
                } else {
                    OfferStage::Offered
                }
            }
            (None, Some(lease), None) if is_missed => OfferStage::Ended(Box::new(End::own(
                EndResult::Lost(held_no_longer(&lease.worker)),
                clock::now(),
            ))),
            (None, Some(lease), None) => {
                open.holdings.give(id.clone(), &lease.worker);
                match &offer.held {
                    Some(_) => observer.started(),
                    // A former version recorded it elsewhere: from now on it is a fact of the run.
                    None => observer.taken(lease.holder(), RecordReceipt::new().0),
                }
                observer.line(&format!("{} does it", lease.worker));
                OfferStage::Held(Held::new(lease, self.inner.lease, offer.timeout))
            }
        };
        let is_offered = matches!(stage, OfferStage::Offered);
        let attempt = Arc::new(Attempt::new(offer, stage, is_former));
        open.entered.insert(id.clone(), Arc::clone(&attempt));
        drop(open);
        let entered = Entered { table: self.clone(), attempt };
        if is_offered {
            observer.line(&format!("waits for a worker that does {function}"));
            self.queues().put(&function, id);
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
    pub(crate) async fn cancel(&self, id: EffectId, grace: Duration) {
        let attempt = {
            let mut open = self.open();
            let Some(attempt) = open.entered.get(&id).cloned() else {
                // Where it comes yet, it ends at once; where it does not, its run records an end without it.
                open.cancelled.put(id, ());
                return;
            };
            attempt
        };
        let mut stage = attempt.stage.lock().await;
        match &mut *stage {
            OfferStage::Offered => {
                self.queues().withdraw(&attempt.offer.function, &id);
                *stage = OfferStage::Ended(Box::new(cancelled_now()));
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
        if let Some(holds) = &poll.holds {
            self.end_what_is_not_held(worker, holds).await;
        }
        let deadline = Instant::now() + poll.wait;
        loop {
            let seeker = Seeker { worker, functions: &poll.functions, capacity: poll.capacity };
            let found = self.queues().take_or_wait(&seeker, polling.waits.take());
            let jobs = match found {
                Match::Offers(offers) => self.take_offers(offers, &seeker, &mut polling).await?,
                Match::Reserved(came) => self.jobs_of(came, worker).await,
                Match::Comes(number, woken) => {
                    polling.waits = Some(number);
                    let _late = tokio::time::timeout(COMES_WITHIN, woken).await;
                    self.jobs_of(polling.leave(), worker).await
                }
                Match::Waits(number, woken) => {
                    polling.waits = Some(number);
                    if tokio::time::timeout_at(deadline, woken).await.is_ok() {
                        continue;
                    }
                    return Ok(self.jobs_of(polling.leave(), worker).await);
                }
            };
            if !jobs.is_empty() {
                return Ok(jobs);
            }
        }
    }

    /// Hands out offers, and what is scheduled meanwhile.
    async fn take_offers(
        &self,
        offers: Vec<EffectId>,
        seeker: &Seeker<'_>,
        polling: &mut Polling,
    ) -> Result<Vec<Job>, WorkerRefusal> {
        let rest = Seeker { capacity: seeker.capacity.saturating_sub(offers.len()), ..*seeker };
        if rest.capacity == 0 {
            return self.hand_out(offers, seeker.worker).await;
        }
        let (number, woken) = self.queues().take_beside(&rest);
        polling.waits = Some(number);
        let mut jobs = self.hand_out(offers, seeker.worker).await?;
        let given = jobs.iter().map(ReservedOffer::from).collect();
        let mut unheard = UnheardOffers { table: self.clone(), offers: given };
        if !self.queues().close(number) {
            let _late = tokio::time::timeout(COMES_WITHIN, woken).await;
        }
        jobs.extend(self.jobs_of(polling.leave(), seeker.worker).await);
        unheard.offers.clear();
        Ok(jobs)
    }

    /// The work that was reserved for a poll, and is the worker's now.
    async fn jobs_of(&self, came: Vec<ReservedOffer>, worker: &WorkerName) -> Vec<Job> {
        let mut unheard = UnheardOffers { table: self.clone(), offers: came };
        let mut jobs = Vec::with_capacity(unheard.offers.len());
        for ReservedOffer { id, lease } in &unheard.offers {
            let Some(attempt) = self.entered(id) else { continue };
            // A cancel may have ended it.
            if let OfferStage::Held(held) = &*attempt.stage.lock().await {
                jobs.push(Job::new(&attempt.offer, held, lease.clone(), self.inner.lease));
            }
        }
        unheard.offers.clear();
        self.received(worker, jobs.iter().map(|job| job.id.0.clone()).collect());
        jobs
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
            holds: None,
            polls: 0,
            since: now,
            at: now,
        });
        seen.functions = poll.functions.iter().cloned().collect();
        seen.holds.clone_from(&poll.holds);
        (seen.polls, seen.at) = (seen.polls + 1, now);
        drop(workers);
        Ok(Polling { table: self.clone(), worker: worker.clone(), waits: None })
    }

    /// Makes offers a worker's, side by side. It goes on where the poll is dropped meanwhile, so that nothing stays half
    /// taken; what no worker received is offered again.
    async fn hand_out(&self, offers: Vec<EffectId>, worker: &WorkerName) -> Result<Vec<Job>, WorkerRefusal> {
        let (table, worker) = (self.clone(), worker.clone());
        let (respond, responded) = oneshot::channel();
        tokio::spawn(async move {
            let offered = offers.iter().filter_map(|id| table.entered(id));
            let lent = join_all(offered.map(|attempt| {
                let (table, worker) = (&table, &worker);
                async move { table.lend(&attempt, worker).await.map_err(|why| (attempt, why)) }
            }));
            let (mut jobs, mut wrong) = (Vec::new(), None);
            for lent in lent.await {
                match lent {
                    Ok(job) => jobs.extend(job),
                    Err((attempt, why)) => {
                        wrong = Some(why);
                        if !attempt.ended.is_cancelled() {
                            table.queues().put(&attempt.offer.function, attempt.offer.id.clone());
                        }
                    }
                }
            }
            let given: Vec<EffectId> = jobs.iter().map(|job: &Job| job.id.0.clone()).collect();
            let answer = match wrong {
                Some(why) if jobs.is_empty() => Err(why),
                _given => Ok(jobs),
            };
            match respond.send(answer) {
                Err(Ok(unheard)) => {
                    drop(UnheardOffers { table, offers: unheard.iter().map(ReservedOffer::from).collect() });
                }
                // From now on it is missed where the worker does not name it.
                Ok(()) => table.received(&worker, given),
                Err(Err(_why)) => {}
            }
        });
        match tokio::time::timeout(RECORDED_WITHIN, responded).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_gone)) => Err(WorkerRefusal::NotKept("the engine ends".to_owned())),
            Err(_elapsed) => Err(WorkerRefusal::NotKept("no lease is durable yet".to_owned())),
        }
    }

    /// Lends an attempt to a worker: its run records that, and then the worker is given it. `None`: it is offered no more.
    async fn lend(&self, attempt: &Arc<Attempt>, worker: &WorkerName) -> Result<Option<Job>, WorkerRefusal> {
        let offer = &attempt.offer;
        let mut stage = attempt.stage.lock().await;
        if !matches!(*stage, OfferStage::Offered) || attempt.ended.is_cancelled() {
            return Ok(None);
        }
        let (lease, text) = Lease::draw(worker.clone());
        let (receipt, recorded) = RecordReceipt::new();
        offer.observer.taken(lease.holder(), receipt);
        durable(recorded).await?;
        let held = Held::new(lease, self.inner.lease, offer.timeout);
        let job = Job::new(offer, &held, text, self.inner.lease);
        *stage = OfferStage::Held(held);
        offer.observer.line(&format!("{worker} does it"));
        attempt.changed.notify_one();
        Ok(Some(job))
    }

    /// A worker has received attempts: it holds them until it says otherwise.
    fn received(&self, worker: &WorkerName, given: Vec<EffectId>) {
        if let Some(holds) = self.seen().get_mut(worker).and_then(|seen| seen.holds.as_mut()) {
            holds.extend(given.iter().cloned());
        }
        let mut open = self.open();
        for id in given {
            if open.entered.contains_key(&id) {
                open.holdings.give(id, worker);
            }
        }
    }

    /// Whether a worker holds an attempt, as far as it says what it holds.
    fn is_said_to_hold(&self, worker: &WorkerName, id: &EffectId) -> bool {
        let seen = self.seen();
        seen.get(worker).and_then(|seen| seen.holds.as_ref()).is_none_or(|holds| holds.contains(id))
    }

    /// Ends what a worker was given and does not hold: a former process of its name had it, or it never arrived.
    async fn end_what_is_not_held(&self, worker: &WorkerName, holds: &BTreeSet<EffectId>) {
        let missed = self.open().holdings.besides(worker, holds);
        for id in missed {
            let Some(attempt) = self.entered(&id) else { continue };
            let mut stage = attempt.stage.lock().await;
            let result = match &*stage {
                OfferStage::Held(held) if held.lease.worker == *worker => match &held.stopping {
                    Some(stopping) => EndResult::Failed(stopping.why.clone()),
                    None => EndResult::Lost(held_no_longer(worker)),
                },
                _other => continue,
            };
            *stage = OfferStage::Ended(Box::new(End::own(result, clock::now())));
            drop(stage);
            attempt.changed.notify_one();
        }
    }

    /// Offers what a worker never received once more. Its run says that the worker holds it until the next one takes it.
    async fn give_back(&self, id: &EffectId, lease: &str) {
        let Some(attempt) = self.entered(id) else { return };
        let mut stage = attempt.stage.lock().await;
        let lease = Lease::hash_of(lease);
        let is_its =
            matches!(&*stage, OfferStage::Held(held) if held.lease.hash == lease && held.stopping.is_none());
        if !is_its {
            return;
        }
        *stage = OfferStage::Offered;
        drop(stage);
        attempt.changed.notify_one();
        self.queues().put(&attempt.offer.function, id.clone());
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

fn held_no_longer(worker: &WorkerName) -> String {
    format!("{worker} says that it does not hold it: it was started again, or never received it")
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "cancelled")
}

fn cancelled_now() -> End {
    End::own(EndResult::Failed(cancelled()), clock::now())
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

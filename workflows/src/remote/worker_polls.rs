//! Polls of workers: what they are given, and what becomes of it where a poll goes.
//!
//! Law: a lease is durable before its worker has it. What no worker received is offered again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use everfold_base::id::EffectId;
use everfold_ports::RecordReceipt;
use everfold_system::clock;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::attempt::{Attempt, Held, OfferStage};
use super::end::{End, EndResult, RECORDED_WITHIN, durable};
use super::known_worker::{KnownWorker, forget};
use super::lease::Lease;
use super::lease_table::{LeaseTable, held_no_longer};
use super::name::WorkerName;
use super::protocol::{Job, WorkerPoll, WorkerRefusal};
use super::queue::{Match, ReservedOffer, Seeker};

/// How many polls may wait at once.
const POLLS_MAX: usize = 10_000;
/// How long a poll that has work waits for more that is on its way to the disk: its leases count already.
const COMES_WITHIN: Duration = Duration::from_secs(1);
/// How long a poll whose take was not recorded waits for the offer to be taken back.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);

/// Work that was reserved for a poll and is on its way to its worker: offered again where the poll goes before.
struct UnheardOffers {
    table: LeaseTable,
    offers: Vec<ReservedOffer>,
}

impl Drop for UnheardOffers {
    fn drop(&mut self) {
        let (table, offers) = (self.table.clone(), std::mem::take(&mut self.offers));
        // A poll may be dropped when its runtime has ended; then the table ends, too.
        if !offers.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
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
                            table.offer_again(&attempt);
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
        if let Err(refusal) = durable(recorded).await {
            // A pause has overtaken it, and takes the offer back in a moment, or an interrupt ends it.
            drop(stage);
            let withdrawn = tokio::time::timeout(WITHDRAWN_WITHIN, attempt.ended.cancelled()).await;
            return if withdrawn.is_ok() { Ok(None) } else { Err(refusal) };
        }
        let held = Held::new(lease, self.inner.lease, offer.timeout);
        let job = Job::new(offer, &held, text, self.inner.lease);
        *stage = OfferStage::Held(held);
        offer.observer.line(&format!("{worker} does it"));
        attempt.changed.notify_one();
        Ok(Some(job))
    }

    fn offer_again(&self, attempt: &Attempt) {
        let offer = &attempt.offer;
        self.queues().put(&offer.function, offer.nth, offer.id.clone());
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

    /// Ends what a worker was given and does not hold: a former process of its name had it, or it never arrived.
    async fn end_what_is_not_held(&self, worker: &WorkerName, holds: &BTreeSet<EffectId>) {
        let missed = self.open().holdings.besides(worker, holds);
        for id in missed {
            let Some(attempt) = self.entered(&id) else { continue };
            let mut stage = attempt.stage.lock().await;
            let result = match &*stage {
                OfferStage::Held(held) if held.lease.worker == *worker => match &held.stopping {
                    Some(stopping) => stopping.unreported(worker),
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
        self.offer_again(&attempt);
    }
}

//! The book of work that workers fetch: what is offered, who holds what, who polls.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::EffectId;
use everfold_base::json::Hash;
use everfold_ports::{AttemptEnd, AttemptResult};
use everfold_system::clock;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::attempt::{Attempt, Held, Offer, Stage};
use super::name::WorkerName;
use super::protocol::{AttemptName, Heartbeat, HeartbeatReply, Job, LeaseClaim, Poll, Report, WorkerRefusal};
use super::queue::{Match, Queues};
use super::record::{self, End, EndResult, Lease, Reporter};
use super::seen::{Seen, forget};
use super::view::{HeldView, RemoteView, WorkerView};
use crate::attempt_end::ended_now;

/// How many polls may wait at once.
const POLLS_MAX: usize = 10_000;
/// What is offered, who holds what, who polls. Cheap to clone.
#[derive(Clone)]
pub struct LeaseTable {
    inner: Arc<TableState>,
}

struct TableState {
    layout: Layout,
    lease: Duration,
    queues: Mutex<Queues>,
    open: Mutex<HashMap<EffectId, Arc<Attempt>>>,
    workers: Mutex<BTreeMap<WorkerName, Seen>>,
    /// Held while a folder is read and its attempt entered, and while one is changed that is not entered.
    door: tokio::sync::Mutex<()>,
}

/// Takes an attempt out of the book however its future ends, also by being dropped.
struct Entered {
    book: LeaseTable,
    attempt: Arc<Attempt>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let offer = &self.attempt.offer;
        self.book.queues().withdraw(&offer.function, &offer.id);
        let mut open = self.book.open();
        if open.get(&offer.id).is_some_and(|own| Arc::ptr_eq(own, &self.attempt)) {
            open.remove(&offer.id);
        }
        drop(open);
        self.attempt.ended.cancel();
    }
}

/// A poll in progress.
struct Polling {
    book: LeaseTable,
    worker: WorkerName,
    waits: Option<u64>,
}

impl Drop for Polling {
    fn drop(&mut self) {
        if let Some(number) = self.waits {
            self.book.queues().leave(number);
        }
        if let Some(seen) = self.book.seen().get_mut(&self.worker) {
            seen.polls -= 1;
            seen.at = clock::now();
        }
    }
}

enum Entry {
    Goes(Entered),
    Ended(Box<End>),
}

impl LeaseTable {
    /// A book over the attempts of a data folder; `lease` is how long a worker holds an attempt without
    /// being heard of.
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
    pub(crate) async fn carry(&self, offer: Offer) -> AttemptEnd {
        let entered = match self.enter(offer).await {
            Ok(Entry::Goes(entered)) => entered,
            Ok(Entry::Ended(end)) => return ended(*end),
            Err(error) => {
                let message = format!("what is kept of the attempt cannot be read: {error}");
                return ended_now(AttemptResult::Failed(Failure::new(FailureKind::Spawn, message)));
            }
        };
        let attempt = &entered.attempt;
        loop {
            let next = {
                let mut stage = attempt.stage.lock().await;
                match &mut *stage {
                    Stage::Ended(end) => return ended(End::clone(end)),
                    Stage::Offered => None,
                    Stage::Held(held) => match held.due(Instant::now(), &attempt.offer, self.inner.lease) {
                        None => Some(held.next()),
                        Some(end) => {
                            if let Err(error) = write_end(attempt, &end).await {
                                // Without it a former engine's folder would say that it is held.
                                let reason = format!("the end could not be kept: {error}");
                                return ended_now(AttemptResult::NoRoom { reason });
                            }
                            *stage = Stage::Ended(Box::new(end.clone()));
                            return ended(end);
                        }
                    },
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

    async fn enter(&self, offer: Offer) -> std::io::Result<Entry> {
        let _door = self.inner.door.lock().await;
        let folder = offer.folder.clone();
        let (lease, end) = blocking(move || record::read(&folder)).await?;
        if let Some(end) = end {
            return Ok(Entry::Ended(Box::new(end)));
        }
        let (observer, function, id) =
            (Arc::clone(&offer.observer), offer.function.clone(), offer.id.clone());
        let stage = match lease {
            None => Stage::Offered,
            Some(lease) => {
                observer.started();
                observer.line(&format!("{} does it", lease.worker));
                Stage::Held(Held::new(lease, self.inner.lease, offer.timeout))
            }
        };
        let is_offered = matches!(stage, Stage::Offered);
        let attempt = Arc::new(Attempt::new(offer, stage));
        self.open().insert(id.clone(), Arc::clone(&attempt));
        let entered = Entered { book: self.clone(), attempt };
        if is_offered {
            observer.line(&format!("waits for a worker that does {function}"));
            self.queues().put(&function, id);
        }
        Ok(Entry::Goes(entered))
    }

    /// Ends an attempt; resolves when no worker holds it.
    pub(crate) async fn cancel(&self, id: EffectId, folder: std::path::PathBuf, grace: Duration) {
        let cancelled = || Failure::new(FailureKind::Cancelled, "cancelled");
        let door = self.inner.door.lock().await;
        let entered = self.open().get(&id).cloned();
        let Some(attempt) = entered else {
            let written = blocking(move || {
                let (_, end) = record::read(&folder)?;
                let end = end.is_none().then(|| End::own(EndResult::Failed(cancelled()), clock::now()));
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
            Stage::Offered => {
                self.queues().withdraw(&attempt.offer.function, &id);
                *stage = Stage::Ended(Box::new(End::own(EndResult::Failed(cancelled()), clock::now())));
            }
            Stage::Held(held) => held.stop(cancelled(), grace),
            Stage::Ended(_) => {}
        }
        drop(stage);
        attempt.changed.notify_one();
        attempt.ended.cancelled().await;
    }

    /// Gives a worker work, as soon as there is some; nothing where none came in time.
    ///
    /// # Errors
    /// Too many wait, or a lease cannot be kept.
    pub async fn poll(&self, worker: &WorkerName, poll: Poll) -> Result<Vec<Job>, WorkerRefusal> {
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

    fn polling(&self, worker: &WorkerName, poll: &Poll) -> Result<Polling, WorkerRefusal> {
        if self.queues().waiting() >= POLLS_MAX {
            return Err(WorkerRefusal::TooMany);
        }
        let now = clock::now();
        let mut workers = self.seen();
        if !workers.contains_key(worker) {
            forget(&mut workers, now);
        }
        let known = workers.entry(worker.clone());
        let seen =
            known.or_insert_with(|| Seen { functions: BTreeSet::new(), polls: 0, since: now, at: now });
        seen.functions = poll.functions.iter().cloned().collect();
        (seen.polls, seen.at) = (seen.polls + 1, now);
        drop(workers);
        Ok(Polling { book: self.clone(), worker: worker.clone(), waits: None })
    }

    /// Makes offers a worker's. It goes on where the poll is dropped meanwhile, so that nothing stays half
    /// taken; what no worker heard of is offered again.
    async fn hand_out(&self, offers: Vec<EffectId>, worker: &WorkerName) -> Result<Vec<Job>, WorkerRefusal> {
        let (book, worker) = (self.clone(), worker.clone());
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let (mut jobs, mut wrong) = (Vec::new(), None);
            for id in offers {
                let Some(attempt) = book.open().get(&id).cloned() else { continue };
                match book.lend(&attempt, &worker).await {
                    Ok(job) => jobs.extend(job),
                    Err(error) => {
                        wrong = Some(error);
                        book.queues().put(&attempt.offer.function, id);
                    }
                }
            }
            let answer = match wrong {
                Some(error) if jobs.is_empty() => Err(WorkerRefusal::NotKept(error.to_string())),
                _given => Ok(jobs),
            };
            if let Err(Ok(unheard)) = tell.send(answer) {
                for job in unheard {
                    book.give_back(&job).await;
                }
            }
        });
        told.await.unwrap_or_else(|_| Err(WorkerRefusal::NotKept("the engine ends".to_owned())))
    }

    async fn lend(&self, attempt: &Arc<Attempt>, worker: &WorkerName) -> std::io::Result<Option<Job>> {
        let offer = &attempt.offer;
        let mut stage = attempt.stage.lock().await;
        if !matches!(*stage, Stage::Offered) || attempt.ended.is_cancelled() {
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
        *stage = Stage::Held(held);
        offer.observer.started();
        offer.observer.line(&format!("{worker} does it"));
        attempt.changed.notify_one();
        Ok(Some(job))
    }

    async fn give_back(&self, job: &Job) {
        let Some(attempt) = self.open().get(&job.id.0).cloned() else { return };
        let mut stage = attempt.stage.lock().await;
        let is_its =
            matches!(&*stage, Stage::Held(held) if held.lease.lease == job.lease && held.stopping.is_none());
        if !is_its {
            return;
        }
        let folder = attempt.offer.folder.clone();
        // Where that cannot be, the lease ends by itself.
        if blocking(move || record::remove_lease(&folder)).await.is_ok() {
            *stage = Stage::Offered;
            drop(stage);
            attempt.changed.notify_one();
            self.queues().put(&attempt.offer.function, job.id.0.clone());
        }
    }

    /// A worker says that it is at work; it hears whether it is to end.
    ///
    /// `lives` tells of an attempt that was not entered whether its run still wants it, or why that cannot be
    /// told now: right after a start of the engine.
    ///
    /// # Errors
    /// It does not hold the attempt, or no longer.
    pub async fn heartbeat(
        &self,
        said: LeaseClaim,
        beat: Heartbeat,
        lives: impl Future<Output = Result<bool, String>>,
    ) -> Result<HeartbeatReply, WorkerRefusal> {
        self.noticed(&said.worker);
        let span = self.inner.lease;
        let goes_on = || HeartbeatReply { lease_until: clock::now().plus(span), cancel: false, reason: None };
        let Some(attempt) = self.entered(&said.id.0) else {
            let _door = self.inner.door.lock().await;
            return match self.beside(&said, lives).await? {
                None => Ok(goes_on()),
                Some(end) => Err(WorkerRefusal::Over(end.explained())),
            };
        };
        let mut stage = attempt.stage.lock().await;
        let held = holder(&mut stage, &said)?;
        held.extend(span);
        let stopping = held.stopping.as_ref().map(|stopping| stopping.why.message.clone());
        let answer =
            HeartbeatReply { lease_until: held.until_at, cancel: stopping.is_some(), reason: stopping };
        drop(stage);
        attempt.changed.notify_one();
        let kept = Arc::clone(&attempt);
        blocking(move || kept.keep_lines(&beat.log)).await;
        if let Some(line) = beat.progress {
            attempt.offer.observer.line(&attempt.offer.observer.shown(&line));
        }
        Ok(answer)
    }

    /// A worker says how it ended. Saying the same again does no harm: `true`.
    ///
    /// # Errors
    /// It does not hold the attempt, or no longer, or said something else before.
    pub async fn report(
        &self,
        said: LeaseClaim,
        report: Report,
        lives: impl Future<Output = Result<bool, String>>,
    ) -> Result<bool, WorkerRefusal> {
        self.noticed(&said.worker);
        let hash = Hash::of(&serde_json::to_vec(&report).unwrap_or_default()).to_string();
        let by = Reporter { lease: said.lease.clone(), worker: said.worker.clone(), hash };
        let Report { result, usage, log } = report;
        let end = |result| End { by: Some(by.clone()), result, usage, at: clock::now() };
        let not_kept = |error: std::io::Error| WorkerRefusal::NotKept(error.to_string());
        let Some(attempt) = self.entered(&said.id.0) else {
            let _door = self.inner.door.lock().await;
            if self.entered(&said.id.0).is_some() {
                // Entered at this moment: the worker asks again.
                return Err(WorkerRefusal::NotKept(
                    "the engine takes the attempt up at this moment".to_owned(),
                ));
            }
            return match self.beside(&said, lives).await? {
                Some(former) => repeated(&former, &by),
                None => {
                    let (folder, end) = (self.inner.layout.attempt(&said.id.0), end(result.into()));
                    blocking(move || record::write_end(&folder, &end)).await.map_err(not_kept)?;
                    Ok(false)
                }
            };
        };
        let mut stage = attempt.stage.lock().await;
        if let Stage::Ended(former) = &*stage {
            return repeated(former, &by);
        }
        let held = holder(&mut stage, &said)?;
        // What comes after a cancel ends it, and does not count.
        let result = match &held.stopping {
            Some(stopping) => EndResult::Failed(stopping.why.clone()),
            None => attempt.masked(result.into()),
        };
        let kept = Arc::clone(&attempt);
        blocking(move || kept.keep_lines(&log)).await;
        let end = end(result);
        write_end(&attempt, &end).await.map_err(not_kept)?;
        *stage = Stage::Ended(Box::new(end));
        drop(stage);
        attempt.changed.notify_one();
        Ok(false)
    }

    /// What the folder of an attempt says that was not entered: `None`: the worker holds it.
    async fn beside(
        &self,
        said: &LeaseClaim,
        lives: impl Future<Output = Result<bool, String>>,
    ) -> Result<Option<End>, WorkerRefusal> {
        let folder = self.inner.layout.attempt(&said.id.0);
        let read = blocking(move || record::read(&folder)).await;
        let (lease, end) = read.map_err(|error| WorkerRefusal::NotKept(error.to_string()))?;
        let lease = lease.ok_or(WorkerRefusal::Unknown)?;
        is_its(&lease, said)?;
        match end {
            Some(end) => Ok(Some(end)),
            None => match lives.await {
                Ok(true) => Ok(None),
                Ok(false) => Err(WorkerRefusal::Over("its run goes on without it, or has ended".to_owned())),
                Err(why) => Err(WorkerRefusal::NotKept(why)),
            },
        }
    }

    /// Who polls and who holds what.
    pub async fn workers(&self) -> Vec<WorkerView> {
        let now = clock::now();
        let mut views: BTreeMap<WorkerName, WorkerView> = self
            .seen()
            .iter()
            .filter(|(name, seen)| seen.is_there(name, now))
            .map(|(name, seen)| {
                let functions = seen.functions.iter().cloned().collect();
                (name.clone(), WorkerView::new(name, functions, seen.polls, seen.since, seen.at))
            })
            .collect();
        let open: Vec<Arc<Attempt>> = self.open().values().cloned().collect();
        for attempt in open {
            let stage = attempt.stage.lock().await;
            let Stage::Held(held) = &*stage else { continue };
            let name = &held.lease.worker;
            let view = views.entry(name.clone()).or_insert_with(|| {
                WorkerView::new(name, Vec::new(), 0, held.lease.taken_at, held.lease.taken_at)
            });
            view.holds.push(HeldView {
                id: AttemptName(attempt.offer.id.clone()),
                run: attempt.offer.id.run,
                step: attempt.offer.id.attempt.path.to_string(),
                function: attempt.offer.function.clone(),
                since: held.lease.taken_at,
                lease_until: held.until_at,
                stopping: held.stopping.as_ref().map(|stopping| stopping.why.message.clone()),
            });
        }
        let mut views: Vec<WorkerView> = views.into_values().collect();
        views.iter_mut().for_each(|view| view.holds.sort_by_key(|held| held.since));
        views
    }

    /// How a function fares.
    #[must_use]
    pub fn function(&self, name: &str, summary: &str) -> RemoteView {
        let waiting = self.queues().offers(name);
        let polling = |seen: &Seen| if seen.functions.contains(name) { seen.polls } else { 0 };
        let polls = self.seen().values().map(polling).sum();
        RemoteView { name: name.to_owned(), summary: summary.to_owned(), waiting, polls }
    }

    /// How long a worker holds an attempt without being heard of.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.inner.lease
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<EffectId, Arc<Attempt>>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<WorkerName, Seen>> {
        self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noticed(&self, worker: &WorkerName) {
        if let Some(seen) = self.seen().get_mut(worker) {
            seen.at = clock::now();
        }
    }

    fn entered(&self, id: &EffectId) -> Option<Arc<Attempt>> {
        self.open().get(id).cloned()
    }
}

fn ended(end: End) -> AttemptEnd {
    let End { result, usage, at, .. } = end;
    AttemptEnd { usage, ..AttemptEnd::new(result.into(), at) }
}

/// The one who speaks holds it, or why not.
fn holder<'a>(stage: &'a mut Stage, said: &LeaseClaim) -> Result<&'a mut Held, WorkerRefusal> {
    match stage {
        Stage::Offered => Err(WorkerRefusal::Unknown),
        Stage::Ended(end) => Err(WorkerRefusal::Over(end.explained())),
        Stage::Held(held) => {
            is_its(&held.lease, said)?;
            if held.until <= Instant::now() {
                return Err(WorkerRefusal::Over("its lease has ended".to_owned()));
            }
            Ok(held)
        }
    }
}

/// A lease is a worker's by its text and by who it was given to. Another process that learnt the text, from a file or
/// a queue that both read, speaks of the other's work by mistake.
fn is_its(lease: &Lease, said: &LeaseClaim) -> Result<(), WorkerRefusal> {
    match &lease.worker {
        own if *own == said.worker && lease.lease == said.lease => Ok(()),
        own if own.actor == said.worker.actor && own.instance != said.worker.instance => {
            Err(WorkerRefusal::OtherInstance(own.clone()))
        }
        own => Err(WorkerRefusal::Foreign(own.clone())),
    }
}

/// What an ended attempt answers to a report: that it was said before, or that it comes too late.
fn repeated(end: &End, by: &Reporter) -> Result<bool, WorkerRefusal> {
    match &end.by {
        Some(former) if former == by => Ok(true),
        Some(former) if former.lease == by.lease && former.worker == by.worker => {
            Err(WorkerRefusal::Over(format!("{}, and this is another report", end.explained())))
        }
        _other => Err(WorkerRefusal::Over(end.explained())),
    }
}

async fn write_end(attempt: &Attempt, end: &End) -> std::io::Result<()> {
    let (folder, end) = (attempt.offer.folder.clone(), end.clone());
    blocking(move || record::write_end(&folder, &end)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends; all waiters are dropped with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

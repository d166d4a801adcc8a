//! The lock, the inboxes and the clock of the scheduler; the queue decides which request is next.

use crate::config::EngineConfig;
use crate::limits::Class;
use crate::scheduler::breaker::ServiceOutcome;
use crate::scheduler::pause_news::{PauseNews, PauseNewsBox};
use crate::scheduler::queue::{SchedulerQueue, ServedWork, WorkNeeds};
use crate::scheduler::settings::OrderConfig;
use everfold_base::id::{EffectId, RunId};
use everfold_base::time::Timestamp;
use everfold_ports::Service;
use everfold_system::clock::Clock;
use futures::task::AtomicWaker;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where a grant goes.
#[derive(Debug)]
pub(crate) enum QueueWaiter {
    Attempt { shard: usize, id: EffectId },
    Probe { id: EffectId, served: oneshot::Sender<Grant> },
}

impl QueueWaiter {
    fn run(&self) -> RunId {
        match self {
            Self::Attempt { id, .. } | Self::Probe { id, .. } => id.run,
        }
    }
}

/// The state behind the lock.
pub(crate) struct SchedulerState {
    pub(crate) queue: SchedulerQueue<QueueWaiter>,
    /// The numbers of the requests that wait, by run.
    pub(crate) runs: HashMap<RunId, BTreeSet<u64>>,
    pub(crate) about: HashMap<u64, WaitingWork>,
    /// What is held by work whose run this engine does not drive.
    pub(crate) absent: HashMap<EffectId, AbsentHolding>,
    /// Attempts that were re-attached before all living work was counted.
    pub(crate) attached: HashSet<EffectId>,
    /// The run whose living work cannot be counted.
    pub(crate) unread: Option<RunId>,
    /// No request is served: living work takes its places first, or the engine ends.
    pub(crate) is_held: bool,
    /// When a request may be served without anything being given back.
    pub(crate) next_at: Option<Timestamp>,
}

/// What living work holds whose run this engine does not drive.
pub(crate) struct AbsentHolding {
    pub(crate) number: u64,
    pub(crate) needs: Arc<WorkNeeds>,
    pub(crate) group: Arc<str>,
}

/// What a waiting request is for.
pub(crate) struct WaitingWork {
    pub(crate) id: EffectId,
    pub(crate) gate: Option<String>,
    pub(crate) since: Timestamp,
}

/// The scheduler, shared by all shards.
pub(crate) struct Scheduler {
    pub(crate) state: Mutex<SchedulerState>,
    pub(crate) inboxes: Vec<GrantInbox>,
    /// A clock that does not jump: pauses and rates count by it.
    pub(crate) clock: Clock,
    pub(crate) config: OrderConfig,
    /// Pauses that services ask for, until they are recorded.
    pub(crate) pause_news: PauseNewsBox,
}

/// An attempt that was served. The shard that takes it out of the inbox holds the grant.
struct PendingGrant {
    id: EffectId,
    number: u64,
    needs: Arc<WorkNeeds>,
    group: Arc<str>,
}

/// The grants that wait for a shard.
#[derive(Default)]
pub(crate) struct GrantInbox {
    served: Mutex<VecDeque<PendingGrant>>,
    waker: AtomicWaker,
}

/// What orders a request among the others.
pub(crate) struct QueueStanding {
    pub(crate) priority: i32,
    pub(crate) group: Arc<str>,
}

/// The right to start, and what goes with it; given back on drop.
pub(crate) struct Grant {
    scheduler: Arc<Scheduler>,
    number: u64,
    needs: Arc<WorkNeeds>,
    group: Arc<str>,
    is_used: bool,
    outcome: ServiceOutcome,
}

impl Grant {
    /// The work begins.
    pub(crate) fn begin(&mut self) {
        self.is_used = true;
    }

    /// The work is over, and its end says this of the services that it called.
    pub(crate) fn end(mut self, outcome: ServiceOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let now = (self.scheduler.clock)();
        let served = {
            let mut state = self.scheduler.state();
            let Self { number, needs, group, is_used, outcome, .. } = &*self;
            state.queue.give_back(*number, needs, group, *is_used, outcome, now);
            state.serve(now)
        };
        Scheduler::deliver(&self.scheduler, served);
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("number", &self.number)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// A place in the queue; left on drop.
pub(crate) struct Ticket {
    scheduler: Arc<Scheduler>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = (self.scheduler.clock)();
        let (waiter, served) = {
            let mut state = self.scheduler.state();
            let Some(waiter) = state.queue.leave(self.number) else { return };
            state.forget(self.number, waiter.run());
            // Something may have been kept for it.
            (waiter, state.serve(now))
        };
        drop(waiter);
        Scheduler::deliver(&self.scheduler, served);
    }
}

/// What asking led to.
pub(crate) enum JoinReply {
    Served(Grant),
    Waits(Ticket),
}

impl Scheduler {
    pub(crate) fn new(config: &EngineConfig, clock: Clock) -> Self {
        let classes = [
            (Class::Supervised, config.supervised_max),
            (Class::Function, config.functions_max.max(1)),
            (Class::Child, usize::MAX),
            (Class::Probe, config.probes_max.max(1)),
            (Class::Elsewhere, config.elsewhere_max.max(1)),
        ];
        let queue = SchedulerQueue::new(&config.order, classes);
        let state = SchedulerState {
            queue,
            runs: HashMap::new(),
            about: HashMap::new(),
            absent: HashMap::new(),
            attached: HashSet::new(),
            unread: None,
            is_held: false,
            next_at: None,
        };
        Self {
            state: Mutex::new(state),
            inboxes: (0..config.shards.max(1)).map(|_| GrantInbox::default()).collect(),
            clock,
            config: config.order.clone(),
            pause_news: PauseNewsBox::default(),
        }
    }

    /// What the settings say.
    pub(crate) fn config(&self) -> &OrderConfig {
        &self.config
    }

    /// What work needs.
    pub(crate) fn needs(&self, class: Class, resources: &[String], services: &[Service]) -> WorkNeeds {
        self.state().queue.needs(class, resources, services)
    }

    /// An attempt of a shard asks to start. Where it must wait, its shard's inbox gets the grant.
    pub(crate) fn ask(
        self: &Arc<Self>,
        shard: usize,
        id: EffectId,
        needs: WorkNeeds,
        standing: QueueStanding,
    ) -> JoinReply {
        let about = WaitingWork { id: id.clone(), gate: None, since: (self.clock)() };
        self.join(needs, standing, about, QueueWaiter::Attempt { shard, id })
    }

    /// Resolves when a probe may start.
    pub(crate) async fn probe(
        self: Arc<Self>,
        id: EffectId,
        gate: String,
        needs: WorkNeeds,
        standing: QueueStanding,
    ) -> Grant {
        let (sender, served) = oneshot::channel();
        let about = WaitingWork { id: id.clone(), gate: Some(gate), since: (self.clock)() };
        match self.join(needs, standing, about, QueueWaiter::Probe { id, served: sender }) {
            JoinReply::Served(grant) => grant,
            JoinReply::Waits(_ticket) => {
                // Probes join the queue outside of the shards. One shard is woken: it serves the probe where that waits
                // for nothing but the time.
                if let Some(shard) = self.inboxes.first() {
                    shard.waker.wake();
                }
                match served.await {
                    Ok(grant) => grant,
                    // The scheduler lives as long as a request to it.
                    Err(_closed) => std::future::pending().await,
                }
            }
        }
    }

    fn join(
        self: &Arc<Self>,
        needs: WorkNeeds,
        standing: QueueStanding,
        about: WaitingWork,
        waiter: QueueWaiter,
    ) -> JoinReply {
        let now = about.since;
        let run = waiter.run();
        if let QueueWaiter::Attempt { id, .. } = &waiter
            && self.is_counted(id)
        {
            // A former engine started it, it lives, and its start is not recorded.
            return JoinReply::Served(self.seize(id.clone(), needs, standing.group));
        }
        let (number, mut served) = {
            let mut state = self.state();
            let number = state.queue.join(needs, standing.priority, standing.group, waiter);
            state.runs.entry(run).or_default().insert(number);
            state.about.insert(number, about);
            (number, state.serve(now))
        };
        let own = served.iter().position(|served| served.number == number).map(|at| served.remove(at));
        Self::deliver(self, served);
        match own {
            Some(own) => JoinReply::Served(self.grant(own.number, own.needs, own.group)),
            None => JoinReply::Waits(Ticket { scheduler: Arc::clone(self), number }),
        }
    }

    /// An attempt that lives has what it needs already.
    pub(crate) fn seize(self: &Arc<Self>, id: EffectId, needs: WorkNeeds, group: Arc<str>) -> Grant {
        let (number, needs) = {
            let mut state = self.state();
            // It keeps what it held while its run was not driven: no request is served in between.
            if let Some(AbsentHolding { number, needs, group }) = state.absent.remove(&id) {
                let now = (self.clock)();
                state.queue.give_back(number, &needs, &group, true, &ServiceOutcome::Unknown, now);
            }
            if state.queue.keeps_resources() {
                state.attached.insert(id);
            }
            state.queue.seize(needs, Arc::clone(&group))
        };
        Grant {
            scheduler: Arc::clone(self),
            number,
            needs,
            group,
            is_used: true,
            outcome: ServiceOutcome::Unknown,
        }
    }

    /// Stops or resumes granting resources: all living work is counted first.
    pub(crate) fn keep_resources(self: &Arc<Self>, is_kept: bool) {
        let served = {
            let mut state = self.state();
            state.queue.keep_resources(is_kept);
            state.attached.clear();
            state.unread = None;
            state.serve((self.clock)())
        };
        Self::deliver(self, served);
    }

    /// Names the run for whose sake no resource is granted.
    pub(crate) fn cannot_count(&self, run: RunId) {
        self.state().unread = Some(run);
    }

    /// Counts a living attempt of a run that this engine does not drive. False where it drives the run: an attempt that
    /// lives and waits gets what it waits for.
    pub(crate) fn count(self: &Arc<Self>, id: &EffectId, resources: &[String], group: Arc<str>) -> bool {
        let mut state = self.state();
        if state.attached.contains(id) || state.absent.contains_key(id) {
            return false;
        }
        if let Some(served) = state.give(id) {
            drop(state);
            Self::deliver(self, vec![served]);
            return false;
        }
        let needs = WorkNeeds::resources(resources);
        let (number, needs) = state.queue.seize(needs, Arc::clone(&group));
        state.absent.insert(id.clone(), AbsentHolding { number, needs, group });
        true
    }

    /// Whether an attempt is counted whose run this engine does not drive.
    pub(crate) fn is_counted(&self, id: &EffectId) -> bool {
        self.state().absent.contains_key(id)
    }

    /// Such an attempt has ended, or its run is driven.
    pub(crate) fn count_no_more(self: &Arc<Self>, id: &EffectId) {
        let now = (self.clock)();
        let served = {
            let mut state = self.state();
            let Some(AbsentHolding { number, needs, group }) = state.absent.remove(id) else { return };
            state.queue.give_back(number, &needs, &group, true, &ServiceOutcome::Unknown, now);
            state.serve(now)
        };
        Self::deliver(self, served);
    }

    /// Stops or resumes serving requests.
    pub(crate) fn hold(self: &Arc<Self>, is_held: bool) {
        let served = {
            let mut state = self.state();
            state.is_held = is_held;
            state.serve((self.clock)())
        };
        Self::deliver(self, served);
    }

    /// When a request may be served only because time has passed.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.state().next_at
    }

    /// Serves requests that waited only for the time.
    pub(crate) fn tick(self: &Arc<Self>) {
        let now = (self.clock)();
        let served = {
            let mut state = self.state();
            if state.next_at.is_none_or(|at| at > now) {
                return;
            }
            state.serve(now)
        };
        Self::deliver(self, served);
    }

    /// Whether something was granted to attempts of a shard; its task is woken when there will be.
    pub(crate) fn poll(&self, shard: usize, cx: &Context<'_>) -> bool {
        let own = &self.inboxes[shard];
        own.waker.register(cx.waker());
        !own.grants().is_empty()
    }

    /// What was granted, up to so much.
    pub(crate) fn take(self: &Arc<Self>, shard: usize, max: usize) -> Vec<(EffectId, Grant)> {
        let grants: Vec<PendingGrant> = {
            let mut grants = self.inboxes[shard].grants();
            let count = grants.len().min(max);
            grants.drain(..count).collect()
        };
        let granted =
            |grants: PendingGrant| (grants.id, self.grant(grants.number, grants.needs, grants.group));
        grants.into_iter().map(granted).collect()
    }

    /// The last of the called services, the one that answered, asks for a pause of so long. To be called before the
    /// grant of the work that got this answer ends.
    pub(crate) fn leave_alone(&self, services: &[Service], span: Duration, why: &str) {
        let now = (self.clock)();
        if let Some(service) = services.last() {
            self.state().queue.breakers.leave_alone(service, span, why, now);
            self.pause_news.put(PauseNews::Asked { service: service.clone(), span });
        }
    }

    /// A service asked a former engine for a pause, of which so much is left.
    pub(crate) fn leave_alone_still(&self, service: &Service, left: Duration) {
        let now = (self.clock)();
        let why = "it asked for a pause before the engine started";
        self.state().queue.breakers.leave_alone(service, left, why, now);
    }

    /// Closes a breaker; false where there is none of that name.
    pub(crate) fn reset(self: &Arc<Self>, service: &Service) -> bool {
        let (is_known, served) = {
            let mut state = self.state();
            let is_known = state.queue.breakers.reset(service);
            (is_known, state.serve((self.clock)()))
        };
        self.pause_news.put(PauseNews::Lifted(service.clone()));
        Self::deliver(self, served);
        is_known
    }

    /// Outside of the lock: where the receiver is gone, the grant is given back at once.
    fn deliver(scheduler: &Arc<Self>, served: Vec<ServedWork<QueueWaiter>>) {
        for ServedWork { number, what, needs, group } in served {
            match what {
                QueueWaiter::Attempt { shard, id } => {
                    let own = &scheduler.inboxes[shard];
                    own.grants().push_back(PendingGrant { id, number, needs, group });
                    own.waker.wake();
                }
                QueueWaiter::Probe { served, .. } => drop(served.send(scheduler.grant(number, needs, group))),
            }
        }
    }

    fn grant(self: &Arc<Self>, number: u64, needs: Arc<WorkNeeds>, group: Arc<str>) -> Grant {
        let scheduler = Arc::clone(self);
        Grant { scheduler, number, needs, group, is_used: false, outcome: ServiceOutcome::Unknown }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, SchedulerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SchedulerState {
    /// Serves every request that can be served now.
    fn serve(&mut self, now: Timestamp) -> Vec<ServedWork<QueueWaiter>> {
        let mut all = Vec::new();
        if self.is_held {
            self.next_at = None;
            return all;
        }
        while let Some(served) = self.queue.next(now) {
            self.forget(served.number, served.what.run());
            all.push(served);
        }
        self.next_at = self.queue.next_at(now);
        all
    }

    /// An attempt that waits takes what it needs, even beyond the size of a pool.
    fn give(&mut self, id: &EffectId) -> Option<ServedWork<QueueWaiter>> {
        let waits = |number: &&u64| {
            self.about.get(number).is_some_and(|about| about.id == *id && about.gate.is_none())
        };
        let number = *self.runs.get(&id.run)?.iter().find(waits)?;
        let place = self.queue.place(number)?.clone();
        let what = self.queue.leave(number)?;
        self.forget(number, id.run);
        let needs = WorkNeeds::clone(&place.needs);
        let (number, needs) = self.queue.seize(needs, Arc::clone(&place.group));
        Some(ServedWork { number, what, needs, group: place.group })
    }

    fn forget(&mut self, number: u64, run: RunId) {
        self.about.remove(&number);
        if let Some(numbers) = self.runs.get_mut(&run) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.runs.remove(&run);
            }
        }
    }
}

impl GrantInbox {
    fn grants(&self) -> MutexGuard<'_, VecDeque<PendingGrant>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

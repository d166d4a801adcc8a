//! The slot allocator: its state, and how it answers each request.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::retry::FAILED_AGAIN;
use crate::runtime::Runtime;
use crate::start::ancestors::ancestors;
use crate::streams::actor::{ActorInbox, Incoming, StreamActor};
use crate::streams::slots::key_stream::KeyStream;
use crate::streams::slots::mailbox::{RunDemand, SlotRequest};
use crate::streams::slots::waiting::{BlockedStart, ReservedSlots, SlotWaiter, is_identity};
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, RunId, Version};
use everfold_core::event::WantedSlot;
use everfold_core::slots::{ReleaseReason, SlotInput, in_order};
use everfold_core::state::RunStatus;

/// How often a key whose stream changed meanwhile is loaded anew and decided on again.
pub(super) const TRIES: u32 = 5;

/// The slot allocator.
pub(crate) struct SlotAllocator {
    pub(super) shared: Arc<Runtime>,
    pub(super) inbox: ActorInbox<SlotRequest, ()>,
    /// Keys that are held or waited for.
    pub(super) keys: HashMap<StreamId, KeyStream>,
    /// Recorded runs that wait for their slots.
    pub(super) waiting: HashMap<RunId, SlotWaiter>,
    /// Starts that have found slots free, and runs that follow another one.
    pub(super) reserved: HashMap<RunId, ReservedSlots>,
    /// Recorded runs that wait for the end of the run whose place they take.
    pub(super) followers: HashSet<RunId>,
    /// Starts that wait until another start with the same key has begun or was given up.
    pub(super) blocked: Vec<BlockedStart>,
    /// Runs that were granted a slot, or want one, and are to be served. No error removes a run from here: no event
    /// reports a grant a second time.
    pub(super) granted: VecDeque<RunId>,
    /// Keys whose last append has an unknown outcome, with the runs that held a slot before it.
    pub(super) in_doubt: HashMap<StreamId, BTreeSet<RunId>>,
    /// A [`SlotRequest::CatchUp`] is on its way.
    catches_up: bool,
}

impl StreamActor for SlotAllocator {
    type Event = Incoming<SlotRequest, ()>;

    async fn next(&mut self) -> Self::Event {
        self.inbox.next().await
    }

    fn retry(event: &Self::Event) -> Option<Self::Event> {
        match event {
            Incoming::Request(request) => request.again().map(Incoming::Request),
            Incoming::Ended(()) => None,
        }
    }

    async fn handle(&mut self, event: Self::Event) -> Result<(), StreamError> {
        match event {
            Incoming::Request(request) => self.answer(request).await,
            Incoming::Ended(()) => Ok(()),
        }
    }

    fn failed(&mut self, error: &StreamError, retry: Option<Self::Event>) -> ControlFlow<()> {
        if self.shared.is_stopping() {
            return ControlFlow::Break(());
        }
        tracing::error!(%error, "a slot could not be given out or taken back; it is tried again");
        if let Some(Incoming::Request(request)) = retry {
            self.put_later(request);
        }
        if !self.granted.is_empty() || !self.in_doubt.is_empty() {
            self.catch_up_later();
        }
        ControlFlow::Continue(())
    }
}

impl SlotAllocator {
    /// The allocator of an engine; `None`: the engine has one already.
    pub(crate) fn new(shared: Arc<Runtime>) -> Option<Self> {
        let inbox = ActorInbox::of(&shared.mailboxes.slots)?;
        Some(Self {
            shared,
            inbox,
            keys: HashMap::new(),
            waiting: HashMap::new(),
            reserved: HashMap::new(),
            followers: HashSet::new(),
            blocked: Vec::new(),
            granted: VecDeque::new(),
            in_doubt: HashMap::new(),
            catches_up: false,
        })
    }

    /// Puts a request into its own mailbox after a pause.
    pub(super) fn put_later(&mut self, request: SlotRequest) {
        let shared = Arc::clone(&self.shared);
        self.inbox.spawn(async move {
            tokio::time::sleep(FAILED_AGAIN).await;
            shared.mailboxes.slots.put(request);
        });
    }

    pub(super) fn catch_up_later(&mut self) {
        if !std::mem::replace(&mut self.catches_up, true) {
            self.put_later(SlotRequest::CatchUp);
        }
    }

    async fn answer(&mut self, request: SlotRequest) -> Result<(), StreamError> {
        match request {
            SlotRequest::Check { start, answer } => self.check(start, answer).await,
            // It has its place until the run that it follows has ended.
            SlotRequest::PutBack(run) if self.followers.contains(&run) => Ok(()),
            SlotRequest::PutBack(run) => self.put_back(run).await,
            SlotRequest::CatchUp => self.catch_up().await,
            SlotRequest::Want { demand, after: _ } if self.is_outdated(&demand) => Ok(()),
            SlotRequest::Want { demand, after: Some(origin) } if self.over(origin).await?.is_none() => {
                self.follow(origin, demand).await
            }
            SlotRequest::Want { demand, after: _ } => {
                let run = demand.run;
                self.followers.remove(&run);
                let Some(waiting) = self.waiter(demand).await? else { return self.put_back(run).await };
                self.waiting.insert(run, waiting);
                self.note_granted([run]);
                self.serve().await?;
                self.put_back(run).await
            }
            SlotRequest::Ended { run, slots, reason } => self.ended(run, &slots, reason).await,
            SlotRequest::Abandoned { run, streams, done } => {
                self.waiting.remove(&run);
                self.granted.retain(|granted| *granted != run);
                for stream in streams {
                    self.open(&stream).await?;
                    let is_of = |key: &KeyStream| key.state.holds(run) || key.state.waits(run).is_some();
                    if self.keys.get(&stream).is_some_and(is_of) {
                        let release = SlotInput::Release(run, ReleaseReason::Cancelled);
                        self.record(&stream, &release, Some(run)).await?;
                    }
                    self.forget_idle(&stream);
                }
                self.put_back(run).await?;
                let _gone = done.send(());
                self.serve().await
            }
            SlotRequest::Look(streams, answer) => {
                let mut waiting = HashSet::new();
                for stream in streams {
                    self.record(&stream, &SlotInput::Look, None).await?;
                    waiting.extend(self.keys.get(&stream).into_iter().flat_map(|key| key.state.queue()));
                }
                if let Some(answer) = answer {
                    let _gone = answer.send(waiting);
                }
                self.serve().await
            }
        }
    }

    /// Whether the run waits as a later version of it wants.
    fn is_outdated(&self, demand: &RunDemand) -> bool {
        self.waiting.get(&demand.run).is_some_and(|waiting| waiting.version > demand.version)
    }

    /// A run as it waits for its slots; `None`: it was never recorded, or ended while it waited for the end of another one.
    async fn waiter(&self, demand: RunDemand) -> Result<Option<SlotWaiter>, StreamError> {
        let RunDemand { run, version, slots, priority, parent, pauses, is_judged } = demand;
        // Its place among the waiting runs; a run without one was never recorded.
        let Some(began) = self.began(run).await? else { return Ok(None) };
        if self.over(run).await?.is_some() {
            return Ok(None);
        }
        let ancestors = ancestors(&self.shared, run, parent).await;
        let ancestors = ancestors.map_err(|error| StreamError::store(&error))?;
        let slots = in_order(&slots);
        let has_all =
            |reserved: &ReservedSlots| slots.iter().all(|(stream, _)| reserved.contains_key(stream));
        let at_once = is_judged && self.reserved.get(&run).is_some_and(has_all);
        Ok(Some(SlotWaiter { version, slots, priority, began, ancestors, at_once, pauses }))
    }

    /// A run takes the place of one that has not ended: it claims its key at once, so that no other run comes in between,
    /// has that one cancelled, and wants its slots when that has ended.
    async fn follow(&mut self, origin: RunId, demand: RunDemand) -> Result<(), StreamError> {
        let run = demand.run;
        let Some(waiting) = self.waiter(demand.clone()).await? else { return self.put_back(run).await };
        for (stream, slot) in waiting.slots.iter().filter(|(_, slot)| is_identity(slot)) {
            let claim = SlotInput::Request(waiting.demand(run, slot));
            self.record(stream, &claim, Some(run)).await?;
        }
        self.followers.insert(run);
        self.cancel(origin, run);
        let slots = demand.slots.clone();
        self.put_after(origin, SlotRequest::Want { demand, after: None });
        // The key's stream says now who has it next.
        self.put_back_keys(run, &slots).await
    }

    async fn ended(
        &mut self,
        run: RunId,
        slots: &[WantedSlot],
        reason: ReleaseReason,
    ) -> Result<(), StreamError> {
        self.waiting.remove(&run);
        for (stream, _) in in_order(slots) {
            self.record(&stream, &SlotInput::Release(run, reason), Some(run)).await?;
            // Who gets it stands in line for the next one before that comes free.
            self.serve().await?;
        }
        Ok(())
    }

    /// Reads the keys in doubt, and serves the runs whose grants failed.
    async fn catch_up(&mut self) -> Result<(), StreamError> {
        self.catches_up = false;
        let mut failed = None;
        for stream in self.in_doubt.keys().cloned().collect::<BTreeSet<StreamId>>() {
            failed = self.open(&stream).await.err().or(failed);
            self.forget_idle(&stream);
        }
        self.serve().await?;
        failed.map_or(Ok(()), Err)
    }

    /// The position of a run's first event; `None`: the run was never recorded.
    async fn began(&self, run: RunId) -> Result<Option<Position>, StreamError> {
        let first = self.shared.store.read(&StreamId::run(run), Version::FIRST, 1).await;
        let first = first.map_err(|error| StreamError::store(&error))?;
        Ok(first.first().map(|envelope| envelope.position))
    }
}

/// Why an ended run gives its slots back.
pub(crate) fn reason_of(status: RunStatus) -> Option<ReleaseReason> {
    match status {
        RunStatus::Succeeded => Some(ReleaseReason::Succeeded),
        RunStatus::Failed => Some(ReleaseReason::Failed),
        RunStatus::Cancelled => Some(ReleaseReason::Cancelled),
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Waiting
        | RunStatus::Paused
        | RunStatus::Blocked
        | RunStatus::Stopping => None,
    }
}

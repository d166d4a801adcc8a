//! The task of the slot allocator.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::{QueryError, SubmitError};
use crate::messages::Queued;
use crate::retry::{FAILED_AGAIN, Patience};
use crate::runtime::Runtime;
use crate::start::ancestors::ancestors;
use crate::streams::slots::key_stream::{KeyStream, SlotError};
use crate::streams::slots::mailbox::{SlotCheck, SlotRequest};
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::{InputId, Position, RunId, Version};
use everfold_core::event::{RunEvent, SlotKind, WantedSlot};
use everfold_core::input::InputKind;
use everfold_core::slots::{
    Availability, Demand, ReleaseReason, SlotEvent, SlotInput, SlotState, available, in_order,
};
use everfold_core::state::{RunState, RunStatus};
use everfold_language::words::OnTaken;

/// The pause before something is tried again that was not taken.
const AGAIN: Duration = Duration::from_millis(200);
/// How often a key is decided on again whose stream is not what it was thought to be.
const TRIES: u32 = 5;

/// The slot allocator.
pub(crate) struct SlotAllocator {
    shared: Arc<Runtime>,
    /// Keys that are held or waited for.
    keys: HashMap<StreamId, KeyStream>,
    /// Runs that are recorded and wait.
    wants: HashMap<RunId, Want>,
    /// Starts that have found slots free.
    reserved: HashMap<RunId, BTreeSet<StreamId>>,
    /// Starts that wait to see what becomes of another one.
    blocked: Vec<BlockedStart>,
    /// Runs that were granted a slot, or want one, and are to be served. Who stands here is forgotten by
    /// no error: no event tells of a grant a second time.
    granted: VecDeque<RunId>,
    /// Keys whose last append has an unknown outcome, with the runs that held a slot before it.
    unsure: HashMap<StreamId, BTreeSet<RunId>>,
    /// Runs that could not be served are served again before long.
    catches_up: bool,
    tasks: JoinSet<()>,
}

/// A start that waits to see what becomes of another one.
struct BlockedStart {
    run: RunId,
    slots: Vec<WantedSlot>,
    ancestors: Vec<RunId>,
    answer: oneshot::Sender<Result<SlotCheck, String>>,
}

/// What a run waits for.
#[derive(Clone)]
struct Want {
    slots: Vec<(StreamId, WantedSlot)>,
    priority: i32,
    began: Position,
    ancestors: Vec<RunId>,
    /// All of it was reserved for it when it started, and it has waited for nothing since.
    at_once: bool,
    /// It stands still: a slot would only keep others waiting.
    still: bool,
}

/// What a start learns of one slot.
enum SlotLook {
    Fine,
    Refused(SlotCheck),
    /// Another start with the same key is on its way.
    BlockedStart,
}

impl Drop for SlotAllocator {
    fn drop(&mut self) {
        self.shared.mailboxes.slots.close();
    }
}

impl SlotAllocator {
    pub(crate) fn new(shared: Arc<Runtime>) -> Self {
        Self {
            shared,
            keys: HashMap::new(),
            wants: HashMap::new(),
            reserved: HashMap::new(),
            blocked: Vec::new(),
            granted: VecDeque::new(),
            unsure: HashMap::new(),
            catches_up: false,
            tasks: JoinSet::new(),
        }
    }

    /// Works until the engine ends or the store takes nothing more.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let ask = tokio::select! {
                biased;
                ask = shared.mailboxes.slots.next() => ask,
                Some(_done) = self.tasks.join_next() => continue,
            };
            let again = ask.again();
            if let Err(error) = self.answer(ask).await {
                if shared.is_stopping() || matches!(error, SlotError::Closed) {
                    return;
                }
                tracing::error!(%error, "a slot could not be given out or taken back; it is tried again");
                if let Some(again) = again {
                    self.later(again);
                }
                if !self.granted.is_empty() || !self.unsure.is_empty() {
                    self.catch_up_later();
                }
            }
        }
    }

    /// Asks itself after a pause.
    fn later(&mut self, ask: SlotRequest) {
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            tokio::time::sleep(FAILED_AGAIN).await;
            shared.mailboxes.slots.put(ask);
        });
    }

    fn catch_up_later(&mut self) {
        if !std::mem::replace(&mut self.catches_up, true) {
            self.later(SlotRequest::CatchUp);
        }
    }

    async fn answer(&mut self, ask: SlotRequest) -> Result<(), SlotError> {
        match ask {
            SlotRequest::Check { run, slots, ancestors, answer } => {
                self.check(run, slots, ancestors, answer).await
            }
            SlotRequest::PutBack(run) => self.put_back(run).await,
            SlotRequest::CatchUp => {
                self.catches_up = false;
                let mut failed = None;
                for stream in self.unsure.keys().cloned().collect::<BTreeSet<StreamId>>() {
                    failed = self.open(&stream).await.err().or(failed);
                    self.tidy(&stream);
                }
                self.serve().await?;
                failed.map_or(Ok(()), Err)
            }
            SlotRequest::Want { run, slots, priority, after: Some(origin), parent, still }
                if self.over(origin).await?.is_none() =>
            {
                self.send_away(origin, run);
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn(async move {
                    loop {
                        let ended = shared.ends.of(origin);
                        match shared.with_state(origin, RunState::is_ended).await {
                            Ok(false) => {
                                let _seen_or_gone = ended.seen().await;
                            }
                            Err(QueryError::Store(_) | QueryError::Full(_) | QueryError::Panicked(_)) => {
                                tokio::time::sleep(AGAIN).await;
                                continue;
                            }
                            // Over, or its end cannot be known.
                            Ok(true) | Err(_) => {}
                        }
                        break;
                    }
                    shared.mailboxes.slots.put(SlotRequest::Want {
                        run,
                        slots,
                        priority,
                        after: None,
                        parent,
                        still,
                    });
                });
                Ok(())
            }
            SlotRequest::Want { run, slots, priority, after: _, parent, still } => {
                // Its place among those who wait; a run without one was never recorded.
                let Some(began) = self.began(run).await? else { return Ok(()) };
                if self.over(run).await?.is_some() {
                    // It ended while it waited for its turn to want anything.
                    return self.put_back(run).await;
                }
                let ancestors = ancestors(&self.shared, run, parent).await;
                let ancestors = ancestors.map_err(|error| SlotError::Store(error.to_string()))?;
                let slots = in_order(&slots);
                let reserved = self.reserved.get(&run);
                let at_once = reserved
                    .is_some_and(|reserved| slots.iter().all(|(stream, _)| reserved.contains(stream)));
                self.wants.insert(run, Want { slots, priority, began, ancestors, at_once, still });
                self.grant([run]);
                self.serve().await?;
                self.put_back(run).await
            }
            SlotRequest::Ended { run, slots, reason } => {
                self.wants.remove(&run);
                for (stream, _) in in_order(&slots) {
                    self.give(&stream, &SlotInput::Release(run, reason), Some(run)).await?;
                }
                self.serve().await
            }
            SlotRequest::Abandoned { run, streams, done } => {
                self.wants.remove(&run);
                self.granted.retain(|granted| *granted != run);
                for stream in streams {
                    self.open(&stream).await?;
                    let is_of = |key: &KeyStream| key.state.holds(run) || key.state.waits(run).is_some();
                    if self.keys.get(&stream).is_some_and(is_of) {
                        let release = SlotInput::Release(run, ReleaseReason::Cancelled);
                        self.give(&stream, &release, Some(run)).await?;
                    }
                    self.tidy(&stream);
                }
                self.put_back(run).await?;
                let _gone = done.send(());
                self.serve().await
            }
            SlotRequest::Look(streams, answer) => {
                let mut waiting = HashSet::new();
                for stream in streams {
                    self.give(&stream, &SlotInput::Look, None).await?;
                    waiting.extend(self.keys.get(&stream).into_iter().flat_map(|key| key.state.queue()));
                }
                if let Some(answer) = answer {
                    let _gone = answer.send(waiting);
                }
                self.serve().await
            }
        }
    }

    async fn began(&self, run: RunId) -> Result<Option<Position>, SlotError> {
        let stream = StreamId::run(run);
        let first = self.shared.store.read(&stream, Version::FIRST, 1).await;
        let first = first.map_err(|error| SlotError::Store(error.to_string()))?;
        Ok(first.first().map(|envelope| envelope.position))
    }

    /// Answers a start, and reserves what it finds free.
    async fn check(
        &mut self,
        run: RunId,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
        answer: oneshot::Sender<Result<SlotCheck, String>>,
    ) -> Result<(), SlotError> {
        // A key comes before the slots, so it is known by then who is replaced.
        let (mut free, mut leaving) = (Vec::new(), Vec::new());
        for (stream, slot) in in_order(&slots) {
            let (look, is_free) = match self.look(run, &stream, &slot, &ancestors, &mut leaving).await {
                Ok(looked) => looked,
                Err(error) => {
                    let _gone = answer.send(Err(error.to_string()));
                    return Err(error);
                }
            };
            match look {
                SlotLook::Fine => free.extend(is_free.then_some(stream)),
                SlotLook::Refused(found) => {
                    let _gone = answer.send(Ok(found));
                    return Ok(());
                }
                SlotLook::BlockedStart => {
                    self.blocked.push(BlockedStart { run, slots, ancestors, answer });
                    return Ok(());
                }
            }
        }
        if answer.send(Ok(SlotCheck::Open)).is_ok() && !free.is_empty() {
            self.reserved.entry(run).or_default().extend(free);
        }
        Ok(())
    }

    async fn look(
        &mut self,
        run: RunId,
        stream: &StreamId,
        slot: &WantedSlot,
        ancestors: &[RunId],
        leaving: &mut Vec<RunId>,
    ) -> Result<(SlotLook, bool), SlotError> {
        self.open(stream).await?;
        self.serve().await?;
        self.open(stream).await?;
        let reserved = self.reserved_of(stream, Some(run));
        let Some(key) = self.keys.get(stream) else { return Ok((SlotLook::Fine, false)) };
        let staying = key.state.living().filter(|run| !leaving.contains(run)).count();
        let still = self.still_before(&key.state, staying + reserved).await;
        let found = available(&key.state, slot, reserved, ancestors, leaving, &still);
        if matches!(slot.kind, SlotKind::Identity { on_taken: OnTaken::Replace, .. }) {
            leaving.extend(key.state.living().chain(key.state.queue()));
        }
        let is_alone = key.state.is_free();
        self.tidy(stream);
        Ok(match found {
            Availability::Free => (SlotLook::Fine, true),
            Availability::Held(holder) => (SlotLook::Refused(SlotCheck::Held(holder)), false),
            Availability::Taken(holder) => (SlotLook::Refused(SlotCheck::Taken(slot.clone(), holder)), false),
            Availability::Full => (SlotLook::Refused(SlotCheck::Full(slot.clone())), false),
            // Only another start is before it, and what becomes of that decides.
            Availability::Waits if is_alone && reserved > 0 && is_identity(slot) => {
                (SlotLook::BlockedStart, false)
            }
            Availability::Waits | Availability::Shared => (SlotLook::Fine, false),
        })
    }

    /// How many starts have found a slot of the key free, one left out.
    fn reserved_of(&self, stream: &StreamId, but: Option<RunId>) -> usize {
        let has =
            |(run, streams): &(&RunId, &BTreeSet<StreamId>)| Some(**run) != but && streams.contains(stream);
        self.reserved.iter().filter(has).count()
    }

    /// What was reserved for a run is to be had again. What fails holds up none of the others.
    async fn put_back(&mut self, run: RunId) -> Result<(), SlotError> {
        let mut failed = None;
        for stream in self.reserved.remove(&run).into_iter().flatten() {
            if let Err(error) = self.give(&stream, &SlotInput::Look, None).await {
                self.later(SlotRequest::Look(vec![stream], None));
                failed = Some(error);
            }
        }
        self.serve().await?;
        for BlockedStart { run, slots, ancestors, answer } in std::mem::take(&mut self.blocked) {
            if let Err(error) = self.check(run, slots, ancestors, answer).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Notes who is to be served.
    fn grant(&mut self, runs: impl IntoIterator<Item = RunId>) {
        for run in runs {
            if !self.granted.contains(&run) {
                self.granted.push_back(run);
            }
        }
    }

    /// Gets runs what they want, as far as it is to be had. A run that cannot be served now is served later,
    /// and delays no other run.
    async fn serve(&mut self) -> Result<(), SlotError> {
        let mut failed = Vec::new();
        while let Some(run) = self.granted.pop_front() {
            match self.serve_one(run).await {
                Ok(()) => {}
                Err(SlotError::Closed) => return Err(SlotError::Closed),
                Err(error) => {
                    tracing::error!(%run, %error, "a run could not be given its slots; it is tried again");
                    failed.push(run);
                }
            }
        }
        if !failed.is_empty() {
            self.grant(failed);
            self.catch_up_later();
        }
        Ok(())
    }

    async fn serve_one(&mut self, run: RunId) -> Result<(), SlotError> {
        let Some(want) = self.wants.get(&run).cloned() else {
            // It is not loaded: once it is, it wants its slots again, and finds that it has this one.
            self.wake(run);
            return Ok(());
        };
        for (stream, slot) in &want.slots {
            let demand = Demand {
                run,
                slot: slot.clone(),
                priority: want.priority,
                began: want.began,
                ancestors: want.ancestors.clone(),
            };
            self.give(stream, &SlotInput::Request(demand), Some(run)).await?;
            self.granted.retain(|granted| *granted != run);
            let Some(key) = self.keys.get(stream) else { continue };
            if !key.state.holds(run) {
                if let Some(want) = self.wants.get_mut(&run) {
                    want.at_once = false;
                }
                let victims = key.state.waits(run).map(|it| it.evicted.clone()).unwrap_or_default();
                victims.into_iter().for_each(|victim| self.send_away(victim, run));
                return Ok(());
            }
        }
        self.wants.remove(&run);
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move { admit(&shared, run, want.at_once).await });
        Ok(())
    }

    /// Decides on a key, for a run; notes who was granted a slot.
    async fn give(
        &mut self,
        stream: &StreamId,
        input: &SlotInput,
        by: Option<RunId>,
    ) -> Result<(), SlotError> {
        let reserved = self.reserved_of(stream, by);
        let mut tries = 0;
        loop {
            self.open(stream).await?;
            let still = self.still_at(stream, input, reserved).await;
            let Some(key) = self.keys.get_mut(stream) else { return Ok(()) };
            match key.give(&self.shared, input, reserved, &still).await {
                Ok(events) => {
                    let by_request = matches!(input, SlotInput::Request(_));
                    if !by_request {
                        self.tidy(stream);
                    }
                    self.grant(granted(&events));
                    return Ok(());
                }
                Err(SlotError::Changed) => {
                    let before = present(&key.state).collect();
                    self.unsure.entry(stream.clone()).or_insert(before);
                    self.keys.remove(stream);
                    if tries >= TRIES {
                        return Err(SlotError::Changed);
                    }
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn still_at(&self, stream: &StreamId, input: &SlotInput, reserved: usize) -> BTreeSet<RunId> {
        match self.keys.get(stream) {
            Some(key) => self.still_of(&key.state, input, reserved).await,
            None => BTreeSet::new(),
        }
    }

    /// Of those who would be served now, the runs that stand still. No run is asked where nothing is free.
    async fn still_of(&self, key: &SlotState, input: &SlotInput, reserved: usize) -> BTreeSet<RunId> {
        let mut held = key.held() + reserved;
        let mut asks = None;
        match input {
            SlotInput::Request(demand) if self.wants.get(&demand.run).is_some_and(|want| want.still) => {
                asks = Some(demand.run);
            }
            SlotInput::Release(run, _) if key.holds(*run) => held = held.saturating_sub(1),
            SlotInput::Request(_) | SlotInput::Release(..) | SlotInput::Look => {}
        }
        let mut still = self.still_before(key, held).await;
        still.extend(asks);
        still
    }

    /// Of those who wait, the runs that stand still before another run gets what is free while so many are held.
    async fn still_before(&self, key: &SlotState, mut held: usize) -> BTreeSet<RunId> {
        let mut still = BTreeSet::new();
        for run in key.queue() {
            if key.waits(run).is_none_or(|waiting| held >= waiting.slot.limit()) {
                break;
            }
            let is_still = match self.wants.get(&run) {
                // It asks anew when it goes on. Looked at, one that left memory would be loaded, and ask for that alone.
                Some(want) if want.still => Ok(true),
                _ => self.shared.with_state(run, RunState::is_paused).await,
            };
            match is_still {
                Ok(true) => drop(still.insert(run)),
                // A run that cannot be looked at now is served as it would be.
                Ok(false) | Err(_) => held += 1,
            }
        }
        still
    }

    /// Forgets a key that is neither held nor waited for.
    fn tidy(&mut self, stream: &StreamId) {
        if self.keys.get(stream).is_some_and(|key| !key.state.is_busy()) {
            self.keys.remove(stream);
        }
    }

    /// Loads a key where it is not, and compares it with the runs: those that are over, or never were,
    /// hold nothing. Notes who was granted a slot by that.
    async fn open(&mut self, stream: &StreamId) -> Result<(), SlotError> {
        let mut tries = 0;
        while !self.keys.contains_key(stream) {
            let mut key = KeyStream::load(&self.shared, stream).await?;
            let now: BTreeSet<RunId> = present(&key.state).collect();
            if let Some(before) = self.unsure.remove(stream) {
                // What was kept without a word gave slots out, too.
                self.grant(now.iter().copied().filter(|run| !before.contains(run)));
            }
            match self.compare(&mut key).await {
                Ok(()) => drop(self.keys.insert(stream.clone(), key)),
                Err(SlotError::Changed) => {
                    self.unsure.insert(stream.clone(), now);
                    if tries >= TRIES {
                        return Err(SlotError::Changed);
                    }
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes a key's slots from runs that are over, or never were; notes to whom they go.
    async fn compare(&mut self, key: &mut KeyStream) -> Result<(), SlotError> {
        let reserved = self.reserved_of(key.stream(), None);
        // Guests first: whose host is over with them need not hold a slot for a moment.
        let known = key.state.sharers().chain(key.state.living()).chain(key.state.queue());
        for run in known.collect::<Vec<RunId>>() {
            if let Some(reason) = self.over(run).await? {
                let still = self.still_of(&key.state, &SlotInput::Release(run, reason), reserved).await;
                let events =
                    key.give(&self.shared, &SlotInput::Release(run, reason), reserved, &still).await?;
                self.grant(granted(&events));
            }
        }
        Ok(())
    }

    /// How a run ended, if it is over.
    async fn over(&self, run: RunId) -> Result<Option<ReleaseReason>, SlotError> {
        let head = self.shared.store.head(&StreamId::run(run)).await;
        match head.map_err(|error| SlotError::Store(error.to_string()))? {
            None => Ok(Some(ReleaseReason::NeverBegan)),
            Some(head) if head.note.open => Ok(None),
            Some(head) => match self.shared.loader().fold(run, None).await {
                Ok(folded) => Ok(reason_of(folded.state.status())),
                // Its end is reported only once.
                Err(error) if error.is_passing() => Err(SlotError::Store(error.to_string())),
                // It cannot be read, so it cannot go on either; a repair reports it, and an abandon
                // has reported it.
                Err(_unreadable) => self.last_word(run, head.version).await,
            },
        }
    }

    /// How a run ended whose history cannot be read, where its last event alone says so.
    async fn last_word(&self, run: RunId, version: Version) -> Result<Option<ReleaseReason>, SlotError> {
        let last = self.shared.store.read(&StreamId::run(run), version, 1).await;
        let last = last.map_err(|error| SlotError::Store(error.to_string()))?;
        let name = last.first().and_then(|last| RunEvent::name_of(last.header.kind));
        Ok(match name {
            Some("RunSucceeded") => Some(ReleaseReason::Succeeded),
            Some("RunFailed") => Some(ReleaseReason::Failed),
            Some("RunCancelled") => Some(ReleaseReason::Cancelled),
            _not_the_end => None,
        })
    }

    /// A run was granted a slot that is not at hand: it is loaded.
    fn wake(&mut self, run: RunId) {
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let _ending = shared.drive(run, false).await;
        });
    }

    /// A run is to make room for another one.
    fn send_away(&mut self, victim: RunId, by: RunId) {
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move { cancel(&shared, victim, by).await });
    }
}

/// Who holds or shares a slot.
fn present(state: &SlotState) -> impl Iterator<Item = RunId> + '_ {
    state.living().chain(state.sharers())
}

fn is_identity(slot: &WantedSlot) -> bool {
    matches!(slot.kind, SlotKind::Identity { .. })
}

fn granted(events: &[SlotEvent]) -> Vec<RunId> {
    let runs = events.iter().filter_map(|event| match event {
        SlotEvent::SlotGranted(event) => Some(event.run),
        SlotEvent::SlotShared(event) => Some(event.run),
        SlotEvent::SlotRequested(_) | SlotEvent::SlotReleased(_) => None,
    });
    runs.collect()
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
        | RunStatus::Blocked => None,
    }
}

/// Tells a run that it holds everything. Its gates are judged once more, unless it held everything `at_once`.
async fn admit(shared: &Runtime, run: RunId, at_once: bool) {
    let mut patience = Patience::new(run, "a run that has its slots cannot be admitted");
    loop {
        let found = match at_once {
            true => shared.with_state(run, |state| state.is_queued().then(Vec::new)).await,
            false => shared.admission_from_queue(run).await,
        };
        let admission = match found {
            Ok(Some(admission)) => admission,
            Err(error @ (QueryError::Store(_) | QueryError::Full(_) | QueryError::Panicked(_))) => {
                patience.wait(&error).await;
                continue;
            }
            // It waits no more, or wants its slots again when it is there again.
            Ok(None) | Err(_) => return,
        };
        let kind = InputKind::Admitted { admission, at_once };
        let id = InputId::derive(&format!("{run}/admitted"));
        match shared.ask(run, Queued::own(id, kind)).await {
            Err(SubmitError::Busy) => tokio::time::sleep(AGAIN).await,
            Err(SubmitError::Full) => {
                if shared.until_writable().await.is_none() {
                    return;
                }
            }
            // Taken, or for when it is there again.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Cancels a run that has to make room, once.
async fn cancel(shared: &Runtime, victim: RunId, by: RunId) {
    let mut patience = Patience::new(victim, "a run that is to make room cannot be cancelled");
    loop {
        match shared.with_state(victim, RunState::is_cancelling).await {
            Ok(false) => {}
            // Once its block is resolved, it is to make room still.
            Err(
                error @ (QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)
                | QueryError::SetAside { .. }),
            ) => {
                patience.wait(&error).await;
                continue;
            }
            Ok(true) | Err(QueryError::NotFound(_) | QueryError::ShuttingDown) => return,
        }
        let id = InputId::derive(&format!("{victim}/replaced/{by}"));
        let kind = InputKind::Cancel { reason: Some("replaced".to_owned()) };
        let queued = Queued { actor: Actor::Run(by.to_string()), ..Queued::own(id, kind) };
        match shared.ask(victim, queued).await {
            Err(SubmitError::Busy) => tokio::time::sleep(AGAIN).await,
            Err(error @ (SubmitError::Full | SubmitError::SetAside { .. })) => patience.wait(&error).await,
            Ok(_) | Err(_) => return,
        }
    }
}

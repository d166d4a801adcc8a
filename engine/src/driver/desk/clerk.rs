//! The task at the desk.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::super::lineage::ancestors;
use super::super::message::Queued;
use super::super::shared::Shared;
use super::super::{QueryError, SubmitError};
use super::key::{DeskError, Key};
use super::{Ask, Found};
use crate::actor::Actor;
use crate::decide::Refusal;
use crate::envelope::StreamId;
use crate::event::WantedSlot;
use crate::id::{InputId, Position, RunId, Version};
use crate::input::InputKind;
use crate::keys::{Availability, Demand, KeyEvent, KeyInput, KeyState, ReleaseReason, available, in_order};
use crate::state::{RunState, RunStatus};
use crate::store::Writability;

/// The pause before something is tried again that was not taken.
const AGAIN: Duration = Duration::from_millis(200);
/// The pause before a run is looked at again whose key could not be read.
const FAILED_AGAIN: Duration = Duration::from_secs(5);
/// How often a key is decided on again whose stream is not what it was thought to be.
const TRIES: u32 = 5;

/// The one who sits at the desk.
pub(in crate::driver) struct Clerk {
    shared: Arc<Shared>,
    /// Keys that somebody holds or waits for.
    keys: HashMap<StreamId, Key>,
    /// Runs that are recorded and wait.
    wants: HashMap<RunId, Want>,
    /// Starts that have found slots free.
    aside: HashMap<RunId, BTreeSet<StreamId>>,
    /// Starts that wait to see what becomes of another one.
    held_up: Vec<HeldUp>,
    errands: JoinSet<()>,
}

/// A start that waits to see what becomes of another one.
struct HeldUp {
    run: RunId,
    slots: Vec<WantedSlot>,
    ancestors: Vec<RunId>,
    answer: oneshot::Sender<Found>,
}

/// What a run waits for.
#[derive(Clone)]
struct Want {
    slots: Vec<(StreamId, WantedSlot)>,
    priority: i32,
    began: Position,
    ancestors: Vec<RunId>,
}

/// What a start learns of one slot.
enum Look {
    Fine,
    Refused(Found),
    /// Another start with the same key is on its way.
    HeldUp,
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.shared.desk.close();
    }
}

impl Clerk {
    pub(in crate::driver) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            keys: HashMap::new(),
            wants: HashMap::new(),
            aside: HashMap::new(),
            held_up: Vec::new(),
            errands: JoinSet::new(),
        }
    }

    /// Works until the engine ends or the store takes nothing more.
    pub(in crate::driver) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let ask = tokio::select! {
                biased;
                ask = shared.desk.next() => ask,
                Some(_done) = self.errands.join_next() => continue,
            };
            let again = ask.again();
            if let Err(error) = self.answer(ask).await {
                if shared.is_stopping() || matches!(error, DeskError::Closed) {
                    return;
                }
                tracing::error!(%error, "a slot could not be given out or taken back; it is tried again");
                if let Some(again) = again {
                    let shared = Arc::clone(&shared);
                    self.errands.spawn(async move {
                        tokio::time::sleep(FAILED_AGAIN).await;
                        shared.desk.put(again);
                    });
                }
            }
        }
    }

    async fn answer(&mut self, ask: Ask) -> Result<(), DeskError> {
        match ask {
            Ask::Check { run, slots, ancestors, answer } => self.check(run, slots, ancestors, answer).await,
            Ask::PutBack(run) => self.put_back(run).await,
            Ask::Want { run, slots, priority, after: Some(origin), parent }
                if self.over(origin).await?.is_none() =>
            {
                self.send_away(origin, run);
                let shared = Arc::clone(&self.shared);
                self.errands.spawn(async move {
                    let ended = shared.ends.of(origin);
                    if matches!(shared.with_state(origin, RunState::is_ended).await, Ok(false)) {
                        let _gone = ended.await;
                    }
                    shared.desk.put(Ask::Want { run, slots, priority, after: None, parent });
                });
                Ok(())
            }
            Ask::Want { run, slots, priority, after: _, parent } => {
                // Its place among those who wait; a run without one was never recorded.
                let Some(began) = self.began(run).await? else { return Ok(()) };
                if self.over(run).await?.is_some() {
                    // It ended while it waited for its turn to want anything.
                    return self.put_back(run).await;
                }
                let ancestors = ancestors(&self.shared, run, parent).await;
                let ancestors = ancestors.map_err(|error| DeskError::Store(error.to_string()))?;
                self.wants.insert(run, Want { slots: in_order(&slots), priority, began, ancestors });
                self.serve(VecDeque::from([run])).await?;
                self.put_back(run).await
            }
            Ask::Ended { run, slots, reason } => {
                self.wants.remove(&run);
                let mut granted = VecDeque::new();
                for (stream, _) in in_order(&slots) {
                    granted.extend(self.give(&stream, &KeyInput::Release(run, reason), run).await?);
                }
                self.serve(granted).await
            }
            Ask::Look(streams, answer) => {
                let (mut granted, mut waiting) = (VecDeque::new(), HashSet::new());
                for stream in streams {
                    granted.extend(self.open(&stream).await?);
                    granted.extend(self.give_aside(&stream, &KeyInput::Look, None).await?);
                    waiting.extend(self.keys.get(&stream).into_iter().flat_map(|key| key.state.queue()));
                }
                if let Some(answer) = answer {
                    let _gone = answer.send(waiting);
                }
                self.serve(granted).await
            }
        }
    }

    async fn began(&self, run: RunId) -> Result<Option<Position>, DeskError> {
        let stream = StreamId::run(run);
        let first = self.shared.store.read(&stream, Version::FIRST, 1).await;
        let first = first.map_err(|error| DeskError::Store(error.to_string()))?;
        Ok(first.first().map(|envelope| envelope.position))
    }

    /// Answers a start, and sets aside what it finds free.
    async fn check(
        &mut self,
        run: RunId,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
        answer: oneshot::Sender<Found>,
    ) -> Result<(), DeskError> {
        let mut free = Vec::new();
        for (stream, slot) in in_order(&slots) {
            match self.look(run, &stream, &slot, &ancestors).await? {
                (Look::Fine, is_free) => free.extend(is_free.then_some(stream)),
                (Look::Refused(found), _) => {
                    let _gone = answer.send(found);
                    return Ok(());
                }
                (Look::HeldUp, _) => {
                    self.held_up.push(HeldUp { run, slots, ancestors, answer });
                    return Ok(());
                }
            }
        }
        if answer.send(Found::Open).is_ok() && !free.is_empty() {
            self.aside.entry(run).or_default().extend(free);
        }
        Ok(())
    }

    async fn look(
        &mut self,
        run: RunId,
        stream: &StreamId,
        slot: &WantedSlot,
        ancestors: &[RunId],
    ) -> Result<(Look, bool), DeskError> {
        let granted = self.open(stream).await?;
        self.serve(granted.into()).await?;
        self.open(stream).await?;
        let aside = self.aside_of(stream, Some(run));
        let Some(key) = self.keys.get(stream) else { return Ok((Look::Fine, false)) };
        let found = available(&key.state, slot, aside, ancestors);
        let is_alone = key.state.is_free();
        self.tidy(stream);
        Ok(match found {
            Availability::Free => (Look::Fine, true),
            Availability::Held(holder) => (Look::Refused(Found::Held(holder)), false),
            Availability::Taken(holder) => (Look::Refused(Found::Taken(slot.clone(), holder)), false),
            Availability::Full => (Look::Refused(Found::Full(slot.clone())), false),
            // Only another start is before it, and what becomes of that decides.
            Availability::Waits if is_alone && aside > 0 && is_identity(slot) => (Look::HeldUp, false),
            Availability::Waits | Availability::Shared => (Look::Fine, false),
        })
    }

    /// How many starts have found a slot of the key free, one left out.
    fn aside_of(&self, stream: &StreamId, but: Option<RunId>) -> usize {
        let has =
            |(run, streams): &(&RunId, &BTreeSet<StreamId>)| Some(**run) != but && streams.contains(stream);
        self.aside.iter().filter(has).count()
    }

    /// What was set aside for a run is to be had again.
    async fn put_back(&mut self, run: RunId) -> Result<(), DeskError> {
        if let Some(streams) = self.aside.remove(&run) {
            let mut granted = VecDeque::new();
            for stream in streams {
                granted.extend(self.give_aside(&stream, &KeyInput::Look, None).await?);
            }
            self.serve(granted).await?;
        }
        for HeldUp { run, slots, ancestors, answer } in std::mem::take(&mut self.held_up) {
            self.check(run, slots, ancestors, answer).await?;
        }
        Ok(())
    }

    /// Gets runs what they want, as far as it is to be had.
    async fn serve(&mut self, mut runs: VecDeque<RunId>) -> Result<(), DeskError> {
        while let Some(run) = runs.pop_front() {
            let Some(want) = self.wants.get(&run).cloned() else {
                // It is not loaded: once it is, it wants its slots again, and finds that it has this one.
                self.wake(run);
                continue;
            };
            let mut holds_all = true;
            for (stream, slot) in &want.slots {
                let demand = Demand {
                    run,
                    slot: slot.clone(),
                    priority: want.priority,
                    began: want.began,
                    ancestors: want.ancestors.clone(),
                };
                runs.extend(
                    self.give(stream, &KeyInput::Request(demand), run)
                        .await?
                        .into_iter()
                        .filter(|it| *it != run),
                );
                let Some(key) = self.keys.get(stream) else { continue };
                if !key.state.holds(run) {
                    let victims = key.state.waits(run).map(|it| it.victims.clone()).unwrap_or_default();
                    victims.into_iter().for_each(|victim| self.send_away(victim, run));
                    holds_all = false;
                    break;
                }
            }
            if holds_all {
                self.wants.remove(&run);
                let shared = Arc::clone(&self.shared);
                self.errands.spawn(async move { admit(&shared, run).await });
            }
        }
        Ok(())
    }

    /// Decides on a key; gives the runs that were granted a slot.
    async fn give(
        &mut self,
        stream: &StreamId,
        input: &KeyInput,
        by: RunId,
    ) -> Result<Vec<RunId>, DeskError> {
        let mut granted = self.open(stream).await?;
        granted.extend(self.give_aside(stream, input, Some(by)).await?);
        Ok(granted)
    }

    async fn give_aside(
        &mut self,
        stream: &StreamId,
        input: &KeyInput,
        by: Option<RunId>,
    ) -> Result<Vec<RunId>, DeskError> {
        let aside = self.aside_of(stream, by);
        let (mut tries, mut served, mut before) = (0, Vec::new(), None::<BTreeSet<RunId>>);
        loop {
            served.extend(self.open(stream).await?);
            let Some(key) = self.keys.get_mut(stream) else { return Ok(served) };
            if let Some(before) = before.take() {
                // What was kept without a word gave slots out, too.
                served.extend(present(&key.state).filter(|run| !before.contains(run)));
            }
            match key.give(&self.shared, input, aside).await {
                Ok(events) => {
                    let by_request = matches!(input, KeyInput::Request(_));
                    if !by_request {
                        self.tidy(stream);
                    }
                    served.extend(granted(&events));
                    return Ok(served);
                }
                Err(DeskError::Changed) if tries < TRIES => {
                    tries += 1;
                    before = Some(present(&key.state).collect());
                    self.keys.remove(stream);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets a key that nobody holds or waits for.
    fn tidy(&mut self, stream: &StreamId) {
        if self.keys.get(stream).is_some_and(|key| !key.state.is_busy()) {
            self.keys.remove(stream);
        }
    }

    /// Loads a key where it is not, and compares it with the runs: those that are over, or never were,
    /// hold nothing. Gives the runs that were granted a slot by that.
    async fn open(&mut self, stream: &StreamId) -> Result<Vec<RunId>, DeskError> {
        if self.keys.contains_key(stream) {
            return Ok(Vec::new());
        }
        let (mut tries, mut found) = (0, Vec::new());
        loop {
            let mut key = Key::load(&self.shared, stream).await?;
            let before: BTreeSet<RunId> = present(&key.state).collect();
            match self.compare(&mut key, &mut found).await {
                Ok(()) => {
                    found.retain(|run| key.state.holds(*run));
                    self.keys.insert(stream.clone(), key);
                    return Ok(found);
                }
                // What was kept without a word gave slots out, too.
                Err(DeskError::Changed) if tries < TRIES => {
                    tries += 1;
                    let now = Key::load(&self.shared, stream).await?;
                    found.extend(present(&now.state).filter(|run| !before.contains(run)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a key's slots from runs that are over, or never were; notes to whom they go.
    async fn compare(&self, key: &mut Key, found: &mut Vec<RunId>) -> Result<(), DeskError> {
        let aside = self.aside_of(key.stream(), None);
        // Guests first: whose host is over with them need not hold a slot for a moment.
        let known = key.state.guests().chain(key.state.living()).chain(key.state.queue());
        for run in known.collect::<Vec<RunId>>() {
            if let Some(reason) = self.over(run).await? {
                found.extend(granted(&key.give(&self.shared, &KeyInput::Release(run, reason), aside).await?));
            }
        }
        Ok(())
    }

    /// How a run ended, if it is over.
    async fn over(&self, run: RunId) -> Result<Option<ReleaseReason>, DeskError> {
        let head = self.shared.store.head(&StreamId::run(run)).await;
        match head.map_err(|error| DeskError::Store(error.to_string()))? {
            None => Ok(Some(ReleaseReason::NeverBegan)),
            Some(head) if head.note.open => Ok(None),
            Some(_ended) => match self.shared.loader().fold(run, None).await {
                Ok(folded) => Ok(reason_of(folded.state.status())),
                // It cannot be read, so it cannot go on either; whoever repairs it tells.
                Err(_unreadable) => Ok(None),
            },
        }
    }

    /// A run was granted a slot that is not at hand: it is loaded.
    fn wake(&mut self, run: RunId) {
        let shared = Arc::clone(&self.shared);
        self.errands.spawn(async move {
            let _ending = shared.drive(run, false).await;
        });
    }

    /// A run is to make room for another one.
    fn send_away(&mut self, victim: RunId, by: RunId) {
        let shared = Arc::clone(&self.shared);
        self.errands.spawn(async move { cancel(&shared, victim, by).await });
    }
}

/// Who holds or shares a slot.
fn present(state: &KeyState) -> impl Iterator<Item = RunId> + '_ {
    state.living().chain(state.guests())
}

fn is_identity(slot: &WantedSlot) -> bool {
    matches!(slot.kind, crate::event::SlotKind::Identity { .. })
}

fn granted(events: &[KeyEvent]) -> Vec<RunId> {
    let runs = events.iter().filter_map(|event| match event {
        KeyEvent::SlotGranted(event) => Some(event.run),
        KeyEvent::SlotShared(event) => Some(event.run),
        KeyEvent::SlotRequested(_) | KeyEvent::SlotReleased(_) => None,
    });
    runs.collect()
}

/// Why an ended run gives its slots back.
pub(in crate::driver) fn reason_of(status: RunStatus) -> Option<ReleaseReason> {
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

/// Tells a run that it holds everything; its gates are judged once more.
async fn admit(shared: &Shared, run: RunId) {
    let Some(admission) = shared.admission_from_queue(run).await else { return };
    loop {
        let kind = InputKind::Admitted { admission: admission.clone() };
        let id = InputId::derive(&format!("{run}/admitted"));
        match shared.ask(run, Queued::own(id, kind)).await {
            Err(SubmitError::Busy) => tokio::time::sleep(AGAIN).await,
            Err(SubmitError::Full) => {
                let mut writable = shared.store.writability();
                if writable.wait_for(|now| !matches!(now, Writability::Full)).await.is_err() {
                    return;
                }
            }
            // Taken, or for the next engine.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Cancels a run that has to make room, once.
async fn cancel(shared: &Shared, victim: RunId, by: RunId) {
    loop {
        match shared.with_state(victim, RunState::is_cancelling).await {
            Ok(false) => {}
            Err(QueryError::Store(_) | QueryError::Full(_)) => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Ok(true) | Err(_) => return,
        }
        let id = InputId::derive(&format!("{victim}/replaced/{by}"));
        let kind = InputKind::Cancel { reason: Some("replaced".to_owned()) };
        let queued = Queued { actor: Actor::Run(by.to_string()), ..Queued::own(id, kind) };
        match shared.ask(victim, queued).await {
            Err(SubmitError::Busy) => tokio::time::sleep(AGAIN).await,
            Err(SubmitError::Refused(Refusal::Ended(_))) | Ok(_) | Err(_) => return,
        }
    }
}

//! What follows for a key.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::event::{ReleaseReason, SlotEvent, SlotGranted, SlotReleased, SlotRequested, SlotShared};
use super::state::{SlotState, WaitingRun};
use crate::event::{SlotKind, WantedSlot};
use everfold_base::id::{Position, RunId};
use everfold_language::definition::{OnLimit, OnTaken};

/// A run that wants a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The run.
    pub run: RunId,
    /// What it wants.
    pub slot: WantedSlot,
    /// Higher goes first.
    pub priority: i32,
    /// The place of its first event.
    pub began: Position,
    /// The runs that wait for it: its parent, the parent of that one, and so on.
    pub ancestors: Vec<RunId>,
}

/// What happens to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotInput {
    /// A run wants a slot.
    Request(Demand),
    /// A run ended, or never began.
    Release(RunId, ReleaseReason),
    /// A slot that was only reserved may have come free.
    Look,
}

/// What a start finds that has recorded nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// A slot is free.
    Free,
    /// None is; the run waits until one is.
    Waits,
    /// Another run has the key, and is the answer.
    Held(RunId),
    /// Another run has the key, and the start is refused.
    Taken(RunId),
    /// No slot is free, and the start is refused.
    Full,
    /// The run that started it and waits for it holds a slot; both share that.
    Shared,
}

/// A start that has recorded nothing yet.
#[derive(Debug, Clone, Copy)]
pub struct StartDemand<'a> {
    /// What it wants.
    pub slot: &'a WantedSlot,
    /// The runs that wait for the one that starts, the nearest first.
    pub ancestors: &'a [RunId],
    /// The runs that it replaces, which end before it begins.
    pub leaving: &'a [RunId],
    /// Its pipeline or the engine is paused: it begins behind all that wait for the end of that pause.
    pub is_paused: bool,
}

/// What a start would find. `reserved`: starts that have found a slot free and are on their way; `paused`: the waiting runs
/// that are passed over, because they are paused, and stay so for longer than the start.
#[must_use]
pub fn available(
    state: &SlotState,
    start: &StartDemand<'_>,
    reserved: usize,
    paused: &BTreeSet<RunId>,
) -> Availability {
    let StartDemand { slot, ancestors, leaving, is_paused } = *start;
    if let Some(host) = state.host(ancestors) {
        return match slot.kind {
            SlotKind::Concurrency { .. } => Availability::Shared,
            // Neither can it be the answer, which waits for this one, nor make room for it.
            SlotKind::Identity { .. } => Availability::Taken(host),
        };
    }
    let ahead = || state.waiting.keys().filter(move |waiting| !paused.contains(*waiting));
    let (is_first, taken) = match slot.kind {
        // Each that waits for the end of the same pause gets a slot before it.
        SlotKind::Concurrency { on_limit: OnLimit::Reject, .. } if is_paused => (true, ahead().count()),
        SlotKind::Concurrency { .. } => (ahead().next().is_none(), 0),
        // The run that claimed it will have it, also after a pause.
        SlotKind::Identity { .. } => (state.waiting.is_empty(), 0),
    };
    if is_first && state.holders.len() + taken + reserved < slot.limit() {
        return Availability::Free;
    }
    // The newest claim is the one that will hold it.
    let holder = state.queue().last().copied().or_else(|| state.holders.keys().next().copied());
    match (&slot.kind, holder) {
        (SlotKind::Identity { on_taken: OnTaken::Return, .. }, Some(holder)) => Availability::Held(holder),
        (SlotKind::Identity { on_taken: OnTaken::Reject, .. }, Some(holder)) => Availability::Taken(holder),
        (SlotKind::Concurrency { on_limit: OnLimit::Reject, .. }, _) => {
            let stays = |run: &&RunId| !leaving.contains(run);
            let ahead = if is_paused { ahead().filter(stays).count() } else { 0 };
            let staying = state.holders.keys().filter(stays).count() + ahead;
            let gets_theirs = is_first && staying + reserved < slot.limit();
            if gets_theirs { Availability::Waits } else { Availability::Full }
        }
        _waits => Availability::Waits,
    }
}

/// What follows from an input. `reserved`: runs other than the asking one that have found a slot free and
/// are on their way; `paused`: runs that are paused, and would only keep other runs waiting with a slot.
#[must_use]
pub fn decide(
    state: &SlotState,
    input: &SlotInput,
    reserved: usize,
    paused: &BTreeSet<RunId>,
) -> Vec<SlotEvent> {
    let mut draft = SlotDraft { state: state.clone(), events: Vec::new(), paused };
    match input {
        SlotInput::Request(demand) => draft.request(demand, reserved),
        SlotInput::Release(run, reason) => {
            let is_known = state.waiting.contains_key(run)
                || state.sharers().any(|sharer| sharer == *run)
                || state.holders.get(run).is_some_and(|holder| !holder.is_kept);
            if is_known {
                draft.record(SlotEvent::SlotReleased(SlotReleased { run: *run, reason: *reason }));
            }
        }
        SlotInput::Look => {}
    }
    draft.release_replaced();
    draft.grant(reserved);
    draft.events
}

impl SlotState {
    /// Whether a run evicts one for its slot: it may, does not hold one, and has evicted none yet.
    #[must_use]
    pub fn may_evict(&self, demand: &Demand) -> bool {
        let has_none = |it: &WaitingRun| it.evicted.is_empty() && !it.is_leaving;
        evicts(&demand.slot) && !self.holds(demand.run) && self.waits(demand.run).is_none_or(has_none)
    }

    /// Whether a waiting run evicted one for its slot.
    #[must_use]
    pub fn claims(&self, run: RunId) -> bool {
        self.waits(run).is_some_and(|it| !it.evicted.is_empty())
    }

    /// Whether a waiting run is to evict one when it goes on.
    #[must_use]
    pub fn owes(&self, run: RunId) -> bool {
        self.waits(run).is_some_and(|it| evicts(&it.slot) && it.evicted.is_empty())
    }
}

/// Whether a run that finds no slot free evicts one.
fn evicts(slot: &WantedSlot) -> bool {
    matches!(slot.kind, SlotKind::Concurrency { on_limit: OnLimit::CancelOldest, .. })
}

/// Where a run stands in the line: the least goes first.
type Place = (Reverse<i32>, Position, RunId);

fn place(run: RunId, it: &WaitingRun) -> Place {
    (Reverse(it.priority), it.began, run)
}

fn own_place(demand: &Demand) -> Place {
    (Reverse(demand.priority), demand.began, demand.run)
}

struct SlotDraft<'a> {
    state: SlotState,
    events: Vec<SlotEvent>,
    paused: &'a BTreeSet<RunId>,
}

impl SlotDraft<'_> {
    fn record(&mut self, event: SlotEvent) {
        self.state.apply(&event);
        self.events.push(event);
    }

    fn request(&mut self, demand: &Demand, reserved: usize) {
        let Demand { run, slot, priority, ancestors, .. } = demand;
        if self.state.holds(*run) {
            return; // A repeated request.
        }
        if let (SlotKind::Concurrency { .. }, Some(under)) = (&slot.kind, self.state.host(ancestors)) {
            // A waiting run that is an ancestor would wait for a run that waits for it.
            let (run, slot, priority) = (*run, slot.clone(), *priority);
            return self.record(SlotEvent::SlotShared(SlotShared { run, under, slot, priority }));
        }
        if self.state.waiting.contains_key(run) {
            return self.request_again(demand, reserved);
        }
        if let SlotKind::Identity { on_taken: OnTaken::Replace, .. } = slot.kind {
            let kept: Vec<RunId> =
                self.state.holders.iter().filter(|(_, it)| it.is_kept).map(|(run, _)| *run).collect();
            for run in kept {
                let reason = ReleaseReason::Replaced;
                self.record(SlotEvent::SlotReleased(SlotReleased { run, reason }));
            }
        }
        let is_first = self.state.waiting.keys().all(|waiting| self.paused.contains(waiting));
        if is_first && !self.paused.contains(run) && self.state.holders.len() + reserved < slot.limit() {
            let (run, slot, priority) = (*run, slot.clone(), *priority);
            return self.record(SlotEvent::SlotGranted(SlotGranted { run, slot, priority }));
        }
        let victims = match slot.kind {
            SlotKind::Identity { on_taken: OnTaken::Replace, .. } => {
                self.state.living().chain(self.state.waiting.keys().copied()).collect()
            }
            SlotKind::Identity { .. } | SlotKind::Concurrency { .. } => self.victims(demand, reserved),
        };
        self.request_with(demand, victims);
        self.give_way(demand, reserved);
    }

    fn request_with(&mut self, demand: &Demand, victims: Vec<RunId>) {
        let Demand { run, slot, priority, began, .. } = demand.clone();
        self.record(SlotEvent::SlotRequested(SlotRequested { run, slot, priority, began, victims }));
    }

    /// A run that waits asks once more. One that was paused when it asked evicts the oldest now that it may begin.
    fn request_again(&mut self, demand: &Demand, reserved: usize) {
        self.grant(reserved);
        if self.state.waiting.contains_key(&demand.run) {
            let victims = self.victims(demand, reserved);
            if !victims.is_empty() {
                self.request_with(demand, victims);
            }
            self.give_way(demand, reserved);
        }
    }

    /// Of a run that asks after one that began behind it, and would get the slot for which that one evicted a run: it is
    /// evicted by that one, as it would have been in the order in which they began.
    fn give_way(&mut self, demand: &Demand, reserved: usize) {
        let is_asking = |it: &WaitingRun| !it.is_leaving;
        if !evicts(&demand.slot)
            || self.paused.contains(&demand.run)
            || !self.state.waits(demand.run).is_some_and(is_asking)
        {
            return;
        }
        let held = self.staying().len() + reserved;
        let newer: Vec<RunId> =
            self.claims(demand).filter(|(_, it)| it.began > demand.began).map(|(run, _)| run).collect();
        let Some(by) = newer.iter().copied().max_by_key(|run| self.state.waits(*run).map(|it| it.began))
        else {
            return;
        };
        let coming = self.coming(demand);
        if self.finds_room(demand, held, &coming, &[]) || !self.finds_room(demand, held, &coming, &newer) {
            return;
        }
        let Some(WaitingRun { slot, priority, began, mut evicted, .. }) = self.state.waits(by).cloned()
        else {
            return;
        };
        evicted.push(demand.run);
        self.record(SlotEvent::SlotRequested(SlotRequested {
            run: by,
            slot,
            priority,
            began,
            victims: evicted,
        }));
    }

    /// The runs that a run evicts for a slot: the oldest that no other run evicted yet. Where all that hold one are on their
    /// way out, that is the oldest of those that come in their place. A paused run evicts none: it does not begin. Nor is
    /// one evicted that holds nothing while it is paused: it takes no slot.
    fn victims(&self, demand: &Demand, reserved: usize) -> Vec<RunId> {
        if !self.state.may_evict(demand) || self.paused.contains(&demand.run) {
            return Vec::new();
        }
        let staying = self.staying();
        let coming = self.coming(demand);
        if self.finds_room(demand, staying.len() + reserved, &coming, &[]) {
            return Vec::new();
        }
        let next = coming.iter().take(demand.slot.limit()).min_by_key(|(run, it)| (it.began, *run));
        let oldest = staying.first().map(|(_, run)| *run).or_else(|| next.map(|(run, _)| *run));
        let mut victims: Vec<RunId> = oldest.into_iter().collect();
        // Older ones that were paused when they asked evict one each when they go on. Those that would find no holder left
        // go as well: else they took the slot that comes free.
        let staying = staying.len().saturating_sub(1);
        let owes = |run: &RunId, it: &WaitingRun| {
            it.evicted.is_empty() && evicts(&it.slot) && it.began < demand.began && !victims.contains(run)
        };
        let mut owing: Vec<(Position, RunId)> =
            coming.iter().filter(|(run, it)| owes(run, it)).map(|(run, it)| (it.began, *run)).collect();
        owing.sort_unstable();
        let too_many = owing.len().saturating_sub(staying);
        for (_, run) in owing.into_iter().take(too_many) {
            if self.finds_room(demand, staying + reserved, &coming, &victims) {
                break;
            }
            victims.push(run);
        }
        // So do those that began before it and evicted one each: else one of them took its slot, or waited for its end.
        let mut older: Vec<(Position, RunId)> = self
            .claims(demand)
            .filter(|(_, it)| it.began < demand.began)
            .map(|(run, it)| (it.began, run))
            .collect();
        older.sort_unstable();
        for (_, run) in older.into_iter().filter(|(_, run)| !victims.contains(run)).collect::<Vec<_>>() {
            if self.finds_room(demand, staying + reserved, &coming, &victims) {
                break;
            }
            victims.push(run);
        }
        victims
    }

    /// The holders that no run evicted, the one that has held a slot longest first.
    fn staying(&self) -> Vec<(u64, RunId)> {
        let mut staying: Vec<(u64, RunId)> = (self.state.holders.iter())
            .filter(|(_, it)| !it.is_kept && !it.is_leaving)
            .map(|(run, it)| (it.nth, *run))
            .collect();
        staying.sort_unstable();
        staying
    }

    /// The other waiting runs that evicted one for their slot.
    fn claims(&self, demand: &Demand) -> impl Iterator<Item = (RunId, &WaitingRun)> {
        let is_other = move |run: RunId| run != demand.run;
        let waiting = self.state.waiting.iter().map(|(run, it)| (*run, it));
        waiting.filter(move |(run, it)| is_other(*run) && self.takes(*run, it) && !it.evicted.is_empty())
    }

    /// The waiting runs that get a slot before this one, the first one first.
    fn coming(&self, demand: &Demand) -> Vec<(RunId, &WaitingRun)> {
        let queue = self.state.queue().into_iter();
        let waiting = queue.filter_map(|run| Some((run, self.state.waits(run)?)));
        waiting.filter(|(run, it)| self.takes(*run, it) && place(*run, it) < own_place(demand)).collect()
    }

    /// Whether a waiting run takes a slot when its turn comes.
    fn takes(&self, run: RunId, it: &WaitingRun) -> bool {
        !it.is_leaving && !self.paused.contains(&run)
    }

    /// Whether a run gets a slot when those have gone that were evicted, while so many are held and these runs come before
    /// it, but for some. What a run behind it has evicted one for is not its own.
    fn finds_room(
        &self,
        demand: &Demand,
        mut held: usize,
        coming: &[(RunId, &WaitingRun)],
        without: &[RunId],
    ) -> bool {
        for (_, it) in coming.iter().filter(|(run, _)| !without.contains(run)) {
            if held >= it.slot.limit() {
                return false;
            }
            held += 1;
        }
        let behind = self.claims(demand).filter(|(run, it)| place(*run, it) > own_place(demand));
        held + behind.filter(|(run, _)| !without.contains(run)).count() < demand.slot.limit()
    }

    /// A run that succeeded while another one waited to replace it keeps no key: it would keep that one waiting for ever.
    fn release_replaced(&mut self) {
        let is_evicted = |run: &RunId| self.state.waiting.values().any(|it| it.evicted.contains(run));
        let kept = self.state.holders.iter().filter(|(run, holder)| holder.is_kept && is_evicted(run));
        for run in kept.map(|(run, _)| *run).collect::<Vec<RunId>>() {
            let reason = ReleaseReason::Replaced;
            self.record(SlotEvent::SlotReleased(SlotReleased { run, reason }));
        }
    }

    /// Grants free slots to waiting runs, in their order. A run that cannot be served keeps the runs behind
    /// it waiting: a smaller limit must not be overtaken for ever. A halted run is passed over, and keeps its
    /// place.
    fn grant(&mut self, reserved: usize) {
        for run in self.state.queue() {
            if self.paused.contains(&run) {
                continue;
            }
            let Some(WaitingRun { slot, priority, .. }) = self.state.waiting.get(&run).cloned() else {
                continue;
            };
            if self.state.holders.len() + reserved >= slot.limit() {
                return;
            }
            self.record(SlotEvent::SlotGranted(SlotGranted { run, slot, priority }));
        }
    }
}

//! The fold of a key's stream.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::event::{ReleaseReason, SlotEvent};
use crate::event::{SlotKind, WantedSlot};
use everfold_base::id::{Position, RunId};
use everfold_language::definition::Release;

/// A run that holds a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What it wanted.
    pub slot: WantedSlot,
    /// How many were granted before it.
    pub nth: u64,
    /// It succeeded, and keeps the key beyond its end.
    pub is_kept: bool,
    /// Another run evicted it: its slot is that one's when it has ended.
    pub is_leaving: bool,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRun {
    /// What it wants.
    pub slot: WantedSlot,
    /// Higher goes first.
    pub priority: i32,
    /// The place of its first event.
    pub began: Position,
    /// The runs that are cancelled to make room for it.
    pub evicted: Vec<RunId>,
    /// Another run evicted it before it held anything.
    pub is_leaving: bool,
}

/// A run that shares the slot of the one that waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedHolder {
    /// What it wanted.
    pub slot: WantedSlot,
    /// The run whose slot it shares, or that is a sharer itself.
    pub under: RunId,
}

/// The holders of a key, and the runs that wait for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotState {
    pub(super) holders: BTreeMap<RunId, Holder>,
    pub(super) waiting: BTreeMap<RunId, WaitingRun>,
    sharers: BTreeMap<RunId, SharedHolder>,
    granted: u64,
}

impl SlotState {
    /// Folds a fact.
    pub fn apply(&mut self, event: &SlotEvent) {
        match event {
            SlotEvent::SlotRequested(event) => {
                for victim in &event.victims {
                    if let Some(holder) = self.holders.get_mut(victim) {
                        holder.is_leaving = true;
                    }
                    if let Some(waiting) = self.waiting.get_mut(victim) {
                        waiting.is_leaving = true;
                    }
                }
                let waiting = WaitingRun {
                    slot: event.slot.clone(),
                    priority: event.priority,
                    began: event.began,
                    evicted: event.victims.clone(),
                    is_leaving: false,
                };
                self.waiting.insert(event.run, waiting);
            }
            SlotEvent::SlotGranted(event) => {
                self.waiting.remove(&event.run);
                self.hold(event.run, event.slot.clone());
            }
            SlotEvent::SlotShared(event) => {
                self.waiting.remove(&event.run);
                let sharer = SharedHolder { slot: event.slot.clone(), under: event.under };
                self.sharers.insert(event.run, sharer);
            }
            SlotEvent::SlotReleased(event) => {
                self.waiting.remove(&event.run);
                let keeps = event.reason == ReleaseReason::Succeeded
                    && self.holders.get(&event.run).is_some_and(Holder::outlives_success);
                match self.holders.get_mut(&event.run) {
                    Some(holder) if keeps => holder.is_kept = true,
                    _gone => self.leave(event.run),
                }
            }
        }
    }

    fn hold(&mut self, run: RunId, slot: WantedSlot) {
        self.granted += 1;
        self.holders.insert(run, Holder { slot, nth: self.granted, is_kept: false, is_leaving: false });
    }

    /// A run goes. Its sharers become those of its own host or, where it had none, hold slots of their own,
    /// even where that is one more than there are: they are at work.
    fn leave(&mut self, run: RunId) {
        self.holders.remove(&run);
        let host = self.sharers.remove(&run).map(|sharer| sharer.under);
        let left = self.sharers.iter().filter(|(_, sharer)| sharer.under == run).map(|(run, _)| *run);
        for sharer in left.collect::<Vec<_>>() {
            match host {
                Some(host) => drop(self.sharers.get_mut(&sharer).map(|sharer| sharer.under = host)),
                None => {
                    if let Some(SharedHolder { slot, .. }) = self.sharers.remove(&sharer) {
                        self.hold(sharer, slot);
                    }
                }
            }
        }
    }

    /// Whether a run holds a slot, or shares one.
    #[must_use]
    pub fn holds(&self, run: RunId) -> bool {
        self.holders.contains_key(&run) || self.sharers.contains_key(&run)
    }

    /// The first of a run's ancestors, the nearest first, whose slot it shares.
    #[must_use]
    pub fn host(&self, ancestors: &[RunId]) -> Option<RunId> {
        let is_there = |run: &RunId| {
            self.sharers.contains_key(run) || self.holders.get(run).is_some_and(|holder| !holder.is_kept)
        };
        ancestors.iter().copied().find(is_there)
    }

    /// The runs that share the slots of others.
    pub fn sharers(&self) -> impl Iterator<Item = RunId> + '_ {
        self.sharers.keys().copied()
    }

    /// What a run waits for.
    #[must_use]
    pub fn waits(&self, run: RunId) -> Option<&WaitingRun> {
        self.waiting.get(&run)
    }

    /// Runs that hold a slot and have not ended, as far as the key knows.
    pub fn living(&self) -> impl Iterator<Item = RunId> + '_ {
        self.holders.iter().filter(|(_, holder)| !holder.is_kept).map(|(run, _)| *run)
    }

    /// The runs that wait, the one that goes first first.
    #[must_use]
    pub fn queue(&self) -> Vec<RunId> {
        let mut queue: Vec<(&RunId, &WaitingRun)> = self.waiting.iter().collect();
        queue.sort_by_key(|(run, waiting)| (Reverse(waiting.priority), waiting.began, **run));
        queue.into_iter().map(|(run, _)| *run).collect()
    }

    /// The runs that one waits for which wants a slot: those that hold one, else those that come before it; `None`: it
    /// need not wait.
    #[must_use]
    pub fn awaited_by(&self, run: RunId, slot: &WantedSlot) -> Option<Vec<RunId>> {
        // Runs that came first are served first, even where only they are kept waiting by a lower limit.
        let ahead: Vec<RunId> = self.queue().into_iter().take_while(|waiting| *waiting != run).collect();
        if self.holds(run) || (self.has_room(slot) && ahead.is_empty()) {
            return None;
        }
        let holders: Vec<RunId> = self.living().collect();
        Some(if holders.is_empty() { ahead } else { holders })
    }

    /// The run that holds it or, where some wait, the newest that does.
    #[must_use]
    pub fn claimant(&self) -> Option<RunId> {
        self.queue().last().or_else(|| self.holders.keys().next()).copied()
    }

    /// Whether fewer hold it than this one lets.
    #[must_use]
    pub fn has_room(&self, slot: &WantedSlot) -> bool {
        self.holders.len() < slot.limit()
    }

    /// How many hold a slot.
    #[must_use]
    pub fn held(&self) -> usize {
        self.holders.len()
    }

    /// Whether no run holds it and none waits.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.holders.is_empty() && self.waiting.is_empty()
    }

    /// Whether the start of an engine must check that the holders and the waiting runs still exist.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || self.living().next().is_some()
    }
}

impl Holder {
    fn outlives_success(&self) -> bool {
        matches!(self.slot.kind, SlotKind::Identity { release: Release::Unsuccessful, .. })
    }
}

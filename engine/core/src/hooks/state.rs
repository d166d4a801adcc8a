//! The fold of a source's stream, and what follows for it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::event::{
    DeliveryHandled, DeliveryReceived, HookEvent, ParkedSettled, ParkedSignal, RedeliveryAsked, SignalOrigin,
    TriggerOutcome,
};
use super::source::{KEPT, PARKED_MAX, REMEMBERED_MAX};
use crate::triggers::{Outcome, Target};
use everfold_base::id::{RunId, Version};
use everfold_base::time::Timestamp;

/// The oldest entries among which one is looked for that may be forgotten.
const PASSED_OVER_MAX: usize = 1_000;

/// A delivery that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedDelivery {
    /// What its sender calls it.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// How often it is to be handled: 1, and one more for each redelivery.
    pub wanted: u32,
    /// How often it was.
    pub handled: u32,
}

/// Where a signal was parked: the event, and the place in it.
pub type ParkedId = (Version, u32);

/// A signal that no run takes yet, or a start that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The delivery it comes from.
    pub delivery: Version,
    /// How often that was handled with this time.
    pub nth: u32,
    /// The request to handle it once more, where it was handled for one.
    pub asked: Option<Version>,
    /// Since when it waits.
    pub since: Timestamp,
    /// The signal.
    pub signal: String,
    /// The runs that it waits for.
    pub to: Target,
}

/// The deliveries of a source that are remembered, and the signals that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookState {
    entries: BTreeMap<Version, RememberedDelivery>,
    by_id: HashMap<String, Version>,
    /// Those that were not handled as often as they are to be.
    unhandled: BTreeMap<Version, u32>,
    /// The requests to handle deliveries once more, until that is done; also of deliveries that are forgotten.
    asked: BTreeMap<Version, Version>,
    parked: BTreeMap<ParkedId, Parked>,
    /// The runs that are about to get a signal, by what it is sent for.
    targets: BTreeMap<SignalOrigin, Vec<RunId>>,
}

impl HookState {
    /// Folds a fact; `at` is when it was recorded.
    pub fn apply(&mut self, version: Version, at: Timestamp, event: &HookEvent) {
        match event {
            HookEvent::DeliveryReceived(event) => {
                self.forget(at);
                let entry = RememberedDelivery { id: event.id.clone(), at, wanted: 1, handled: 0 };
                self.by_id.insert(event.id.clone(), version);
                self.entries.insert(version, entry);
                self.unhandled.insert(version, 1);
            }
            HookEvent::RedeliveryAsked(event) => {
                if let Some(entry) = self.entries.get_mut(&event.delivery) {
                    entry.wanted = event.nth;
                }
                self.unhandled.insert(event.delivery, event.nth);
                self.asked.insert(event.delivery, version);
            }
            HookEvent::DeliveryHandled(event) => {
                if let Some(entry) = self.entries.get_mut(&event.delivery) {
                    entry.handled = event.nth;
                }
                if self.unhandled.get(&event.delivery).is_some_and(|nth| *nth <= event.nth) {
                    self.unhandled.remove(&event.delivery);
                }
                let asked = self.asked.remove(&event.delivery);
                self.targets.retain(|by, _| match by {
                    SignalOrigin::Trigger { delivery, .. } => *delivery != event.delivery,
                    SignalOrigin::Parked { .. } => true,
                });
                for (place, parked) in (0..).zip(&event.parked) {
                    let parked = Parked {
                        delivery: event.delivery,
                        nth: event.nth,
                        asked,
                        since: at,
                        signal: parked.signal.clone(),
                        to: parked.to.clone(),
                    };
                    self.parked.insert((version, place), parked);
                }
            }
            HookEvent::SignalMeant(event) => {
                self.targets.insert(event.by.clone(), event.runs.clone());
            }
            HookEvent::ParkedSettled(event) => {
                self.parked.remove(&(event.handled, event.at));
                self.targets.remove(&SignalOrigin::Parked { handled: event.handled, at: event.at });
            }
        }
    }

    /// Forgets what is over 7 days old and handled, and the oldest of too many.
    fn forget(&mut self, now: Timestamp) {
        loop {
            // Those that are still to be handled stay, and the ones behind them are forgotten all the same.
            let mut oldest = self.entries.iter().take(PASSED_OVER_MAX);
            let Some((version, oldest)) = oldest.find(|(version, _)| !self.unhandled.contains_key(version))
            else {
                return;
            };
            if now.since(oldest.at) < KEPT && self.entries.len() < REMEMBERED_MAX {
                return;
            }
            let version = *version;
            if let Some(entry) = self.entries.remove(&version)
                && self.by_id.get(&entry.id) == Some(&version)
            {
                self.by_id.remove(&entry.id);
            }
        }
    }

    /// The delivery that came with this id within 7 days.
    #[must_use]
    pub fn find(&self, id: &str, now: Timestamp) -> Option<(Version, &RememberedDelivery)> {
        let version = self.by_id.get(id)?;
        let entry = self.entries.get(version)?;
        (now.since(entry.at) < KEPT || self.unhandled.contains_key(version)).then_some((*version, entry))
    }

    /// What a delivery that comes now adds; the version of the first one where it came before.
    ///
    /// # Errors
    /// The version of the delivery that came with this id.
    pub fn receive(&self, delivery: DeliveryReceived, now: Timestamp) -> Result<HookEvent, Version> {
        match self.find(&delivery.id, now) {
            Some((version, _)) => Err(version),
            None => Ok(HookEvent::DeliveryReceived(delivery)),
        }
    }

    /// What asking for a delivery once more adds; nothing while it is still to be handled.
    #[must_use]
    pub fn redeliver(&self, delivery: Version, handled_so_far: u32) -> Option<HookEvent> {
        if self.unhandled.contains_key(&delivery) {
            return None;
        }
        let known = self.entries.get(&delivery).map_or(handled_so_far, |entry| entry.wanted);
        Some(HookEvent::RedeliveryAsked(RedeliveryAsked { delivery, nth: known.saturating_add(1) }))
    }

    /// What having handled a delivery adds. More signals than may wait are refused.
    #[must_use]
    pub fn handled(
        &self,
        delivery: Version,
        nth: u32,
        mut outcomes: Vec<TriggerOutcome>,
        mut parked: Vec<ParkedSignal>,
    ) -> Option<HookEvent> {
        if self.unhandled.get(&delivery) != Some(&nth) {
            return None;
        }
        let room = PARKED_MAX.saturating_sub(self.parked.len());
        for refused in parked.drain(room.min(parked.len())..) {
            let of_trigger = |one: &&mut TriggerOutcome| {
                one.pipeline == refused.pipeline && one.trigger == refused.trigger
            };
            if let Some(outcome) = outcomes.iter_mut().find(of_trigger) {
                outcome.outcome = Outcome::Refused {
                    code: "too_many_parked".to_owned(),
                    message: format!("{PARKED_MAX} signals and starts of this source wait already"),
                };
            }
        }
        Some(HookEvent::DeliveryHandled(DeliveryHandled { delivery, nth, outcomes, parked }))
    }

    /// What the end of a signal's waiting adds.
    #[must_use]
    pub fn settled(&self, id: ParkedId, outcome: Outcome) -> Option<HookEvent> {
        let is_waiting = self.parked.contains_key(&id);
        is_waiting.then_some(HookEvent::ParkedSettled(ParkedSettled { handled: id.0, at: id.1, outcome }))
    }

    /// The deliveries that are to be handled, the oldest first, and for which time.
    #[must_use]
    pub fn unhandled(&self) -> &BTreeMap<Version, u32> {
        &self.unhandled
    }

    /// Whether starts wait, too.
    #[must_use]
    pub fn has_parked_starts(&self) -> bool {
        self.parked.values().any(|parked| parked.to == Target::Start)
    }

    /// The request to handle a delivery once more, until that is done.
    #[must_use]
    pub fn asked(&self, delivery: Version) -> Option<Version> {
        self.asked.get(&delivery).copied()
    }

    /// The signals and starts that wait.
    #[must_use]
    pub fn parked(&self) -> &BTreeMap<ParkedId, Parked> {
        &self.parked
    }

    /// The runs that are recorded as targets of a signal.
    #[must_use]
    pub fn targets(&self, by: &SignalOrigin) -> Option<&Vec<RunId>> {
        self.targets.get(by)
    }

    /// The runs that are recorded as targets for a delivery, by trigger.
    #[must_use]
    pub fn targets_of(&self, of: Version) -> Vec<(SignalOrigin, Vec<RunId>)> {
        let is_its =
            |by: &SignalOrigin| matches!(by, SignalOrigin::Trigger { delivery, .. } if *delivery == of);
        self.targets
            .iter()
            .filter(|(by, _)| is_its(by))
            .map(|(by, runs)| (by.clone(), runs.clone()))
            .collect()
    }

    /// A delivery that is remembered.
    #[must_use]
    pub fn entry(&self, version: Version) -> Option<&RememberedDelivery> {
        self.entries.get(&version)
    }

    /// How many deliveries are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.entries.len()
    }

    /// Whether the start of an engine must look at it once this fact is there, too.
    #[must_use]
    pub fn is_busy_with(&self, event: &HookEvent) -> bool {
        let (deliveries, signals) = (self.unhandled.len(), self.parked.len());
        match event {
            HookEvent::DeliveryReceived(_) | HookEvent::RedeliveryAsked(_) | HookEvent::SignalMeant(_) => {
                true
            }
            HookEvent::DeliveryHandled(event) => {
                let was_open = self.unhandled.get(&event.delivery).is_some_and(|nth| *nth <= event.nth);
                deliveries - usize::from(was_open) + signals + event.parked.len() > 0
            }
            HookEvent::ParkedSettled(event) => {
                let was_open = self.parked.contains_key(&(event.handled, event.at));
                deliveries + signals - usize::from(was_open) > 0
            }
        }
    }

    /// Whether the start of an engine must look at it.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.unhandled.is_empty() || !self.parked.is_empty()
    }
}

//! Deliveries and what they led to, as readers see them.

use std::collections::BTreeMap;

use crate::deps::Deps;
use crate::streams::webhooks::error::HookError;
use crate::streams::webhooks::source_stream::decoded;
use everfold_base::actor::Actor;
use everfold_base::envelope::Envelope;
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::hooks::{DeliveryReceived, HookEvent, TriggerOutcome, stream};

/// Events that are read at once: each may hold a body of 1 MiB.
const PAGE: u64 = 50;

/// A delivery, and what it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its source.
    pub source: String,
    /// The version of its own event in its source's stream.
    pub delivery: Version,
    /// The place of that event in the store.
    pub position: Position,
    /// The id that its sender gave it.
    pub id: String,
    /// The kind of event that it reports.
    pub name: Option<String>,
    /// Its sender, where the source names one.
    pub sender: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// What it led to, each time that it was handled, the first time first. Empty: not yet handled.
    pub handled: Vec<Handling>,
}

/// What a delivery led to, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handling {
    /// 1, and one more for each redelivery.
    pub nth: u32,
    /// When.
    pub at: Timestamp,
    /// The actor that asked for it again; `None` for the first time.
    pub by: Option<Actor>,
    /// What each trigger did with it; a signal that waited is listed with what became of it.
    pub outcomes: Vec<TriggerOutcome>,
}

impl DeliveryRecord {
    /// What it led to the last time.
    #[must_use]
    pub fn outcomes(&self) -> Vec<TriggerOutcome> {
        self.handled.last().map(|handling| handling.outcomes.clone()).unwrap_or_default()
    }
}

/// What later events say of deliveries whose own event is not reached yet.
#[derive(Default)]
struct Scan {
    handled: BTreeMap<Version, Vec<Handling>>,
    asked: BTreeMap<(Version, u32), Actor>,
    settled: BTreeMap<(Version, u32), everfold_core::triggers::Outcome>,
}

impl Scan {
    /// Takes an event, the newest first; gives a delivery when its own event is reached.
    fn take(
        &mut self,
        source: &str,
        envelope: &Envelope,
    ) -> Result<Option<(DeliveryRecord, DeliveryReceived)>, String> {
        let header = &envelope.header;
        match decoded(envelope)? {
            HookEvent::ParkedSettled(event) => {
                self.settled.insert((event.handled, event.at), event.outcome);
            }
            HookEvent::RedeliveryAsked(event) => {
                self.asked.insert((event.delivery, event.nth), header.actor.clone());
            }
            HookEvent::SignalMeant(_) => {}
            HookEvent::DeliveryHandled(event) => {
                let mut outcomes = event.outcomes;
                for (at, parked) in (0..).zip(&event.parked) {
                    let settled = self.settled.remove(&(header.version, at));
                    let own = outcomes
                        .iter_mut()
                        .find(|one| one.pipeline == parked.pipeline && one.trigger == parked.trigger);
                    if let (Some(outcome), Some(own)) = (settled, own) {
                        own.outcome = outcome;
                    }
                }
                let handling = Handling { nth: event.nth, at: header.recorded_at, by: None, outcomes };
                self.handled.entry(event.delivery).or_default().push(handling);
            }
            HookEvent::DeliveryReceived(event) => {
                let mut handled = self.handled.remove(&header.version).unwrap_or_default();
                handled.reverse();
                for handling in &mut handled {
                    let by_hand = || match &header.actor {
                        Actor::Hook(_) => None,
                        person => Some(person.clone()).filter(|_| handling.nth == 1),
                    };
                    handling.by = self.asked.remove(&(header.version, handling.nth)).or_else(by_hand);
                }
                let record = DeliveryRecord {
                    source: source.to_owned(),
                    delivery: header.version,
                    position: envelope.position,
                    id: event.id.clone(),
                    name: event.name.clone(),
                    sender: event.sender.clone(),
                    received_at: header.recorded_at,
                    handled,
                };
                return Ok(Some((record, event)));
            }
        }
        Ok(None)
    }
}

/// Goes through a source's deliveries, the newest first, while `each` gives true.
pub(crate) async fn scan(
    shared: &Deps,
    source: &str,
    until: Version,
    mut each: impl FnMut(DeliveryRecord, DeliveryReceived) -> bool,
) -> Result<(), HookError> {
    let failed = |what: String| HookError::Store(format!("hook/{source}: {what}"));
    let stream = stream(source);
    let head = shared.store.head(&stream).await.map_err(|error| failed(error.to_string()))?;
    let mut scan = Scan::default();
    let mut last = head.map_or(0, |head| head.version.get());
    while last >= until.get().max(1) {
        let first = last.saturating_sub(PAGE - 1).max(until.get().max(1));
        let limit = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        let page = shared.store.read(&stream, Version(first), limit).await;
        for envelope in page.map_err(|error| failed(error.to_string()))?.iter().rev() {
            if let Some((record, event)) = scan.take(source, envelope).map_err(failed)?
                && !each(record, event)
            {
                return Ok(());
            }
        }
        last = first - 1;
    }
    Ok(())
}

/// One delivery, by the version of its own event.
pub(crate) async fn one(
    shared: &Deps,
    source: &str,
    delivery: Version,
) -> Result<Option<DeliveryRecord>, HookError> {
    let mut found = None;
    scan(shared, source, delivery, |record, _| {
        if record.delivery == delivery {
            found = Some(record);
            return false;
        }
        true
    })
    .await?;
    Ok(found)
}

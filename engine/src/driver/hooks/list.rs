//! What was delivered, and what it led to, for readers.

use std::collections::BTreeMap;

use super::super::engine::Engine;
use super::super::shared::Shared;
use super::HookError;
use super::source::decoded;
use crate::actor::Actor;
use crate::envelope::{Envelope, StreamKind};
use crate::hooks::{DeliveryReceived, HookEvent, TriggerOutcome, stream};
use crate::id::{Position, Version};
use crate::time::Timestamp;

/// Events that are read at once: each may hold a body of 1 MiB.
const PAGE: u64 = 50;
/// Streams that are listed at once.
const STREAMS_PAGE: usize = 1_000;
/// A beginning of an id is told apart from the others with so many letters.
const START_MIN: usize = 4;

/// A delivery, and what it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its source.
    pub source: String,
    /// The version of its own event in its source's stream.
    pub delivery: Version,
    /// The place of that event in the store.
    pub position: Position,
    /// What its sender calls it.
    pub id: String,
    /// What kind of event it tells of.
    pub name: Option<String>,
    /// Who is behind it.
    pub sender: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// What it led to, each time that it was handled; the first first. None: not yet.
    pub handled: Vec<Handling>,
}

/// What a delivery led to, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handling {
    /// Which time: 1, and one more for each redelivery.
    pub nth: u32,
    /// When.
    pub at: Timestamp,
    /// Who asked for it again; `None` for the first time.
    pub by: Option<Actor>,
    /// What each trigger made of it; a signal that waited stands with what became of it.
    pub outcomes: Vec<TriggerOutcome>,
}

impl DeliveryRecord {
    /// What it led to the last time.
    #[must_use]
    pub fn outcomes(&self) -> Vec<TriggerOutcome> {
        self.handled.last().map(|handling| handling.outcomes.clone()).unwrap_or_default()
    }
}

/// What is known of deliveries whose own event has not been come to.
#[derive(Default)]
struct Scan {
    handled: BTreeMap<Version, Vec<Handling>>,
    asked: BTreeMap<(Version, u32), Actor>,
    settled: BTreeMap<(Version, u32), crate::triggers::Outcome>,
}

impl Scan {
    /// Takes an event, from the newest on; gives a delivery when its own event is come to.
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
                    handling.by = self.asked.remove(&(header.version, handling.nth));
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

/// Goes through a source's deliveries, the newest first, until `each` has seen enough.
async fn scan(
    shared: &Shared,
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
pub(super) async fn one(
    shared: &Shared,
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

impl Engine {
    /// The sources that something was delivered to, in the order of their names.
    ///
    /// # Errors
    /// [`HookError::Store`]
    pub async fn hook_sources(&self) -> Result<Vec<String>, HookError> {
        let store = &self.inner.shared.store;
        let (mut sources, mut after) = (Vec::new(), None);
        loop {
            let page = store.streams(StreamKind::Hook, after, STREAMS_PAGE).await;
            let page = page.map_err(|error| HookError::Store(error.to_string()))?;
            sources.extend(page.iter().map(|(stream, _)| stream.id.to_string()));
            match page.last() {
                Some((last, _)) if page.len() == STREAMS_PAGE => after = Some(last.id.to_string()),
                _last_page => return Ok(sources),
            }
        }
    }

    /// Deliveries of a source, the newest first: those that came before a place in the store, or all.
    ///
    /// What came later is read, too, as it may tell what they led to.
    ///
    /// # Errors
    /// [`HookError::Store`]
    pub async fn deliveries(
        &self,
        source: &str,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, HookError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        scan(&self.inner.shared, source, Version::FIRST, |record, _| {
            if before.is_none_or(|before| record.position < before) {
                found.push(record);
            }
            found.len() < limit
        })
        .await?;
        Ok(found)
    }

    /// The newest delivery of a source, or of any, with this id, or whose id begins so where only one does.
    ///
    /// # Errors
    /// [`HookError::NotFound`], [`HookError::Ambiguous`], [`HookError::Store`].
    pub async fn delivery(
        &self,
        source: Option<&str>,
        id: &str,
    ) -> Result<(DeliveryRecord, DeliveryReceived), HookError> {
        let mut begins: BTreeMap<(String, String), (DeliveryRecord, DeliveryReceived)> = BTreeMap::new();
        let sources = match source {
            Some(source) => vec![source.to_owned()],
            None => self.hook_sources().await?,
        };
        for source in sources {
            let mut exact = None;
            scan(&self.inner.shared, &source, Version::FIRST, |record, event| {
                if record.id == id {
                    exact = Some((record, event));
                    return false;
                }
                if id.len() >= START_MIN && record.id.starts_with(id) && begins.len() < 2 {
                    begins.entry((record.source.clone(), record.id.clone())).or_insert((record, event));
                }
                true
            })
            .await?;
            if let Some(exact) = exact {
                return Ok(exact);
            }
        }
        match begins.len() {
            0 => Err(HookError::NotFound(id.to_owned())),
            1 => begins.into_values().next().ok_or_else(|| HookError::NotFound(id.to_owned())),
            _several => Err(HookError::Ambiguous(id.to_owned())),
        }
    }
}

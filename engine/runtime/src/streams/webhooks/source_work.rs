//! The work of sources: deliveries are handled, signals that wait are offered.
//!
//! Law: a source has one piece of work at a time; what came of it is recorded before the next one begins.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;

use crate::retry::FAILED_AGAIN;
use crate::streams::stream_writer::StreamError;
use crate::streams::triggers::stopped::EngineStopped;
use crate::streams::webhooks::active_source::{FinishedWork, SourceActivity, SourceWork};
use crate::streams::webhooks::actor::WebhookActor;
use crate::streams::webhooks::handle::{DeliveryWork, ParkedOffer, handle, offer};
use crate::streams::webhooks::source_stream::SourceStream;
use everfold_base::actor::Actor;
use everfold_core::hooks::{Parked, ParkedId, SignalOrigin};
use everfold_core::triggers::Target;

impl WebhookActor {
    /// Records what a piece of work did.
    pub(super) async fn finished(&mut self, work: FinishedWork) -> Result<(), StreamError> {
        let FinishedWork { source: name, result } = work;
        if let Some(active) = self.sources.get_mut(&name) {
            active.activity = SourceActivity::Idle;
        }
        let done = match result {
            Err(EngineStopped) => {
                let until = self.shared.steady().plus(FAILED_AGAIN);
                if let Some(active) = self.sources.get_mut(&name) {
                    active.activity = SourceActivity::Resting(until);
                }
                self.offer_at.get_or_insert(until);
                return Ok(());
            }
            Ok(done) => done,
        };
        match done {
            SourceWork::Handled(delivery, nth, (outcomes, parked)) => {
                if !parked.is_empty() {
                    self.follow_log();
                }
                let decide = |source: &SourceStream, _| {
                    source.state.handled(delivery, nth, outcomes.clone(), parked.clone())
                };
                self.record(&name, &Actor::Engine.into(), decide).await?;
                if let Some(active) = self.sources.get_mut(&name) {
                    // A run that began while its signal was being parked is found now.
                    active.offers |= !parked.is_empty();
                    for waiting in active.awaited.remove(&(delivery, nth)).into_iter().flatten() {
                        let _gone = waiting.send(outcomes.clone());
                    }
                }
            }
            SourceWork::Offered(settled) => {
                for (id, outcome) in settled {
                    let decide = |source: &SourceStream, _| source.state.settled(id, outcome.clone());
                    self.record(&name, &Actor::Engine.into(), decide).await?;
                }
                if self.sources.values().all(|active| active.source.state.parked().is_empty()) {
                    self.changes = None;
                    if self.unread.is_empty() && !self.attends {
                        self.offer_at = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows the log from here on.
    fn follow_log(&mut self) {
        if self.changes.is_none() {
            let from = self.shared.store.last_position().next();
            self.changes = Some(self.shared.store.subscribe(from));
        }
    }

    /// Begins the next piece of work of every source that has none.
    pub(super) fn begin_work(&mut self) {
        if self.shared.is_stopping() {
            return;
        }
        if self.sources.values().any(|active| !active.source.state.parked().is_empty()) {
            self.follow_log();
        }
        let now = self.shared.steady();
        for (name, active) in &mut self.sources {
            match active.activity {
                SourceActivity::Working => continue,
                SourceActivity::Resting(until) if until > now => continue,
                SourceActivity::Resting(_) | SourceActivity::Idle => {}
            }
            let (shared, source, state) = (Arc::clone(&self.shared), name.clone(), &active.source.state);
            let unhandled = state.unhandled().first_key_value().filter(|_| active.handles);
            if let Some((delivery, nth)) = unhandled.map(|(at, nth)| (*at, *nth)) {
                active.activity = SourceActivity::Working;
                let recorded_targets = state.targets_of(delivery);
                let asked = state.asked(delivery);
                self.inbox.spawn(async move {
                    let work =
                        DeliveryWork { source: source.clone(), delivery, nth, asked, recorded_targets };
                    let handled = guarded(&work.source, handle(&shared, &work)).await;
                    let result = handled.map(|done| SourceWork::Handled(delivery, nth, done));
                    FinishedWork { source, result }
                });
            } else if (active.offers || active.starts.goes_on()) && !state.parked().is_empty() {
                let offers = std::mem::take(&mut active.offers);
                let starts = active.next_starts(offers, now);
                let is_offered = |id: &ParkedId, parked: &Parked| match parked.to {
                    Target::Start => starts.contains(id),
                    _ => offers,
                };
                let state = &active.source.state;
                let parked = state.parked().iter().filter(|(id, parked)| is_offered(id, parked));
                let parked = parked.map(|(id, parked)| {
                    let by = SignalOrigin::Parked { handled: id.0, at: id.1 };
                    let recorded_targets = state.targets(&by).cloned();
                    ParkedOffer { id: *id, parked: parked.clone(), recorded_targets }
                });
                let parked: Vec<_> = parked.collect();
                if parked.is_empty() {
                    continue;
                }
                active.activity = SourceActivity::Working;
                self.inbox.spawn(async move {
                    let offered = guarded(&source, offer(&shared, &source, parked)).await;
                    FinishedWork { source, result: offered.map(SourceWork::Offered) }
                });
            }
        }
    }
}

/// A panic in one piece of work leaves it to be tried again, and touches no other.
async fn guarded<T>(
    source: &str,
    work: impl Future<Output = Result<T, EngineStopped>>,
) -> Result<T, EngineStopped> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_panic| {
        tracing::error!(source, "handling a delivery ended in a panic; it is tried again");
        Err(EngineStopped)
    })
}

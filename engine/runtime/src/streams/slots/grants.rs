//! Grants: which runs get the slots that they wait for.
//!
//! Law: a run that was granted a slot stays in the queue of runs to serve until it is served, whatever fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::streams::slots::allocator::{SlotAllocator, TRIES};
use crate::streams::slots::run_messages::admit;
use crate::streams::slots::run_pauses::RunPauses;
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamId;
use everfold_base::id::RunId;
use everfold_core::event::HaltScope;
use everfold_core::slots::{Demand, SlotEvent, SlotInput, SlotState};

impl SlotAllocator {
    /// Notes runs that are to be served.
    pub(super) fn note_granted(&mut self, runs: impl IntoIterator<Item = RunId>) {
        for run in runs {
            if !self.granted.contains(&run) {
                self.granted.push_back(run);
            }
        }
    }

    /// Gets runs the slots that they want, as far as they are to be had. A run that cannot be served now is served
    /// later, and delays no other run.
    pub(super) async fn serve(&mut self) -> Result<(), StreamError> {
        let mut failed = Vec::new();
        while let Some(run) = self.granted.pop_front() {
            match self.serve_one(run).await {
                Ok(()) => {}
                Err(StreamError::Closed) => return Err(StreamError::Closed),
                Err(error) => {
                    tracing::error!(%run, %error, "a run could not be given its slots; it is tried again");
                    failed.push(run);
                }
            }
        }
        if !failed.is_empty() {
            self.note_granted(failed);
            self.catch_up_later();
        }
        Ok(())
    }

    async fn serve_one(&mut self, run: RunId) -> Result<(), StreamError> {
        let Some(waiting) = self.waiting.get(&run).cloned() else {
            // The run is not loaded: once it is, it wants its slots again, and finds that it holds this one.
            self.wake(run);
            return Ok(());
        };
        for (stream, slot) in &waiting.slots {
            self.record(stream, &SlotInput::Request(waiting.demand(run, slot)), Some(run)).await?;
            self.granted.retain(|granted| *granted != run);
            let Some(key) = self.keys.get(stream) else { continue };
            if !key.state.holds(run) {
                if let Some(waiting) = self.waiting.get_mut(&run) {
                    waiting.at_once = false;
                }
                let evicted = key.state.waits(run).map(|it| it.evicted.clone()).unwrap_or_default();
                evicted.into_iter().for_each(|evicted| self.cancel(evicted, run));
                return Ok(());
            }
        }
        self.waiting.remove(&run);
        let shared = Arc::clone(&self.shared);
        self.inbox.spawn(async move { admit(&shared, run, waiting.at_once).await });
        Ok(())
    }

    /// Decides on a key, for a run; notes the runs that were granted a slot.
    pub(super) async fn record(
        &mut self,
        stream: &StreamId,
        input: &SlotInput,
        by: Option<RunId>,
    ) -> Result<(), StreamError> {
        let ended = match input {
            SlotInput::Release(run, _) => Some(*run),
            SlotInput::Request(_) | SlotInput::Look => None,
        };
        let mut tries = 0;
        loop {
            self.open(stream).await?;
            let Some(key) = self.keys.get(stream) else { return Ok(()) };
            let reserved = self.reserved_beside(stream, &key.state, by, ended);
            let paused = self.paused_runs(&key.state, input, reserved).await;
            let Some(key) = self.keys.get_mut(stream) else { return Ok(()) };
            match key.record(&self.shared, input, reserved, &paused).await {
                Ok(events) => {
                    let by_request = matches!(input, SlotInput::Request(_));
                    if !by_request {
                        self.forget_idle(stream);
                    }
                    self.note_granted(granted(&events));
                    for (run, victims) in evicted_for_others(&events, by) {
                        victims.into_iter().for_each(|victim| self.cancel(victim, run));
                    }
                    return Ok(());
                }
                Err(StreamError::Changed) => {
                    self.doubt(stream);
                    if tries >= TRIES {
                        return Err(StreamError::Changed);
                    }
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The runs that would be served after an input, and are paused. No run is asked where nothing is free and none is to be
    /// evicted.
    pub(super) async fn paused_runs(
        &self,
        key: &SlotState,
        input: &SlotInput,
        reserved: usize,
    ) -> BTreeSet<RunId> {
        let in_force = self.pauses_in_force().await;
        let mut held = key.held() + reserved;
        let mut asking = None;
        let is_paused = |run| self.waiting.get(run).is_some_and(|it| it.pauses.hold(&in_force));
        match input {
            SlotInput::Request(demand) if is_paused(&demand.run) => asking = Some(demand.run),
            SlotInput::Release(run, _) if key.holds(*run) => held = held.saturating_sub(1),
            SlotInput::Request(_) | SlotInput::Release(..) | SlotInput::Look => {}
        }
        let mut paused = self.paused_before(key, held, &in_force).await;
        paused.extend(asking);
        if let SlotInput::Request(demand) = input
            && asking.is_none()
            && key.may_evict(demand)
        {
            self.add_passed_over(key, demand, &in_force, &mut paused).await;
        }
        paused
    }

    /// Adds the paused runs among those that may be evicted before they hold anything: so many as come first, and those that
    /// evicted one themselves or are to.
    async fn add_passed_over(
        &self,
        key: &SlotState,
        demand: &Demand,
        in_force: &BTreeSet<HaltScope>,
        paused: &mut BTreeSet<RunId>,
    ) {
        let mut coming = 0;
        for run in key.queue() {
            let stays = run != demand.run && key.waits(run).is_some_and(|it| !it.is_leaving);
            // One more: the first may leave.
            let matters = coming <= demand.slot.limit() || key.owes(run) || key.claims(run);
            if paused.contains(&run) || !stays || !matters {
                continue;
            }
            match self.is_paused(run, in_force).await {
                true => drop(paused.insert(run)),
                false => coming += 1,
            }
        }
    }

    /// Whether a run that waits is paused. One that cannot be looked at now is served like one that is not.
    async fn is_paused(&self, run: RunId, in_force: &BTreeSet<HaltScope>) -> bool {
        match self.waiting.get(&run) {
            // It sends its want again when it goes on. To look at a run that left memory would load it.
            Some(waiting) if waiting.pauses.hold(in_force) => true,
            _ => {
                let pauses = self.shared.with_state(run, RunPauses::of).await;
                pauses.is_ok_and(|pauses| pauses.hold(in_force))
            }
        }
    }

    /// The pipelines that are paused, and the engine.
    pub(super) async fn pauses_in_force(&self) -> BTreeSet<HaltScope> {
        let known = self.shared.halts.current().await;
        // Where they cannot be read, no run can be looked at either.
        let pauses = known.unwrap_or_else(|_unread| self.shared.halts.last_known());
        pauses.all().map(|(scope, _)| scope.clone()).collect()
    }

    /// The waiting runs that these pauses, or their own, pause, before one that is not paused gets what is free while so
    /// many slots are held.
    pub(super) async fn paused_before(
        &self,
        key: &SlotState,
        mut held: usize,
        in_force: &BTreeSet<HaltScope>,
    ) -> BTreeSet<RunId> {
        let mut paused = BTreeSet::new();
        for run in key.queue() {
            if key.waits(run).is_none_or(|waiting| held >= waiting.slot.limit()) {
                break;
            }
            match self.is_paused(run, in_force).await {
                true => drop(paused.insert(run)),
                false => held += 1,
            }
        }
        paused
    }
}

/// The runs that others than the asking one evict.
fn evicted_for_others(events: &[SlotEvent], asking: Option<RunId>) -> Vec<(RunId, Vec<RunId>)> {
    let evicted = events.iter().filter_map(|event| match event {
        SlotEvent::SlotRequested(event) if Some(event.run) != asking => {
            Some((event.run, event.victims.clone()))
        }
        _of_the_asking_one => None,
    });
    evicted.collect()
}

/// The runs to which events give a slot.
pub(super) fn granted(events: &[SlotEvent]) -> Vec<RunId> {
    let runs = events.iter().filter_map(|event| match event {
        SlotEvent::SlotGranted(event) => Some(event.run),
        SlotEvent::SlotShared(event) => Some(event.run),
        SlotEvent::SlotRequested(_) | SlotEvent::SlotReleased(_) => None,
    });
    runs.collect()
}

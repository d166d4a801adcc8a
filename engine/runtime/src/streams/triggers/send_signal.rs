//! Sends a signal of a trigger to a run, and reads its effect back.
//!
//! Law: the outcome of a delivery is what the run recorded, also where an engine ended in between.

use crate::error::{QueryError, SubmitError};
use crate::load::decode;
use crate::messages::Queued;
use crate::start::runs_above::Decider;
use crate::streams::triggers::action::{SIGNAL_REFUSED, TriggerSender};
use crate::streams::triggers::signal_reply::{SignalReply, SignalTiming};
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::json::{JsonText, Payload};
use everfold_core::decide::{Refusal, why_not_taken};
use everfold_core::event::{RunEvent, SignalReceived, SignalTaker};
use everfold_core::input::InputKind;
use everfold_core::state::{Order, RunState};
use everfold_core::triggers::{RequestedSignal, SignalEffect, signal_effect};

/// Events that are read back at once; what one input leads to is never more.
const BATCH_MAX: usize = 1_000;

impl TriggerSender<'_> {
    /// Sends the signal to a run; the reply is read from what the run recorded.
    pub(super) async fn send_to(
        &self,
        run: RunId,
        signal: &RequestedSignal,
    ) -> Result<SignalReply, EngineStopped> {
        loop {
            let kind = InputKind::Signal(SignalReceived {
                name: signal.name.clone(),
                payload: Payload::Inline(JsonText::new(&signal.payload)),
                delivery: Some(self.delivery.to_owned()),
            });
            let id = InputId::derive(&format!("{}/{}/{run}", self.about, signal.name));
            let by = Decider { actor: self.actor, made_by: self.made_by, behind: self.initiator };
            let sent = match self.shared.refuse_decision(run, &kind, by).await {
                Ok(()) => {
                    let queued = Queued { actor: self.actor.clone(), ..Queued::own(id, kind) };
                    self.shared.ask(run, queued).await
                }
                Err(refused) => Err(refused),
            };
            match sent {
                Ok(accepted) if accepted.changed && !accepted.repeated => {
                    return self.reply_at(run, accepted.version, &signal.name).await;
                }
                // The run recorded it before an engine ended.
                Ok(_again) => {
                    let before = self.recorded_reply(run, &signal.name).await?;
                    return Ok(before.unwrap_or(SignalReply::Taken(SignalTiming::Now)));
                }
                Err(SubmitError::Refused(Refusal::Ended(_))) => {
                    let before = self.recorded_reply(run, &signal.name).await?;
                    return Ok(before.unwrap_or(SignalReply::Gone));
                }
                Err(SubmitError::NotFound(_)) => return Ok(SignalReply::Gone),
                Err(SubmitError::Refused(refusal)) => {
                    return Ok(SignalReply::Refused(refusal.code().to_owned(), refusal.to_string()));
                }
                Err(SubmitError::SetAside { run, reason }) => {
                    let message = format!("run {run} is set aside: {reason}");
                    return Ok(SignalReply::Refused("set_aside".to_owned(), message));
                }
                Err(error) => self.wait_after(&error).await?,
            }
        }
    }

    /// The reply to a signal that a run has just recorded, as the input whose last event has this version.
    async fn reply_at(&self, run: RunId, last: Version, signal: &str) -> Result<SignalReply, EngineStopped> {
        let newest = self.read(run, last, 1).await?;
        let Some(cause) = newest.first().map(|newest| newest.header.cause) else {
            return Ok(SignalReply::Taken(SignalTiming::Now));
        };
        let count = usize::try_from(last.get().saturating_sub(cause.because.get())).unwrap_or(BATCH_MAX);
        let mut batch = self.read(run, cause.because.next(), count.min(BATCH_MAX)).await?;
        batch.retain(|event| event.header.cause == cause);
        self.reply(run, signal, &batch).await
    }

    /// The reply of a run, by the events that the signal led to at once.
    async fn reply(
        &self,
        run: RunId,
        signal: &str,
        batch: &[Envelope],
    ) -> Result<SignalReply, EngineStopped> {
        let events: Result<Vec<RunEvent>, _> = batch.iter().map(|event| decode(run, event)).collect();
        let Ok(events) = events else { return Ok(SignalReply::Taken(SignalTiming::Now)) };
        let (by, reason) = match signal_effect(&events) {
            SignalEffect::Now => return Ok(SignalReply::Taken(SignalTiming::Now)),
            SignalEffect::Deferred => return Ok(SignalReply::Taken(SignalTiming::Deferred)),
            SignalEffect::Kept => return Ok(SignalReply::Taken(SignalTiming::Kept)),
            SignalEffect::NotTaken => {
                let recorded = events.into_iter().find_map(|event| match event {
                    RunEvent::SignalReceived(received) => Some(received),
                    _other => None,
                });
                return self.why_not_taken(run, signal, recorded).await;
            }
            SignalEffect::Refused(why) => {
                return Ok(SignalReply::Refused(SIGNAL_REFUSED.to_owned(), why));
            }
            SignalEffect::Ignored(by, reason) => (by, reason),
        };
        let short = run.short();
        let who = match by {
            SignalTaker::Gate { id, .. } | SignalTaker::Wait(id) | SignalTaker::Step(id) => {
                format!("the step {} of run {short}", id.path)
            }
            SignalTaker::Run | SignalTaker::Nobody => format!("run {short}"),
        };
        let reason = reason.unwrap_or_else(|| "its route ignores it, or is used up".to_owned());
        Ok(SignalReply::NotTaken(format!("{who} hears “{signal}”, and nothing follows: {reason}")))
    }

    /// The reply to a signal that a run recorded before an engine ended; `None`: it recorded none. Reads all events of
    /// the run, which only an interrupted delivery needs.
    async fn recorded_reply(&self, run: RunId, signal: &str) -> Result<Option<SignalReply>, EngineStopped> {
        if !self.has_recorded(run, signal).await? {
            return Ok(None);
        }
        let (mut next, mut batch) = (Version::FIRST, Vec::<Envelope>::new());
        loop {
            let page = self.read(run, next, BATCH_MAX).await?;
            for event in &page {
                match batch.first().map(|first| first.header.cause) {
                    None if !self.is_this(run, event, signal) => {}
                    Some(cause) if event.header.cause != cause => {
                        return self.reply(run, signal, &batch).await.map(Some);
                    }
                    _first_or_further => batch.push(event.clone()),
                }
            }
            match page.last() {
                Some(last) if page.len() == BATCH_MAX => next = last.header.version.next(),
                _end if !batch.is_empty() => return self.reply(run, signal, &batch).await.map(Some),
                // The delivery is known, and was copied from another run's history.
                _end => return Ok(Some(SignalReply::Taken(SignalTiming::Now))),
            }
        }
    }

    fn is_this(&self, run: RunId, event: &Envelope, signal: &str) -> bool {
        RunEvent::name_of(event.header.kind) == Some("SignalReceived")
            && matches!(decode(run, event), Ok(RunEvent::SignalReceived(received))
                if received.name == signal && received.delivery.as_deref() == Some(self.delivery))
    }

    async fn read(&self, run: RunId, from: Version, limit: usize) -> Result<Vec<Envelope>, EngineStopped> {
        loop {
            match self.shared.store.read(&StreamId::run(run), from, limit).await {
                Ok(events) => return Ok(events),
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }

    /// Why no step took a signal that a run recorded.
    async fn why_not_taken(
        &self,
        run: RunId,
        signal: &str,
        recorded: Option<SignalReceived>,
    ) -> Result<SignalReply, EngineStopped> {
        let null = || Payload::Inline(JsonText::null());
        let name = signal;
        let signal = recorded.unwrap_or_else(|| SignalReceived {
            name: name.to_owned(),
            payload: null(),
            delivery: None,
        });
        loop {
            let (signal, by) = (signal.clone(), self.actor.clone());
            match self.shared.with_state(run, move |state| why_not_taken(state, &signal, &by)).await {
                Ok(why) => return Ok(SignalReply::NotTaken(why)),
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                // What it led to stands in its history; only the reason is in the state.
                Err(error @ (QueryError::NotFound(_) | QueryError::SetAside { .. })) => {
                    return Ok(SignalReply::NotTaken(format!(
                        "nothing took “{name}”; why cannot be read: {error}"
                    )));
                }
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }

    /// Whether a run recorded the signal before.
    async fn has_recorded(&self, run: RunId, signal: &str) -> Result<bool, EngineStopped> {
        let delivery = Order::delivery(signal, self.delivery);
        loop {
            let wanted = delivery;
            let knows = move |state: &RunState| state.facts.order.deliveries.contains(&wanted);
            match self.shared.with_state(run, knows).await {
                Ok(is_recorded) => return Ok(is_recorded),
                Err(QueryError::NotFound(_) | QueryError::SetAside { .. }) => return Ok(false),
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }
}

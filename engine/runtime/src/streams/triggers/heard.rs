//! How a run takes a signal of a trigger: sent, and read back.
//!
//! Law: what a delivery is said to have led to is what the run recorded, also where an engine ended in between.

use crate::error::{QueryError, SubmitError};
use crate::load::decode;
use crate::messages::Queued;
use crate::streams::triggers::action::TriggerSender;
use crate::streams::triggers::report::{SignalReply, SignalTiming};
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::json::JsonText;
use everfold_core::decide::Refusal;
use everfold_core::event::{RunEvent, SignalTaker};
use everfold_core::input::InputKind;
use everfold_core::state::{Order, RunState};
use everfold_core::triggers::{Heard, RequestedSignal, heard};

/// Events that are read back at once; what one input leads to is never more.
const BATCH_MAX: usize = 1_000;

impl TriggerSender<'_> {
    /// Tells a run; what became of it there is read from what the run recorded.
    pub(crate) async fn tell(
        &self,
        run: RunId,
        signal: &RequestedSignal,
    ) -> Result<SignalReply, EngineStopped> {
        loop {
            let kind = InputKind::Signal {
                name: signal.name.clone(),
                payload: JsonText::new(&signal.payload),
                delivery: Some(self.delivery.to_owned()),
            };
            let id = InputId::derive(&format!("{}/{}/{run}", self.about, signal.name));
            let queued = Queued { actor: self.actor.clone(), ..Queued::own(id, kind) };
            match self.shared.ask(run, queued).await {
                Ok(accepted) if accepted.changed && !accepted.repeated => {
                    return self.taken(run, accepted.version, &signal.name).await;
                }
                // It was there before an engine ended.
                Ok(_again) => {
                    let before = self.taken_before(run, &signal.name).await?;
                    return Ok(before.unwrap_or(SignalReply::Heard(SignalTiming::Now)));
                }
                Err(SubmitError::Refused(Refusal::Ended(_))) => {
                    let before = self.taken_before(run, &signal.name).await?;
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
                Err(error) => self.again_after(&error).await?,
            }
        }
    }

    /// What became of a signal that a run has just recorded: of the input whose last event stands at this version.
    async fn taken(&self, run: RunId, last: Version, signal: &str) -> Result<SignalReply, EngineStopped> {
        let newest = self.read(run, last, 1).await?;
        let Some(cause) = newest.first().map(|newest| newest.header.cause) else {
            return Ok(SignalReply::Heard(SignalTiming::Now));
        };
        let count = usize::try_from(last.get().saturating_sub(cause.because.get())).unwrap_or(BATCH_MAX);
        let mut batch = self.read(run, cause.because.next(), count.min(BATCH_MAX)).await?;
        batch.retain(|event| event.header.cause == cause);
        self.said(run, signal, &batch).await
    }

    /// What a run made of a signal, by the events that it led to at once.
    async fn said(&self, run: RunId, signal: &str, batch: &[Envelope]) -> Result<SignalReply, EngineStopped> {
        let events: Result<Vec<RunEvent>, _> = batch.iter().map(|event| decode(run, event)).collect();
        let Ok(events) = events else { return Ok(SignalReply::Heard(SignalTiming::Now)) };
        let by = match heard(&events) {
            Heard::Now => return Ok(SignalReply::Heard(SignalTiming::Now)),
            Heard::Deferred => return Ok(SignalReply::Heard(SignalTiming::Deferred)),
            Heard::Kept => return Ok(SignalReply::Heard(SignalTiming::Kept)),
            Heard::Unheard => return self.unheard(run, signal).await,
            Heard::Ignored(by) => by,
        };
        let short = run.short();
        let who = match by {
            SignalTaker::Gate { id, .. } | SignalTaker::Wait(id) | SignalTaker::Step(id) => {
                format!("the step {} of run {short}", id.path)
            }
            SignalTaker::Run | SignalTaker::Nobody => format!("run {short}"),
        };
        Ok(SignalReply::Unheard(format!(
            "{who} hears “{signal}”, and nothing follows: its route ignores it now, is used up, or decides what is not open"
        )))
    }

    /// What became of a signal that a run recorded before an engine ended; `None`: it never did. Reads the run's
    /// events, which no delivery needs that nothing interrupted.
    async fn taken_before(&self, run: RunId, signal: &str) -> Result<Option<SignalReply>, EngineStopped> {
        if !self.has_heard(run, signal).await? {
            return Ok(None);
        }
        let (mut next, mut batch) = (Version::FIRST, Vec::<Envelope>::new());
        loop {
            let page = self.read(run, next, BATCH_MAX).await?;
            for event in &page {
                match batch.first().map(|first| first.header.cause) {
                    None if !self.is_this(run, event, signal) => {}
                    Some(cause) if event.header.cause != cause => {
                        return self.said(run, signal, &batch).await.map(Some);
                    }
                    _first_or_further => batch.push(event.clone()),
                }
            }
            match page.last() {
                Some(last) if page.len() == BATCH_MAX => next = last.header.version.next(),
                _end if !batch.is_empty() => return self.said(run, signal, &batch).await.map(Some),
                // It is known, and was copied from another run's history.
                _end => return Ok(Some(SignalReply::Heard(SignalTiming::Now))),
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
                Err(error) => self.patience(&error.to_string()).await?,
            }
        }
    }

    /// Why no step took a signal that a run recorded.
    async fn unheard(&self, run: RunId, signal: &str) -> Result<SignalReply, EngineStopped> {
        loop {
            let name = signal.to_owned();
            match self.shared.with_state(run, move |state| state.listens_to(&name)).await {
                Ok(true) => {
                    let short = run.short();
                    return Ok(SignalReply::Unheard(format!(
                        "nothing in run {short} takes “{signal}” now: what listens to it has not begun, or has ended, \
                         or its conditions do not hold"
                    )));
                }
                Ok(false) => {
                    return Ok(SignalReply::Unheard(format!(
                        "nothing in run {} listens to “{signal}”",
                        run.short()
                    )));
                }
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                Err(QueryError::NotFound(_) | QueryError::SetAside { .. }) => {
                    return Ok(SignalReply::Heard(SignalTiming::Now));
                }
                Err(error) => self.patience(&error.to_string()).await?,
            }
        }
    }

    /// Whether a run heard the signal before.
    async fn has_heard(&self, run: RunId, signal: &str) -> Result<bool, EngineStopped> {
        let heard = Order::delivery(signal, self.delivery);
        loop {
            let wanted = heard;
            let knows = move |state: &RunState| state.facts.order.deliveries.contains(&wanted);
            match self.shared.with_state(run, knows).await {
                Ok(has_heard) => return Ok(has_heard),
                Err(QueryError::NotFound(_) | QueryError::SetAside { .. }) => return Ok(false),
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                Err(error) => self.patience(&error.to_string()).await?,
            }
        }
    }
}

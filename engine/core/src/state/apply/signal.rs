//! Signals that came, and what took them.

use crate::event::{Hearing, SignalEnd, SignalReceived, SignalTaken, SignalTaker, TimerId, TimerKind};
use crate::state::agenda::Agenda;
use crate::state::control::{Order, ReceivedSignal};
use crate::state::lifecycle::Cancelling;
use crate::state::step::{Phase, Settling};
use crate::state::stored_value::StoredValue;
use crate::state::{EventMeta, Key, RunOutcome, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::AttemptId;
use everfold_base::time::Timestamp;
use everfold_language::definition::{FinishStatus, Work};

impl RunState {
    pub(super) fn signal_received(&mut self, event: &SignalReceived, meta: &EventMeta) {
        let version = self.facts.version;
        if let Some(delivery) = &event.delivery {
            self.facts.order.remember(Order::delivery(&event.name, delivery));
        }
        self.facts.order.newest = Some(ReceivedSignal {
            version,
            name: event.name.clone(),
            payload: StoredValue::of(&event.payload, version),
            by: meta.actor.clone(),
        });
    }

    pub(super) fn signal_taken(&mut self, event: &SignalTaken, at: Timestamp) {
        if let SignalTaker::Gate { id, gate } = &event.by {
            // It asks sooner; the signal goes on to the others that take it.
            return self.gate_woken(id, gate);
        }
        let Some(heard) = self.facts.order.heard(event.signal).cloned() else { return };
        self.facts.order.forget(event.signal);
        let place = match &event.by {
            SignalTaker::Step(id) => self.key(&id.path).map(|key| key.step),
            _of_the_run => None,
        };
        match (&event.by, event.how) {
            (SignalTaker::Wait(id), _) => self.end_wait(id, heard.payload),
            (SignalTaker::Nobody, Hearing::Kept) => self.facts.order.kept.push_back(heard),
            (_, Hearing::Deferred) => {
                // It is taken up again when the work ends that it is put off for.
                self.facts.agenda.remove(&Agenda::Signal(place));
                self.facts.order.deferred.insert((place, heard.name.clone()), heard);
            }
            (_, Hearing::Now | Hearing::Ignored | Hearing::Kept | Hearing::Refused) => {}
        }
        self.check_deferred();
        match &event.ends {
            None => {}
            Some(SignalEnd::Finished(status)) => {
                if let (FinishStatus::Cancelled, Some(decision)) = (status, &event.decision) {
                    let (by, reason) = (decision.sent_by.clone(), Some(decision.reason()));
                    self.facts.cancelling.get_or_insert(Cancelling { by, reason, at });
                }
                let path = place.map(|at| everfold_base::id::StepPath::step(&self.step_id(at)));
                self.set_outcome(RunOutcome::Finished { status: *status, path });
            }
            Some(SignalEnd::Failed(failure)) => {
                self.set_outcome(RunOutcome::Failed { path: None, failure: failure.clone() });
            }
        }
    }

    /// A round, or the next attempt of one, waits: for a signal where its work says so.
    pub(super) fn begin_waiting(&mut self, key: Key) {
        if matches!(&self.graph.step(key.step).work, Some(Work::Wait(wait)) if wait.signal.is_some()) {
            self.facts.order.waiting.insert(key);
        }
    }

    /// The wait for a signal is over: it came.
    fn end_wait(&mut self, id: &AttemptId, payload: StoredValue) {
        let Some(key) = self.current(id).filter(|key| self.facts.order.waiting.remove(key)) else { return };
        self.clear_timer(&TimerId { id: id.clone(), kind: TimerKind::Signal, name: String::new() });
        self.end_signal_reminders(key);
        self.waiting_ended(key, payload, None);
        self.touch(key);
    }

    /// The signal that was waited for did not come in time.
    pub(super) fn wait_is_over(&mut self, key: Key) {
        if !self.facts.order.waiting.remove(&key) {
            return;
        }
        self.end_signal_reminders(key);
        let Some(Work::Wait(wait)) = &self.graph.step(key.step).work else { return };
        let name = wait.signal.as_deref().unwrap_or_default();
        let failure = Failure::new(FailureKind::Timeout, format!("no signal “{name}” came in time"))
            .with_hint("send it with `everfold signal`, or give the wait a longer `timeout`");
        self.waiting_ended(key, StoredValue::Null, Some(failure));
        match key.item {
            None => self.facts.steps[key.step].phase = Phase::Settling(Settling::Unheard),
            // The step's route follows when all items are over.
            Some(_) => {
                if let Some(unit) = self.unit_mut(key) {
                    unit.people_mut().expired = true;
                }
            }
        }
    }

    /// Takes off the agenda what has no signals left that were put off.
    fn check_deferred(&mut self) {
        let order = &self.facts.order;
        self.facts.agenda.retain(|item| match item {
            Agenda::Signal(place) => order.first_deferred(*place).is_some(),
            _other => true,
        });
    }

    /// Work of a step ended, or the step did: signals that were put off for it may be taken up.
    pub(super) fn take_up_deferred(&mut self, at: usize) {
        if self.facts.order.deferred.is_empty() {
            return;
        }
        let of_step = self.facts.order.first_deferred(Some(at)).is_some();
        if of_step
            && self.is_live(at)
            && self.facts.steps[at].phase != Phase::Pending
            && !self.is_executing(at)
        {
            self.facts.agenda.insert(Agenda::Signal(Some(at)));
        }
        let of_run = self.facts.order.first_deferred(None).is_some();
        if of_run && self.facts.outcome.is_none() && !self.is_any_executing() {
            self.facts.agenda.insert(Agenda::Signal(None));
        }
    }
}

//! Answers to the inputs of a run: at once where they rest on durable state, else with the append.
//!
//! Law: no input is answered before the state that it was judged on is durable.

use crate::error::{QueryError, SubmitError};
use crate::messages::Queued;
use crate::run::append_batch::DecidedItem;
use crate::run::loaded_run::{Item, LoadedRun};
use crate::start::submission::Accepted;
use everfold_base::id::{Position, Version};
use everfold_core::input::InputKind;
use everfold_store::Appended;

impl LoadedRun {
    /// Answers at once what rests on durable state; the rest waits for the append.
    pub(crate) fn decided(&mut self, decided: DecidedItem) {
        match self.batches.back_mut() {
            Some(batch) => batch.decided.push(decided),
            None => self.answer(decided, self.version, self.position),
        }
    }

    fn answer(&mut self, decided: DecidedItem, version: Version, position: Position) {
        if let DecidedItem::Changed { queued, .. }
        | DecidedItem::Unchanged(queued)
        | DecidedItem::Refused(queued, _) = &decided
        {
            self.settle_work(&queued.kind);
        }
        let answered = |changed, version, position| Accepted { version, position, changed, repeated: false };
        match decided {
            DecidedItem::Changed { mut queued, last } => {
                if let InputKind::AttemptStarted(started) = &queued.kind {
                    self.attempts.start_recorded(&started.id);
                }
                let behind = version.0.saturating_sub(last);
                let position = Position(position.0.saturating_sub(behind));
                queued.recorded();
                queued.answer(Ok(answered(true, Version(last), position)));
            }
            DecidedItem::Unchanged(mut queued) => queued.answer(Ok(answered(false, version, position))),
            DecidedItem::Refused(mut queued, refusal) => queued.answer(Err(SubmitError::Refused(refusal))),
            DecidedItem::Query(query) => match &self.state {
                Some(state) if !self.is_copy() => query(Ok(state)),
                _none_or_another_run => query(Err(QueryError::NotFound(self.run))),
            },
        }
    }

    /// The first batch is durable: its inputs are answered.
    pub(crate) fn commit(&mut self, appended: &Appended) {
        let Some(batch) = self.batches.pop_front() else { return };
        self.position = appended.last_position();
        (self.append.tries, self.append.may_be_stored) = (0, false);
        self.size.bytes += batch.bytes as u64;
        self.size.since_snapshot.bytes += batch.bytes as u64;
        self.size.since_snapshot.events += u64::from(appended.count);
        for decided in batch.decided {
            self.answer(decided, appended.last_version(), appended.last_position());
        }
    }

    /// The first batch had been written before under its idempotency key: nothing of it was added,
    /// and its input gets the first answer.
    pub(crate) fn repeated(&mut self, appended: &Appended) {
        self.drop_first(|queued| queued.answer(Ok(Accepted::again(appended))));
    }

    /// Takes the input with the idempotency key out, answers it, and requeues all others.
    pub(crate) fn drop_first(&mut self, mut answer: impl FnMut(&mut Queued)) {
        self.requeue();
        let first =
            self.queue.iter().position(|item| matches!(item, Item::Input(queued) if queued.dedup.is_some()));
        if let Some(Item::Input(mut queued)) = first.and_then(|at| self.queue.remove(at)) {
            answer(&mut queued);
        }
    }
}

impl LoadedRun {
    /// Answers the queries: the state is durable.
    pub(crate) fn answer_queries(&mut self) {
        let is_copy = self.is_copy();
        let Some(state) = self.state.as_ref().filter(|_| !is_copy) else { return };
        for item in std::mem::take(&mut self.queue) {
            match item {
                Item::Query(query) => query(Ok(state)),
                input => self.queue.push_back(input),
            }
        }
    }

    /// Answers the waiting inputs that `applies` selects with an error; they are not kept. Queries get an error too where
    /// the run cannot be folded.
    pub(crate) fn refuse(&mut self, applies: impl Fn(&Queued) -> bool, error: &SubmitError) {
        let mut kept = std::mem::take(&mut self.queue);
        kept.retain_mut(|item| match item {
            Item::Input(queued) if applies(queued) => {
                queued.answer(Err(error.clone()));
                false
            }
            _ => true,
        });
        for item in kept {
            match (item, error) {
                (Item::Query(query), SubmitError::SetAside { run, reason }) => {
                    query(Err(QueryError::SetAside { run: *run, reason: reason.clone() }));
                }
                (item, _) => self.queue.push_back(item),
            }
        }
    }
}

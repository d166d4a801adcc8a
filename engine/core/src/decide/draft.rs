//! The batch that is being decided: every recorded event is folded at once.

use super::decision::Batch;
use super::due_notice::DueNotice;

use crate::event::{ClockRead, RunEvent};
use crate::input::Input;
use crate::state::{EventMeta, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{BlobRef, INLINE_BYTES_MAX, JsonText, Payload, Value};
use everfold_base::time::Timestamp;
use everfold_language::expr::Loaded;
use everfold_language::expr::{EvalError, ValueRef};

/// A decision stops here and leaves the rest to `advance`: well below the store's limits of 1,000
/// events and 4 MiB, because one step may record several more.
const EVENTS_MAX: usize = 500;
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// `decide` cannot go on.
pub(super) enum Interrupt {
    /// These values must be loaded first.
    Needs(Vec<ValueRef>),
}

/// One decision in progress: the state, and the batch of events that were recorded and folded into it so far.
pub(super) struct Draft<'a> {
    pub(super) state: &'a mut RunState,
    pub(super) loaded: &'a Loaded,
    /// The part of it that would be loaded for the input's fact alone: notices may mention it.
    pub(super) alone: &'a Loaded,
    pub(super) meta: EventMeta,
    batch: Batch,
    bytes: usize,
    /// A fact that is recorded only together with a first event that follows from it.
    fact: Option<RunEvent>,
    /// Called with each event that was folded: notices look at the state right after their event.
    observe: fn(&mut Draft<'_>, &RunEvent),
    /// What is recorded now lifts a hold that a rework comes before: no person has said that.
    pub(super) is_lifting: bool,
    /// Notices of the events so far; they are recorded last.
    wanted: Vec<DueNotice>,
    /// What was loaded, and what this batch itself brought: notices may mention either.
    values: Option<Loaded>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        state: &'a mut RunState,
        input: &Input,
        loaded: &'a Loaded,
        alone: &'a Loaded,
        observe: fn(&mut Draft<'_>, &RunEvent),
    ) -> Self {
        let meta =
            EventMeta { at: input.at.max(state.last_at()), actor: input.actor.clone(), input: input.id };
        let values = (!state.definition().notify.is_empty()).then(|| loaded.clone());
        let (batch, wanted) = (Batch::default(), Vec::new());
        Self {
            state,
            loaded,
            alone,
            meta,
            batch,
            bytes: 0,
            fact: None,
            is_lifting: false,
            observe,
            wanted,
            values,
        }
    }

    /// What the clock says: spans count from here.
    pub(super) fn now(&self) -> Timestamp {
        self.state.clock_at(self.meta.at)
    }

    /// Records what the clock says, where that is less than what is recorded.
    pub(super) fn read_clock(&mut self, reading: &ClockRead) {
        let clock = reading.clock;
        if clock < self.meta.at && clock != self.now() && !self.state.is_ended() {
            self.record(reading.clone());
        }
    }

    /// From here on only the values that the next fact alone would load are visible.
    pub(super) fn go_on_alone(&mut self) {
        self.loaded = self.alone;
        self.values = self.values.is_some().then(|| self.alone.clone());
    }

    /// Records a fact: it is true from here on.
    pub(super) fn record(&mut self, event: impl Into<RunEvent>) {
        if let Some(fact) = self.fact.take() {
            self.fold(fact);
        }
        self.fold(event.into());
    }

    /// Records a fact only if something follows from it.
    pub(super) fn record_with_next(&mut self, event: impl Into<RunEvent>) {
        self.fact = Some(event.into());
    }

    fn fold(&mut self, event: RunEvent) {
        self.state.apply(&event, &self.meta);
        self.bytes += 256;
        (self.observe)(self, &event);
        self.batch.events.push(event);
    }

    /// What expressions of notices may ask for.
    pub(super) fn values(&self) -> &Loaded {
        self.values.as_ref().unwrap_or(self.loaded)
    }

    /// Remembers the values of the event that was just folded: the state holds large ones by reference.
    pub(super) fn keep_values(&mut self, event: &RunEvent) {
        let (version, Some(values)) = (self.state.version(), &mut self.values) else { return };
        for payload in event.payloads() {
            let value = ValueRef { version, hash: payload.hash(), size_bytes: payload.size_bytes() };
            let text = match payload {
                Payload::Inline(text) => Some(text),
                Payload::Blob(blob) => {
                    self.batch.blobs.iter().rev().find(|(kept, _)| kept == blob).map(|(_, text)| text)
                }
            };
            if let Some(text) = text {
                values.insert(&value, text.clone());
            }
        }
    }

    pub(super) fn want_notice(&mut self, wanted: DueNotice) {
        self.bytes += 512;
        self.wanted.push(wanted);
    }

    /// A value as an event holds it; a large one becomes a blob of the run.
    pub(super) fn payload(&mut self, text: JsonText) -> Payload {
        let size = text.as_str().len();
        if size <= INLINE_BYTES_MAX {
            self.bytes += size;
            return Payload::Inline(text);
        }
        let blob = BlobRef { hash: text.hash(), size_bytes: size as u64 };
        self.batch.blobs.push((blob, text));
        Payload::Blob(blob)
    }

    pub(super) fn payload_of(&mut self, value: &Value) -> Payload {
        self.payload(JsonText::new(value))
    }

    pub(super) fn is_full(&self) -> bool {
        self.batch.events.len() + self.wanted.len() >= EVENTS_MAX || self.bytes >= BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.events.is_empty()
    }

    pub(super) fn has_fact(&self) -> bool {
        self.fact.is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.batch.events.len()
    }

    /// The notices that events of the batch called for, to be recorded behind all of them.
    pub(super) fn take_wanted(&mut self) -> Vec<DueNotice> {
        std::mem::take(&mut self.wanted)
    }

    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }
}

/// Separates values that must be loaded from failures: the first interrupt, the second are failures of the
/// run.
pub(super) fn settled<T>(result: Result<T, EvalError>) -> Result<Result<T, Failure>, Interrupt> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(EvalError::Needs(values)) => Err(Interrupt::Needs(values)),
        Err(EvalError::Failed { expression, message, code }) => {
            let hint = match code {
                None => {
                    "an expression of the pipeline failed on this run's values; guard it with has() or ?."
                }
                Some(_) => {
                    "an expression of the pipeline gave a value that may not stand there; see `everfold explain` and the code"
                }
            };
            let failed = Failure::new(FailureKind::Validation, format!("`{expression}`: {message}"));
            Ok(Err(Failure { code: code.map(str::to_owned), ..failed.with_hint(hint) }))
        }
    }
}

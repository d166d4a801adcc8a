//! Reads what the origin of a fork recorded: its history is folded once more, and each end is noted with what was given.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::LoadError;
use crate::load::{decode, meta};
use crate::runtime::Runtime;
use crate::work::spare::origin_record::{GivenThen, OriginRecord, RecordedEnd, RecordedEvidence};
use everfold_base::envelope::StreamId;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, StepPath, Version};
use everfold_base::json::{Hash, Value};
use everfold_core::decide::work_inputs;
use everfold_core::event::RunEvent;
use everfold_core::state::{RecordedSpan, RunState};
use everfold_language::expr::{EvalError, Loaded};

/// Events that are read at once.
const PAGE: usize = 1_000;
/// How often one hash may ask for further values.
const NEEDS_MAX: usize = 64;

/// What is known while the history is read.
struct RecordReading<'a> {
    shared: &'a Runtime,
    span: RecordedSpan,
    state: RunState,
    /// The head of the worktree where the record begins.
    head: Option<String>,
    /// That when the newest attempt of a step or item was scheduled.
    scheduled: HashMap<StepPath, Option<String>>,
    sessions: HashMap<AttemptId, BTreeMap<Option<String>, String>>,
    search: HashMap<AttemptId, BTreeMap<String, Value>>,
    /// Attempts that were told to end: their ends are none of their own.
    stopped: HashSet<AttemptId>,
    record: OriginRecord,
}

/// Reads the record of a span.
pub(crate) async fn read_record(shared: &Runtime, span: RecordedSpan) -> Result<OriginRecord, LoadError> {
    let state = shared.loader().fold(span.run, Some(span.from)).await?.state;
    let record = OriginRecord { run: span.run, ends: HashMap::new(), evidence: HashMap::new() };
    let head = state.commit().map(str::to_owned);
    let mut reading = RecordReading {
        shared,
        span,
        state,
        head,
        record,
        scheduled: HashMap::new(),
        sessions: HashMap::new(),
        search: HashMap::new(),
        stopped: HashSet::new(),
    };
    let mut next = span.from.next();
    while next <= span.to {
        let page = shared.store.read(&StreamId::run(span.run), next, PAGE).await?;
        let Some(last) = page.last() else { break };
        next = last.header.version.next();
        for envelope in page.iter().filter(|envelope| envelope.header.version <= span.to) {
            let (event, meta) = (decode(span.run, envelope)?, meta(envelope));
            reading.note(envelope.header.version, &event).await?;
            shared.loader().go_on_by(span.run, &mut reading.state, &event).await?;
            let state = &mut reading.state;
            let applied = catch_unwind(AssertUnwindSafe(|| state.apply(&event, &meta)));
            if applied.is_err() {
                let (version, name) = (envelope.header.version, event.name());
                let what = "it does not fold".to_owned();
                return Err(LoadError::Illegal { run: span.run, version, name, what });
            }
        }
    }
    Ok(reading.record)
}

impl RecordReading<'_> {
    /// Takes up an event, on the state before it.
    async fn note(&mut self, version: Version, event: &RunEvent) -> Result<(), LoadError> {
        match event {
            RunEvent::StepScheduled(event) => self.schedule(&event.id.path),
            RunEvent::RetryScheduled(event) => self.schedule(&event.id.path),
            RunEvent::StopRequested(event) => self.stopped.extend(event.ids.iter().cloned()),
            RunEvent::UsageRecorded(event) => {
                if let Some(session) = &event.usage.session {
                    let of = self.sessions.entry(event.id.clone()).or_default();
                    of.insert(event.usage.model.clone(), session.clone());
                }
            }
            RunEvent::SearchSet(event) => {
                if let Some(id) = &event.id {
                    let values = event.values.iter();
                    let values = values.map(|(name, value)| {
                        let value = value.as_ref().map_or(Value::Null, |value| value.json());
                        (name.clone(), value)
                    });
                    self.search.entry(id.clone()).or_default().extend(values);
                }
            }
            RunEvent::AttemptSucceeded(event) => self.ended(version, &event.id, true).await?,
            RunEvent::AttemptAsked(event) => self.ended(version, &event.id, false).await?,
            RunEvent::AttemptFailed(event) if is_its_own(&event.failure) => {
                self.ended(version, &event.id, false).await?;
            }
            RunEvent::ChildFinished(event) if event.failure.as_ref().is_none_or(is_its_own) => {
                self.ended(version, &event.id, event.failure.is_none()).await?;
            }
            RunEvent::GateEvaluated(event) if event.probe_no > 0 => {
                let (id, gate) = (event.id.clone(), event.gate.clone());
                let inputs = self.hash(|state, loaded| work_inputs::of_probe(state, &id, &gate, loaded));
                let inputs = inputs.await?;
                let given = GivenThen { inputs, head: work_inputs::judged_head(&self.state, &id.path) };
                let place = self.record.evidence.entry((id.path.clone(), gate)).or_default();
                place.push(RecordedEvidence { version, id, given });
            }
            _others => {}
        }
        Ok(())
    }

    fn schedule(&mut self, path: &StepPath) {
        self.scheduled.insert(path.clone(), self.state.commit().map(str::to_owned));
    }

    /// An attempt ends.
    async fn ended(&mut self, version: Version, id: &AttemptId, is_success: bool) -> Result<(), LoadError> {
        if self.stopped.contains(id) || self.state.current(id).is_none() {
            return Ok(());
        }
        let executors = &self.shared.edge.executors;
        let reads_input = |kind: &str, spec: &Value| {
            let executor = executors.get(kind);
            executor.is_some_and(|executor| {
                catch_unwind(AssertUnwindSafe(|| executor.traits(spec).reads_input)).unwrap_or(true)
            })
        };
        let inputs = self.hash(|state, loaded| work_inputs::of_attempt(state, id, &reads_input, loaded));
        let inputs = inputs.await?;
        let then = self.scheduled.get(&id.path).unwrap_or(&self.head);
        let head = work_inputs::scheduled_head(&self.state, then.as_deref());
        let end = RecordedEnd {
            version,
            id: id.clone(),
            given: GivenThen { inputs, head },
            is_success,
            sessions: self.sessions.remove(id).unwrap_or_default(),
            search: self.search.remove(id).unwrap_or_default(),
        };
        self.record.ends.entry(id.path.clone()).or_default().push(end);
        Ok(())
    }

    /// A hash of what is given, with the values that it asks for; `None`: it cannot be said.
    async fn hash(
        &self,
        of: impl Fn(&RunState, &Loaded) -> Result<Option<Hash>, EvalError>,
    ) -> Result<Option<Hash>, LoadError> {
        let mut loaded = Loaded::default();
        for _ in 0..NEEDS_MAX {
            match catch_unwind(AssertUnwindSafe(|| of(&self.state, &loaded))) {
                Ok(Ok(hash)) => return Ok(hash),
                Ok(Err(EvalError::Needs(wanted))) => {
                    let fetched = self.shared.values.fetch(self.span.run, wanted).await?;
                    if !fetched.lost.is_empty() {
                        return Ok(None);
                    }
                    fetched.found.iter().for_each(|(value, text)| loaded.insert(value, text.clone()));
                }
                Ok(Err(_)) | Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// Whether work came to this end by itself, and would again.
fn is_its_own(failure: &Failure) -> bool {
    !matches!(
        failure.kind,
        FailureKind::Cancelled | FailureKind::Lost | FailureKind::Budget | FailureKind::Timeout
    )
}

//! The log as facts: read, decoded, and each fork with the history that it takes over.
//!
//! Law: an event that cannot be read is reported and skipped; the engine quarantines its run, and the other runs
//! go on.

use std::path::Path;
use std::sync::Arc;

use everfold_base::envelope::{Envelope, EventView, StreamId, flag};
use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::{JsonText, Payload, Value};
use everfold_core::event::{self, RetryScheduled, RunEvent, ScheduledWork};
use everfold_core::pipeline_versions::{is_definition_stream, saved_definition};
use everfold_store::{BlobStore, EventStore, ReadError, Subscription};
use serde_json::json;

use crate::columns::{self, DefinitionColumns, StepColumns};
use crate::event_readers::{TASKS, passed_over};
use crate::projection::{CopiedEvent, EventContext, Fact};
use crate::stages::StageLayout;

/// Events of a copied history that are read at once.
const CHUNK: usize = 1_000;
/// Facts that the models fold at once, where so many are there: indexes follow once for all of them.
const ENOUGH: usize = 1_024;

/// An event that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The run.
    pub run: RunId,
    /// The event.
    pub version: Version,
    /// What was found.
    pub what: String,
}

/// Events of the log, one after the other.
#[derive(Debug, Default)]
pub(crate) struct FactBatch {
    read: Vec<ReadEvent>,
    /// The position of the first event, whether it is a run's or not.
    pub(crate) first: Position,
    /// The position of the last one.
    pub(crate) last: Position,
    pub(crate) unreadable: Vec<Unreadable>,
    defined: Vec<DefinitionColumns>,
    /// The stream of the last event, and its run.
    stream: Option<(StreamId, Option<RunId>)>,
}

#[derive(Debug)]
struct ReadEvent {
    run: RunId,
    context: EventContext,
    event: RunEvent,
    copied: Vec<CopiedEvent>,
}

impl FactBatch {
    /// The facts behind a position.
    pub(crate) fn after(&self, position: Position) -> impl Iterator<Item = Fact<'_>> {
        let from = self.read.partition_point(|read| read.context.position <= position);
        self.read[from..].iter().map(|read| Fact::new(read.run, &read.context, &read.event, &read.copied))
    }

    /// The definitions behind a position.
    pub(crate) fn defined_after(&self, position: Position) -> &[DefinitionColumns] {
        let from = self.defined.partition_point(|defined| defined.position <= position);
        &self.defined[from..]
    }

    /// Decodes events of the log, and reads what forks among them take over.
    pub(crate) async fn of(events: Vec<Arc<Envelope>>, store: &dyn EventStore) -> Result<Self, ReadError> {
        let mut facts = Self::default();
        events.iter().for_each(|event| facts.add(&EventView::from(&**event), None));
        facts.take_over(store, None).await?;
        Ok(facts)
    }

    /// Empties the batch and keeps its allocations.
    fn clear(&mut self) {
        self.read.clear();
        self.unreadable.clear();
        self.defined.clear();
        (self.first, self.last) = (Position::ZERO, Position::ZERO);
    }

    /// Decodes the event of the log that comes next. A fork has no history yet: see [`FactBatch::take_over`].
    fn add(&mut self, event: &EventView<'_>, values: Option<&BlobStore>) {
        if self.first == Position::ZERO {
            self.first = event.position;
        }
        self.last = event.position;
        // The events of an append are consecutive; their stream is parsed once.
        let run = match &self.stream {
            Some((stream, run)) if stream == event.stream => *run,
            _another => {
                let run = event.stream.as_run();
                self.stream = Some((event.stream.clone(), run));
                run
            }
        };
        let Some(run) = run else { return self.defined.extend(defined(event)) };
        if event.flags & flag::COPIED != 0 {
            return;
        }
        if let Err(unreadable) = self.decode(run, event) {
            self.unreadable.push(unreadable);
        } else if let (Some(values), Some(read)) = (values, self.read.last_mut()) {
            name_role(run, &mut read.event, values);
        }
    }

    /// Decodes an event of a run. It is large, and stays where it is put.
    fn decode(&mut self, run: RunId, event: &EventView<'_>) -> Result<(), Unreadable> {
        let decoded = event::decode(event.kind, event.schema, event.payload).map_err(|error| Unreadable {
            run,
            version: event.version,
            what: error.to_string(),
        })?;
        self.read.push(ReadEvent {
            run,
            context: EventContext::of(event),
            event: decoded,
            copied: Vec::new(),
        });
        Ok(())
    }

    /// Reads what forks take over.
    async fn take_over(
        &mut self,
        store: &dyn EventStore,
        values: Option<&BlobStore>,
    ) -> Result<(), ReadError> {
        let forks = self.read.iter_mut().filter(|read| matches!(read.event, RunEvent::RunForked(_)));
        for ReadEvent { run, context, copied, .. } in forks {
            let mut unreadable = Vec::new();
            *copied = self::copied(*run, context.version, store, &mut unreadable).await?;
            self.unreadable.append(&mut unreadable);
            if let Some(values) = values {
                copied.iter_mut().for_each(|copied| name_role(*run, &mut copied.event, values));
            }
        }
        Ok(())
    }
}

/// What a definition that was saved says of its steps.
fn defined(event: &EventView<'_>) -> Option<DefinitionColumns> {
    if !is_definition_stream(event.stream) {
        return None;
    }
    let saved = saved_definition(event).ok()?;
    let document = saved.document.as_str();
    let steps = columns::steps_of(document)?;
    let stages = StepColumns::of(document).map(|columns| (columns, StageLayout::of(document)));
    Some(DefinitionColumns { position: event.position, definition: saved.hash, steps, stages })
}

/// The history before a fork, without its origin's end, and what of it could not be read.
async fn copied(
    run: RunId,
    before: Version,
    store: &dyn EventStore,
    unreadable: &mut Vec<Unreadable>,
) -> Result<Vec<CopiedEvent>, ReadError> {
    let (mut copied, mut next, stream) = (Vec::new(), Version::FIRST, StreamId::run(run));
    while next < before {
        let wanted = CHUNK.min(usize::try_from(before.0 - next.0).unwrap_or(CHUNK));
        let events = match store.read(&stream, next, wanted).await {
            Ok(events) => events,
            // It concerns no other run.
            Err(ReadError::DamagedStream { version, what, .. }) => {
                unreadable.push(Unreadable { run, version, what });
                break;
            }
            Err(error @ ReadError::Unlinked { version, .. }) => {
                unreadable.push(Unreadable { run, version, what: error.to_string() });
                break;
            }
            Err(error) => return Err(error),
        };
        let Some(last) = events.last() else { break };
        next = last.header.version.next();
        for envelope in events {
            let header = &envelope.header;
            if RunEvent::ends_run(header.kind) {
                continue;
            }
            match event::decode(header.kind, header.schema, &envelope.payload) {
                Ok(event) => {
                    copied.push(CopiedEvent { context: EventContext::of(&(&envelope).into()), event });
                }
                Err(error) => {
                    unreadable.push(Unreadable { run, version: header.version, what: error.to_string() });
                }
            }
        }
    }
    Ok(copied)
}

/// Follows the log. Reading blocks, so it has a thread of its own.
pub(crate) struct FactReader {
    store: Arc<dyn EventStore>,
    subscription: Box<dyn Subscription>,
    values: Option<BlobStore>,
}

impl FactReader {
    /// `values` is the data folder where values lie that are too large for an event.
    pub(crate) fn from(store: Arc<dyn EventStore>, first: Position, values: Option<&Path>) -> Self {
        let subscription = store.subscribe(first);
        Self { store, subscription, values: values.map(BlobStore::new) }
    }

    /// The next facts, in place of what these were; waits for them, and takes what is there of more.
    pub(crate) async fn next(&mut self, facts: &mut FactBatch) -> Result<(), ReadError> {
        facts.clear();
        let values = self.values.as_ref();
        loop {
            let is_there = self.subscription.show(&mut |event| facts.add(event, values))?;
            if !is_there {
                let events = self.subscription.next().await?;
                events.iter().for_each(|event| facts.add(&EventView::from(&**event), values));
            }
            if facts.read.len() >= ENOUGH || facts.last >= self.store.last_position() {
                return facts.take_over(self.store.as_ref(), values).await;
            }
        }
    }
}

/// Replaces an agent's task that is stored outside of its event by its role, which is all that models read of it. A
/// value that is gone has no role.
fn name_role(run: RunId, event: &mut RunEvent, values: &BlobStore) {
    let task = match event {
        RunEvent::StepScheduled(event) => match &mut event.work {
            ScheduledWork::Task(task) => task,
            ScheduledWork::Wait
            | ScheduledWork::Gates
            | ScheduledWork::Items
            | ScheduledWork::Approval
            | ScheduledWork::Question
            | ScheduledWork::Kept(_) => return,
        },
        RunEvent::RetryScheduled(RetryScheduled { task, .. }) => match task {
            Some(task) => task,
            None => return,
        },
        other => return passed_over(other, TASKS),
    };
    let Payload::Blob(blob) = &task.task else { return };
    if task.kind != "agent" {
        return;
    }
    let read = values.get_blocking(run, &blob.hash).ok();
    let document = read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if let Some(role) = document.as_ref().and_then(|document| document["spec"]["role"].as_str()) {
        task.task = Payload::Inline(JsonText::new(&json!({ "spec": { "role": role } })));
    }
}

#[cfg(test)]
mod tests {
    use everfold_base::actor::Actor;
    use everfold_base::envelope::{Cause, EventHeader, NewEvent};
    use everfold_base::id::InputId;
    use everfold_base::json::BlobRef;
    use everfold_base::json::Hash;
    use everfold_base::time::Timestamp;
    use everfold_core::event::{NoteAdded, ScheduledTask, StepScheduled};
    use everfold_store::{Append, MemoryStore, StreamNote};

    use super::*;

    fn scheduled(kind: &str, blob: BlobRef) -> RunEvent {
        let task = Payload::Blob(blob);
        let work =
            ScheduledWork::Task(ScheduledTask { kind: kind.to_owned(), task, timeout_ms: None, grace_ms: 0 });
        RunEvent::StepScheduled(StepScheduled { id: "a/1/1".parse().unwrap(), work })
    }

    fn role(event: &RunEvent) -> Option<String> {
        let RunEvent::StepScheduled(StepScheduled { work: ScheduledWork::Task(task), .. }) = event else {
            return None;
        };
        match &task.task {
            Payload::Inline(text) => text.value()["spec"]["role"].as_str().map(str::to_owned),
            Payload::Blob(_) => None,
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_of_the_history_that_a_fork_takes_over_is_reported() {
        let (store, run) = (MemoryStore::default(), RunId(uuid::Uuid::from_u128(7)));
        let note = RunEvent::from(NoteAdded { text: "a".to_owned() });
        let (schema, payload) = event::encode(&note).unwrap();
        let (mut events, mut previous) = (Vec::new(), Hash::ZERO);
        for (version, payload) in [(1, payload), (2, b"no event".to_vec())] {
            let header = EventHeader {
                stream: StreamId::run(run),
                version: Version(version),
                recorded_at: Timestamp(1),
                actor: Actor::Engine,
                cause: Cause { input: InputId::default(), because: Version(0) },
                kind: note.kind(),
                schema,
                flags: flag::COPIED,
                payload_hash: Hash::ZERO,
            };
            let event = NewEvent::link(header, payload, &previous);
            previous = event.hash;
            events.push(event);
        }
        let append = Append {
            stream: StreamId::run(run),
            expected: Version::ZERO,
            previous: Hash::ZERO,
            events,
            dedup: None,
            fence: None,
            note: StreamNote::default(),
        };
        store.append(append).await.unwrap();
        let mut unreadable = Vec::new();
        let copied = copied(run, Version(3), &store, &mut unreadable).await.unwrap();
        assert_eq!(copied.iter().map(|copied| &copied.event).collect::<Vec<_>>(), [&note]);
        let [one] = &unreadable[..] else { panic!("{unreadable:?}") };
        assert_eq!((one.run, one.version), (run, Version(2)));
    }

    #[test]
    fn the_role_of_a_task_that_is_kept_outside_of_its_event_is_read_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let (values, run) = (BlobStore::new(folder.path()), RunId(uuid::Uuid::from_u128(7)));
        let task = json!({"spec": {"role": "reviewer", "prompt": "x".repeat(50_000)}, "env": {}});
        let blob = values.put_blocking(run, task.to_string().as_bytes()).unwrap();
        let mut event = scheduled("agent", blob);
        name_role(run, &mut event, &values);
        assert_eq!(role(&event).as_deref(), Some("reviewer"));
        let mut other = scheduled("command", blob);
        name_role(run, &mut other, &values);
        assert_eq!(other, scheduled("command", blob), "only an agent has a role");
        let mut gone = scheduled("agent", blob);
        name_role(RunId(uuid::Uuid::from_u128(8)), &mut gone, &values);
        assert_eq!(gone, scheduled("agent", blob), "a value that is not there has no role");
    }
}

//! The log as facts: read, decoded, and each fork with the history that it takes over.
//!
//! Law: an event that cannot be read is named and passed over; its run is set aside by the engine, and the
//! others go on.

use std::path::Path;
use std::sync::Arc;

use everfold_engine::driver::saved_definition;
use everfold_engine::envelope::{Envelope, StreamId, StreamKind};
use everfold_engine::event::{self, RetryScheduled, RunEvent, ScheduledWork};
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::json::{JsonText, Payload, Value};
use everfold_engine::store::{BlobStore, EventStore, ReadError, Subscription};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::stages::{Staged, Stages};
use crate::{Around, Copied, Fact};

/// Events of a copied history that are read at once.
const CHUNK: usize = 1_000;
/// Facts that are shown to the models at once, where so many are there: indexes follow once for all.
const ENOUGH: usize = 1_024;

/// Batches of events, of a MiB each at most, that wait to be decoded: threads that hand on few at a time wait for
/// each other more than they work.
const BATCHES_AHEAD: usize = 8;

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
pub(crate) struct Facts {
    read: Vec<Read>,
    /// The position of the first event, whether it is a run's or not.
    pub(crate) first: Position,
    /// The position of the last one.
    pub(crate) last: Position,
    pub(crate) unreadable: Vec<Unreadable>,
    staged: Vec<Staged>,
}

#[derive(Debug)]
struct Read {
    run: RunId,
    around: Around,
    event: RunEvent,
    copied: Vec<Copied>,
}

impl Facts {
    /// The facts behind a position.
    pub(crate) fn after(&self, position: Position) -> impl Iterator<Item = Fact<'_>> {
        let from = self.read.partition_point(|read| read.around.position <= position);
        self.read[from..].iter().map(|read| Fact::new(read.run, &read.around, &read.event, &read.copied))
    }

    /// The definitions behind a position that name stages.
    pub(crate) fn staged_after(&self, position: Position) -> &[Staged] {
        let from = self.staged.partition_point(|staged| staged.position <= position);
        &self.staged[from..]
    }

    /// Decodes events of the log.
    pub(crate) async fn of(events: Vec<Arc<Envelope>>, store: &dyn EventStore) -> Result<Self, ReadError> {
        let mut facts = Self::default();
        facts.add(events, store).await?;
        Ok(facts)
    }

    /// The same, with nothing in it: what was allocated is used again.
    fn emptied(mut self) -> Self {
        let Self { read, unreadable, staged, .. } = &mut self;
        read.clear();
        unreadable.clear();
        staged.clear();
        (self.first, self.last) = (Position::ZERO, Position::ZERO);
        self
    }

    /// Decodes events of the log, which come next.
    async fn add(&mut self, events: Vec<Arc<Envelope>>, store: &dyn EventStore) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        if self.first == Position::ZERO {
            self.first = first.position;
        }
        self.last = last.position;
        self.read.reserve(events.len());
        // The events of an append stand together; their stream is read once.
        let mut before: Option<(StreamId, Option<RunId>)> = None;
        for envelope in events {
            let header = &envelope.header;
            let run = match &before {
                Some((stream, run)) if *stream == header.stream => *run,
                _another => {
                    let run = header.stream.as_run();
                    before = Some((header.stream.clone(), run));
                    run
                }
            };
            let Some(run) = run else {
                self.staged.extend(staged(&envelope));
                continue;
            };
            if header.flags & everfold_engine::envelope::flag::COPIED != 0 {
                continue;
            }
            if let Err(unreadable) = self.decode(run, &envelope) {
                self.unreadable.push(unreadable);
            } else if let Some(Read { event: RunEvent::RunForked(_), copied, .. }) = self.read.last_mut() {
                *copied = self::copied(&header.stream, header.version, store).await?;
            }
        }
        Ok(())
    }

    /// Decodes an event of a run. It is large, and stays where it is put.
    fn decode(&mut self, run: RunId, envelope: &Envelope) -> Result<(), Unreadable> {
        let header = &envelope.header;
        let event = event::decode(header.kind, header.schema, &envelope.payload)
            .map_err(|error| Unreadable { run, version: header.version, what: error.to_string() })?;
        self.read.push(Read { run, around: Around::of(envelope), event, copied: Vec::new() });
        Ok(())
    }
}

/// What a definition that was saved says of stages.
fn staged(envelope: &Envelope) -> Option<Staged> {
    let stream = &envelope.header.stream;
    if stream.kind != StreamKind::Engine || !stream.id.starts_with("definition-") {
        return None;
    }
    let saved = saved_definition(envelope).ok()?;
    let stages = Stages::of(saved.document.as_str())?;
    Some(Staged { position: envelope.position, definition: saved.hash, stages })
}

/// The history before a fork, without its origin's end.
async fn copied(
    stream: &StreamId,
    before: Version,
    store: &dyn EventStore,
) -> Result<Vec<Copied>, ReadError> {
    let (mut copied, mut next) = (Vec::new(), Version::FIRST);
    while next < before {
        let wanted = CHUNK.min(usize::try_from(before.0 - next.0).unwrap_or(CHUNK));
        let events = store.read(stream, next, wanted).await?;
        let Some(last) = events.last() else { break };
        next = last.header.version.next();
        for envelope in events {
            let header = &envelope.header;
            if RunEvent::ends_run(header.kind) {
                continue;
            }
            if let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) {
                copied.push(Copied { around: Around::of(&envelope), event });
            }
        }
    }
    Ok(copied)
}

/// What comes of the log at once.
type Batch = Result<Vec<Arc<Envelope>>, ReadError>;

/// Follows the log. What comes next is read while the former is decoded.
pub(crate) struct Source {
    store: Arc<dyn EventStore>,
    batches: mpsc::Receiver<Batch>,
    /// Reads ahead, as long as anybody takes it.
    _reading: JoinSet<()>,
    values: Option<BlobStore>,
}

impl Source {
    /// `values` is the data folder where values lie that are too large for an event.
    pub(crate) fn from(store: Arc<dyn EventStore>, first: Position, values: Option<&Path>) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let mut reading = JoinSet::new();
        reading.spawn(read_ahead(store.subscribe(first), sender));
        Self { store, batches, _reading: reading, values: values.map(BlobStore::new) }
    }

    async fn add_to(&mut self, facts: &mut Facts) -> Result<(), ReadError> {
        let batch = self.batches.recv().await.unwrap_or(Err(ReadError::Closed))?;
        facts.add(batch, self.store.as_ref()).await
    }

    /// The next facts; waits for them, and takes what is there of more. `spare` is what they are put into.
    pub(crate) async fn next(&mut self, spare: Facts) -> Result<Facts, ReadError> {
        let mut facts = spare.emptied();
        self.add_to(&mut facts).await?;
        while facts.read.len() < ENOUGH && facts.last < self.store.last_position() {
            self.add_to(&mut facts).await?;
        }
        if let Some(values) = &self.values {
            facts.read.iter_mut().for_each(|read| name_role(read.run, &mut read.event, values));
            for read in &mut facts.read {
                let copied = read.copied.iter_mut();
                copied.for_each(|copied| name_role(read.run, &mut copied.event, values));
            }
        }
        Ok(facts)
    }
}

/// Reads some batches more than are taken, until there is an error or nobody takes any.
async fn read_ahead(mut subscription: Box<dyn Subscription>, batches: mpsc::Sender<Batch>) {
    loop {
        let batch = subscription.next().await;
        let is_last = batch.is_err();
        if batches.send(batch).await.is_err() || is_last {
            return;
        }
    }
}

/// Puts the role of an agent, which is all that models want of its task, where the task is kept outside of its
/// event. One that is not there any more has none.
fn name_role(run: RunId, event: &mut RunEvent, values: &BlobStore) {
    let task = match event {
        RunEvent::StepScheduled(event) => match &mut event.work {
            ScheduledWork::Task(task) => task,
            _others => return,
        },
        RunEvent::RetryScheduled(RetryScheduled { task: Some(task), .. }) => task,
        _others => return,
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
    use everfold_engine::event::{ScheduledTask, StepScheduled};
    use everfold_engine::json::BlobRef;

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
        assert_eq!(other, scheduled("command", blob), "nobody asks for it");
        let mut gone = scheduled("agent", blob);
        name_role(RunId(uuid::Uuid::from_u128(8)), &mut gone, &values);
        assert_eq!(gone, scheduled("agent", blob), "a value that is not there has no role");
    }
}

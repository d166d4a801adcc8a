//! The log as facts: read, decoded, and each fork with the history that it takes over.
//!
//! Law: an event that cannot be read is named and passed over; its run is set aside by the engine, and the
//! others go on.

use std::sync::Arc;

use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::store::{EventStore, ReadError, Subscription};

use crate::{Copied, Fact};

/// Events of a copied history that are read at once.
const CHUNK: usize = 1_000;
/// Facts that are shown to the models at once, where so many are there: indexes follow once for all.
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
pub(crate) struct Facts {
    read: Vec<Read>,
    /// The position of the first event, whether it is a run's or not.
    pub(crate) first: Position,
    /// The position of the last one.
    pub(crate) last: Position,
    pub(crate) unreadable: Vec<Unreadable>,
}

#[derive(Debug)]
struct Read {
    run: RunId,
    envelope: Arc<Envelope>,
    event: RunEvent,
    copied: Vec<Copied>,
}

impl Facts {
    /// The facts behind a position.
    pub(crate) fn after(&self, position: Position) -> impl Iterator<Item = Fact<'_>> {
        let from = self.read.partition_point(|read| read.envelope.position <= position);
        self.read[from..].iter().map(|read| Fact::new(read.run, &read.envelope, &read.event, &read.copied))
    }

    /// Decodes events of the log.
    pub(crate) async fn of(events: Vec<Arc<Envelope>>, store: &dyn EventStore) -> Result<Self, ReadError> {
        let position = |event: Option<&Arc<Envelope>>| event.map_or(Position::ZERO, |event| event.position);
        let (first, last) = (position(events.first()), position(events.last()));
        let mut facts = Self { first, last, ..Self::default() };
        facts.read.reserve(events.len());
        for envelope in events {
            let Some(run) = envelope.header.stream.as_run() else { continue };
            let header = &envelope.header;
            if header.flags & everfold_engine::envelope::flag::COPIED != 0 {
                continue;
            }
            match event::decode(header.kind, header.schema, &envelope.payload) {
                Ok(event) => {
                    let copied = match &event {
                        RunEvent::RunForked(_) => copied(&header.stream, header.version, store).await?,
                        _other => Vec::new(),
                    };
                    facts.read.push(Read { run, envelope, event, copied });
                }
                Err(error) => facts.unreadable.push(Unreadable {
                    run,
                    version: header.version,
                    what: error.to_string(),
                }),
            }
        }
        Ok(facts)
    }
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
                copied.push(Copied { envelope, event });
            }
        }
    }
    Ok(copied)
}

/// Follows the log.
pub(crate) struct Source {
    store: Arc<dyn EventStore>,
    subscription: Box<dyn Subscription>,
}

impl Source {
    pub(crate) fn from(store: Arc<dyn EventStore>, first: Position) -> Self {
        let subscription = store.subscribe(first);
        Self { store, subscription }
    }

    /// The next facts; waits for them, and takes what is there of more.
    pub(crate) async fn next(&mut self) -> Result<Facts, ReadError> {
        let mut facts = Facts::of(self.subscription.next().await?, self.store.as_ref()).await?;
        while facts.read.len() < ENOUGH && facts.last < self.store.last_position() {
            let more = Facts::of(self.subscription.next().await?, self.store.as_ref()).await?;
            facts.last = more.last;
            facts.read.extend(more.read);
            facts.unreadable.extend(more.unreadable);
        }
        Ok(facts)
    }
}

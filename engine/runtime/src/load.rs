//! Loads a run: its newest snapshot, and the events after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::definitions::Definitions;
use crate::error::LoadError;
use crate::panic::panic_text;
use everfold_base::envelope::{Envelope, StreamId, flag};
use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::Hash;
use everfold_core::event;
use everfold_core::event::RunEvent;
use everfold_core::state::{EventMeta, FOLD_VERSION, RunState};
use everfold_language::definition::Definition;
use everfold_store::EventStore;

/// Events that are read at once.
const PAGE: usize = 1_000;
/// Events that are read first: most runs have no more, and need no snapshot.
const BEGINNING: usize = 64;

/// A folded run, and where its stream ends.
pub(crate) struct FoldedRun {
    pub(crate) state: RunState,
    pub(crate) version: Version,
    pub(crate) hash: Hash,
    pub(crate) position: Position,
    /// Its last event is a copy: a fork that is not complete, and so not a run.
    pub(crate) is_hidden: bool,
    /// Payload bytes of all folded events: a bound for the size of the state.
    pub(crate) bytes: u64,
    /// Events and bytes since the snapshot it began with.
    pub(crate) events_since: u64,
    pub(crate) bytes_since: u64,
}

/// Reads and folds histories.
pub(crate) struct Loader<'a> {
    pub(crate) store: &'a dyn EventStore,
    pub(crate) definitions: &'a Definitions,
}

impl Loader<'_> {
    /// Folds the run up to its end, or up to a version.
    pub(crate) async fn fold(&self, run: RunId, until: Option<Version>) -> Result<FoldedRun, LoadError> {
        let stream = StreamId::run(run);
        let beginning = self.store.read(&stream, Version::FIRST, BEGINNING).await?;
        let first = beginning.first().ok_or(LoadError::NotFound(run))?;
        let definition = self.first_definition(run, first).await?;
        let is_whole = beginning.len() < BEGINNING;
        let snapshot = if is_whole { None } else { self.snapshot(&stream, run, until, &definition).await? };
        let mut folded = match snapshot {
            Some(folded) => folded,
            None => {
                let mut folded = FoldedRun::nothing(definition);
                self.fold_events(run, &mut folded, &beginning, until).await?;
                folded
            }
        };
        if !is_whole {
            self.fold_on(run, &mut folded, until).await?;
        }
        match until {
            Some(wanted) if folded.version < wanted => {
                Err(LoadError::NotYet { run, wanted, last: folded.version })
            }
            _ => Ok(folded),
        }
    }

    /// Folds what follows, up to its end or up to a version: each page while the next one is read.
    async fn fold_on(
        &self,
        run: RunId,
        folded: &mut FoldedRun,
        until: Option<Version>,
    ) -> Result<(), LoadError> {
        let stream = StreamId::run(run);
        let left =
            |from: Version| until.map_or(u64::MAX, |until| until.0.saturating_add(1).saturating_sub(from.0));
        let (mut page, mut next, mut is_last) = (Vec::new(), folded.version.next(), false);
        loop {
            let limit = if is_last { 0 } else { usize::try_from(left(next)).unwrap_or(PAGE).min(PAGE) };
            let reading = async {
                match limit {
                    0 => Ok(Vec::new()),
                    limit => self.store.read(&stream, next, limit).await,
                }
            };
            let (read, done) =
                futures::future::join(reading, self.fold_events(run, folded, &page, until)).await;
            done?;
            page = read?;
            let Some(last) = page.last() else { return Ok(()) };
            (next, is_last) = (last.header.version.next(), page.len() < limit);
        }
    }

    /// Nothing of a run yet, whose history begins with this event.
    pub(crate) async fn beginning(&self, run: RunId, first: &Envelope) -> Result<FoldedRun, LoadError> {
        Ok(FoldedRun::nothing(self.first_definition(run, first).await?))
    }

    /// The definition that a history begins with.
    async fn first_definition(&self, run: RunId, first: &Envelope) -> Result<Arc<Definition>, LoadError> {
        match decode(run, first)? {
            RunEvent::RunStarted(started) => self.definition(run, started.definition).await,
            other => {
                let what = "a history begins with RunStarted".into();
                Err(LoadError::Illegal { run, version: Version::FIRST, name: other.name(), what })
            }
        }
    }

    /// Folds these events, as far as they do not go beyond `until`.
    async fn fold_events(
        &self,
        run: RunId,
        folded: &mut FoldedRun,
        events: &[Envelope],
        until: Option<Version>,
    ) -> Result<(), LoadError> {
        for envelope in events {
            if until.is_some_and(|until| envelope.header.version > until) {
                break;
            }
            let event = decode(run, envelope)?;
            self.go_on_by(run, &mut folded.state, &event).await?;
            folded.fold(run, envelope, &event)?;
        }
        Ok(())
    }

    /// Where the event is a fork to another definition: loads that definition, so that the state can apply the event.
    pub(crate) async fn go_on_by(
        &self,
        run: RunId,
        state: &mut RunState,
        event: &RunEvent,
    ) -> Result<(), LoadError> {
        if let RunEvent::RunForked(forked) = event
            && state.definition_hash() != Some(forked.definition)
        {
            state.goes_on_by(forked.definition, self.definition(run, forked.definition).await?);
        }
        Ok(())
    }

    async fn definition(&self, run: RunId, hash: Hash) -> Result<Arc<Definition>, LoadError> {
        self.definitions.get(hash).await.map_err(|source| LoadError::Definition { run, source })
    }

    /// The newest snapshot, if it belongs to this history and this fold and is not newer than `until`. An unusable one
    /// is ignored: the events hold all that it holds.
    async fn snapshot(
        &self,
        stream: &StreamId,
        run: RunId,
        until: Option<Version>,
        definition: &Arc<Definition>,
    ) -> Result<Option<FoldedRun>, LoadError> {
        let Some(snapshot) = self.store.load_snapshot(stream, FOLD_VERSION).await? else { return Ok(None) };
        if until.is_some_and(|until| snapshot.version > until) {
            return Ok(None);
        }
        let at = self.store.read(stream, snapshot.version, 1).await?;
        let Some(envelope) = at.first().filter(|envelope| envelope.hash == snapshot.hash) else {
            return Ok(None);
        };
        let Ok(pinned) = RunState::definition_of(&snapshot.bytes) else { return Ok(None) };
        let definition = match pinned {
            Some(hash) if hash != definition.hash() => self.definition(run, hash).await?,
            _as_started => Arc::clone(definition),
        };
        let Ok(state) = RunState::from_snapshot(definition, &snapshot.bytes) else {
            return Ok(None);
        };
        Ok((state.version() == snapshot.version).then_some(FoldedRun {
            state,
            version: snapshot.version,
            hash: snapshot.hash,
            position: envelope.position,
            is_hidden: envelope.header.flags & flag::COPIED != 0,
            bytes: snapshot.bytes.len() as u64,
            events_since: 0,
            bytes_since: 0,
        }))
    }
}

impl FoldedRun {
    fn nothing(definition: Arc<Definition>) -> Self {
        Self {
            state: RunState::new(definition),
            version: Version::ZERO,
            hash: Hash::ZERO,
            position: Position::ZERO,
            is_hidden: false,
            bytes: 0,
            events_since: 0,
            bytes_since: 0,
        }
    }

    pub(crate) fn fold(
        &mut self,
        run: RunId,
        envelope: &Envelope,
        event: &RunEvent,
    ) -> Result<(), LoadError> {
        let version = envelope.header.version;
        let illegal = |what: String| LoadError::Illegal { run, version, name: event.name(), what };
        if version != self.version.next() {
            return Err(illegal(format!("it follows version {}", self.version)));
        }
        if !envelope.is_linked(&self.hash) {
            return Err(illegal("its hash does not fit its content and its predecessor".into()));
        }
        apply(&mut self.state, (run, version), event, &meta(envelope))?;
        self.version = version;
        self.hash = envelope.hash;
        self.position = envelope.position;
        self.is_hidden = envelope.header.flags & flag::COPIED != 0;
        let size = envelope.payload.len() as u64;
        self.bytes += size;
        self.bytes_since += size;
        self.events_since += 1;
        Ok(())
    }
}

/// Folds one event. A panic says that the history is none that this engine can have written.
pub(crate) fn apply(
    state: &mut RunState,
    (run, version): (RunId, Version),
    event: &RunEvent,
    meta: &EventMeta,
) -> Result<(), LoadError> {
    catch_unwind(AssertUnwindSafe(|| state.apply(event, meta))).map_err(|panic| {
        let what = panic_text(panic.as_ref());
        LoadError::Illegal { run, version, name: event.name(), what }
    })
}

/// What the fold gets of an event's envelope.
pub(crate) fn meta(envelope: &Envelope) -> EventMeta {
    EventMeta {
        at: envelope.header.recorded_at,
        actor: envelope.header.actor.clone(),
        input: envelope.header.cause.input,
    }
}

pub(crate) fn decode(run: RunId, envelope: &Envelope) -> Result<RunEvent, LoadError> {
    let header = &envelope.header;
    event::decode(header.kind, header.schema, &envelope.payload).map_err(|source| LoadError::Event {
        run,
        version: header.version,
        source,
    })
}

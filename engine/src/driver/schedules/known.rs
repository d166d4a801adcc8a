//! The schedules as their desk knows them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use super::super::shared::Shared;
use super::super::triggers::{By, Encoded, Tail, TailError};
use super::desk::FAILED_AGAIN;
use crate::envelope::{Envelope, StreamKind};
use crate::id::{Position, Version};
use crate::schedules::{FOLD_VERSION, ScheduleEvent, ScheduleOrigin, ScheduleState, Timetable, stream};
use crate::store::StreamNote;
use crate::time::Timestamp;
use crate::triggers::Outcome;

/// Streams that are listed, and events that are read, at once.
const PAGE: usize = 1_000;

/// Every schedule there ever was.
pub(super) struct Known {
    pub(super) kept: BTreeMap<String, Kept>,
    /// Those that could not be read, and why: they keep no other from its moments.
    pub(super) unread: BTreeMap<String, String>,
    /// When they are looked at again.
    again_at: Timestamp,
}

/// Which schedules are read again that could not be read.
#[derive(Clone, Copy)]
pub(super) enum Again<'a> {
    /// All, where the last try was a while ago.
    InAWhile,
    /// All: somebody asks for them.
    NowAll,
    /// This one: somebody asks for it.
    Now(&'a str),
}

impl Known {
    /// Reads the schedules.
    pub(super) async fn read(shared: &Shared) -> Result<Self, TailError> {
        let again_at = shared.steady().plus(FAILED_AGAIN);
        let mut known = Self { kept: BTreeMap::new(), unread: BTreeMap::new(), again_at };
        let mut after = None;
        loop {
            let page = shared.store.streams(StreamKind::Schedule, after, PAGE).await;
            let page = page.map_err(|error| TailError::Store(error.to_string()))?;
            for (stream, _) in &page {
                match Kept::load(shared, &stream.id).await {
                    Ok(kept) => drop(known.kept.insert(stream.id.to_string(), kept)),
                    Err(TailError::Closed) => return Err(TailError::Closed),
                    Err(error) => {
                        tracing::error!(%error, "a schedule cannot be read; it is tried again");
                        known.unread.insert(stream.id.to_string(), error.to_string());
                    }
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.id.to_string()),
                _last_page => return Ok(known),
            }
        }
    }

    /// Reads again what could not be read; whether any could.
    pub(super) async fn read_again(&mut self, shared: &Shared, which: Again<'_>) -> bool {
        let now = shared.steady();
        let names: Vec<String> = match which {
            Again::InAWhile if now < self.again_at => return false,
            Again::Now(name) => self.unread.keys().filter(|unread| *unread == name).cloned().collect(),
            Again::InAWhile | Again::NowAll => {
                self.again_at = now.plus(FAILED_AGAIN);
                self.unread.keys().cloned().collect()
            }
        };
        let mut is_any_read = false;
        for name in names {
            match Kept::load(shared, &name).await {
                Ok(kept) => {
                    is_any_read = true;
                    self.unread.remove(&name);
                    self.kept.insert(name, kept);
                }
                Err(error) => drop(self.unread.insert(name, error.to_string())),
            }
        }
        is_any_read
    }
}

/// A schedule, and what is being done for it.
pub(super) struct Kept {
    pub(super) state: ScheduleState,
    /// What it does; of one that was removed, what its moments that wait said before.
    pub(super) origin: Option<ScheduleOrigin>,
    pub(super) tail: Tail,
    pub(super) timetable: Option<Timetable>,
    /// When the next moment is due.
    pub(super) next: Option<Timestamp>,
    pub(super) in_work: BTreeSet<Version>,
    pub(super) rests_until: Option<Timestamp>,
    /// Who waits for what a moment leads to.
    pub(super) awaited: HashMap<Version, Vec<oneshot::Sender<Outcome>>>,
}

impl Kept {
    pub(super) async fn load(shared: &Shared, name: &str) -> Result<Self, TailError> {
        let fold = |state: &mut ScheduleState, envelope: &Envelope| {
            let header = &envelope.header;
            let event = ScheduleEvent::decode(header.kind, header.schema, &envelope.payload);
            state.apply(header.version, header.recorded_at, &event.map_err(|error| error.to_string())?);
            Ok(())
        };
        let (tail, state): (_, ScheduleState) = Tail::load(shared, stream(name), FOLD_VERSION, fold).await?;
        let origin = match state.origin() {
            None if !state.waiting().is_empty() => last_origin(shared, name).await?,
            known => known.cloned(),
        };
        let mut kept = Self {
            state,
            origin,
            tail,
            timetable: None,
            next: None,
            in_work: BTreeSet::new(),
            rests_until: None,
            awaited: HashMap::new(),
        };
        kept.read_moments(name);
        Ok(kept)
    }

    /// Reads the timetable, and when the next moment is.
    fn read_moments(&mut self, name: &str) {
        let schedule = self.state.schedule();
        self.timetable = schedule.and_then(|schedule| match Timetable::new(&schedule) {
            Ok(timetable) => Some(timetable),
            Err(error) => {
                tracing::error!(schedule = name, %error, "it has no moments");
                None
            }
        });
        self.find_next(name);
    }

    fn find_next(&mut self, name: &str) {
        let next = |table: &Timetable| table.next(name, self.state.cursor()).map(|(_, due)| due);
        let is_active = self.state.paused().is_none();
        self.next = self.timetable.as_ref().filter(|_| is_active).and_then(next);
    }

    pub(super) async fn record(
        &mut self,
        shared: &Shared,
        name: &str,
        by: &By,
        at: Timestamp,
        events: &[ScheduleEvent],
    ) -> Result<Position, TailError> {
        let mut encoded = Vec::with_capacity(events.len());
        for event in events {
            let (kind, schema, bytes) =
                event.encode().map_err(|error| TailError::Store(error.to_string()))?;
            encoded.push(Encoded { name: event.name(), kind, schema, bytes });
        }
        let sets = |event: &ScheduleEvent| match event {
            ScheduleEvent::ScheduleSet(_) => Some(true),
            ScheduleEvent::ScheduleRemoved(_) => Some(false),
            _others => None,
        };
        let is_there = events.iter().rev().find_map(sets).unwrap_or(self.state.set().is_some());
        let note = StreamNote { open: is_there, busy: false, wake_at: None };
        let mut version = self.tail.version;
        let appended = self.tail.append(shared, by, at, encoded, note).await?;
        if appended.repeated {
            return Ok(appended.last_position()); // It is folded already.
        }
        for event in events {
            version = version.next();
            self.state.apply(version, at, event);
            if let Some(origin) = self.state.origin() {
                self.origin = Some(origin.clone());
            }
        }
        self.tail.keep(shared, FOLD_VERSION, &self.state, 0).await;
        if events.iter().any(|event| sets(event).is_some()) {
            self.read_moments(name);
        } else {
            self.find_next(name);
        }
        Ok(appended.last_position())
    }
}

/// What a schedule did that was removed.
async fn last_origin(shared: &Shared, name: &str) -> Result<Option<ScheduleOrigin>, TailError> {
    let unreadable = |error: &dyn std::fmt::Display| TailError::Store(error.to_string());
    let (mut found, mut next) = (None, Version::FIRST);
    loop {
        let page = shared.store.read(&stream(name), next, PAGE).await.map_err(|error| unreadable(&error))?;
        for envelope in &page {
            let header = &envelope.header;
            match ScheduleEvent::decode(header.kind, header.schema, &envelope.payload) {
                Ok(ScheduleEvent::ScheduleSet(set)) => found = Some(set.origin),
                Ok(_others) => {}
                Err(error) => return Err(unreadable(&error)),
            }
            next = header.version.next();
        }
        if page.len() < PAGE {
            return Ok(found);
        }
    }
}

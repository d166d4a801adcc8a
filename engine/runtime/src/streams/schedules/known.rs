//! The schedules as the schedule actor knows them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use crate::deps::Deps;
use crate::streams::stream_tail::{Encoded, StreamTail, TailError};
use crate::streams::triggers::by::By;
use everfold_base::envelope::{Envelope, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::schedules::{FOLD_VERSION, ScheduleEvent, ScheduleOrigin, ScheduleState, stream};
use everfold_core::triggers::Outcome;
use everfold_language::timetable::Timetable;
use everfold_store::StreamNote;
use std::time::Duration;

/// Streams that are listed, and events that are read, at once.
const PAGE: usize = 1_000;

/// Every schedule there ever was.
pub(crate) struct KnownSchedules {
    pub(crate) kept: BTreeMap<String, KnownSchedule>,
    /// Those that could not be read, and why: they keep no other from its moments.
    pub(crate) unread: BTreeMap<String, String>,
    /// When they are looked at again.
    again_at: Timestamp,
}

/// Which schedules are read again that could not be read.
#[derive(Clone, Copy)]
pub(crate) enum Reread<'a> {
    /// All, where the last try was a while ago.
    InAWhile,
    /// All: they were asked for.
    NowAll,
    /// This one: it was asked for.
    Now(&'a str),
}

impl KnownSchedules {
    /// Reads the schedules.
    pub(crate) async fn read(shared: &Deps) -> Result<Self, TailError> {
        let again_at = shared.steady().plus(FAILED_AGAIN);
        let mut known = Self { kept: BTreeMap::new(), unread: BTreeMap::new(), again_at };
        let mut after = None;
        loop {
            let page = shared.store.streams(StreamKind::Schedule, after, PAGE).await;
            let page = page.map_err(|error| TailError::Store(error.to_string()))?;
            for (stream, _) in &page {
                match KnownSchedule::load(shared, &stream.id).await {
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
    pub(crate) async fn read_again(&mut self, shared: &Deps, which: Reread<'_>) -> bool {
        let now = shared.steady();
        let names: Vec<String> = match which {
            Reread::InAWhile if now < self.again_at => return false,
            Reread::Now(name) => self.unread.keys().filter(|unread| *unread == name).cloned().collect(),
            Reread::InAWhile | Reread::NowAll => {
                self.again_at = now.plus(FAILED_AGAIN);
                self.unread.keys().cloned().collect()
            }
        };
        let mut is_any_read = false;
        for name in names {
            match KnownSchedule::load(shared, &name).await {
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
pub(crate) struct KnownSchedule {
    pub(crate) state: ScheduleState,
    /// What it does; of one that was removed, what its moments that wait said before.
    pub(crate) origin: Option<ScheduleOrigin>,
    pub(crate) tail: StreamTail,
    pub(crate) timetable: Option<Timetable>,
    /// When the next moment is due.
    pub(crate) next: Option<Timestamp>,
    pub(crate) in_work: BTreeSet<Version>,
    pub(crate) rests_until: Option<Timestamp>,
    /// Who waits for what a moment leads to.
    pub(crate) awaited: HashMap<Version, Vec<oneshot::Sender<Outcome>>>,
}

impl KnownSchedule {
    pub(crate) async fn load(shared: &Deps, name: &str) -> Result<Self, TailError> {
        let fold = |state: &mut ScheduleState, envelope: &Envelope| {
            let header = &envelope.header;
            let event = ScheduleEvent::decode(header.kind, header.schema, &envelope.payload);
            state.apply(header.version, header.recorded_at, &event.map_err(|error| error.to_string())?);
            Ok(())
        };
        let (tail, state): (_, ScheduleState) =
            StreamTail::load(shared, stream(name), FOLD_VERSION, fold).await?;
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

    pub(crate) async fn record(
        &mut self,
        shared: &Deps,
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
async fn last_origin(shared: &Deps, name: &str) -> Result<Option<ScheduleOrigin>, TailError> {
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

/// The pause before a moment is followed again that could not be.
pub(crate) const FAILED_AGAIN: Duration = Duration::from_secs(5);

//! The stream of one schedule: its folded state, what is being done for it, and the appends to it.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::oneshot;

use crate::deps::Deps;
use crate::stream_pages::StreamPages;
use crate::streams::stream_writer::{StreamError, StreamWriter, stored_events};
use crate::streams::triggers::by::By;
use everfold_base::envelope::Envelope;
use everfold_base::id::{Position, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::aggregate::EventStamp;
use everfold_core::schedules::{FOLD_VERSION, ScheduleEvent, ScheduleOrigin, ScheduleState, stream};
use everfold_core::triggers::Outcome;
use everfold_language::timetable::Timetable;
use everfold_store::StreamNote;

/// Events that are read at once.
pub(super) const PAGE: usize = 1_000;
/// Events that are read at once where a schedule is loaded behind its snapshot.
const LOAD_PAGE: usize = 50;

/// A schedule, and what is being done for it.
pub(crate) struct ScheduleStream {
    pub(crate) state: ScheduleState,
    /// What it does. Of a removed schedule: what it did, for the moments that still wait.
    pub(super) origin: Option<ScheduleOrigin>,
    writer: StreamWriter,
    pub(super) timetable: Option<Timetable>,
    /// When the next moment is due.
    pub(super) next: Option<Timestamp>,
    /// Moments that are being followed.
    pub(super) in_work: BTreeSet<Version>,
    /// Following a moment failed: none is followed before then.
    pub(super) rests_until: Option<Timestamp>,
    /// The moment that waits for the key of its run: none that came by itself is followed before it.
    pub(super) queued: Option<Version>,
    /// Callers that wait for what a moment leads to.
    pub(super) awaited: HashMap<Version, Vec<oneshot::Sender<Outcome>>>,
    /// Its runs are being cancelled.
    pub(super) is_cancelling: bool,
    /// Callers that wait for the runs that are cancelled with its removal.
    pub(super) awaits_cancel: Vec<oneshot::Sender<Vec<RunId>>>,
}

/// Decodes an event of a schedule.
pub(crate) fn decoded(envelope: &Envelope) -> Result<ScheduleEvent, String> {
    let header = &envelope.header;
    ScheduleEvent::decode(header.kind, header.schema, &envelope.payload).map_err(|error| error.to_string())
}

impl ScheduleStream {
    /// Folds a schedule's stream.
    pub(crate) async fn load(shared: &Deps, name: &str) -> Result<Self, StreamError> {
        let mut writer = StreamWriter::unread(stream(name));
        let mut state: ScheduleState = writer.load_snapshot(shared, FOLD_VERSION).await?.unwrap_or_default();
        let fold = |envelope: &Envelope| {
            let header = &envelope.header;
            let stamp = EventStamp { by: &header.actor, at: header.recorded_at };
            state.apply(header.version, &stamp, &decoded(envelope)?);
            Ok(())
        };
        writer.read_on(shared, LOAD_PAGE, fold).await?;
        let origin = match state.origin() {
            None if !state.waiting().is_empty() => last_origin(shared, name).await?,
            known => known.cloned(),
        };
        let mut schedule = Self {
            state,
            origin,
            writer,
            timetable: None,
            next: None,
            in_work: BTreeSet::new(),
            rests_until: None,
            queued: None,
            awaited: HashMap::new(),
            is_cancelling: false,
            awaits_cancel: Vec::new(),
        };
        schedule.read_moments(name);
        Ok(schedule)
    }

    /// The version of the last event.
    pub(super) fn version(&self) -> Version {
        self.writer.version()
    }

    /// The time that what is decided now is recorded with.
    pub(super) fn now(&self, shared: &Deps) -> Timestamp {
        self.writer.now(shared)
    }

    /// Reads the timetable, and when the next moment is.
    fn read_moments(&mut self, name: &str) {
        let schedule = self.state.schedule();
        self.timetable =
            schedule.and_then(|schedule| match Timetable::since(&schedule, self.state.since()) {
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

    /// Makes events durable. With [`StreamError::Changed`] the schedule is to be loaded anew.
    pub(super) async fn record(
        &mut self,
        shared: &Deps,
        name: &str,
        by: &By,
        at: Timestamp,
        events: &[ScheduleEvent],
    ) -> Result<Position, StreamError> {
        let stored = stored_events(events, ScheduleEvent::name, ScheduleEvent::encode)?;
        let sets = |event: &ScheduleEvent| match event {
            ScheduleEvent::ScheduleSet(_) => Some(true),
            ScheduleEvent::ScheduleRemoved(_) => Some(false),
            _others => None,
        };
        let is_there = events.iter().rev().find_map(sets).unwrap_or(self.state.set().is_some());
        let note = StreamNote { open: is_there, busy: false, wake_at: None };
        let mut version = self.writer.version();
        let appended = self.writer.append(shared, by, at, stored, note).await?;
        if appended.repeated {
            return Ok(appended.last_position()); // It is folded already.
        }
        for event in events {
            version = version.next();
            self.state.apply(version, &EventStamp { by: &by.actor, at }, event);
            if let Some(origin) = self.state.origin() {
                self.origin = Some(origin.clone());
            }
        }
        self.writer.keep_snapshot(shared, FOLD_VERSION, &self.state, 0).await;
        let is_set_back = |event: &ScheduleEvent| matches!(event, ScheduleEvent::ClockSetBack(_));
        if events.iter().any(|event| sets(event).is_some() || is_set_back(event)) {
            self.read_moments(name);
        } else {
            self.find_next(name);
        }
        Ok(appended.last_position())
    }
}

/// What a removed schedule did.
async fn last_origin(shared: &Deps, name: &str) -> Result<Option<ScheduleOrigin>, StreamError> {
    let stream = stream(name);
    let mut pages = StreamPages::new(shared.store.as_ref(), &stream, Version::FIRST, PAGE);
    let mut found = None;
    while let Some(page) = pages.next().await.map_err(|error| StreamError::store(&error))? {
        for envelope in &page {
            if let ScheduleEvent::ScheduleSet(set) = decoded(envelope).map_err(StreamError::Store)? {
                found = Some(set.origin);
            }
        }
    }
    Ok(found)
}

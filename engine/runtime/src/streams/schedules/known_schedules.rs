//! The schedules that the schedule actor has in memory: all that can be read.

use std::collections::BTreeMap;

use crate::deps::Deps;
use crate::retry::FAILED_AGAIN;
use crate::stream_listing::StreamListing;
use crate::streams::schedules::schedule_stream::ScheduleStream;
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamKind;
use everfold_base::time::Timestamp;

/// Every schedule there ever was.
pub(super) struct KnownSchedules {
    pub(super) schedules: BTreeMap<String, ScheduleStream>,
    /// Those that could not be read, and why. They delay no other schedule.
    pub(super) unread: BTreeMap<String, String>,
    /// When they are read again.
    again_at: Timestamp,
}

/// Which of the schedules that could not be read are read again.
#[derive(Clone, Copy)]
pub(super) enum Reread<'a> {
    /// All, where the last try was a while ago.
    InAWhile,
    /// All: a request needs them.
    NowAll,
    /// This one: a request needs it.
    Now(&'a str),
}

impl KnownSchedules {
    /// Reads the schedules.
    pub(super) async fn read(shared: &Deps) -> Result<Self, StreamError> {
        let again_at = shared.steady().plus(FAILED_AGAIN);
        let mut known = Self { schedules: BTreeMap::new(), unread: BTreeMap::new(), again_at };
        let mut listing = StreamListing::new(shared.store.as_ref(), StreamKind::Schedule);
        while let Some(page) = listing.next().await.map_err(|error| StreamError::store(&error))? {
            for (stream, _) in &page {
                match ScheduleStream::load(shared, &stream.id).await {
                    Ok(schedule) => drop(known.schedules.insert(stream.id.to_string(), schedule)),
                    Err(StreamError::Closed) => return Err(StreamError::Closed),
                    Err(error) => {
                        tracing::error!(%error, "a schedule cannot be read; it is tried again");
                        known.unread.insert(stream.id.to_string(), error.to_string());
                    }
                }
            }
        }
        Ok(known)
    }

    /// Reads again what could not be read; whether any could.
    pub(super) async fn read_again(&mut self, shared: &Deps, which: Reread<'_>) -> bool {
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
            match ScheduleStream::load(shared, &name).await {
                Ok(schedule) => {
                    is_any_read = true;
                    self.unread.remove(&name);
                    self.schedules.insert(name, schedule);
                }
                Err(error) => drop(self.unread.insert(name, error.to_string())),
            }
        }
        is_any_read
    }
}

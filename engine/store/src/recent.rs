//! The newest events, in memory: what followers of the log read without touching the disk.
//!
//! Law: holds the last events without a gap, at most [`BYTES_MAX`] bytes of them, all durable.
//!
//! Filled by `post_commit`, read by `read_all` and subscriptions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everfold_base::envelope::Envelope;
use everfold_base::id::Position;

/// About how much memory the events may take.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an event takes beside its payload, about.
const EVENT_BYTES: usize = 320;

#[derive(Default)]
struct RecentEvents {
    events: VecDeque<Arc<Envelope>>,
    bytes: usize,
}

/// The newest events.
#[derive(Default)]
pub(crate) struct Recent(Mutex<RecentEvents>);

impl Recent {
    fn state(&self) -> MutexGuard<'_, RecentEvents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events behind the last one.
    pub(crate) fn push(&self, events: impl Iterator<Item = Envelope>) {
        let mut state = self.state();
        for event in events {
            state.bytes += event.payload.len() + EVENT_BYTES;
            state.events.push_back(Arc::new(event));
        }
        while state.bytes > BYTES_MAX
            && let Some(event) = state.events.pop_front()
        {
            state.bytes -= event.payload.len() + EVENT_BYTES;
        }
    }

    /// Up to `limit` events from a position on; `None` where they are no longer here.
    pub(crate) fn read(&self, from: Position, limit: usize) -> Option<Vec<Arc<Envelope>>> {
        let state = self.state();
        let first = state.events.front()?.position;
        let skip = usize::try_from(from.0.checked_sub(first.0)?).ok()?;
        Some(state.events.iter().skip(skip).take(limit).cloned().collect())
    }
}

//! Connections that wait for the next request of a caller who asks the same place again and again.
//!
//! Law: a connection comes back only when its last answer was read to the end. One that the other end closed, or that
//! has waited too long, is not used.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use tokio::time::Instant;

use super::connection::KeptConnection;
use super::endpoint::Endpoint;

/// So many wait at once; another one is closed.
const IDLE_MAX: usize = 128;
/// So long one waits. Servers and proxies close idle connections after a minute or more.
const IDLE_SPAN: Duration = Duration::from_secs(15);

/// The place that a connection leads to.
#[derive(PartialEq, Eq)]
struct Destination {
    is_tls: bool,
    host: String,
    port: u16,
}

impl Destination {
    fn of(place: &Endpoint) -> Self {
        Self { is_tls: place.is_tls, host: place.host.clone(), port: place.port }
    }
}

struct IdleConnection {
    to: Destination,
    since: Instant,
    connection: KeptConnection<Full<Bytes>>,
}

/// The connections of one client that wait.
#[derive(Default)]
pub(super) struct IdleConnections {
    waiting: Mutex<Vec<IdleConnection>>,
}

impl IdleConnections {
    /// The connection to this place that was used last; closes those that are of no use any more.
    pub(super) fn take(&self, place: &Endpoint) -> Option<KeptConnection<Full<Bytes>>> {
        let to = Destination::of(place);
        let mut waiting = self.waiting();
        waiting.retain(|idle| idle.since.elapsed() < IDLE_SPAN && !idle.connection.is_closed());
        let at = waiting.iter().rposition(|idle| idle.to == to)?;
        Some(waiting.remove(at).connection)
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn put(&self, place: &Endpoint, connection: KeptConnection<Full<Bytes>>) {
        let idle = IdleConnection { to: Destination::of(place), since: Instant::now(), connection };
        let mut waiting = self.waiting();
        if waiting.len() < IDLE_MAX {
            waiting.push(idle);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

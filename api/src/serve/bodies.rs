//! Bodies of unknown callers: how many are read at once, and how large they may be.
//!
//! Law: unknown callers make the server keep no more than a bound, whatever requests they begin and do not end, and one
//! address keeps no other out. A request that finds no room waits a moment, since honest bodies are short.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use everfold_workflows::hook::SIGNED_BYTES_MAX;
use http_body_util::Limited;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body of an unknown caller: that of an unsigned delivery.
const BYTES_MAX: usize = 1024 * 1024;
/// Bodies of unknown callers at once.
const AT_ONCE: usize = 64;
/// The same of one address.
const OF_ADDRESS: usize = 8;
/// How long an unknown caller's request waits for room.
const WAIT: Duration = Duration::from_secs(10);

/// The bodies of unknown callers that are being read.
pub(super) struct Bodies {
    all: Arc<Semaphore>,
    of: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// The room of one body; dropping it frees the room.
pub(super) struct BodyPermit<'a> {
    bodies: &'a Bodies,
    address: IpAddr,
    own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), of: Mutex::default() }
    }
}

impl Bodies {
    /// Room for a body from an address; `None` where there was none for a while.
    pub(super) async fn room(&self, address: IpAddr) -> Option<BodyPermit<'_>> {
        // From here on a drop frees it, also where the wait is cancelled.
        let mut room = BodyPermit { bodies: self, address, own: None, _all: None };
        let own = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(of.entry(address).or_insert_with(|| Arc::new(Semaphore::new(OF_ADDRESS))))
        };
        let both = async {
            room.own = Some(own.acquire_owned().await.ok()?);
            room._all = Some(Arc::clone(&self.all).acquire_owned().await.ok()?);
            Some(room)
        };
        tokio::time::timeout(WAIT, both).await.ok().flatten()
    }
}

impl Drop for BodyPermit<'_> {
    fn drop(&mut self) {
        let mut of = self.bodies.of.lock().unwrap_or_else(PoisonError::into_inner);
        self.own = None;
        // No request of the address holds or awaits room any more: removes it, so that the table stays small.
        if of.get(&self.address).is_some_and(|own| Arc::strong_count(own) == 1) {
            of.remove(&self.address);
        }
    }
}

/// The largest body of an unknown caller; one that is sent to a source of signed deliveries may be larger.
pub(super) fn bytes_max(is_signed: bool) -> usize {
    if is_signed { SIGNED_BYTES_MAX } else { BYTES_MAX }
}

/// The body, bounded by what an unknown caller may send.
pub(super) fn bounded(body: Body, bytes_max: usize) -> Body {
    Body::new(Limited::new(body, bytes_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn row_53_one_address_takes_its_share_and_keeps_no_other_out() {
        let bodies = Bodies::default();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let mut rooms = Vec::new();
        for _ in 0..OF_ADDRESS {
            rooms.push(bodies.room(address(1)).await.unwrap());
        }
        assert!(bodies.room(address(1)).await.is_none(), "it waits, and is told that there is none");
        let other = bodies.room(address(2)).await.unwrap();
        rooms.pop();
        rooms.push(bodies.room(address(1)).await.unwrap());
        for last in 3..=u8::try_from(AT_ONCE / OF_ADDRESS + 1).unwrap() {
            for _ in 0..OF_ADDRESS {
                rooms.extend(bodies.room(address(last)).await);
            }
        }
        assert!(bodies.room(address(99)).await.is_none(), "{} are taken in at once", AT_ONCE);
        drop((rooms, other));
        assert!(bodies.of.lock().unwrap().is_empty(), "those who are gone are forgotten");
        assert!(bodies.room(address(99)).await.is_some());
    }
}

//! Turns at work of which only so much may be in progress at once: reads while their answers are made, and shells that
//! parse commands.
//!
//! Law: a caller has at most so many turns and a bounded number of requests that wait for one, so that its requests
//! wait behind one another and those of other callers go on between them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many turns there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnBounds {
    /// Of all callers together.
    pub(crate) all: usize,
    /// Of one caller.
    pub(crate) own: usize,
    /// Requests of one caller that have a turn or wait for it; a further one is refused.
    pub(crate) asked: usize,
}

/// The turns at one kind of work.
#[derive(Debug)]
pub(crate) struct CallerTurns {
    bounds: TurnBounds,
    all: Arc<Semaphore>,
    of: Mutex<HashMap<String, CallerQueue>>,
}

/// The turns of one caller.
#[derive(Debug)]
struct CallerQueue {
    turns: Arc<Semaphore>,
    /// Its requests that have a turn or wait for it.
    asked: usize,
}

/// A turn; dropping it lets the next request have it.
#[derive(Debug)]
pub(crate) struct CallerTurn<'a> {
    table: &'a CallerTurns,
    who: String,
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl CallerTurns {
    pub(crate) fn new(bounds: TurnBounds) -> Self {
        Self { bounds, all: Arc::new(Semaphore::new(bounds.all)), of: Mutex::default() }
    }

    /// Waits for a turn; `None`: too many requests of the caller wait already.
    pub(crate) async fn turn(&self, who: &str) -> Option<CallerTurn<'_>> {
        self.queue(who, self.bounds.asked).await
    }

    /// The same of a request that was let in before and has waited since: it is never refused.
    pub(crate) async fn turn_of_waiter(&self, who: &str) -> Option<CallerTurn<'_>> {
        self.queue(who, usize::MAX).await
    }

    async fn queue(&self, who: &str, asked_max: usize) -> Option<CallerTurn<'_>> {
        let turns = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = of.entry(who.to_owned()).or_insert_with(|| CallerQueue {
                turns: Arc::new(Semaphore::new(self.bounds.own)),
                asked: 0,
            });
            if queue.asked >= asked_max {
                return None;
            }
            queue.asked += 1;
            Arc::clone(&queue.turns)
        };
        // From here on a drop gives it back, also where the wait is cancelled.
        let mut turn = CallerTurn { table: self, who: who.to_owned(), _own: None, _all: None };
        turn._own = turns.acquire_owned().await.ok();
        turn._all = Arc::clone(&self.all).acquire_owned().await.ok();
        Some(turn)
    }
}

impl Drop for CallerTurn<'_> {
    fn drop(&mut self) {
        let mut of = self.table.of.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = of.get_mut(&self.who) else { return };
        queue.asked -= 1;
        if queue.asked == 0 {
            of.remove(&self.who);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_requests_of_a_caller_wait_behind_one_another_and_those_of_others_come_between_them() {
        let turns = CallerTurns::new(TurnBounds { all: 1, own: 1, asked: 3 });
        let first = turns.turn("a").await.unwrap();
        let mut second = Box::pin(turns.turn("a"));
        let mut third = Box::pin(turns.turn("a"));
        let mut other = Box::pin(turns.turn("b"));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        assert!(other.as_mut().now_or_never().is_none());
        assert!(turns.turn("a").await.is_none(), "three of a caller are asked for");
        assert!(turns.turn_of_waiter("a").now_or_never().is_none(), "it waits, and is not refused");
        drop(first);
        assert!(second.as_mut().now_or_never().is_none(), "another caller is before it");
        let other = other.as_mut().now_or_never().unwrap().unwrap();
        drop(other);
        let second = second.as_mut().now_or_never().unwrap().unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        drop(third);
        drop(second);
        assert!(turns.of.lock().unwrap().is_empty(), "callers that are gone are forgotten");
        assert!(turns.turn("a").now_or_never().flatten().is_some());
    }
}

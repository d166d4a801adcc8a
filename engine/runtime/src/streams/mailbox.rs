//! The mailbox of an actor: requests wait in it, in their order, until the actor takes them.
//!
//! Laws:
//! - The receiving end is taken once, so a mailbox has one actor.
//! - The mailbox closes when its receiving end is dropped. Requests that wait are dropped then, and later ones are
//!   refused; the sender of an answer goes with its request, so every caller gets an answer or [`MailboxClosed`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, oneshot};

/// The actor is gone, or ended before it answered.
#[derive(Debug)]
pub(crate) struct MailboxClosed;

/// Where requests to an actor are put.
pub(crate) struct Mailbox<R> {
    queue: Arc<RequestQueue<R>>,
    is_taken: AtomicBool,
}

/// The receiving end of a mailbox.
pub(crate) struct MailboxReceiver<R> {
    queue: Arc<RequestQueue<R>>,
}

struct RequestQueue<R> {
    requests: Mutex<WaitingRequests<R>>,
    arrived: Notify,
    /// One permit for each request that the mailbox has room for.
    places: Semaphore,
}

struct WaitingRequests<R> {
    queue: VecDeque<R>,
    is_closed: bool,
}

impl<R> Mailbox<R> {
    /// A mailbox that always has room: its callers bound themselves.
    pub(crate) fn unbounded() -> Self {
        Self::bounded(Semaphore::MAX_PERMITS)
    }

    /// A mailbox for so many requests; a caller that brings more waits.
    pub(crate) fn bounded(waiting_max: usize) -> Self {
        let requests = WaitingRequests { queue: VecDeque::new(), is_closed: false };
        let queue = RequestQueue {
            requests: Mutex::new(requests),
            arrived: Notify::new(),
            places: Semaphore::new(waiting_max),
        };
        Self { queue: Arc::new(queue), is_taken: AtomicBool::new(false) }
    }

    /// The receiving end; `None`: it was taken before.
    pub(crate) fn take(&self) -> Option<MailboxReceiver<R>> {
        let is_first = !self.is_taken.swap(true, Ordering::AcqRel);
        is_first.then(|| MailboxReceiver { queue: Arc::clone(&self.queue) })
    }

    /// Puts a request into an unbounded mailbox. A closed one drops it, with the sender of its answer.
    pub(crate) fn put(&self, request: R) {
        let _closed = self.try_put(request);
    }

    /// Puts a request without waiting; false: the mailbox is full or closed, and the request is dropped.
    pub(crate) fn try_put(&self, request: R) -> bool {
        match self.queue.places.try_acquire() {
            Ok(place) => {
                place.forget();
                self.queue.push(request)
            }
            Err(_full_or_closed) => false,
        }
    }

    /// Puts a request, and waits for room where there is none.
    ///
    /// # Errors
    /// The actor is gone.
    pub(crate) async fn send(&self, request: R) -> Result<(), MailboxClosed> {
        self.queue.places.acquire().await.map_err(|_| MailboxClosed)?.forget();
        if self.queue.push(request) { Ok(()) } else { Err(MailboxClosed) }
    }

    /// Sends a request that holds the sender of its answer, and waits for the answer.
    ///
    /// # Errors
    /// The actor is gone, or dropped the request.
    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> R,
    ) -> Result<T, MailboxClosed> {
        let (answer, answered) = oneshot::channel();
        self.send(request(answer)).await?;
        answered.await.map_err(|_| MailboxClosed)
    }
}

impl<R> MailboxReceiver<R> {
    /// The next request. A wait that is dropped loses none.
    pub(crate) async fn next(&mut self) -> R {
        loop {
            let next = self.queue.lock().queue.pop_front();
            match next {
                Some(request) => {
                    self.queue.places.add_permits(1);
                    return request;
                }
                None => self.queue.arrived.notified().await,
            }
        }
    }
}

impl<R> Drop for MailboxReceiver<R> {
    fn drop(&mut self) {
        let mut requests = self.queue.lock();
        requests.is_closed = true;
        let dropped = std::mem::take(&mut requests.queue);
        drop(requests);
        drop(dropped);
        self.queue.places.close();
    }
}

impl<R> RequestQueue<R> {
    /// Adds a request for which a place was taken; false: the mailbox is closed.
    fn push(&self, request: R) -> bool {
        let mut requests = self.lock();
        if requests.is_closed {
            return false;
        }
        requests.queue.push_back(request);
        drop(requests);
        self.arrived.notify_one();
        true
    }

    fn lock(&self) -> MutexGuard<'_, WaitingRequests<R>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_mailbox_answers_pending_requests_with_an_error_and_refuses_later_ones() {
        let mailbox = Mailbox::<oneshot::Sender<()>>::unbounded();
        let receiver = mailbox.take().unwrap();
        assert!(mailbox.take().is_none(), "one actor receives");
        let (answer, pending) = oneshot::channel();
        mailbox.put(answer);
        drop(receiver);
        assert!(pending.await.is_err());
        assert!(mailbox.ask(|answer| answer).await.is_err());
    }

    #[tokio::test]
    async fn a_bounded_mailbox_takes_more_as_its_requests_are_taken() {
        let mailbox = Mailbox::bounded(2);
        let mut receiver = mailbox.take().unwrap();
        assert!(mailbox.try_put(1) && mailbox.try_put(2));
        assert!(!mailbox.try_put(3), "it is full");
        let (sent, taken) = tokio::join!(mailbox.send(4), async { receiver.next().await });
        assert!(sent.is_ok());
        assert_eq!((taken, receiver.next().await, receiver.next().await), (1, 2, 4));
    }
}

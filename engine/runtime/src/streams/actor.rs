//! The loop of the actors that keep streams.
//!
//! Laws:
//! - One event is handled after the other, and no other task writes to the actor's streams: what it decides on is true
//!   until it has decided.
//! - An actor ends when the store takes no more appends. Every other error leaves it to try again.

use std::ops::ControlFlow;

use tokio::task::JoinSet;

use crate::panic::panic_text;
use crate::streams::mailbox::{Mailbox, MailboxReceiver};
use crate::streams::stream_writer::StreamError;

/// A task that is the only writer of its streams.
pub(crate) trait StreamActor: Send {
    /// What it handles: requests, ends of its own tasks, timers.
    type Event: Send;

    /// Waits for the next event. A wait that is dropped loses none.
    fn next(&mut self) -> impl Future<Output = Self::Event> + Send;

    /// What is to be tried again where handling an event fails; nothing where its sender asks again.
    fn retry(_event: &Self::Event) -> Option<Self::Event> {
        None
    }

    /// Handles an event, and begins what may begin after it.
    fn handle(&mut self, event: Self::Event) -> impl Future<Output = Result<(), StreamError>> + Send;

    /// An event could not be handled: arranges for the next try. A break ends the actor.
    fn failed(&mut self, error: &StreamError, retry: Option<Self::Event>) -> ControlFlow<()>;
}

/// Runs an actor until the engine ends or the store takes no more appends.
pub(crate) async fn run_actor<A: StreamActor>(mut actor: A) {
    loop {
        let event = actor.next().await;
        let retry = A::retry(&event);
        match actor.handle(event).await {
            Ok(()) => {}
            Err(StreamError::Closed) => return,
            Err(error) => {
                if actor.failed(&error, retry).is_break() {
                    return;
                }
            }
        }
    }
}

/// What an actor waits for: its mailbox, and the tasks that work for it. The tasks end with the actor.
pub(crate) struct ActorInbox<R, T> {
    requests: MailboxReceiver<R>,
    tasks: JoinSet<T>,
}

/// What an actor receives.
pub(crate) enum Incoming<R, T> {
    Request(R),
    /// A task ended, with this.
    Ended(T),
}

impl<R: Send, T: Send + 'static> ActorInbox<R, T> {
    /// The inbox of a mailbox's actor; `None`: the mailbox has one already.
    pub(crate) fn of(mailbox: &Mailbox<R>) -> Option<Self> {
        mailbox.take().map(|requests| Self { requests, tasks: JoinSet::new() })
    }

    /// Starts a task; what it ends with comes in.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// The next request or end of a task; ends of tasks go first. Of a task that panicked
    /// nothing comes in: a task whose end the actor waits for turns its panic into a result.
    pub(crate) async fn next(&mut self) -> Incoming<R, T> {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(ended) => return Incoming::Ended(ended),
                    Err(error) if error.is_panic() => {
                        let reason = panic_text(error.into_panic().as_ref());
                        tracing::error!(reason, "what a task of an actor was to do is not done until the next start");
                    }
                    Err(_aborted) => {}
                },
                request = self.requests.next() => return Incoming::Request(request),
            }
        }
    }
}

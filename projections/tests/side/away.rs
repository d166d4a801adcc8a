//! A store whose log cannot be followed now and then. For whatever follows it, an engine or not.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::id::{Position, Version};
use everfold_engine::store::{
    Append, AppendError, Appended, EventStore as _, MemoryStore, ReadError, Subscription, Writability,
};
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::over::{Asked, Between};

/// A store whose log is away now and then.
pub struct Away {
    pub inner: MemoryStore,
    /// So many looks at the log fail.
    pub to_fail: Arc<AtomicUsize>,
    /// How.
    pub why: fn() -> ReadError,
}

impl Between for Away {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.inner.append(append)
    }

    fn read<'a>(&'a self, _asked: Asked<'a>, _from: Version) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(ready(Ok(())))
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        let (inner, to_fail, why) = (self.inner.subscribe(from), Arc::clone(&self.to_fail), self.why);
        Box::new(Followed { inner, to_fail, why })
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.inner.writability()
    }

    fn two_in_flight(&self, stream: &StreamId) {
        panic!("two appends of {stream} in flight");
    }
}

/// The log as it is followed.
pub struct Followed {
    pub inner: Box<dyn Subscription>,
    pub to_fail: Arc<AtomicUsize>,
    pub why: fn() -> ReadError,
}

impl Subscription for Followed {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let events = self.inner.next().await?;
            let less = |left: usize| left.checked_sub(1);
            match self.to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
                Ok(_) => Err((self.why)()),
                Err(_) => Ok(events),
            }
        })
    }
}

//! A log that cannot be followed for a moment.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::id::{Position, Version};
use everfold_engine::store::{
    Append, AppendError, Appended, EventStore, MemoryStore, ReadError, Subscription, Writability,
};
use everfold_projections::{Place, ReadSide};
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::grown::grow;
use crate::over::{Asked, Between, Over};

/// A store whose log is away now and then.
struct Away {
    inner: MemoryStore,
    /// So many looks at the log fail.
    to_fail: Arc<AtomicUsize>,
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
        Box::new(Followed { inner: self.inner.subscribe(from), to_fail: Arc::clone(&self.to_fail) })
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.inner.writability()
    }

    fn two_in_flight(&self, stream: &StreamId) {
        panic!("two appends of {stream} in flight");
    }
}

struct Followed {
    inner: Box<dyn Subscription>,
    to_fail: Arc<AtomicUsize>,
}

impl Subscription for Followed {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let events = self.inner.next().await?;
            let less = |left: usize| left.checked_sub(1);
            match self.to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
                Ok(_) => Err(ReadError::Full),
                Err(_) => Ok(events),
            }
        })
    }
}

/// The models stood still until the next start, and answered as if they had come as far as was wanted.
#[tokio::test]
async fn models_go_on_when_the_log_can_be_read_again() {
    let to_fail = Arc::new(AtomicUsize::new(0));
    let store = Over::new(Away { inner: MemoryStore::default(), to_fail: Arc::clone(&to_fail) });
    let store: Arc<dyn EventStore> = store;
    let side = ReadSide::open(Place::memory(), Arc::clone(&store), &Handle::current()).unwrap();
    grow(&store, 0..30).await;
    side.runs(Some(store.last_position()), |_| Ok(())).await.unwrap();
    to_fail.store(2, Ordering::SeqCst);
    grow(&store, 30..60).await;
    let wanted = store.last_position();
    let reached = async {
        loop {
            if let Ok(answer) = side.runs(Some(wanted), |runs| Ok(runs.len())).await {
                return answer.value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let runs = tokio::time::timeout(Duration::from_secs(20), reached).await.expect("they go on");
    assert_eq!((runs, to_fail.load(Ordering::SeqCst)), (60, 0), "each event counts once");
    side.close().await;
}

//! A log that cannot be followed for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everfold_projections::{ReadSide, StorageLocation};
use everfold_store::{EventStore, MemoryStore, ReadError};
use tokio::runtime::Handle;

use crate::failing_log::FailingLog;
use crate::synthetic_runs::grow;

/// The models stood still until the next start, and answered as if they had come as far as was wanted.
#[tokio::test]
async fn models_go_on_when_the_log_can_be_read_again() {
    let to_fail = Arc::new(AtomicUsize::new(0));
    let why = || ReadError::Full;
    let store: Arc<dyn EventStore> =
        Arc::new(FailingLog { inner: MemoryStore::default(), to_fail: Arc::clone(&to_fail), why });
    let side =
        ReadSide::open(StorageLocation::memory().open().unwrap(), Arc::clone(&store), &Handle::current())
            .unwrap();
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

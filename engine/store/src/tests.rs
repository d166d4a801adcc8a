//! Tests that need the parts of an open store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bench::Source;
use super::checkpoint_requests::CheckpointRequests;
use super::checkpointer::Checkpointer;
use super::error::AppendError;
use super::event_store::EventStore as _;
use super::options::SledOptions;
use super::sled_store::SledStore;
use super::writability::Writability;
use super::write_gate::IndexHealth;
use everfold_system::clock;

const NAME: &str = "checkpointer-under-test";

/// Lets a test that fails end.
struct StopOnDrop<'a>(&'a CheckpointRequests);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn row_06_a_panic_while_the_index_is_built_does_not_leave_the_writer_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let panics = Arc::new(AtomicBool::new(true));
    let asked = panics.clone();
    let system = clock::system();
    let options = SledOptions {
        clock: Arc::new(move || {
            let is_meant = std::thread::current().name() == Some(NAME);
            assert!(!(is_meant && asked.load(Ordering::SeqCst)), "as asked");
            system()
        }),
        ..SledOptions::default()
    };
    let store = SledStore::open(folder.path(), options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut source = Source::new(100);
    runtime.block_on(store.append(source.next(1))).unwrap();
    let requests = CheckpointRequests::default();
    store.core().gate.set_index(IndexHealth::Building);
    requests.request_rebuild();
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&requests);
        let body = || Checkpointer { core: store.core(), requests: &requests }.run();
        std::thread::Builder::new().name(NAME.into()).spawn_scoped(scope, body).unwrap();
        runtime.block_on(async {
            let next = source.next(1);
            let refused = store.append(next.clone()).await.unwrap_err();
            assert!(matches!(refused, AppendError::ReadOnly(_)), "{refused}");
            panics.store(false, Ordering::SeqCst);
            store.writability().wait_for(|now| *now == Writability::Writable).await.unwrap();
            store.append(next).await.unwrap();
        });
    });
    assert_eq!(store.last_position().0, 2);
}

//! A journal that has no file to go on in, and goes on by itself when there is one.

use everfold_store::{AppendError, EventStore, SledStore, Writability};

use crate::fault_files::FaultFiles;
use crate::fixtures::{FaultStore, payloads, run, try_open};
use crate::writer::Writer;

async fn until(store: &SledStore, wanted: impl Fn(&Writability) -> bool) {
    store.writability().wait_for(|now| wanted(now)).await.unwrap();
}

/// A store whose only append failed to be synced, with nothing to go on in.
async fn broken(files: &FaultFiles, store: &SledStore, writer: &Writer) {
    files.fail_syncs(1);
    let failed = store.append(writer.clone().append(&[b"failed"])).await.unwrap_err();
    assert!(matches!(failed, AppendError::Unknown(_)), "{failed}");
}

async fn goes_on(folder: &std::path::Path, store: std::sync::Arc<SledStore>, mut writer: Writer) {
    until(&store, |now| *now == Writability::Writable).await;
    store.append(writer.append(&[b"goes on"])).await.unwrap();
    let expected = [b"kept".to_vec(), b"goes on".to_vec()];
    assert_eq!(payloads(store.as_ref()).await, expected);
    store.close().await.unwrap();
    drop(store);
    for boot in ["boot", "another boot"] {
        let store = try_open(folder, &FaultFiles::default(), boot).unwrap();
        assert_eq!(payloads(store.as_ref()).await, expected, "what failed is nothing");
    }
}

#[test]
fn row_03_a_failed_sync_on_a_full_disk_ends_when_there_is_room() {
    run(async {
        let FaultStore { folder, files, store, writer } = FaultStore::with_kept().await;
        files.set_no_space(true);
        broken(&files, &store, &writer).await;
        // Full and not read-only: a caller that waits for room waits for this, too.
        until(&store, |now| *now == Writability::Full).await;
        let refused = store.append(writer.clone().append(&[b"refused"])).await.unwrap_err();
        assert!(matches!(refused, AppendError::Full), "{refused}");
        assert_eq!(payloads(store.as_ref()).await, [b"kept".to_vec()]);
        files.set_no_space(false);
        goes_on(folder.path(), store, writer).await;
    });
}

#[test]
fn row_03_an_io_error_when_no_new_segment_can_be_had_ends_by_itself() {
    run(async {
        let FaultStore { folder, files, store, writer } = FaultStore::with_kept().await;
        files.set_no_files(true);
        broken(&files, &store, &writer).await;
        until(&store, |now| matches!(now, Writability::ReadOnly(_))).await;
        let refused = store.append(writer.clone().append(&[b"refused"])).await.unwrap_err();
        assert!(matches!(refused, AppendError::ReadOnly(_)), "{refused}");
        files.set_no_files(false);
        goes_on(folder.path(), store, writer).await;
    });
}

#[test]
fn row_03_a_segment_that_cannot_be_made_when_the_last_one_is_full_is_made_later() {
    run(async {
        let FaultStore { folder, files, store, mut writer } = FaultStore::new();
        let block = vec![1; 400_000];
        store.append(writer.append(&[&block])).await.unwrap();
        files.set_no_files(true);
        // The rest of the segment is used up, and the next one cannot be made: this is no full disk.
        let mut refused = Ok(());
        for _ in 0..4 {
            let mut next = writer.clone();
            match store.append(next.append(&[&block])).await {
                Ok(_) => writer = next,
                Err(error) => refused = Err(error),
            }
        }
        assert!(matches!(refused, Err(AppendError::ReadOnly(_))), "{refused:?}");
        let held = payloads(store.as_ref()).await.len();
        files.set_no_files(false);
        until(&store, |now| *now == Writability::Writable).await;
        store.append(writer.append(&[&block])).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let store = try_open(folder.path(), &FaultFiles::default(), "another boot").unwrap();
        assert_eq!(payloads(store.as_ref()).await.len(), held + 1);
    });
}

#[test]
fn row_06_a_panic_while_a_segment_is_made_does_not_leave_the_writer_waiting() {
    run(async {
        let FaultStore { folder, files, store, writer } = FaultStore::with_kept().await;
        files.set_panics(true);
        broken(&files, &store, &writer).await;
        until(&store, |now| matches!(now, Writability::ReadOnly(_))).await;
        files.set_panics(false);
        goes_on(folder.path(), store, writer).await;
    });
}

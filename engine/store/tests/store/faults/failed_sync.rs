//! Acknowledged means synced; and what a failed sync leads to.

use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_store::{AppendError, EventStore, Writability};

use crate::fault_files::{Call, FaultFiles};
use crate::fixtures::{FaultStore, payloads, run, try_open};
use crate::writer::Writer;

#[test]
fn s1_no_append_is_answered_shown_or_published_before_its_sync() {
    run(async {
        let FaultStore { folder: _folder, files, store, mut writer } = FaultStore::new();
        let mut follower = store.subscribe(Position(1));
        files.hold_syncs(true);
        let mut append = writer.append(&[b"1", b"2"]);
        append.note.busy = true;
        let appending = tokio::spawn({
            let store = store.clone();
            async move { store.append(append).await }
        });
        let waiting = {
            let files = files.clone();
            tokio::task::spawn_blocking(move || files.wait_for_held())
        };
        waiting.await.unwrap();
        // The group is written, its sync is under way.
        assert!(!appending.is_finished());
        assert_eq!(store.last_position(), Position(0));
        assert_eq!(store.head(&writer.stream).await.unwrap(), None);
        assert_eq!(store.read(&writer.stream, Version(1), 9).await.unwrap(), []);
        assert_eq!(store.read_all(Position(1), 9).await.unwrap(), []);
        assert!(store.due(Timestamp(i64::MAX)).await.unwrap().is_empty());
        assert!(futures_poll_is_pending(&mut follower.next()));
        files.hold_syncs(false);
        assert_eq!(appending.await.unwrap().unwrap().first_position, Position(1));
        assert_eq!(follower.next().await.unwrap().len(), 2);
        store.close().await.unwrap();
    });
}

fn futures_poll_is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context).is_pending()
}

#[test]
fn s1_each_of_many_concurrent_answers_follows_a_sync_of_its_own_bytes() {
    run(async {
        let FaultStore { folder: _folder, files, store, .. } = FaultStore::new();
        let mut callers = Vec::new();
        for caller in 0..16 {
            let (store, files) = (store.clone(), files.clone());
            callers.push(tokio::spawn(async move {
                let mut writer = Writer::new(&format!("caller-{caller}"));
                for round in 0..20 {
                    let payload = format!("<{caller}/{round}>").into_bytes();
                    store.append(writer.append(&[&payload])).await.unwrap();
                    let calls = files.calls();
                    let holds = |bytes: &[u8]| bytes.windows(payload.len()).any(|window| window == payload);
                    let (written_at, file) = calls
                        .iter()
                        .enumerate()
                        .find_map(|(at, call)| match call {
                            Call::Write { path, bytes, .. } if holds(bytes) => Some((at, path)),
                            _ => None,
                        })
                        .unwrap();
                    assert!(calls[written_at..].contains(&Call::Sync(file.clone())), "not synced");
                }
            }));
        }
        for caller in callers {
            caller.await.unwrap();
        }
        let groups = files.calls().iter().filter(|call| is_group(call)).count();
        assert!(groups < 16 * 20, "appends that wait share a group: {groups} groups");
    });
}

fn is_group(call: &Call) -> bool {
    matches!(call, Call::Write { bytes, .. } if bytes.starts_with(b"EVGR"))
}

#[test]
fn s2_a_group_is_one_write_and_the_next_one_waits_for_its_sync() {
    run(async {
        let FaultStore { folder: _folder, files, store, .. } = FaultStore::new();
        let before = files.calls().len();
        let mut writer = Writer::new("a");
        for _ in 0..5 {
            store.append(writer.append(&[b"1", b"2", b"3"])).await.unwrap();
        }
        let calls = &files.calls()[before..];
        assert_eq!(calls.len(), 10, "an append is two system calls: {calls:?}");
        for pair in calls.chunks(2) {
            assert!(is_group(&pair[0]) && matches!(pair[1], Call::Sync(_)));
        }
    });
}

#[test]
fn s3_after_a_failed_sync_the_file_is_left_alone_and_its_tail_is_nothing() {
    run(async {
        let FaultStore { folder, files, store, mut writer } = FaultStore::with_kept().await;
        let before = writer.clone();
        files.fail_syncs(1);
        let failed = store.append(writer.append(&[b"failed"])).await.unwrap_err();
        assert!(matches!(failed, AppendError::Unknown(_)), "{failed}");
        let calls_then = files.calls().len();
        // The tentative head is dropped: the writer reads the head and goes on from there.
        let head = store.head(&before.stream).await.unwrap().unwrap();
        assert_eq!((head.version, head.hash), (before.version, before.hash));
        let mut writer = Writer::at(&before.stream, Some(head));
        store.append(writer.append(&[b"again"])).await.unwrap();
        assert_eq!(payloads(store.as_ref()).await, [b"kept".to_vec(), b"again".to_vec()]);
        let first = folder.path().join("journal/0000000001.segment");
        assert!(std::fs::read(&first).unwrap().windows(6).any(|window| window == b"failed"));
        let touches = |call: &Call| match call {
            Call::Write { path, .. } | Call::Sync(path) => *path == first,
            _ => false,
        };
        assert!(!files.calls()[calls_then..].iter().any(touches), "the failed file was used again");
        drop(store);
        // Neither a start that believes the index nor one that does not reads the tail as truth.
        for boot in ["boot", "another boot"] {
            let store = try_open(folder.path(), &FaultFiles::default(), boot).unwrap();
            assert_eq!(payloads(store.as_ref()).await, [b"kept".to_vec(), b"again".to_vec()]);
            assert_eq!(store.read(&before.stream, Version(1), 9).await.unwrap().len(), 2);
        }
    });
}

#[test]
fn s3_with_no_new_segment_either_the_store_is_read_only_and_says_so() {
    run(async {
        let FaultStore { folder: _folder, files, store, mut writer } = FaultStore::with_kept().await;
        files.fail_syncs(1);
        files.set_no_files(true);
        let mut lost = writer.clone();
        let failed = store.append(lost.append(&[b"failed"])).await.unwrap_err();
        assert!(matches!(failed, AppendError::Unknown(_)), "{failed}");
        let refused = store.append(writer.append(&[b"later"])).await.unwrap_err();
        assert!(matches!(refused, AppendError::ReadOnly(_)), "{refused}");
        assert!(matches!(*store.writability().borrow(), Writability::ReadOnly(_)));
        assert_eq!(payloads(store.as_ref()).await, [b"kept".to_vec()]);
    });
}

#[test]
fn s6_refusals_judged_on_a_group_that_fails_fail_with_it() {
    run(async {
        let FaultStore { folder: _folder, files, store, mut writer } = FaultStore::new();
        let mut rival = writer.clone();
        let mut first = Writer::new("first");
        files.hold_syncs(true);
        // While the first one is held, the two others queue and are judged in one group.
        let blocker = spawn_append(&store, first.append(&[b"0"]));
        let waiting = {
            let files = files.clone();
            tokio::task::spawn_blocking(move || files.wait_for_held())
        };
        waiting.await.unwrap();
        let (one, two) = (writer.append(&[b"1"]), rival.append(&[b"2"]));
        let (one, two) = (spawn_append(&store, one), spawn_append(&store, two));
        tokio::task::yield_now().await;
        files.fail_syncs(2);
        files.hold_syncs(false);
        assert!(matches!(blocker.await.unwrap(), Err(AppendError::Unknown(_))));
        let outcomes = [one.await.unwrap(), two.await.unwrap()];
        // No caller got a version that is not there.
        for outcome in outcomes {
            match outcome {
                Err(AppendError::Unknown(_)) => {}
                Ok(_) => assert!(store.head(&writer.stream).await.unwrap().is_some()),
                Err(AppendError::WrongExpectedVersion { actual, .. }) => {
                    assert_eq!(store.head(&writer.stream).await.unwrap().unwrap().version, actual);
                }
                Err(other) => panic!("{other}"),
            }
        }
    });
}

fn spawn_append(
    store: &std::sync::Arc<everfold_store::SledStore>,
    append: everfold_store::Append,
) -> tokio::task::JoinHandle<Result<everfold_store::Appended, AppendError>> {
    let store = store.clone();
    tokio::spawn(async move { store.append(append).await })
}

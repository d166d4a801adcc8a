//! A full disk.

use everfold_store::{AppendError, EventStore, SledStore, Writability};

use crate::fault_files::FaultFiles;
use crate::fixtures::{FaultStore, open, payloads, run, try_open};
use crate::writer::Writer;

async fn wait_for(store: &SledStore, wanted: Writability) {
    store.writability().wait_for(|now| *now == wanted).await.unwrap();
}

#[test]
fn s7_a_full_disk_refuses_new_runs_keeps_the_rest_for_begun_ones_and_ends_by_itself() {
    run(async {
        let FaultStore { folder, files, store, .. } = FaultStore::new();
        let mut writer = Writer::run("begun");
        let block = vec![1; 200_000];
        store.append(writer.append(&[&block])).await.unwrap();
        assert_eq!(*store.writability().borrow(), Writability::Writable);
        files.set_no_space(true);
        // Past half of the first segment, the next one is wanted and cannot be had.
        store.append(writer.append(&[&block, &block])).await.unwrap();
        wait_for(&store, Writability::Full).await;
        let refused = store.append(Writer::run("new").append(&[b"x"])).await.unwrap_err();
        assert!(matches!(refused, AppendError::Full), "{refused}");
        store.append(writer.append(&[&block, b"what has begun goes on"])).await.unwrap();
        // The rest is used up by a large append; a small one still fits.
        let mut large = writer.clone();
        let refused = store.append(large.append(&[&block, &block])).await.unwrap_err();
        assert!(matches!(refused, AppendError::Full), "{refused}");
        store.append(writer.append(&[b"cancel"])).await.unwrap();
        let acknowledged = payloads(store.as_ref()).await;
        files.set_no_space(false);
        wait_for(&store, Writability::Writable).await;
        store.append(Writer::run("new").append(&[b"x"])).await.unwrap();
        store.append(writer.append(&[&block, &block])).await.unwrap();
        drop(store);
        let store = open(folder.path(), &FaultFiles::default());
        let now = payloads(store.as_ref()).await;
        assert_eq!(now[..acknowledged.len()], acknowledged);
        assert_eq!(now.len(), acknowledged.len() + 3);
    });
}

#[test]
fn s7_segments_follow_one_another_and_are_never_used_twice() {
    run(async {
        let FaultStore { folder, store, mut writer, .. } = FaultStore::new();
        let block = vec![1; 3_000_000];
        for _ in 0..14 {
            store.append(writer.append(&[&block])).await.unwrap();
        }
        store.close().await.unwrap();
        drop(store);
        let mut names: Vec<_> = std::fs::read_dir(folder.path().join("journal"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected: Vec<_> = (1..=6).map(|number| format!("{number:010}.segment")).collect();
        assert_eq!(names, expected);
        let length =
            |name: &String| std::fs::metadata(folder.path().join("journal").join(name)).unwrap().len();
        // Each twice the one before or as much more as its first group needs, up to 16 MiB.
        let lengths: Vec<_> = names.iter().map(|name| length(name) >> 20).collect();
        assert_eq!(lengths, [1, 4, 8, 16, 16, 16]);
        let store = try_open(folder.path(), &FaultFiles::default(), "another boot").unwrap();
        assert_eq!(payloads(store.as_ref()).await.len(), 14);
    });
}

//! A small store with something of everything, and all answers that it gives.

use std::fs;
use std::path::Path;

use everfold_base::envelope::{Envelope, StreamId, StreamKind};
use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_store::{
    Append, Appended, BlobStore, Dedup, DedupKeep, EventStore, ReadError, SledOptions, SledStore, Snapshot,
    StreamHead,
};

use crate::fixtures::run;
use crate::writer::Writer;

pub(crate) const RUN: RunId = RunId(uuid_of_seven());

const fn uuid_of_seven() -> uuid::Uuid {
    uuid::Uuid::from_u128(7)
}

/// What a store answers.
#[derive(Debug, PartialEq)]
pub(crate) struct Answers {
    pub(crate) log: Vec<Envelope>,
    pub(crate) streams: Vec<(StreamId, StreamHead, Vec<Envelope>)>,
    pub(crate) due: Vec<StreamId>,
    pub(crate) next_wake: Option<Timestamp>,
    pub(crate) repeated: Appended,
}

/// Makes the store and closes it.
pub(crate) fn make(folder: &Path) -> Answers {
    run(async {
        let store = SledStore::open(folder, SledOptions::default()).unwrap();
        for id in ["a", "b", "c"] {
            let mut writer = Writer::run(id);
            for round in 0..5_u8 {
                let mut append = writer.append(&[id.as_bytes(), &vec![round; 700 * usize::from(round)]]);
                append.note.busy = id == "b";
                append.note.wake_at = (id == "c").then_some(Timestamp(i64::from(round)));
                store.append(append).await.unwrap();
            }
            let snapshot = Snapshot {
                version: writer.version,
                hash: writer.hash,
                fold_version: 1,
                bytes: vec![3; 20_000],
            };
            store.save_snapshot(&writer.stream, snapshot).await.unwrap();
        }
        store.append(repeatable()).await.unwrap();
        BlobStore::new(folder).put_blocking(RUN, b"evidence").unwrap();
        let answers = answers(&store).await.unwrap();
        store.close().await.unwrap();
        answers
    })
}

fn repeatable() -> Append {
    let mut append = Writer::new("definition").append(&[b"pinned"]);
    append.dedup = Some(Dedup { key: Hash::of(b"key"), body: Hash::of(b"body"), keep: DedupKeep::Stream });
    append
}

/// Asks everything.
pub(crate) async fn answers(store: &SledStore) -> Result<Answers, ReadError> {
    let mut streams = Vec::new();
    for kind in StreamKind::ALL {
        for (stream, head) in store.streams(kind, None, 100).await? {
            let events = store.read(&stream, Version(1), 100).await?;
            assert_eq!(store.head(&stream).await?, Some(head));
            streams.push((stream, head, events));
        }
    }
    // A snapshot may be lost, never changed.
    for (stream, head, _) in &streams {
        if let Some(snapshot) = store.load_snapshot(stream, 1).await? {
            assert_eq!((snapshot.version, snapshot.bytes), (head.version, vec![3; 20_000]));
        }
    }
    let log = store.read_all(Position(1), usize::MAX).await?;
    let log = log.iter().map(|event| Envelope::clone(event)).collect();
    let (due, next_wake) = (store.due(Timestamp(3)).await?, store.next_wake().await?);
    // A copy does not act until it is adopted; then the repeated write must be known.
    store.adopt().await?;
    let repeated = match store.append(repeatable()).await {
        Ok(repeated) => Appended { repeated: true, ..repeated },
        Err(error) => return Err(ReadError::Index(error.to_string())),
    };
    Ok(Answers { log, streams, due, next_wake, repeated })
}

/// All files below a folder, as paths inside it.
pub(crate) fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(
                files(&entry.path()).into_iter().map(|file| Path::new(&entry.file_name()).join(file)),
            );
        } else {
            found.push(entry.file_name().into());
        }
    }
    found.sort();
    found
}

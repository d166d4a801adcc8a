//! What `store verify` says of events that no version of the program can read.

use everfold_api::node::verify_folder;
use everfold_engine::actor::Actor;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::id::{InputId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{Append, EventStore as _, SledOptions, SledStore, StreamNote};
use everfold_engine::time::Timestamp;

/// An event whose bytes do not decode, though its hashes are right.
fn undecodable(stream: &StreamId) -> Append {
    let header = EventHeader {
        stream: stream.clone(),
        version: Version::FIRST,
        recorded_at: Timestamp(0),
        actor: Actor::Engine,
        cause: Cause { input: InputId::derive("unreadable"), because: Version::ZERO },
        kind: u16::MAX,
        schema: 1,
        flags: 0,
        payload_hash: Hash::ZERO,
    };
    Append {
        stream: stream.clone(),
        expected: Version::ZERO,
        previous: Hash::ZERO,
        events: vec![NewEvent::link(header, b"?".to_vec(), &Hash::ZERO)],
        dedup: None,
        fence: None,
        note: StreamNote::default(),
    }
}

#[tokio::test]
async fn an_undecodable_event_of_an_engine_stream_is_named_by_stream_and_version() {
    let streams = ["access", "breakers", "halts", "notices"];
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path(), SledOptions::default()).unwrap();
    for name in streams {
        store.append(undecodable(&StreamId::engine(name))).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let found = verify_folder(folder.path(), &SledOptions::default(), None).unwrap();
    assert!(!found.sound);
    for name in streams {
        let place = format!("engine/{name} at version 1 (");
        assert!(found.faults.iter().any(|fault| fault.starts_with(&place)), "{name}: {:?}", found.faults);
    }
    assert_eq!(found.faults.len(), streams.len(), "{:?}", found.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_was_kept_shows_that_the_log_up_to_there_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let add = async |names: &[&str]| {
        let store = SledStore::open(folder.path(), SledOptions::default()).unwrap();
        for name in names {
            store.append(undecodable(&StreamId::engine(*name))).await.unwrap();
        }
        store.close().await.unwrap();
    };
    let verified = |kept: Option<&str>| {
        let kept = kept.map(|kept| kept.parse().unwrap());
        verify_folder(folder.path(), &SledOptions::default(), kept).unwrap()
    };
    let is_of_digest = |fault: &&String| fault.contains("digest");
    let faults = |kept: &str| verified(Some(kept)).faults.iter().filter(is_of_digest).count();
    add(&["access", "breakers"]).await;
    let first = verified(None).digest.unwrap();
    assert!(first.starts_with("2:") && first.len() == 66, "{first}");
    add(&["halts"]).await;
    let second = verified(None).digest.unwrap();
    assert_eq!((faults(&first), faults(&second)), (0, 0));
    // Another history, and one that is shorter.
    let other = format!("2:{}", &second[2..]);
    let later = format!("4:{}", &second[2..]);
    assert_eq!((faults(&other), faults(&later)), (1, 1));
    assert!(!verified(Some(&later)).sound);
}

//! A stream has one history: versions without gaps, each writer onto what it believes.

use everfold_base::envelope::StreamId;
use everfold_base::id::Version;
use everfold_base::json::Hash;
use everfold_store::AppendError;

use super::subject::Subject;
use crate::writer::Writer;

pub(crate) async fn an_append_at_another_version_is_refused_with_the_actual_one(subject: &mut Subject) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    let mut late = writer.clone();
    let went = store.append(writer.append(&[b"1", b"2"])).await.unwrap();
    assert_eq!((went.first_version, went.count), (Version(1), 2));
    let refused = store.append(late.append(&[b"other"])).await.unwrap_err();
    assert!(matches!(refused, AppendError::WrongExpectedVersion { actual: Version(2), .. }), "{refused}");
    assert_eq!(store.append(writer.append(&[b"3"])).await.unwrap().first_version, Version(3));
    assert_eq!(store.head(&writer.stream).await.unwrap().unwrap().version, Version(3));
    assert_eq!(store.head(&StreamId::engine("none")).await.unwrap(), None);
}

pub(crate) async fn h1_an_append_onto_another_history_is_refused(subject: &mut Subject) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    store.append(writer.append(&[b"1"])).await.unwrap();
    let mut forged = writer.clone();
    forged.hash = Hash::of(b"another history");
    let refused = store.append(forged.append(&[b"2"])).await.unwrap_err();
    assert!(matches!(refused, AppendError::WrongPreviousHash { actual, .. } if actual == writer.hash));
    store.append(writer.append(&[b"2"])).await.unwrap();
    let events = store.read(&writer.stream, Version(1), 10).await.unwrap();
    assert!(events[0].is_linked(&Hash::ZERO) && events[1].is_linked(&events[0].hash));
}

pub(crate) async fn s6_one_of_many_racing_appenders_wins_each_version(subject: &mut Subject) {
    const APPENDERS: usize = 8;
    const ROUNDS: u64 = 20;
    let store = subject.open();
    let stream = StreamId::engine("contended");
    let mut racing = Vec::new();
    for _ in 0..APPENDERS {
        let (store, stream) = (store.clone(), stream.clone());
        racing.push(tokio::spawn(async move {
            let mut won = 0;
            loop {
                let mut writer = Writer::at(&stream, store.head(&stream).await.unwrap());
                if writer.version >= Version(ROUNDS) {
                    return won;
                }
                match store.append(writer.append(&[b"x"])).await {
                    Ok(_) => won += 1,
                    Err(AppendError::WrongExpectedVersion { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }));
    }
    let mut won = 0;
    for racer in racing {
        won += racer.await.unwrap();
    }
    assert!(won >= ROUNDS && won < ROUNDS + APPENDERS as u64);
    let events = store.read(&stream, Version(1), 1_000).await.unwrap();
    assert_eq!(events.len() as u64, won);
    let mut previous = Hash::ZERO;
    for event in events {
        assert!(event.is_linked(&previous));
        previous = event.hash;
    }
}

pub(crate) async fn streams_are_read_from_any_version(subject: &mut Subject) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    // A neighbour whose id begins alike must not be mistaken for it.
    let mut neighbour = Writer::new("ab");
    for size in [1, 3, 2, 5] {
        store.append(neighbour.append(&[b"other"])).await.unwrap();
        let payloads = vec![&b"payload"[..]; size];
        store.append(writer.append(&payloads)).await.unwrap();
    }
    for from in 0..=12 {
        for limit in [0, 1, 3, 100] {
            let events = store.read(&writer.stream, Version(from), limit).await.unwrap();
            let versions: Vec<u64> = events.iter().map(|event| event.header.version.0).collect();
            let expected: Vec<u64> = (from.max(1)..=11).take(limit).collect();
            assert_eq!(versions, expected, "from {from}, limit {limit}");
            assert!(events.iter().all(|event| event.header.stream == writer.stream));
        }
    }
}

pub(crate) async fn s9_an_append_of_two_streams_or_malformed_is_refused_and_leaves_nothing(
    subject: &mut Subject,
) {
    let store = subject.open();
    let refuse = |change: fn(&mut everfold_store::Append)| {
        let mut append = Writer::new("a").append(&[b"1", b"2"]);
        change(&mut append);
        append
    };
    for append in [
        refuse(|append| append.events.clear()),
        refuse(|append| append.events[1].header.version = Version(3)),
        refuse(|append| append.events[1].header.stream = StreamId::engine("b")),
        refuse(|append| {
            append.stream = StreamId::engine("a\0b");
            append.events.iter_mut().for_each(|event| event.header.stream = StreamId::engine("a\0b"));
        }),
    ] {
        let refused = store.append(append).await.unwrap_err();
        assert!(matches!(refused, AppendError::Malformed(_)), "{refused}");
    }
    assert_eq!(store.last_position().0, 0);
}

//! The whole log: positions, order, following it.

use std::collections::HashMap;

use everfold_base::id::Position;
use everfold_store::ReadError;

use super::subject::Subject;
use crate::writer::Writer;

pub(crate) async fn h3_positions_are_gap_free_across_streams_and_commit_times_never_decrease(
    subject: &mut Subject,
) {
    let store = subject.open();
    let mut appending = Vec::new();
    for stream in 0..8 {
        let store = store.clone();
        let millis = subject.millis.clone();
        appending.push(tokio::spawn(async move {
            let mut writer = Writer::new(&format!("s{stream}"));
            for batch in 0..25 {
                // The machine's clock jumps back and forth.
                millis.fetch_add(if batch % 3 == 0 { -50 } else { 40 }, std::sync::atomic::Ordering::Relaxed);
                let payloads = vec![&b"payload"[..]; 1 + batch % 4];
                store.append(writer.append(&payloads)).await.unwrap();
            }
            writer.version
        }));
    }
    let mut total = 0;
    for appender in appending {
        total += appender.await.unwrap().0;
    }
    assert_eq!(store.last_position(), Position(total));
    let log = store.read_all(Position(1), usize::MAX).await.unwrap();
    let mut versions: HashMap<_, u64> = HashMap::new();
    for (index, event) in log.iter().enumerate() {
        assert_eq!(event.position, Position(index as u64 + 1));
        let version = versions.entry(event.header.stream.clone()).or_default();
        *version += 1;
        assert_eq!(event.header.version.0, *version, "the log keeps each stream's order");
    }
    assert_eq!(log.len() as u64, total);
    assert!(log.windows(2).all(|pair| pair[0].committed_at <= pair[1].committed_at));
}

pub(crate) async fn the_log_is_read_from_any_position(subject: &mut Subject) {
    let store = subject.open();
    let (mut a, mut b) = (Writer::new("a"), Writer::new("b"));
    for _ in 0..5 {
        store.append(a.append(&[b"1", b"2"])).await.unwrap();
        store.append(b.append(&[b"3"])).await.unwrap();
    }
    for from in 0..=17 {
        for limit in [0, 1, 4, 100] {
            let positions: Vec<u64> =
                store.read_all(Position(from), limit).await.unwrap().iter().map(|e| e.position.0).collect();
            assert_eq!(positions, (from.max(1)..=15).take(limit).collect::<Vec<_>>(), "{from} {limit}");
        }
    }
}

pub(crate) async fn s5_a_follower_misses_nothing_and_sees_nothing_twice_from_any_position(
    subject: &mut Subject,
) {
    const EVENTS: u64 = 400;
    let store = subject.open();
    let mut following = Vec::new();
    for (from, takes) in [0, 1, 2, 57, 399, EVENTS].into_iter().flat_map(|from| [(from, false), (from, true)])
    {
        let mut follower = store.subscribe(Position(from));
        following.push(tokio::spawn(async move {
            let mut next = from.max(1);
            while next <= EVENTS {
                // What is there already, or what comes.
                let mut see = |position| {
                    assert_eq!(position, Position(next));
                    next += 1;
                };
                if takes && follower.show(&mut |event| see(event.position)).unwrap() {
                    continue;
                }
                follower.next().await.unwrap().iter().for_each(|event| see(event.position));
            }
        }));
    }
    let mut appending = Vec::new();
    for stream in 0..4 {
        let store = store.clone();
        appending.push(tokio::spawn(async move {
            let mut writer = Writer::new(&format!("s{stream}"));
            for _ in 0..EVENTS / 8 {
                store.append(writer.append(&[b"1", b"2"])).await.unwrap();
            }
        }));
    }
    for task in appending.into_iter().chain(following) {
        task.await.unwrap();
    }
}

pub(crate) async fn a_follower_waits_and_ends_with_the_store(subject: &mut Subject) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    let mut follower = store.subscribe(Position(1));
    let waiting = tokio::spawn(async move {
        let first = follower.next().await.unwrap();
        (first.len(), follower.next().await)
    });
    store.append(writer.append(&[b"1"])).await.unwrap();
    store.close().await.unwrap();
    let (first, end) = waiting.await.unwrap();
    assert_eq!(first, 1, "what was recorded before the end is given out");
    assert!(matches!(end, Err(ReadError::Closed)));
}

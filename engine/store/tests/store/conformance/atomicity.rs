//! An append is there as a whole or not at all.

use everfold_base::id::Version;
use everfold_store::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, AppendError};

use super::subject::Subject;
use crate::writer::Writer;

pub(crate) async fn s8_an_append_over_the_limits_is_too_large_and_the_largest_one_fits(
    subject: &mut Subject,
) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    let many = vec![&b"x"[..]; APPEND_EVENTS_MAX + 1];
    let refused = store.append(writer.clone().append(&many)).await.unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { events: 1_001, .. }));
    let half = vec![7; APPEND_BYTES_MAX / 2];
    let refused = store.append(writer.clone().append(&[&half, &half, b"x"])).await.unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { events: 3, .. }));

    store.append(writer.append(&[&half, &half])).await.unwrap();
    let pieces = vec![&half[..APPEND_BYTES_MAX / APPEND_EVENTS_MAX]; APPEND_EVENTS_MAX];
    store.append(writer.append(&pieces)).await.unwrap();
    let events = store.read(&writer.stream, Version(1), 2_000).await.unwrap();
    assert_eq!(events.len(), 2 + APPEND_EVENTS_MAX);
    assert!(events[..2].iter().all(|event| event.payload == half));
    let log = store.read_all(everfold_base::id::Position(1), 2_000).await.unwrap();
    assert!(log.iter().zip(&events).all(|(log, event)| **log == *event));
}

pub(crate) async fn a_batch_is_seen_whole_by_readers_beside_it(subject: &mut Subject) {
    const BATCH: usize = 7;
    let store = subject.open();
    let mut writer = Writer::new("a");
    let stream = writer.stream.clone();
    let reading = tokio::spawn({
        let (store, stream) = (store.clone(), stream.clone());
        async move {
            loop {
                let events = store.read(&stream, Version(1), 10_000).await.unwrap();
                assert_eq!(events.len() % BATCH, 0, "part of a batch was seen");
                let head = store.head(&stream).await.unwrap().map_or(0, |head| head.version.0);
                assert!(head as usize >= events.len());
                assert_eq!(head as usize % BATCH, 0);
                if events.len() == 50 * BATCH {
                    return;
                }
            }
        }
    });
    for _ in 0..50 {
        store.append(writer.append(&[&b"x"[..]; BATCH])).await.unwrap();
        // What is acknowledged is read at once.
        assert_eq!(store.head(&stream).await.unwrap().unwrap().version, writer.version);
        assert_eq!(store.read(&stream, writer.version, 1).await.unwrap().len(), 1);
    }
    reading.await.unwrap();
}

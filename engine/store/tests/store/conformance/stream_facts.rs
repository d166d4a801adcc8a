//! Repeated writes, ownership, notes, lists, snapshots.

use std::sync::atomic::Ordering;

use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::id::Version;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_store::{AppendError, DEDUP_KEPT, Dedup, DedupKeep, Fence, Snapshot, StreamNote};

use super::subject::Subject;
use crate::writer::Writer;

fn dedup(body: &str, keep: DedupKeep) -> Option<Dedup> {
    Some(Dedup { key: Hash::of(b"key"), body: Hash::of(body.as_bytes()), keep })
}

pub(crate) async fn s10_a_repeated_write_gets_the_first_answer_and_another_body_is_refused(
    subject: &mut Subject,
) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    let mut write = writer.append(&[b"1", b"2"]);
    write.dedup = dedup("body", DedupKeep::Week);
    // All at once: the repeats are judged while the first one is under way.
    let (first, second, third) =
        tokio::join!(store.append(write.clone()), store.append(write.clone()), store.append(write.clone()));
    let answers = [first.unwrap(), second.unwrap(), third.unwrap()];
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert!(answers.iter().all(|answer| answer.first_position == answers[0].first_position));
    // The stream has moved on: a repeat is a repeat all the same.
    store.append(writer.append(&[b"3"])).await.unwrap();
    let repeat = store.append(write.clone()).await.unwrap();
    assert!(repeat.repeated && repeat.first_version == Version(1) && repeat.count == 2);
    let known = store.first_write(write.dedup.unwrap().key).await.unwrap().unwrap();
    assert_eq!((known.body, known.appended), (write.dedup.unwrap().body, repeat));
    assert_eq!(store.first_write(Hash::of(b"never used")).await.unwrap(), None);
    write.dedup = dedup("another body", DedupKeep::Week);
    assert!(matches!(store.append(write).await, Err(AppendError::DedupConflict)));
    assert_eq!(store.head(&writer.stream).await.unwrap().unwrap().version, Version(3));
}

pub(crate) async fn s10_a_key_is_free_again_after_a_week_unless_it_started_the_stream(subject: &mut Subject) {
    for (keep, freed) in [(DedupKeep::Week, true), (DedupKeep::Stream, false)] {
        let store = subject.open();
        let mut writer = Writer::new(if freed { "week" } else { "stream" });
        let mut write = writer.append(&[b"1"]);
        write.dedup = dedup(if freed { "w" } else { "s" }, keep);
        write.dedup.as_mut().unwrap().key = Hash::of(writer.stream.id.as_bytes());
        store.append(write.clone()).await.unwrap();
        let week = i64::try_from(DEDUP_KEPT.as_millis()).unwrap();
        subject.millis.fetch_add(week - 1, Ordering::Relaxed);
        assert!(store.append(write.clone()).await.unwrap().repeated);
        subject.millis.fetch_add(1, Ordering::Relaxed);
        store.close().await.unwrap();
        drop(store);
        let store = subject.open();
        let known = store.first_write(write.dedup.unwrap().key).await.unwrap();
        assert_eq!(known.is_none(), freed);
        let outcome = store.append(write).await;
        if freed {
            assert!(matches!(outcome, Err(AppendError::WrongExpectedVersion { .. })), "{outcome:?}");
        } else {
            assert!(outcome.unwrap().repeated);
        }
        store.close().await.unwrap();
    }
}

pub(crate) async fn s8_an_older_fence_is_refused(subject: &mut Subject) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    for (fence, ok) in
        [(Some(3), true), (Some(3), true), (Some(2), false), (Some(5), true), (None, true), (Some(4), false)]
    {
        let mut ahead = writer.clone();
        let mut append = ahead.append(&[b"x"]);
        append.fence = fence.map(Fence);
        match store.append(append).await {
            Ok(_) if ok => writer = ahead,
            Err(AppendError::Fenced { .. }) if !ok => {}
            other => panic!("{fence:?}: {other:?}"),
        }
    }
}

pub(crate) async fn s4_notes_say_what_a_start_loads(subject: &mut Subject) {
    let mut store = subject.open();
    let note = |open, busy, wake_at: Option<i64>| StreamNote { open, busy, wake_at: wake_at.map(Timestamp) };
    let mut writers = ["busy", "early", "ended", "late", "rests", "was-busy"].map(Writer::new);
    for (writer, last) in writers.iter_mut().zip([
        note(true, true, Some(100)),
        note(true, false, Some(500)),
        note(false, false, None),
        note(true, false, Some(9_000)),
        note(true, false, None),
        note(true, false, Some(-3)),
    ]) {
        for note in [note(true, true, Some(700)), note(true, false, Some(50)), last] {
            let mut append = writer.append(&[b"x"]);
            append.note = note;
            store.append(append).await.unwrap();
        }
    }
    for reopened in [false, true] {
        if reopened {
            store.close().await.unwrap();
            drop(store);
            store = subject.open();
        }
        let due = |until| {
            let store = store.clone();
            async move {
                let due = store.due(Timestamp(until)).await.unwrap();
                due.into_iter().map(|stream| stream.id).collect::<Vec<_>>()
            }
        };
        assert_eq!(due(499).await, ["busy", "was-busy"]);
        assert_eq!(due(500).await, ["busy", "early", "was-busy"]);
        assert_eq!(due(i64::MAX).await, ["busy", "early", "late", "was-busy"]);
        assert_eq!(due(i64::MIN).await, ["busy"]);
        assert_eq!(store.next_wake().await.unwrap(), Some(Timestamp(-3)));
        let head = store.head(&StreamId::engine("late")).await.unwrap().unwrap();
        assert_eq!(head.note, note(true, false, Some(9_000)));
    }
}

pub(crate) async fn streams_are_listed_by_kind_in_the_order_of_their_ids(subject: &mut Subject) {
    let store = subject.open();
    for (kind, id) in [
        (StreamKind::Run, "b"),
        (StreamKind::Run, "a"),
        (StreamKind::Key, "k"),
        (StreamKind::Run, "ab"),
        (StreamKind::Engine, "e"),
    ] {
        let mut writer = Writer::new(id);
        writer.stream.kind = kind;
        store.append(writer.append(&[b"x"])).await.unwrap();
    }
    let list = |after: Option<&str>, limit| {
        let (store, after) = (store.clone(), after.map(str::to_owned));
        async move {
            let streams = store.streams(StreamKind::Run, after, limit).await.unwrap();
            streams.into_iter().map(|(stream, _)| stream.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(None, 10).await, ["a", "ab", "b"]);
    assert_eq!(list(None, 2).await, ["a", "ab"]);
    assert_eq!(list(Some("a"), 10).await, ["ab", "b"]);
    assert_eq!(list(Some("b"), 10).await, [""; 0]);
}

pub(crate) async fn s11_a_snapshot_is_given_back_for_its_fold_and_history_only(subject: &mut Subject) {
    let mut store = subject.open();
    let mut writer = Writer::new("a");
    store.append(writer.append(&[b"1", b"2"])).await.unwrap();
    let second = writer.clone();
    store.append(writer.append(&[b"3"])).await.unwrap();
    let snapshot = |bytes: usize, hash| Snapshot {
        version: second.version,
        hash,
        fold_version: 4,
        bytes: (0..bytes).map(|byte| (byte % 251) as u8).collect(),
    };
    assert_eq!(store.load_snapshot(&writer.stream, 4).await.unwrap(), None);
    for bytes in [300_000, 0, 8_192, 10] {
        let kept = snapshot(bytes, second.hash);
        store.save_snapshot(&writer.stream, kept.clone()).await.unwrap();
        assert_eq!(store.load_snapshot(&writer.stream, 4).await.unwrap(), Some(kept.clone()));
        assert_eq!(store.load_snapshot(&writer.stream, 5).await.unwrap(), None);
        store.close().await.unwrap();
        drop(store);
        store = subject.open();
        let kept = subject.keeps_snapshots().then_some(kept);
        assert_eq!(store.load_snapshot(&writer.stream, 4).await.unwrap(), kept);
    }
    store.save_snapshot(&writer.stream, snapshot(9, Hash::of(b"another history"))).await.unwrap();
    assert_eq!(store.load_snapshot(&writer.stream, 4).await.unwrap(), None);
}

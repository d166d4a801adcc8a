//! Any history of writes leaves every store with the same answers, reopened in between or not.

use everfold_base::envelope::{Envelope, StreamId, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_store::{Appended, Dedup, DedupKeep, Fence, StreamHead};
use proptest::prelude::*;

use super::subject::Subject;
use crate::writer::Writer;

/// One write, or the end of a process.
#[derive(Debug, Clone)]
enum Step {
    Write {
        stream: u8,
        sizes: Vec<u16>,
        note: (bool, Option<i8>),
        key: Option<(u8, bool)>,
        fence: Option<u8>,
        late: bool,
    },
    Tick(u32),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let write = (
        0..4_u8,
        prop::collection::vec(0..12_000_u16, 1..4),
        (any::<bool>(), any::<Option<i8>>()),
        prop::option::weighted(0.3, (0..3_u8, any::<bool>())),
        prop::option::weighted(0.2, 0..4_u8),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(stream, sizes, note, key, fence, late)| Step::Write {
            stream,
            sizes,
            note,
            key,
            fence,
            late,
        });
    prop_oneof![12 => write, 1 => any::<u32>().prop_map(Step::Tick), 1 => Just(Step::Reopen)]
}

#[derive(Debug, PartialEq)]
struct Answers {
    outcomes: Vec<Result<Appended, String>>,
    log: Vec<Envelope>,
    streams: Vec<(StreamId, StreamHead, Vec<Envelope>)>,
    due: Vec<StreamId>,
    next_wake: Option<Timestamp>,
}

async fn play(subject: &mut Subject, steps: &[Step]) -> Answers {
    let mut store = subject.open();
    let mut outcomes = Vec::new();
    for step in steps {
        match step {
            Step::Write { stream, sizes, note, key, fence, late } => {
                let stream = StreamId::engine(format!("s{stream}"));
                let mut writer = Writer::at(&stream, store.head(&stream).await.unwrap());
                if *late && writer.version > Version::ZERO {
                    writer.version.0 -= 1;
                }
                let payloads: Vec<Vec<u8>> = sizes.iter().map(|size| vec![1; usize::from(*size)]).collect();
                let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
                let mut append = writer.append(&payloads);
                append.note.busy = note.0;
                append.note.wake_at = note.1.map(|at| Timestamp(i64::from(at)));
                append.fence = fence.map(|fence| Fence(u64::from(fence)));
                append.dedup = key.map(|(key, body)| Dedup {
                    key: Hash::of(&[key]),
                    body: Hash::of(&[u8::from(body)]),
                    keep: if key == 0 { DedupKeep::Stream } else { DedupKeep::Week },
                });
                outcomes.push(store.append(append).await.map_err(|error| error.to_string()));
            }
            Step::Tick(millis) => {
                subject.millis.fetch_add(i64::from(*millis), std::sync::atomic::Ordering::Relaxed);
            }
            Step::Reopen => {
                store.close().await.unwrap();
                drop(store);
                store = subject.open();
            }
        }
    }
    let mut streams = Vec::new();
    let mut named = vec![StreamId::engine("none")];
    for (stream, head) in store.streams(StreamKind::Engine, None, 100).await.unwrap() {
        let events = store.read(&stream, Version(1), usize::MAX).await.unwrap();
        named.push(stream.clone());
        streams.push((stream, head, events));
    }
    let heads = store.heads(named).await.unwrap();
    let known = streams.iter().map(|(_, head, _)| Some(*head));
    assert_eq!(heads, [None].into_iter().chain(known).collect::<Vec<_>>(), "asked for several at once");
    let log = store.read_all(Position(1), usize::MAX).await.unwrap();
    let answers = Answers {
        outcomes,
        log: log.iter().map(|event| Envelope::clone(event)).collect(),
        streams,
        due: store.due(Timestamp(3)).await.unwrap(),
        next_wake: store.next_wake().await.unwrap(),
    };
    store.close().await.unwrap();
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn h2_every_store_gives_the_same_positions_hashes_and_answers(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let expected = play(&mut Subject::memory(), &steps).await;
            for mut subject in [Subject::sled(), Subject::journal()] {
                let found = play(&mut subject, &steps).await;
                prop_assert_eq!(&found, &expected);
            }
            Ok(())
        })?;
    }
}

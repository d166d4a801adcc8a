//! What verification, repair and readers say of events that were altered together with their checksums.

mod last_segment;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{RepairError, RepairStep, RestoreFrom, apply, plan};
use crate::append::Append;
use crate::error::ReadError;
use crate::event_store::EventStore as _;
use crate::journal::format::{self, GROUP_HEADER, GroupHeader, SEGMENT_HEADER, SegmentHeader};
use crate::options::SledOptions;
use crate::record;
use crate::sled_store::SledStore;
use crate::stream_head::StreamNote;
use crate::verify::{NoMeaning, verify_folder};
use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, Envelope, EventHeader, NewEvent, StreamId};
use everfold_base::id::{InputId, Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// Two streams, whose appends alternate, each of two events with payloads such as `a 3`.
fn store(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(folder, SledOptions::default()).unwrap();
        let streams = [StreamId::engine("a"), StreamId::engine("b")];
        let mut ends = [Hash::ZERO; 2];
        for expected in (0..8).step_by(2).map(Version) {
            for (stream, previous) in streams.iter().zip(&mut ends) {
                let payloads = [1, 2].map(|behind| format!("{} {}", stream.id, expected.0 + behind).into());
                let append = append(stream, expected, *previous, payloads);
                *previous = append.events[1].hash;
                store.append(append).await.unwrap();
            }
        }
        store.close().await.unwrap();
    });
}

/// Events of these payloads behind a version of a stream.
fn append<const N: usize>(
    stream: &StreamId,
    expected: Version,
    previous: Hash,
    payloads: [Vec<u8>; N],
) -> Append {
    let (mut version, mut chained) = (expected, previous);
    let events = payloads.map(|payload| {
        version = version.next();
        let header = EventHeader {
            stream: stream.clone(),
            version,
            recorded_at: Timestamp(1_000),
            actor: Actor::Engine,
            cause: Cause { input: InputId::derive("input"), because: expected },
            kind: 7,
            schema: 1,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let event = NewEvent::link(header, payload, &chained);
        chained = event.hash;
        event
    });
    let note = StreamNote { open: true, busy: false, wake_at: None };
    Append {
        stream: stream.clone(),
        expected,
        previous,
        events: events.into(),
        dedup: None,
        fence: None,
        note,
    }
}

/// Changes one byte of a payload wherever it stands in a file.
fn alter_each(file: &Path, payload: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let begin = &payload[..32];
    let places: Vec<usize> = bytes
        .windows(begin.len())
        .enumerate()
        .filter(|(_, window)| *window == begin)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{} does not hold it", file.display());
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(file, bytes).unwrap();
}

/// Changes the body of each group of the first segment, and makes all checksums right.
fn reseal(folder: &Path, mut change: impl FnMut(&GroupHeader, &mut [u8])) {
    let path = folder.join("journal/0000000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    let nonce = SegmentHeader::decode(&bytes).unwrap().nonce;
    let (mut offset, mut crc) = (SEGMENT_HEADER, 0);
    while let Some((mut group, _)) = GroupHeader::decode(&bytes[offset..], nonce, offset as u64) {
        let length = group.body_bytes as usize;
        let body = &mut bytes[offset + GROUP_HEADER..][..length];
        change(&group, body);
        group.previous_crc = crc;
        group.body_crc = format::body_crc(nonce, offset as u64, body);
        let (header, new) = group.encode(nonce, offset as u64);
        bytes[offset..offset + GROUP_HEADER].copy_from_slice(&header);
        crc = new;
        offset += usize::try_from(group.length()).unwrap();
    }
    fs::write(&path, bytes).unwrap();
}

/// Puts another payload of the same length in the place of an event's; with `rehashed` its own hash is made right as well.
fn alter(folder: &Path, payload: &str, by: &str, rehashed: bool) {
    reseal(folder, |group, body| {
        let Some(at) = body.windows(payload.len()).position(|window| window == payload.as_bytes()) else {
            return;
        };
        body[at..at + by.len()].copy_from_slice(by.as_bytes());
        if rehashed {
            let record = format::records(body).next().unwrap().unwrap();
            let (_, events) = record::decode(record, group.first_position, group.committed_at).unwrap();
            let at = events.iter().position(|event| event.payload == by.as_bytes()).unwrap();
            let new = events[at].header.chain(&events[at - 1].hash);
            let old = body.windows(32).position(|window| window == events[at].hash.0).unwrap();
            body[old..old + 32].copy_from_slice(&new.0);
        }
    });
}

pub(super) fn events(folder: &Path, from: u64, limit: usize) -> Result<Vec<Envelope>, ReadError> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(folder, SledOptions::default()).unwrap();
        let read = store.read(&StreamId::engine("a"), Version(from), limit).await;
        assert_eq!(store.read(&StreamId::engine("b"), Version(1), 100).await.unwrap().len(), 8);
        store.close().await.unwrap();
        read
    })
}

#[test]
fn an_event_that_was_altered_with_its_checksums_is_restored_from_the_index() {
    // The second event of an append, alone and with its own hash: then the next append tells of it.
    for (payload, by, rehashed) in [("a 4", "a 5", false), ("a 3", "a 5", false), ("a 4", "a 5", true)] {
        let folder = TempDir::new().unwrap();
        let (folder, options) = (folder.path().join("store"), SledOptions::default());
        store(&folder);
        let before = events(&folder, 1, 100).unwrap();
        alter(&folder, payload, by, rehashed);
        assert!(!verify_folder(&folder, &options, &mut NoMeaning).unwrap().is_sound());
        let without = plan(&folder, &options, &RestoreFrom::Nothing).unwrap();
        let told = if rehashed { Position(9) } else { Position(5) };
        assert_eq!(without.lost, [(told, told.next())], "{payload} {rehashed}");
        assert!(without.damage[0].to_string().contains("is not linked"), "{:?}", without.damage);
        assert!(matches!(
            apply(&folder, &options, &RestoreFrom::Nothing),
            Err(RepairError::NotInJournal { .. })
        ));
        let with = plan(&folder, &options, &RestoreFrom::Index).unwrap();
        let [RepairStep::RewriteJournal { restored, .. }, RepairStep::RebuildIndex] = &with.steps[..] else {
            panic!("{:?}", with.steps)
        };
        assert_eq!((&with.lost[..], &restored[..]), (&[][..], &[(Position(5), Position(6))][..]));
        apply(&folder, &options, &RestoreFrom::Index).unwrap();
        assert_eq!(verify_folder(&folder, &options, &mut NoMeaning).unwrap().faults, []);
        assert!(events(&folder, 1, 100).unwrap() == before);
    }
}

#[test]
fn an_altered_event_that_the_index_was_built_from_is_refused_to_who_reads_it_and_to_nobody_else() {
    for (rehashed, unlinked) in [(false, Version(4)), (true, Version(5))] {
        let folder = TempDir::new().unwrap();
        let (folder, options) = (folder.path().join("store"), SledOptions::default());
        store(&folder);
        alter(&folder, "a 4", "a 5", rehashed);
        fs::remove_dir_all(folder.join("sled")).unwrap();
        // It has the last group's checksum.
        fs::remove_file(folder.join("store.json")).unwrap();
        for (from, limit) in [(1, 100), (2, 4), (unlinked.0, 1)] {
            match events(&folder, from, limit) {
                Err(ReadError::Unlinked { version, .. }) => assert_eq!(version, unlinked),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(events(&folder, 1, 3).unwrap().len(), 3);
        assert_eq!(events(&folder, unlinked.0 + 1, 100).unwrap().len() as u64, 8 - unlinked.0);
        // The index was built from it: nothing else is known.
        let plan = plan(&folder, &options, &RestoreFrom::Index).unwrap();
        assert_eq!((plan.steps.len(), plan.lost.len()), (0, 1), "{plan:?}");
        assert!(matches!(apply(&folder, &options, &RestoreFrom::Index), Err(RepairError::Lost { .. })));
    }
}

/// The last event of a stream, with its hash: nothing follows that would tell. A stream's name, and a version.
#[test]
fn what_the_index_holds_otherwise_is_named_and_with_its_word_restored_whatever_was_altered() {
    // Behind the length, the format, the kind and the name's length; and behind the name and the bits.
    let (name, version) = (7, 9);
    let at = |place: usize, by: u8| {
        move |folder: &Path| {
            reseal(folder, |group, body| {
                if group.first_position == Position(5) {
                    body[place] = by;
                }
            })
        }
    };
    let last = |folder: &Path| alter(folder, "a 8", "a 9", true);
    let ways: [&dyn Fn(&Path); 4] = [&last, &at(name, b'c'), &at(version, 4), &at(version, 2)];
    for (number, way) in ways.iter().enumerate() {
        let folder = TempDir::new().unwrap();
        let (folder, options) = (folder.path().join("store"), SledOptions::default());
        store(&folder);
        let before = events(&folder, 1, 100).unwrap();
        way(&folder);
        assert!(!verify_folder(&folder, &options, &mut NoMeaning).unwrap().is_sound(), "{number}");
        let without = plan(&folder, &options, &RestoreFrom::Nothing).unwrap();
        assert!(!without.damage.is_empty() && without.steps.is_empty(), "{number}: {without:?}");
        let with = plan(&folder, &options, &RestoreFrom::Index).unwrap();
        assert_eq!(with.lost, [], "{number}: {with:?}");
        apply(&folder, &options, &RestoreFrom::Index).unwrap();
        assert_eq!(verify_folder(&folder, &options, &mut NoMeaning).unwrap().faults, [], "{number}");
        assert!(events(&folder, 1, 100).unwrap() == before, "{number}");
    }
}

/// A start refuses such a folder, and nothing else said why.
#[test]
fn a_last_group_that_the_stores_mark_does_not_name_is_named() {
    let folder = TempDir::new().unwrap();
    let (folder, options) = (folder.path().join("store"), SledOptions::default());
    store(&folder);
    alter(&folder, "a 8", "a 9", true);
    fs::remove_dir_all(folder.join("sled")).unwrap();
    let refused = SledStore::open(&folder, options.clone()).map(drop).unwrap_err().to_string();
    assert!(refused.contains("mark"), "{refused}");
    let named = |text: &str| text.contains("store.json") && text.contains("another last group");
    let report = verify_folder(&folder, &options, &mut NoMeaning).unwrap();
    assert!(report.faults.iter().any(|fault| named(&fault.to_string())), "{:?}", report.faults);
    for from in [RestoreFrom::Nothing, RestoreFrom::Index] {
        let plan = plan(&folder, &options, &from).unwrap();
        assert!(plan.damage.iter().any(|damage| named(&damage.to_string())), "{plan:?}");
        assert_eq!((plan.steps, plan.lost), (vec![], vec![]));
    }
}

/// Each read of it had the whole index built again.
#[test]
fn a_stream_that_a_new_index_does_not_mend_is_refused_without_another_one() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    store(&folder);
    // The version of the second append of `a`.
    reseal(&folder, |group, body| {
        if group.first_position == Position(5) {
            body[9] = 4;
        }
    });
    fs::remove_dir_all(folder.join("sled")).unwrap();
    fs::remove_file(folder.join("store.json")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&folder, SledOptions::default()).unwrap();
        let read = async || store.read(&StreamId::engine("a"), Version(1), 100).await;
        assert!(matches!(read().await, Err(ReadError::DamagedStream { .. })));
        let index = folder.join("sled/db");
        let built = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&index).unwrap());
        let before = built();
        for _ in 0..3 {
            assert!(matches!(read().await, Err(ReadError::DamagedStream { .. })));
        }
        assert_eq!(built(), before, "the index is the same one");
        store.close().await.unwrap();
    });
}

#[test]
fn an_index_that_verification_calls_damaged_is_thrown_away_and_what_a_start_makes_anew_is_said() {
    let folder = TempDir::new().unwrap();
    let (folder, options) = (folder.path().join("store"), SledOptions::default());
    store(&folder);
    let before = events(&folder, 1, 100).unwrap();
    let nothing = super::RepairPlan { has_index: true, ..super::RepairPlan::default() };
    assert_eq!(plan(&folder, &options, &RestoreFrom::Nothing).unwrap(), nothing);
    let database = folder.join("sled/db");
    let mut bytes = fs::read(&database).unwrap();
    let at = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[at] ^= 1;
    fs::write(&database, bytes).unwrap();
    assert!(!verify_folder(&folder, &options, &mut NoMeaning).unwrap().is_sound());
    for from in [RestoreFrom::Nothing, RestoreFrom::Index] {
        assert_eq!(plan(&folder, &options, &from).unwrap().steps, [RepairStep::RebuildIndex]);
    }
    apply(&folder, &options, &RestoreFrom::Nothing).unwrap();
    assert_eq!(verify_folder(&folder, &options, &mut NoMeaning).unwrap().faults, []);
    assert!(events(&folder, 1, 100).unwrap() == before);

    fs::write(folder.join("store.json"), "{").unwrap();
    let planned = plan(&folder, &options, &RestoreFrom::Nothing).unwrap();
    assert_eq!((&planned.steps[..], planned.notes.len()), (&[][..], 1), "{planned:?}");
    assert!(
        planned.notes[0].contains("store.json") && planned.notes[0].contains("the next start"),
        "{planned:?}"
    );
}

/// A repair had given up there.
#[test]
fn a_page_of_the_index_that_cannot_be_read_keeps_nothing_back_that_stands_on_others() {
    const STREAMS: usize = 400;
    let folder = TempDir::new().unwrap();
    let (folder, options) = (folder.path().join("store"), SledOptions::default());
    let streams: Vec<StreamId> =
        (0..STREAMS).map(|number| StreamId::engine(format!("s{number:03}"))).collect();
    // No two bytes of them are alike for long, so that they are found in the index.
    let payload = |stream: &StreamId| -> Vec<u8> {
        (0..200u32).flat_map(|at| Hash::of(format!("{stream} {at}").as_bytes()).0).collect()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&folder, SledOptions::default()).unwrap();
        for stream in &streams {
            store.append(append(stream, Version::ZERO, Hash::ZERO, [payload(stream)])).await.unwrap();
        }
        store.close().await.unwrap();
    });
    // A start writes a snapshot of where its pages are: from then on the damage is met as a page, and does not end the log.
    let database = ::sled::Config::new().path(folder.join("sled")).segment_size(1 << 20).open().unwrap();
    database.insert("zzz", "touched").unwrap();
    database.remove("zzz").unwrap();
    database.flush().unwrap();
    drop(database);
    let lost = &streams[20];
    alter_each(&folder.join("journal/0000000001.segment"), &payload(lost));
    alter_each(&folder.join("sled/db"), &payload(&streams[3]));
    let copy = crate::index_copy::IndexCopy::make(options.files.as_ref(), &folder, 1 << 20).unwrap();
    let mut held = 0;
    let unreadable = copy.index.each_place(&mut |_, _, _| held += 1).unwrap_err();
    assert!(held < STREAMS, "nothing behind the page is reached: {held}");
    assert!(unreadable.to_string().starts_with("its file db is damaged at byte "), "{unreadable}");
    drop(copy);
    let planned = plan(&folder, &options, &RestoreFrom::Index).unwrap();
    assert_eq!(planned.lost, [], "{planned:?}");
    apply(&folder, &options, &RestoreFrom::Index).unwrap();
    assert_eq!(verify_folder(&folder, &options, &mut NoMeaning).unwrap().faults, []);
    runtime.block_on(async {
        let store = SledStore::open(&folder, SledOptions::default()).unwrap();
        for stream in &streams {
            assert_eq!(store.read(stream, Version(1), 9).await.unwrap()[0].payload, payload(stream));
        }
        store.close().await.unwrap();
    });
}

/// Nothing could bring back what the index held.
#[test]
fn a_journal_and_a_description_that_are_both_unreadable_are_made_anew_from_the_index() {
    for is_missing in [false, true] {
        let folder = TempDir::new().unwrap();
        let (folder, options) = (folder.path().join("store"), SledOptions::default());
        store(&folder);
        let before = events(&folder, 1, 100).unwrap();
        let segment = folder.join("journal/0000000001.segment");
        let mut bytes = fs::read(&segment).unwrap();
        bytes[3] ^= 1;
        fs::write(&segment, bytes).unwrap();
        match is_missing {
            true => fs::remove_file(folder.join("store.json")).unwrap(),
            false => fs::write(folder.join("store.json"), "{").unwrap(),
        }
        assert_eq!(plan(&folder, &options, &RestoreFrom::Index).unwrap().lost, []);
        apply(&folder, &options, &RestoreFrom::Index).unwrap();
        assert_eq!(verify_folder(&folder, &options, &mut NoMeaning).unwrap().faults, []);
        assert!(events(&folder, 1, 100).unwrap() == before);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

/// What is done to a folder, and the positions that are lost by it.
type LossyChange<'a> = (&'a dyn Fn(&Path), (u64, u64));

/// A backup of a store, and the store behind the loss of its index.
pub(super) fn with_backup(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (store_folder, backup) = (folder.join("store"), folder.join("backup"));
    store(&store_folder);
    copy(&store_folder, &backup);
    fs::remove_dir_all(store_folder.join("sled")).unwrap();
    (store_folder, backup)
}

/// Such a folder was shut for good.
#[test]
fn what_the_journal_lacks_is_restored_from_another_copy_where_there_is_no_index() {
    let lost: [LossyChange<'_>; 4] = [
        // One that cannot be read, in the middle and at the end.
        (&|folder| alter_each_group(folder, Position(5)), (5, 6)),
        (&|folder| alter_each_group(folder, Position(15)), (15, 16)),
        // One that was altered, alone and with its own hash, which the next one of the stream tells.
        (&|folder| alter(folder, "a 4", "a 5", false), (5, 6)),
        (&|folder| alter(folder, "a 4", "a 5", true), (5, 6)),
    ];
    for (damage, (first, last)) in lost {
        let kept = TempDir::new().unwrap();
        let ((folder, backup), options) = (with_backup(kept.path()), SledOptions::default());
        let before = events(&backup, 1, 100).unwrap();
        damage(&folder);
        let without = plan(&folder, &options, &RestoreFrom::Nothing).unwrap();
        assert!(!without.lost.is_empty(), "{without:?}");
        let refused = apply(&folder, &options, &RestoreFrom::Nothing);
        assert!(matches!(refused, Err(RepairError::Lost { .. })), "{refused:?}");
        // An index that is not there was said not to hold it, and was thrown away.
        let refused = apply(&folder, &options, &RestoreFrom::Index).unwrap_err().to_string();
        assert!(refused.ends_with("there is no index to take them from"), "{refused}");
        let from = RestoreFrom::Copy(backup);
        let planned = plan(&folder, &options, &from).unwrap();
        let restored = vec![(Position(first), Position(last))];
        let kept_as = Some(folder.join("journal.damaged-1"));
        let rewritten = RepairStep::RewriteJournal { kept_as, restored, from: from.clone() };
        assert_eq!((&planned.steps[..], &planned.lost[..]), (&[rewritten][..], &[][..]));
        apply(&folder, &options, &from).unwrap();
        assert_eq!(verify_folder(&folder, &options, &mut NoMeaning).unwrap().faults, []);
        assert!(events(&folder, 1, 100).unwrap() == before);
    }
}

/// Makes a group unreadable.
fn alter_each_group(folder: &Path, position: Position) {
    let path = folder.join("journal/0000000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    let nonce = SegmentHeader::decode(&bytes).unwrap().nonce;
    let mut offset = SEGMENT_HEADER;
    while let Some((group, _)) = GroupHeader::decode(&bytes[offset..], nonce, offset as u64) {
        if group.first_position == position {
            bytes[offset + GROUP_HEADER + 3] ^= 1;
        }
        offset += usize::try_from(group.length()).unwrap();
    }
    fs::write(&path, bytes).unwrap();
}

#[test]
fn nothing_is_taken_from_a_copy_with_another_history_nor_from_another_store() {
    let kept = TempDir::new().unwrap();
    let ((folder, backup), options) = (with_backup(kept.path()), SledOptions::default());
    alter_each_group(&folder, Position(5));
    let damaged = fs::read(folder.join("journal/0000000001.segment")).unwrap();
    let other = kept.path().join("other");
    store(&other);
    let refused = plan(&folder, &options, &RestoreFrom::Copy(other)).unwrap_err().to_string();
    assert!(refused.contains("is of another store"), "{refused}");
    // Behind the loss, and in place of what is lost, which only what stands behind it tells.
    for (payload, by) in [("b 8", "b 9"), ("a 4", "a 5")] {
        let gone_on = kept.path().join(by);
        copy(&backup, &gone_on);
        alter(&gone_on, payload, by, true);
        let from = RestoreFrom::Copy(gone_on);
        let refused = apply(&folder, &options, &from).unwrap_err();
        match by {
            "b 9" => assert!(matches!(refused, RepairError::OtherHistory { .. }), "{refused}"),
            _ => assert!(matches!(refused, RepairError::Unproven { .. }), "{refused}"),
        }
    }
    // One that has lost the same, or was made before.
    let as_damaged = kept.path().join("damaged");
    copy(&folder, &as_damaged);
    let planned = plan(&folder, &options, &RestoreFrom::Copy(as_damaged)).unwrap();
    assert_eq!((&planned.lost[..], planned.steps.len()), (&[(Position(5), Position(6))][..], 0));
    assert_eq!(fs::read(folder.join("journal/0000000001.segment")).unwrap(), damaged);
}

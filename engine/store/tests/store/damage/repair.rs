//! What repair restores, and what it refuses.

use std::fs;
use std::path::Path;

use everfold_base::envelope::Envelope;
use everfold_base::id::{Position, Version};
use everfold_store::repair::{self, LaterHistory, RepairError, RepairStep, RestoreFrom};
use everfold_store::verify::{NoMeaning, verify_folder};
use everfold_store::{AppendError, EventStore, OpenError, ReadError, SledOptions, SledStore};
use tempfile::TempDir;

use super::sample;
use crate::fixtures::{copy_folder, run};
use crate::writer::Writer;

/// Two sealed segments and a living one; the payloads' first bytes count.
async fn large(folder: &Path) -> SledStore {
    // Not compressed, so that a byte of a file is a byte of the segment.
    let options = SledOptions { compress_from: u64::MAX, ..SledOptions::default() };
    let store = SledStore::open(folder, options).unwrap();
    let mut writer = Writer::run("large");
    for number in 0..9 {
        store
            .append(writer.append(&[&vec![number; 900_000], &vec![number; 2_000_000], b"small"]))
            .await
            .unwrap();
    }
    store
}

/// Changes the first segment, whose groups begin at these places; gives what is in it then.
fn change_groups(folder: &Path, change: impl FnOnce(&mut [u8], &[usize])) -> Vec<u8> {
    let segment = folder.join("journal/0000000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let groups: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
    change(&mut bytes, &groups);
    fs::write(&segment, &bytes).unwrap();
    bytes
}

#[test]
fn s5_what_the_journal_lost_is_restored_from_the_index_as_far_as_the_chain_proves_it() {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("store");
    let expected = sample::make(&folder);
    let segment = folder.join("journal/0000000001.segment");
    // One in the middle, and the last two.
    let bytes = change_groups(&folder, |bytes, groups| {
        bytes[groups[4] + 80] ^= 1;
        bytes[groups[groups.len() - 2]..].fill(0);
    });
    assert!(matches!(SledStore::open(&folder, SledOptions::default()), Err(OpenError::Damaged(_))));
    let options = SledOptions::default();
    let without = repair::plan(&folder, &options, &RestoreFrom::Nothing).unwrap();
    assert_eq!(without.lost, [(Position(9), Position(10)), (Position(29), Position(31))]);
    assert!(matches!(
        repair::apply(&folder, &options, &RestoreFrom::Nothing),
        Err(RepairError::NotInJournal { .. })
    ));
    assert_eq!(fs::read(&segment).unwrap(), bytes, "a repair that cannot be done changes nothing");
    let plan = repair::plan(&folder, &options, &RestoreFrom::Index).unwrap();
    assert_eq!(plan.lost, []);
    let [RepairStep::RewriteJournal { kept_as, restored, .. }, RepairStep::RebuildIndex] =
        plan.steps.as_slice()
    else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!(*restored, without.lost);
    assert_eq!(fs::read(&segment).unwrap(), bytes, "a plan changes nothing");
    assert_eq!(repair::apply(&folder, &options, &RestoreFrom::Index).unwrap(), plan);
    let kept_as = kept_as.as_ref().unwrap();
    assert_eq!(fs::read(kept_as.join("0000000001.segment")).unwrap(), bytes, "the old journal is kept");
    let report = verify_folder(&folder, &options, &mut NoMeaning).unwrap();
    assert_eq!(report.faults, []);
    let store = SledStore::open(&folder, options).unwrap();
    assert!(run(sample::answers(&store)).unwrap() == expected);
}

#[test]
fn s12_a_damaged_sealed_segment_does_not_stop_the_store_and_is_named_to_who_needs_it() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = large(folder.path()).await;
        store.close().await.unwrap();
        drop(store);
        let sealed = folder.path().join("journal/0000000002.segment");
        let whole = fs::read(&sealed).unwrap();
        for at in [40, 2_000_000] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&sealed, &bytes).unwrap();
            let store = SledStore::open(folder.path(), SledOptions::default()).unwrap();
            let mut writer = Writer::run("large");
            // The stream is whole in the index, and goes on.
            let events = store.read(&writer.stream, Version(1), 1_000).await.unwrap();
            writer = Writer::at(&writer.stream, store.head(&writer.stream).await.unwrap());
            assert_eq!(events.len() as u64, writer.version.0);
            store.append(writer.append(&[b"goes on"])).await.unwrap();
            match store.read_all(Position(1), usize::MAX).await {
                Err(ReadError::Damaged(damage)) => assert_eq!(damage.file, sealed),
                other => panic!("{:?}", other.map(|events| events.len())),
            }
            store.close().await.unwrap();
            drop(store);
            let report = verify_folder(folder.path(), &SledOptions::default(), &mut NoMeaning).unwrap();
            assert!(report.faults[0].to_string().contains("0000000002.segment"), "{:?}", report.faults);
        }
        let plan = repair::apply(folder.path(), &SledOptions::default(), &RestoreFrom::Index).unwrap();
        assert!(matches!(plan.steps[0], RepairStep::RewriteJournal { .. }));
        let store = SledStore::open(folder.path(), SledOptions::default()).unwrap();
        assert_eq!(store.read_all(Position(1), usize::MAX).await.unwrap().len(), 9 * 3 + 2);
    });
}

#[test]
fn an_unfinished_write_is_cut_by_repair_as_by_opening() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let segment = folder.join("journal/0000000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let from = (used + 9).next_multiple_of(8);
    bytes[from + 24..from + 40].fill(9);
    fs::write(&segment, bytes).unwrap();
    let plan = repair::apply(&folder, &SledOptions::default(), &RestoreFrom::Nothing).unwrap();
    assert!(
        matches!(plan.steps.as_slice(), [RepairStep::CutTail { to, .. }] if *to == from as u64 + 40),
        "{plan:?}"
    );
    assert_eq!(repair::plan(&folder, &SledOptions::default(), &RestoreFrom::Nothing).unwrap().steps, []);
    SledStore::open(&folder, SledOptions::default()).unwrap();
}

#[test]
fn bytes_between_groups_that_are_not_the_zeros_that_were_written_are_named_and_repaired() {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("store");
    let expected = sample::make(&folder);
    let segment = folder.join("journal/0000000001.segment");
    let bytes = fs::read(&segment).unwrap();
    let groups: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
    let end = |group: usize| {
        let body: [u8; 4] = bytes[group + 48..group + 52].try_into().unwrap();
        group + 64 + usize::try_from(u32::from_le_bytes(body)).unwrap()
    };
    let padded = groups.windows(2).find(|pair| end(pair[0]) < pair[1]).map(|pair| end(pair[0])).unwrap();
    let mut flipped = bytes.clone();
    flipped[padded] = 0x40;
    fs::write(&segment, &flipped).unwrap();
    let options = SledOptions::default();
    let report = verify_folder(&folder, &options, &mut NoMeaning).unwrap();
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert!(matches!(faults.as_slice(), [one] if one.contains("between two groups")), "{faults:?}");
    let plan = repair::apply(&folder, &options, &RestoreFrom::Nothing).unwrap();
    assert!(matches!(plan.steps.as_slice(), [RepairStep::CutTail { .. }]), "{:?}", plan.steps);
    assert_eq!(plan.lost, []);
    assert_eq!(fs::read(&segment).unwrap(), bytes, "as it was written");
    let report = verify_folder(&folder, &options, &mut NoMeaning).unwrap();
    assert_eq!(report.faults, []);
    let store = SledStore::open(&folder, options).unwrap();
    assert!(run(sample::answers(&store)).unwrap() == expected);
}

/// Gives up what comes behind a position; what is in the log then, which takes appends once the folder is adopted.
fn given_up_behind(folder: &Path, position: Position) -> (RepairStep, Vec<Envelope>) {
    let (options, asked) = (SledOptions::default(), RestoreFrom::Nothing.up_to(position));
    let other = RestoreFrom::Nothing.up_to(position.next());
    assert!(matches!(
        repair::apply(folder, &options, &other),
        Err(RepairError::OtherEnd { end, .. }) if end == position
    ));
    let plan = repair::plan(folder, &options, &asked).unwrap();
    // There is no index to be thrown away.
    let [cut @ RepairStep::CutJournal { kept_as, .. }] = plan.steps.as_slice() else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!(repair::apply(folder, &options, &asked).unwrap(), plan);
    assert!(kept_as.as_ref().unwrap().join("0000000001.segment").is_file(), "the old journal is kept");
    assert_eq!(repair::plan(folder, &options, &asked).unwrap().steps, [], "nothing is left to give up");
    let store = SledStore::open(folder, options.clone()).unwrap();
    let log = run(async {
        let refused = store.append(Writer::run("new").append(&[b"first"])).await;
        assert!(matches!(refused, Err(AppendError::ReadOnly(_))), "{refused:?}");
        store.adopt().await.unwrap();
        store.append(Writer::run("new").append(&[b"first"])).await.unwrap();
        let log = store.read_all(Position::FIRST, 100).await.unwrap();
        store.close().await.unwrap();
        log
    });
    assert_eq!(verify_folder(folder, &options, &mut NoMeaning).unwrap().faults, []);
    (cut.clone(), log.iter().map(|event| (**event).clone()).collect())
}

/// `store.json` was copied behind the journal of a folder in use, and no other copy is left: nothing opened that one.
#[test]
fn a_journal_that_is_older_than_the_stores_mark_goes_on_where_it_ends_once_the_rest_is_given_up() {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("store");
    let expected = sample::make(&folder);
    change_groups(&folder, |bytes, groups| bytes[groups[4]..].fill(0));
    fs::remove_dir_all(folder.join("sled")).unwrap();
    let options = SledOptions::default();
    assert!(matches!(SledStore::open(&folder, options.clone()), Err(OpenError::Missing { .. })));
    let without = repair::plan(&folder, &options, &RestoreFrom::Nothing).unwrap();
    assert_eq!(without.lost, [(Position(9), Position(31))]);
    let (cut, log) = given_up_behind(&folder, Position(8));
    assert!(matches!(cut, RepairStep::CutJournal { given_up: (Position(9), Position(31)), readable: 0, .. }));
    assert!(log[..8] == expected.log[..8]);
    assert_eq!(log.len(), 9);
}

#[test]
fn what_can_be_read_behind_a_loss_is_counted_and_given_up_with_it() {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("store");
    let expected = sample::make(&folder);
    change_groups(&folder, |bytes, groups| bytes[groups[4] + 80] ^= 1);
    let asked = RestoreFrom::Nothing.up_to(Position(8));
    let refused = repair::plan(&folder, &SledOptions::default(), &asked);
    assert!(matches!(refused, Err(RepairError::InIndex { .. })), "the index has what is lost: {refused:?}");
    fs::remove_dir_all(folder.join("sled")).unwrap();
    let (cut, log) = given_up_behind(&folder, Position(8));
    assert!(matches!(
        cut,
        RepairStep::CutJournal { given_up: (Position(9), Position(31)), readable: 21, .. }
    ));
    assert!(log[..8] == expected.log[..8]);
    assert_eq!(log.len(), 9);
}

/// Nothing need be repaired, it was said, without a word of what the copy holds.
#[test]
fn a_copy_that_holds_what_was_given_up_is_named_and_nothing_is_taken_from_it() {
    let kept = TempDir::new().unwrap();
    let (folder, backup) = (kept.path().join("store"), kept.path().join("backup"));
    sample::make(&folder);
    copy_folder(&folder, &backup);
    change_groups(&folder, |bytes, groups| bytes[groups[4]..].fill(0));
    fs::remove_dir_all(folder.join("sled")).unwrap();
    let (options, from) = (SledOptions::default(), RestoreFrom::Copy(backup));
    // Before, a repair takes it.
    let before = repair::plan(&folder, &options, &from).unwrap();
    assert_eq!((before.steps.len(), before.later), (1, None));
    repair::apply(&folder, &options, &RestoreFrom::Nothing.up_to(Position(8))).unwrap();
    let later = LaterHistory { first: Position(9), last: Position(31), readable: 23 };
    for repair in [repair::plan(&folder, &options, &from), repair::apply(&folder, &options, &from)] {
        let plan = repair.unwrap();
        assert_eq!((plan.steps, plan.lost, plan.later), (vec![], vec![], Some(later)));
    }
}

/// A file `lock` was left there.
#[test]
fn a_repair_writes_nothing_to_a_folder_without_a_store() {
    let (foreign, empty) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(foreign.path().join("thesis.tex"), "chapter one").unwrap();
    let (copy, options) = (TempDir::new().unwrap(), SledOptions::default());
    sample::make(&copy.path().join("store"));
    let copy = RestoreFrom::Copy(copy.path().join("store"));
    for from in [RestoreFrom::Nothing, RestoreFrom::Index, RestoreFrom::Nothing.up_to(Position(1)), copy] {
        for repair in
            [repair::plan(foreign.path(), &options, &from), repair::apply(foreign.path(), &options, &from)]
        {
            assert!(matches!(repair, Err(RepairError::Open(OpenError::Foreign { .. }))), "{repair:?}");
        }
        assert_eq!(repair::apply(empty.path(), &options, &from).unwrap().steps, []);
    }
    assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

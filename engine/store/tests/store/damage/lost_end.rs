//! A journal whose end is lost: a file is cut, or the last one is gone. What is known of it is named with its place, and a copy
//! brings all of it back that it has.

use std::fs;
use std::path::{Path, PathBuf};

use everfold_base::id::Position;
use everfold_store::repair::{self, RepairError, RepairStep, RestoreFrom};
use everfold_store::verify::{NoMeaning, VerifyFault, VerifyReport, verify_folder};
use everfold_store::{EventStore, OpenError, SegmentSizes, SledOptions, SledStore};
use tempfile::TempDir;

use super::sample;
use crate::compression::{make, segments, system};
use crate::fixtures::{copy_folder, payloads, run};
use crate::writer::Writer;

fn verify(folder: &Path) -> VerifyReport {
    verify_folder(folder, &SledOptions::default(), &mut NoMeaning).unwrap()
}

/// The texts of all faults of the journal.
fn faults(folder: &Path) -> Vec<String> {
    let mut faults = verify(folder).faults;
    faults.retain(|fault| matches!(fault, VerifyFault::Journal(_) | VerifyFault::Missing { .. }));
    faults.iter().map(ToString::to_string).collect()
}

/// Nothing is left that tells how far the journal went.
fn forget_end(folder: &Path) {
    fs::remove_file(folder.join("store.json")).unwrap();
    fs::remove_dir_all(folder.join("sled")).unwrap();
}

fn log(folder: &Path) -> Vec<Vec<u8>> {
    run(async {
        let store = SledStore::open(folder, SledOptions::default()).unwrap();
        let log = payloads(&store).await;
        store.close().await.unwrap();
        log
    })
}

/// A store and its copy.
struct Pair {
    _kept: TempDir,
    folder: PathBuf,
    copy: PathBuf,
}

impl Pair {
    fn of(make: impl FnOnce(&Path)) -> Self {
        let kept = TempDir::new().unwrap();
        let (folder, copy) = (kept.path().join("store"), kept.path().join("copy"));
        make(&folder);
        copy_folder(&folder, &copy);
        Self { _kept: kept, folder, copy }
    }

    fn its_copy(&self) -> RestoreFrom {
        RestoreFrom::Copy(self.copy.clone())
    }

    /// Repairs the folder from its copy by one rewritten journal; what was restored.
    fn restored(&self, options: &SledOptions) -> Vec<(Position, Position)> {
        let plan = repair::apply(&self.folder, options, &self.its_copy()).unwrap();
        let Some(RepairStep::RewriteJournal { restored, .. }) = plan.steps.first() else {
            panic!("{plan:?}")
        };
        assert_eq!(faults(&self.folder), [""; 0]);
        restored.clone()
    }
}

/// The first segment of a small store, with where its groups begin and where the last one ends.
fn first_segment(folder: &Path) -> (PathBuf, Vec<u8>, Vec<usize>, usize) {
    let segment = folder.join("journal/0000000001.segment");
    let bytes = fs::read(&segment).unwrap();
    let groups: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
    let last = groups[groups.len() - 1];
    let body: [u8; 4] = bytes[last + 48..last + 52].try_into().unwrap();
    let end = (last + 64 + usize::try_from(u32::from_le_bytes(body)).unwrap()).next_multiple_of(8);
    (segment, bytes, groups, end)
}

/// The command that was typed was named as the next one.
#[test]
fn a_last_segment_that_is_gone_with_all_that_tells_of_it_is_brought_back_from_a_copy() {
    let mut expected = Vec::new();
    let pair = Pair::of(|folder| expected = make(folder));
    fs::remove_file(segments(&pair.folder).pop().unwrap()).unwrap();
    forget_end(&pair.folder);
    let without = repair::plan(&pair.folder, &system(), &RestoreFrom::Nothing).unwrap();
    let [(first, last)] = without.lost[..] else { panic!("{without:?}") };
    assert_eq!(first, last, "how many are lost is not known: {without:?}");
    // A copy that has lost the same says so, and the way on is to do without.
    let twin = pair.copy.with_file_name("twin");
    copy_folder(&pair.folder, &twin);
    let refused = repair::apply(&pair.folder, &system(), &RestoreFrom::Copy(twin.clone())).unwrap_err();
    assert!(matches!(&refused, RepairError::Lost { first: lost, .. } if *lost == first), "{refused}");
    let behind = RestoreFrom::Nothing.up_to(Position(first.0 - 1));
    repair::apply(&twin, &system(), &behind).unwrap();
    assert!(expected.starts_with(&log(&twin)) && log(&twin).len() as u64 == first.0 - 1);
    // The other one brings all of it back.
    let end = Position(expected.len() as u64);
    assert_eq!(pair.restored(&system()), [(first, end)]);
    assert!(log(&pair.folder) == expected);
}

/// Nothing shows there that a segment followed: the folder was opened without it, and went on as another history.
#[test]
fn what_a_copy_has_behind_a_journal_of_which_nothing_tells_the_end_is_taken() {
    let options = SledOptions {
        segments: SegmentSizes { first: 16_384, later: 32_768 },
        compress_from: u64::MAX,
        ..SledOptions::default()
    };
    let pair = Pair::of(|folder| {
        run(async {
            let store = SledStore::open(folder, options.clone()).unwrap();
            let mut writer = Writer::new("a");
            for number in 0..40 {
                store.append(writer.append(&[&[number; 1_500]])).await.unwrap();
            }
            store.close().await.unwrap();
        });
    });
    fs::remove_file(segments(&pair.folder).pop().unwrap()).unwrap();
    forget_end(&pair.folder);
    let without = repair::plan(&pair.folder, &options, &RestoreFrom::Nothing).unwrap();
    assert_eq!((without.steps, without.lost), (vec![], vec![]));
    let restored = pair.restored(&options);
    assert!(matches!(restored[..], [(_, Position(40))]), "{restored:?}");
    assert!(log(&pair.folder) == log(&pair.copy));
    let store =
        |folder: &Path| SledStore::open(folder, SledOptions::default()).unwrap().report().store.clone();
    assert_eq!(store(&pair.folder), store(&pair.copy), "it is the same store");
}

/// The bytes of a compressed file were overwritten where the groups in it had stood before.
#[test]
fn a_compressed_segment_whose_end_cannot_be_read_is_not_overwritten() {
    let mut expected = Vec::new();
    let pair = Pair::of(|folder| expected = make(folder));
    fs::remove_file(segments(&pair.folder).pop().unwrap()).unwrap();
    forget_end(&pair.folder);
    let last = segments(&pair.folder).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let at = bytes.len() * 9 / 10;
    bytes[at] ^= 1;
    fs::write(&last, &bytes).unwrap();
    let plan = repair::plan(&pair.folder, &system(), &RestoreFrom::Nothing).unwrap();
    assert!(plan.steps.is_empty() && !plan.lost.is_empty(), "{plan:?}");
    repair::apply(&pair.folder, &system(), &RestoreFrom::Nothing).unwrap_err();
    assert!(fs::read(&last).unwrap() == bytes, "nothing is changed");
    pair.restored(&system());
    assert!(log(&pair.folder) == expected);
}

#[test]
fn a_segment_that_is_cut_behind_its_groups_has_lost_nothing_and_is_as_long_as_before_once_it_is_opened() {
    for (is_closed, behind) in [(true, 0), (true, 100), (false, 100)] {
        let kept = TempDir::new().unwrap();
        let folder = kept.path().join("store");
        let expected = sample::make(&folder);
        let (segment, bytes, _, end) = first_segment(&folder);
        fs::write(&segment, &bytes[..end + behind]).unwrap();
        if !is_closed {
            forget_end(&folder);
        }
        let report = verify(&folder);
        assert_eq!(faults(&folder), [""; 0], "{behind}");
        let left = format!("its last {} bytes", bytes.len() - end - behind);
        assert!(report.notes.iter().any(|note| note.contains(&left)), "{behind}: {:?}", report.notes);
        let plan = repair::plan(&folder, &SledOptions::default(), &RestoreFrom::Nothing).unwrap();
        assert_eq!((plan.steps, plan.lost, plan.damage), (vec![], vec![], vec![]));
        let store = SledStore::open(&folder, SledOptions::default()).unwrap();
        assert!(store.report().warnings.iter().any(|warning| warning.contains(&left)));
        assert!(run(sample::answers(&store)).unwrap() == expected);
        drop(store);
        assert_eq!(fs::metadata(&segment).unwrap().len(), bytes.len() as u64, "{behind}");
        SledStore::open(&folder, SledOptions::default()).unwrap();
    }
}

/// Verification found no fault in it, and a repair wrote zeros over what was left of the group.
#[test]
fn a_segment_that_is_cut_in_its_groups_is_named_and_restored_from_a_copy_before_anything_is_overwritten() {
    // In a group, in its header, and between two; with what tells how far the journal went, and without.
    for (number, inside) in [(6, 90), (6, 20), (6, 0), (0, 0)] {
        for is_told in [true, false] {
            let pair = Pair::of(|folder| drop(sample::make(folder)));
            let (segment, bytes, groups, _) = first_segment(&pair.folder);
            let cut = bytes[..groups[number] + inside].to_vec();
            fs::write(&segment, &cut).unwrap();
            if !is_told {
                forget_end(&pair.folder);
            }
            let found = faults(&pair.folder);
            let place = format!("{} is damaged at byte {}", segment.display(), groups[number]);
            assert!(found.iter().any(|fault| fault.starts_with(&place)), "{inside}: {found:?}");
            let opened = SledStore::open(&pair.folder, SledOptions::default()).map(drop);
            assert!(matches!(opened, Err(OpenError::Damaged(_))), "{opened:?}");
            let options = SledOptions::default();
            let without = repair::plan(&pair.folder, &options, &RestoreFrom::Nothing).unwrap();
            assert!(without.steps.is_empty() && without.lost.len() == 1, "{without:?}");
            repair::apply(&pair.folder, &options, &RestoreFrom::Nothing).unwrap_err();
            assert!(fs::read(&segment).unwrap() == cut, "nothing is changed");
            let [(_, last)] = pair.restored(&options)[..] else { panic!("in several parts") };
            assert_eq!(last, Position(31), "{inside}");
            assert!(log(&pair.folder) == log(&pair.copy));
        }
    }
}

/// They were named without the file and the byte behind which they are missing.
#[test]
fn what_the_index_alone_holds_is_named_with_the_place_where_the_journal_ends() {
    let pair = Pair::of(|folder| drop(sample::make(folder)));
    let (segment, mut bytes, groups, _) = first_segment(&pair.folder);
    bytes[groups[6]..].fill(0);
    fs::write(&segment, &bytes).unwrap();
    fs::remove_file(pair.folder.join("store.json")).unwrap();
    let found = faults(&pair.folder);
    let place =
        format!("the index holds them; the last group ends at byte {} of {}", groups[6], segment.display());
    assert!(matches!(&found[..], [one] if one.contains(&place)), "{found:?}");
    pair.restored(&SledOptions::default());
    assert!(log(&pair.folder) == log(&pair.copy));
}

/// It looks as an unfinished write does: only the copy knows that it was whole.
#[test]
fn a_last_group_that_is_not_whole_is_taken_from_a_copy_that_has_it_and_else_overwritten() {
    let pair = Pair::of(|folder| drop(sample::make(folder)));
    let older = pair.copy.with_file_name("older");
    let (segment, mut bytes, groups, _) = first_segment(&pair.folder);
    let last = groups[groups.len() - 1];
    bytes[last + 70] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    forget_end(&pair.folder);
    copy_folder(&pair.folder, &older);
    bytes[last..].fill(0);
    fs::write(older.join("journal/0000000001.segment"), &bytes).unwrap();
    let options = SledOptions::default();
    let plan = repair::plan(&pair.folder, &options, &RestoreFrom::Copy(older)).unwrap();
    assert!(matches!(plan.steps[..], [RepairStep::CutTail { .. }]), "{plan:?}");
    assert_eq!(pair.restored(&options), [(Position(31), Position(31))]);
    assert!(log(&pair.folder) == log(&pair.copy));
}

/// What a copy did after the store was closed is none of its history.
#[test]
fn nothing_is_taken_behind_the_end_at_which_the_store_was_closed() {
    let pair = Pair::of(|folder| drop(sample::make(folder)));
    run(async {
        let store = SledStore::open(&pair.copy, SledOptions::default()).unwrap();
        store.adopt().await.unwrap();
        store.append(Writer::new("more").append(&[b"more"])).await.unwrap();
        store.close().await.unwrap();
    });
    let (segment, bytes, groups, _) = first_segment(&pair.folder);
    fs::write(&segment, &bytes[..groups[6]]).unwrap();
    let [(_, last)] = pair.restored(&SledOptions::default())[..] else { panic!("in several parts") };
    assert_eq!(last, Position(31));
}

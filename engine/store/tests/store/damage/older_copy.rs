//! What the journal lost, and an older copy, or the index, has a part of: the part is taken, and what no place holds is given
//! up behind it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_base::id::Position;
use everfold_store::repair::{self, RepairError, RepairPlan, RepairStep, RestoreFrom};
use everfold_store::verify::{NoMeaning, verify_folder};
use everfold_store::{EventStore, OpenError, SegmentSizes, SledOptions, SledStore};
use tempfile::TempDir;

use crate::compression::segments;
use crate::fault_files::FaultFiles;
use crate::fixtures::{copy_folder, payloads, run};
use crate::writer::Writer;

/// Events when the older copy is made, and in all.
const OLDER: u64 = 38;
const ALL: u64 = 45;

fn options() -> SledOptions {
    SledOptions {
        segments: SegmentSizes { first: 16_384, later: 32_768 },
        compress_from: u64::MAX,
        ..SledOptions::default()
    }
}

/// A store of three segments, a copy of it that was made before its end, and one that has all.
struct Copies {
    _kept: TempDir,
    folder: PathBuf,
    older: PathBuf,
    newer: PathBuf,
    log: Vec<Vec<u8>>,
}

impl Copies {
    fn make() -> Self {
        let kept = TempDir::new().unwrap();
        let [folder, older, newer] = ["store", "older", "newer"].map(|name| kept.path().join(name));
        let mut writer = Writer::new("a");
        let mut go_on = |numbers: std::ops::Range<u64>| {
            run(async {
                let store = SledStore::open(&folder, options()).unwrap();
                for number in numbers {
                    let payload = [u8::try_from(number).unwrap(); 1_500];
                    store.append(writer.append(&[&payload])).await.unwrap();
                }
                let log = payloads(&store).await;
                store.close().await.unwrap();
                log
            })
        };
        go_on(0..OLDER);
        copy_folder(&folder, &older);
        let log = go_on(OLDER..ALL);
        copy_folder(&folder, &newer);
        assert_eq!(segments(&folder).len(), 3);
        Self { _kept: kept, folder, older, newer, log }
    }

    /// Loses the last segment; the first position of it.
    fn lose_last_segment(&self) -> Position {
        fs::remove_file(segments(&self.folder).pop().unwrap()).unwrap();
        let lost = self.plan(&RestoreFrom::Nothing).lost;
        let [(first, Position(ALL))] = lost[..] else { panic!("{lost:?}") };
        assert!(first.0 > 1 && first.0 < OLDER, "the older copy has a part of it: {first}");
        first
    }

    fn lose_index(&self) {
        fs::remove_dir_all(self.folder.join("sled")).unwrap();
    }

    fn its_older(&self) -> RestoreFrom {
        RestoreFrom::Copy(self.older.clone())
    }

    fn plan(&self, from: &RestoreFrom) -> RepairPlan {
        repair::plan(&self.folder, &options(), from).unwrap()
    }

    fn refused(&self, from: &RestoreFrom) -> RepairError {
        repair::apply(&self.folder, &options(), from).unwrap_err()
    }

    /// The log of the folder, which begins as it was and acts no more.
    fn assert_ends_at(&self, end: u64) {
        assert_eq!(verify_folder(&self.folder, &options(), &mut NoMeaning).unwrap().faults, []);
        let store = SledStore::open(&self.folder, options()).unwrap();
        assert!(!store.report().adopted, "it is another history from here on");
        let log = run(async { payloads(&store).await });
        assert_eq!(log.len() as u64, end);
        assert!(self.log.starts_with(&log));
    }
}

/// Damages the group of one event.
fn damage(folder: &Path, position: Position) {
    let mut left = position.0 - 1;
    for segment in segments(folder) {
        let mut bytes = fs::read(&segment).unwrap();
        let groups: Vec<usize> =
            (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
        match groups.get(usize::try_from(left).unwrap()) {
            Some(group) => {
                bytes[group + 80] ^= 1;
                fs::write(&segment, bytes).unwrap();
                return;
            }
            None => left -= groups.len() as u64,
        }
    }
    panic!("there is no {position}");
}

/// Nothing was taken from it, and what it has was to be given up.
#[test]
fn a_copy_that_is_older_than_the_stores_mark_gives_what_it_has_and_only_the_rest_is_given_up() {
    for has_journal in [true, false] {
        let copies = Copies::make();
        copies.lose_index();
        let first = match has_journal {
            true => copies.lose_last_segment(),
            false => {
                fs::remove_dir_all(copies.folder.join("journal")).unwrap();
                Position::FIRST
            }
        };
        let (end, lost) = (Position(OLDER), (Position(OLDER + 1), Position(ALL)));
        let planned = copies.plan(&copies.its_older());
        assert_eq!((&planned.steps[..], &planned.lost[..]), (&[][..], &[lost][..]));
        assert_eq!((&planned.held[..], planned.in_index), (&[(first, end)][..], None));
        let refused = copies.refused(&copies.its_older());
        assert!(
            matches!(refused, RepairError::Lost { first, last, .. } if (first, last) == lost),
            "{refused}"
        );
        // The copy is to be named with it, and the end is the one that both have.
        let without = copies.refused(&RestoreFrom::Nothing.up_to(end)).to_string();
        assert!(without.contains(&format!("whole up to position {},", first.0 - 1)), "{without}");
        let too_early = copies.refused(&copies.its_older().up_to(Position(first.0 - 1))).to_string();
        assert!(too_early.contains("position 38 with what "), "{too_early}");
        let opened = SledStore::open(&copies.folder, options()).map(drop);
        assert!(matches!(opened, Err(OpenError::Missing { .. })), "{opened:?}");

        let planned = copies.plan(&copies.its_older().up_to(end));
        let kept_as = has_journal.then(|| copies.folder.join("journal.damaged-1"));
        let restored = vec![(first, end)];
        let cut = RepairStep::CutJournal {
            kept_as,
            given_up: lost,
            readable: 0,
            restored,
            from: copies.its_older(),
        };
        assert_eq!(planned.steps, [cut]);
        let done = repair::apply(&copies.folder, &options(), &copies.its_older().up_to(end)).unwrap();
        assert_eq!(done, planned);
        copies.assert_ends_at(OLDER);
    }
}

#[test]
fn another_copy_that_has_all_is_taken_after_an_older_one_was_asked() {
    let copies = Copies::make();
    copies.lose_index();
    copies.lose_last_segment();
    copies.refused(&copies.its_older());
    // It lacks nothing, so that nothing is given up.
    let newer = RestoreFrom::Copy(copies.newer.clone()).up_to(Position(OLDER));
    let planned = repair::apply(&copies.folder, &options(), &newer).unwrap();
    assert!(matches!(planned.steps[..], [RepairStep::RewriteJournal { .. }]), "{planned:?}");
    let store = SledStore::open(&copies.folder, options()).unwrap();
    assert!(run(async { payloads(&store).await }) == copies.log);
}

#[test]
fn a_loss_behind_one_that_the_copy_fills_is_given_up_with_what_can_be_read_behind_it() {
    let copies = Copies::make();
    copies.lose_index();
    damage(&copies.folder, Position(5));
    damage(&copies.folder, Position(OLDER + 5));
    let lost = (Position(OLDER + 5), Position(OLDER + 5));
    let planned = copies.plan(&copies.its_older());
    assert_eq!((&planned.lost[..], &planned.held[..]), (&[lost][..], &[(Position(5), Position(5))][..]));
    let asked = copies.its_older().up_to(Position(OLDER + 4));
    let planned = repair::apply(&copies.folder, &options(), &asked).unwrap();
    let [RepairStep::CutJournal { given_up, readable: 2, restored, .. }] = &planned.steps[..] else {
        panic!("{planned:?}")
    };
    assert_eq!((*given_up, &restored[..]), ((lost.0, Position(ALL)), &[(Position(5), Position(5))][..]));
    copies.assert_ends_at(OLDER + 4);
}

/// It was given up unless the index held all that was lost.
#[test]
fn what_the_index_holds_is_taken_from_it_before_anything_is_given_up() {
    let copies = Copies::make();
    let first = copies.lose_last_segment();
    let all = (first, Position(ALL));
    // It has what the copy has, and more.
    assert_eq!(copies.plan(&copies.its_older()).in_index, Some((Position(OLDER + 1), Position(ALL))));
    for from in [copies.its_older(), copies.its_older().up_to(Position(OLDER))] {
        let refused = copies.refused(&from);
        assert!(matches!(refused, RepairError::InIndex { last, .. } if last == all.1), "{refused}");
    }
    // One that is as old as the copy.
    copies.lose_index();
    copy_folder(&copies.older.join("sled"), &copies.folder.join("sled"));
    let refused = copies.refused(&RestoreFrom::Nothing.up_to(Position(first.0 - 1)));
    let held = (first, Position(OLDER));
    assert!(matches!(refused, RepairError::InIndex { first, last } if (first, last) == held), "{refused}");
    assert_eq!(copies.plan(&copies.its_older()).in_index, None, "the copy has as much");
    let planned = copies.plan(&RestoreFrom::Index);
    assert_eq!((&planned.steps[..], &planned.held[..]), (&[][..], &[held][..]));
    let asked = RestoreFrom::Index.up_to(Position(OLDER));
    let planned = repair::apply(&copies.folder, &options(), &asked).unwrap();
    assert!(
        matches!(planned.steps[..], [RepairStep::CutJournal { .. }, RepairStep::RebuildIndex]),
        "{planned:?}"
    );
    copies.assert_ends_at(OLDER);
}

#[test]
fn a_repair_from_an_older_copy_that_stops_anywhere_goes_on_when_it_is_asked_again() {
    let copies = Copies::make();
    copies.lose_index();
    copies.lose_last_segment();
    let damaged = copies.folder.with_file_name("damaged");
    copy_folder(&copies.folder, &damaged);
    let asked = copies.its_older().up_to(Position(OLDER));
    let (mut calls, mut unfinished) = (0, 0);
    loop {
        fs::remove_dir_all(&copies.folder).unwrap();
        copy_folder(&damaged, &copies.folder);
        let files = FaultFiles::default();
        files.stop_after(calls + 1, calls % 2 == 0);
        let stopping = SledOptions { files: Arc::new(files.clone()), ..options() };
        match repair::apply(&copies.folder, &stopping, &asked) {
            Err(RepairError::Unfinished { .. }) => unfinished += 1,
            Err(RepairError::Write(_) | RepairError::Open(OpenError::Io { .. })) => {
                let opened = SledStore::open(&copies.folder, options()).map(drop);
                assert!(matches!(opened, Err(OpenError::Missing { .. })), "behind {calls} calls: {opened:?}");
            }
            Err(other) => panic!("behind {calls} calls: {other}"),
            Ok(_) => {}
        }
        repair::apply(&copies.folder, &options(), &asked).unwrap();
        copies.assert_ends_at(OLDER);
        if !files.has_stopped() {
            break;
        }
        calls += 3;
    }
    assert!(calls > 30 && unfinished > 0, "{calls} calls, {unfinished} behind the exchange");
}

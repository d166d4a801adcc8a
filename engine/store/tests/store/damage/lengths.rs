//! Damage to the lengths of a compressed segment's blocks, which stand twice in its file.

use std::fs;
use std::path::{Path, PathBuf};

use everfold_store::repair::{self, RepairStep, RestoreFrom};
use everfold_store::verify::{NoMeaning, VerifyFault, verify_folder};
use everfold_store::{SledOptions, SledStore};
use tempfile::TempDir;

use crate::compression::{ended, make, system};
use crate::fixtures::{copy_folder_without, payloads, run};

/// A store with compressed segments, and copies of it with a damaged one.
struct Sample {
    _kept: TempDir,
    folder: PathBuf,
    log: Vec<Vec<u8>>,
    /// The second compressed segment, as it was written.
    whole: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        let kept = TempDir::new().unwrap();
        let folder = kept.path().join("store");
        let log = make(&folder);
        let whole = fs::read(&ended(&folder)[1]).unwrap();
        Self { _kept: kept, folder, log, whole }
    }

    /// Where the lengths at the end of the file begin.
    fn table(&self) -> usize {
        let count = u32::from_le_bytes(self.whole[self.whole.len() - 8..][..4].try_into().unwrap());
        self.whole.len() - 24 - 4 * usize::try_from(count).unwrap()
    }

    /// A copy with these bytes in the place of the segment; its file.
    fn damaged(&self, to: &TempDir, bytes: &[u8]) -> (PathBuf, PathBuf) {
        let folder = to.path().join("store");
        copy_folder_without(&self.folder, &folder, "reserve");
        let segment = ended(&folder)[1].clone();
        fs::write(&segment, bytes).unwrap();
        (folder, segment)
    }
}

/// The faults of the journal, as file, byte and text.
fn faults(folder: &Path) -> Vec<(PathBuf, u64, String)> {
    let report = verify_folder(folder, &system(), &mut NoMeaning).unwrap();
    let of_journal = |fault| match fault {
        VerifyFault::Journal(damage) => Some((damage.file.clone(), damage.offset, damage.to_string())),
        _ => None,
    };
    report.faults.into_iter().filter_map(of_journal).collect()
}

fn log(folder: &Path) -> Vec<Vec<u8>> {
    run(async {
        let options = SledOptions { compress_from: u64::MAX, ..system() };
        payloads(&SledStore::open(folder, options).unwrap()).await
    })
}

#[test]
fn s12_damage_to_one_copy_of_the_lengths_is_named_costs_nothing_and_is_repaired() {
    let sample = Sample::new();
    let (whole, table) = (&sample.whole, sample.table());
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        (bytes, at as u64)
    };
    let mut harmed = vec![
        (whole[..whole.len() - 24].to_vec(), whole.len() as u64 - 24),
        (whole[..table].to_vec(), table as u64),
        ([whole.as_slice(), b"junk"].concat(), whole.len() as u64),
        ([whole.as_slice(), whole.as_slice()].concat(), whole.len() as u64),
        flipped(128),
        flipped(131),
    ];
    // Lengths, `EVFLDEND`, end, count, checksum.
    harmed.extend((table..whole.len() - 24).step_by(13).chain(whole.len() - 24..whole.len()).map(flipped));
    for (bytes, at) in harmed {
        let copy = TempDir::new().unwrap();
        let (folder, segment) = sample.damaged(&copy, &bytes);
        let found = faults(&folder);
        let [(file, offset, what)] = found.as_slice() else { panic!("byte {at}: {found:?}") };
        assert_eq!((file, *offset), (&segment, at), "{what}");
        assert!(what.contains("everything in the segment can be read"), "{what}");
        let options = SledOptions { compress_from: u64::MAX, ..system() };
        let plan = repair::apply(&folder, &options, &RestoreFrom::Nothing).unwrap();
        assert_eq!(plan.steps, [RepairStep::RewriteSegment { file: segment.clone() }], "byte {at}");
        assert!(fs::read(&segment).unwrap() == *whole, "byte {at}: it is not as it was written");
        assert_eq!(faults(&folder), [], "byte {at}");
        // Read as it was damaged, too.
        fs::write(&segment, &bytes).unwrap();
        assert!(log(&folder) == sample.log, "byte {at}: other events");
    }
}

#[test]
fn s12_both_copies_of_the_lengths_damaged_lose_nothing_whose_frames_are_whole() {
    let sample = Sample::new();
    let (whole, table) = (&sample.whole, sample.table());
    let cut = |at: usize| {
        let mut bytes = whole[..whole.len() - 24].to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    let first = u32::from_le_bytes(whole[128..132].try_into().unwrap()) as usize;
    let second = 128 + 8 + first;
    let both = |one: usize, other: usize| {
        let mut bytes = cut(one);
        bytes[other] ^= 1;
        bytes
    };
    for bytes in [cut(131), cut(128), both(128, second), whole[..table].to_vec(), both(130, table)] {
        let copy = TempDir::new().unwrap();
        let (folder, _) = sample.damaged(&copy, &bytes);
        let found = faults(&folder);
        assert!((1..=2).contains(&found.len()), "{found:?}");
        assert!(found.iter().all(|(_, _, what)| what.contains("can be read")), "{found:?}");
        assert!(log(&folder) == sample.log, "{found:?}");
    }
    // A block that is damaged itself, and no copy of the lengths at the end: that block alone is lost.
    for at in [200, second + 4, second + 300] {
        let copy = TempDir::new().unwrap();
        let (folder, segment) = sample.damaged(&copy, &cut(at));
        let report = verify_folder(&folder, &system(), &mut NoMeaning).unwrap();
        let lost: u64 = (report.faults.iter())
            .filter_map(|fault| match fault {
                VerifyFault::Journal(damage) => damage.positions,
                _ => None,
            })
            .map(|(first, last)| last.0 + 1 - first.0)
            .sum();
        assert!((1..=50).contains(&lost), "byte {at}: {lost} events are lost: {:?}", report.faults);
        let before = fs::read(&segment).unwrap();
        repair::apply(&folder, &system(), &RestoreFrom::Nothing).unwrap_err();
        assert!(fs::read(&segment).unwrap() == before, "byte {at}: what is damaged stays");
    }
}

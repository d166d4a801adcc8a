//! Damage to one region at a time.

use std::fs;
use std::path::Path;

use everfold_store::verify::{NoMeaning, verify_folder};
use everfold_store::{OpenError, ReadError, SledOptions, SledStore};
use tempfile::TempDir;

use super::sample::{self, Answers};
use crate::fixtures::{copy_folder_without, run};

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip(usize),
    Cut(usize),
    Zero(usize, usize),
    Remove,
}

impl Harm {
    /// Does it; `false` where the file is as before.
    fn to(self, file: &Path) -> bool {
        let before = fs::read(file).unwrap();
        let mut bytes = before.clone();
        match self {
            Self::Flip(at) => bytes[at] ^= 0x10,
            Self::Cut(at) => bytes.truncate(at),
            Self::Zero(from, to) => bytes[from..to].fill(0),
            Self::Remove => {
                fs::remove_file(file).unwrap();
                return true;
            }
        }
        fs::write(file, &bytes).unwrap();
        bytes != before
    }
}

/// About `steps` places of each kind, in the part of the file that was ever written.
fn harms(file: &Path, steps: usize) -> Vec<Harm> {
    let bytes = fs::read(file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut harms = vec![Harm::Remove];
    let stride = (used / steps).max(1);
    for at in (0..used).step_by(stride) {
        // Not only at multiples of something that the format knows.
        harms.push(Harm::Flip((at + at % 13).min(used - 1)));
        if at % (2 * stride) == 0 {
            harms.push(Harm::Zero(at, (at + stride).min(used)));
            harms.push(Harm::Cut(at + at % 7));
        }
    }
    harms.push(Harm::Flip(used.saturating_sub(1)));
    harms.push(Harm::Cut(used.saturating_sub(1)));
    harms
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Unchanged,
    Healed,
    Reported,
}

fn outcome(folder: &Path, expected: &Answers, context: &str) -> Outcome {
    let store = match SledStore::open(folder, SledOptions::default()) {
        Ok(store) => store,
        Err(OpenError::Damaged(damage)) => {
            assert!(damage.file.exists(), "{context}: {damage}");
            return Outcome::Reported;
        }
        Err(OpenError::Missing { first, last, .. }) => {
            assert!(first <= last, "{context}");
            return Outcome::Reported;
        }
        Err(other) => panic!("{context}: not a report of damage: {other}"),
    };
    let warned = !store.report().warnings.is_empty();
    match run(sample::answers(&store)) {
        Ok(answers) => {
            // Only the clock of the repeated answer's first write is in the index alone.
            assert!(answers == *expected, "{context}: other answers, without an error");
            if warned { Outcome::Healed } else { Outcome::Unchanged }
        }
        Err(ReadError::Damaged(damage)) => {
            assert!(damage.file.exists(), "{context}: {damage}");
            Outcome::Reported
        }
        Err(other) => panic!("{context}: not a report of damage: {other}"),
    }
}

fn harm_each(steps: usize, wanted: impl Fn(&str) -> bool) {
    let original = TempDir::new().unwrap();
    let folder = original.path().join("store");
    let expected = sample::make(&folder);
    let mut outcomes = [0; 3];
    for file in sample::files(&folder) {
        let name = file.to_string_lossy().into_owned();
        if !wanted(&name) {
            continue;
        }
        for harm in harms(&folder.join(&file), steps) {
            let copy = TempDir::new().unwrap();
            let damaged = copy.path().join("store");
            copy_folder_without(&folder, &damaged, "reserve");
            if harm.to(&damaged.join(&file)) {
                outcomes[outcome(&damaged, &expected, &format!("{name}: {harm:?}")) as usize] += 1;
            }
        }
    }
    println!("unchanged {}, healed {}, reported {}", outcomes[0], outcomes[1], outcomes[2]);
    assert!(outcomes.iter().sum::<usize>() > 0, "nothing was tried");
}

#[test]
fn s2_damage_anywhere_in_the_journal_is_reported_or_without_effect() {
    harm_each(40, |name| name.starts_with("journal"));
}

#[test]
fn s5_damage_anywhere_in_the_index_is_healed_from_the_journal() {
    harm_each(30, |name| name.starts_with("sled"));
}

#[test]
fn s13_damage_to_the_stores_description_is_healed() {
    harm_each(20, |name| name == "store.json" || name == "lock");
}

#[test]
fn damage_to_a_blob_is_reported_by_whoever_reads_it() {
    let original = TempDir::new().unwrap();
    let folder = original.path().join("store");
    sample::make(&folder);
    let blobs = everfold_store::BlobStore::new(&folder);
    let hash = blobs.list(sample::RUN).unwrap()[0];
    let path = blobs.path(sample::RUN, &hash);
    for harm in [Harm::Flip(3), Harm::Cut(2), Harm::Zero(0, 4)] {
        fs::write(&path, b"evidence").unwrap();
        assert!(harm.to(&path));
        blobs.get_blocking(sample::RUN, &hash).unwrap_err();
        let report = verify_folder(&folder, &SledOptions::default(), &mut NoMeaning).unwrap();
        assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    }
}

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use everfold_base::data_folder::Layout;
use everfold_base::id::{EffectId, RunId};
use everfold_base::time::Timestamp;
use everfold_core::event::LogSeal;
use proptest::prelude::*;

use super::{LogFinder, archive_attempts};
use crate::process::archived_damage::check_archives;
use crate::process::retention::{remove_old_attempts, runs_with_attempts};
use crate::settings::AttemptLimits;
use crate::shim::log::{LogCheck, check, seal};
use crate::shim::protocol::{EXIT, LOCK, LOG, LOG_INDEX};

const HOUR_MS: i64 = 3_600_000;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn run(number: u32) -> RunId {
    format!("00000000-0000-0000-0000-{number:012}").parse().unwrap()
}

fn limits(archive_after_hours: u64) -> AttemptLimits {
    let keep = Duration::from_secs(90 * 86_400);
    AttemptLimits { keep, keep_max: 20_000, archive_after: Duration::from_secs(archive_after_hours * 3_600) }
}

/// A data folder with attempts.
struct AttemptFolders {
    _folder: tempfile::TempDir,
    layout: Layout,
}

impl AttemptFolders {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        Self { layout, _folder: folder }
    }

    /// The folder of an attempt that ended so many hours ago, with these files.
    fn attempt(&self, run: RunId, attempt: &str, hours: i64, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.layout.attempt(&effect(run, attempt));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files.iter().chain(&[(EXIT, &b"{}"[..])]) {
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.join(name), bytes).unwrap();
            set_age(&folder.join(name), hours);
        }
        folder
    }

    fn archive(&self, ended: &[RunId]) -> u64 {
        archive_attempts(&self.layout.all_attempts(), ended, limits(1), NOW, &|| true)
    }

    fn log(&self, run: RunId, attempt: &str) -> (bool, Option<Vec<u8>>) {
        let stored = LogFinder::new(self.layout.clone()).find(&effect(run, attempt), None, false).unwrap();
        let bytes = stored.files.log.map(|mut log| {
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes).unwrap();
            bytes
        });
        (stored.is_kept, bytes)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.layout.all_attempts()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn effect(run: RunId, attempt: &str) -> EffectId {
    EffectId { run, attempt: attempt.parse().unwrap() }
}

fn set_age(path: &Path, hours: i64) {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW.0 - hours * HOUR_MS).unwrap());
    std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

/// What an archive holds, read by the library alone.
fn entries(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        entries.insert(entry.name().unwrap().into_owned(), bytes);
    }
    entries
}

#[test]
fn attempts_of_an_ended_run_become_one_file_that_holds_all_of_them() {
    let home = AttemptFolders::new();
    let text: &[u8] = b"1000 O one\n1001 O two\n";
    home.attempt(
        run(1),
        "build/1/1",
        2,
        &[(LOG, text), ("turns/1/stdout", b"before"), ("input.json", b"{}")],
    );
    home.attempt(run(1), "test.3/2/1", 3, &[]);
    // Of a run that goes on, and one that has just ended.
    let goes_on = home.attempt(run(2), "build/1/1", 99, &[(LOG, text)]);
    let fresh = home.attempt(run(3), "build/1/1", 0, &[(LOG, text)]);
    assert_eq!(home.archive(&[run(1), run(3)]), 2);
    let [first, second, third] = [1, 2, 3].map(|number| run(number).to_string());
    assert_eq!(home.names(), [format!("{first}.zip"), second, third]);
    assert!(goes_on.is_dir() && fresh.is_dir());
    let path = home.layout.archived_attempts(run(1));
    let held: Vec<_> = entries(&path).into_iter().collect();
    let expected: [(&str, &[u8]); 9] = [
        ("build-r1-a1/", b""),
        ("build-r1-a1/exit.json", b"{}"),
        ("build-r1-a1/input.json", b"{}"),
        ("build-r1-a1/log", text),
        ("build-r1-a1/turns/", b""),
        ("build-r1-a1/turns/1/", b""),
        ("build-r1-a1/turns/1/stdout", b"before"),
        ("test.3-r2-a1/", b""),
        ("test.3-r2-a1/exit.json", b"{}"),
    ];
    assert_eq!(held, expected.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
    let about = std::fs::metadata(&path).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777, 0o600);
    assert_eq!(home.log(run(1), "build/1/1"), (true, Some(text.to_vec())));
    assert_eq!(home.log(run(1), "test.3/2/1"), (true, None));
    assert_eq!(home.log(run(1), "build/1/2"), (false, None));
    assert_eq!(home.log(run(2), "build/1/1"), (true, Some(text.to_vec())));
    // Nothing is left to do, and unpacking left nothing.
    assert_eq!(home.archive(&[run(1), run(3)]), 0);
    assert_eq!(home.names().len(), 3);
}

#[test]
fn a_log_out_of_an_archive_is_compared_with_its_seal_like_any_other() {
    let home = AttemptFolders::new();
    let folder = home.attempt(run(1), "build/1/1", 2, &[(LOG, b"1000 O one\n1001 O two\n")]);
    let seal = seal(&folder.join(LOG), 0).unwrap().unwrap();
    set_age(&folder.join(LOG), 2);
    assert_eq!(home.archive(&[run(1)]), 1);
    let mut finder = LogFinder::new(home.layout.clone());
    let id = effect(run(1), "build/1/1");
    for _again in 0..2 {
        let found = finder.find(&id, None, true).unwrap();
        assert_eq!(check(found.files, &seal).unwrap(), LogCheck::Same);
    }
    let path = home.layout.archived_attempts(run(1));
    let whole = std::fs::read(&path).unwrap();
    // Whichever byte is another one: the log is as it was, or something is said.
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&path, &damaged).unwrap();
        let found = LogFinder::new(home.layout.clone()).find(&id, None, true);
        match found.map(|found| (found.is_kept, check(found.files, &seal).unwrap())) {
            Ok((true, LogCheck::Same | LogCheck::Missing)) | Err(_) => {}
            // The name of the folder is another one.
            Ok((false, LogCheck::Missing)) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = LogFinder::new(home.layout.clone()).find(&id, None, true).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

/// The archive of two attempts, with what is recorded of the log of the first.
fn archived(home: &AttemptFolders, text: &[u8]) -> LogSeal {
    let folder = home.attempt(run(1), "build/1/1", 2, &[(LOG, text), ("stdout", b"one\ntwo\n")]);
    let seal = seal(&folder.join(LOG), 0).unwrap().unwrap();
    for file in [LOG, LOG_INDEX] {
        set_age(&folder.join(file), 2);
    }
    home.attempt(run(1), "test/1/1", 2, &[("input.json", b"{\"a\": 1}")]);
    assert_eq!(home.archive(&[run(1)]), 2);
    seal
}

/// As much was unpacked to the disk as the archive said.
#[test]
fn no_more_of_an_archived_log_is_unpacked_than_was_written() {
    let home = AttemptFolders::new();
    let seal = archived(&home, b"1000 O one\n1001 O two\n");
    let path = home.layout.archived_attempts(run(1));
    let mut files = entries(&path);
    files.insert("build-r1-a1/log".to_owned(), vec![0; 8 << 20]);
    files.insert("build-r1-a1/log.index".to_owned(), vec![0; 8 << 20]);
    let mut writer = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in files {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap();
    let id = effect(run(1), "build/1/1");
    let mut finder = LogFinder::new(home.layout.clone());
    let error = finder.find(&id, Some(&seal), true).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let said = format!("build-r1-a1/log is longer than the {} bytes that were written", seal.bytes);
    assert!(error.to_string().contains(&said), "{error}");
    // An index of another length is none, and no damage.
    let longer = LogSeal { bytes: 8 << 20, ..seal };
    let found = finder.find(&id, Some(&longer), true).unwrap();
    assert!(found.files.log.is_some() && found.files.index.is_none());
}

fn damage(home: &AttemptFolders, named: &[&Path]) -> Vec<String> {
    let mut found = Vec::new();
    let is_named = |entry: &Path| named.contains(&entry);
    check_archives(&home.layout.all_attempts(), &is_named, &mut |error| found.push(error.to_string()));
    found
}

/// Logs alone were looked at: every other entry could be anything.
#[test]
fn a_damaged_entry_of_an_archive_is_named_with_its_archive() {
    let home = AttemptFolders::new();
    archived(&home, b"1000 O one\n1001 O two\n");
    assert_eq!(damage(&home, &[]), Vec::<String>::new());
    let path = home.layout.archived_attempts(run(1));
    let whole = std::fs::read(&path).unwrap();
    let held = entries(&path);
    // Whichever byte is another one: each file is as it was, or something is said.
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
    let mut data = std::collections::BTreeSet::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).unwrap();
        let start = entry.data_start().unwrap();
        data.extend(start..start + entry.compressed_size());
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&path, &damaged).unwrap();
        let found = damage(&home, &[]);
        let names_archive = found.iter().all(|fault| fault.contains(&path.display().to_string()));
        assert!(names_archive, "byte {at}: {found:?}");
        assert!(!found.is_empty() || (!data.contains(&(at as u64)) && entries(&path) == held), "byte {at}");
    }
    let at = whole.windows(18).position(|part| part == b"build-r1-a1/stdout").unwrap() + 20;
    let mut damaged = whole.clone();
    damaged[at] ^= 0x55;
    std::fs::write(&path, &damaged).unwrap();
    let found = damage(&home, &[]);
    assert!(found.len() == 1 && found[0].contains("build-r1-a1/stdout is damaged: "), "{found:?}");
    // What is named already is not looked at again.
    assert_eq!(damage(&home, &[&home.layout.attempts(run(1)).join("build-r1-a1/stdout")]).len(), 0);
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(damage(&home, &[]).len(), 1, "{length}");
    }
}

#[test]
fn what_is_no_plain_file_or_is_held_by_a_supervisor_stays_a_folder_and_is_added_later() {
    use rustix::fs::{FlockOperation, flock};
    let home = AttemptFolders::new();
    home.attempt(run(1), "plain/1/1", 5, &[(LOG, b"1000 O a\n")]);
    let linked = home.attempt(run(1), "linked/1/1", 4, &[]);
    std::os::unix::fs::symlink("/etc/hostname", linked.join("link")).unwrap();
    let held = home.attempt(run(1), "held/1/1", 3, &[(LOCK, b""), (LOG, b"1000 O b\n")]);
    let note = home.layout.attempts(run(1)).join("lease-1.json");
    std::fs::write(&note, "{}").unwrap();
    let lock = std::fs::File::open(held.join(LOCK)).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    assert_eq!(home.archive(&[run(1)]), 1);
    assert!(linked.is_dir() && held.is_dir() && note.is_file());
    drop(lock);
    assert_eq!(home.archive(&[run(1)]), 1);
    assert!(linked.is_dir() && !held.exists() && note.is_file());
    let path = home.layout.archived_attempts(run(1));
    let names: Vec<String> = entries(&path).into_keys().filter(|name| !name.ends_with('/')).collect();
    let expected = [
        "held-r1-a1/exit.json",
        "held-r1-a1/lock",
        "held-r1-a1/log",
        "plain-r1-a1/exit.json",
        "plain-r1-a1/log",
    ];
    assert_eq!(names, expected);
    assert_eq!(home.log(run(1), "plain/1/1"), (true, Some(b"1000 O a\n".to_vec())));
    // It is as old as the youngest of them.
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let at = modified.duration_since(UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(i64::try_from(at).unwrap(), NOW.0 - 3 * HOUR_MS);
}

#[test]
fn a_crash_at_any_moment_leaves_each_attempt_whole_and_the_next_sweep_ends_it() {
    let whole = AttemptFolders::new();
    let fill = |home: &AttemptFolders| {
        for attempt in ["a/1/1", "b/1/1", "c/1/1"] {
            home.attempt(run(1), attempt, 2, &[(LOG, attempt.as_bytes()), ("stdout", &[7; 5_000])]);
        }
    };
    fill(&whole);
    assert_eq!(whole.archive(&[run(1)]), 3);
    let archive = std::fs::read(whole.layout.archived_attempts(run(1))).unwrap();
    // What may be there: a part of the archive under its first name; the archive beside the folders, the first of which may
    // have gone, or be about to go.
    for state in 0..4 {
        let home = AttemptFolders::new();
        fill(&home);
        let path = home.layout.archived_attempts(run(1));
        let of_run = home.layout.attempts(run(1));
        match state {
            0 => std::fs::write(path.with_extension("zip.new"), &archive[..archive.len() / 2]).unwrap(),
            1 => std::fs::write(&path, &archive).unwrap(),
            2 => {
                std::fs::write(&path, &archive).unwrap();
                std::fs::remove_dir_all(of_run.join("a-r1-a1")).unwrap();
            }
            _ => {
                std::fs::write(&path, &archive).unwrap();
                std::fs::rename(of_run.join("a-r1-a1"), of_run.join(".gone-a-r1-a1")).unwrap();
                std::fs::remove_file(of_run.join(".gone-a-r1-a1").join(LOG)).unwrap();
            }
        }
        let log_of = |attempt: &str| home.log(run(1), attempt);
        for attempt in ["a/1/1", "b/1/1", "c/1/1"] {
            assert_eq!(log_of(attempt), (true, Some(attempt.as_bytes().to_vec())), "{state} {attempt}");
        }
        assert_eq!(runs_with_attempts(&home.layout.all_attempts()).unwrap(), [run(1)]);
        assert_eq!(remove_old_attempts(&home.layout.all_attempts(), &[run(1)], limits(1), NOW, &|| true), 0);
        home.archive(&[run(1)]);
        assert_eq!(home.names(), [format!("{}.zip", run(1))], "{state}");
        assert_eq!(entries(&path), entries(&whole.layout.archived_attempts(run(1))), "{state}");
    }
}

#[test]
fn an_archive_that_cannot_be_written_leaves_the_folders_and_nothing_else() {
    let home = AttemptFolders::new();
    let folder = home.attempt(run(1), "a/1/1", 2, &[(LOG, b"1000 O a\n")]);
    // A former archive is damaged: nothing is put in its place.
    let path = home.layout.archived_attempts(run(1));
    std::fs::write(&path, "no archive").unwrap();
    assert_eq!(home.archive(&[run(1)]), 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"no archive");
    assert!(folder.is_dir() && !path.with_extension("zip.new").exists());
    assert_eq!(home.log(run(1), "a/1/1").1.unwrap(), b"1000 O a\n");
    // The limits take it when its time has come, by themselves.
    assert_eq!(remove_old_attempts(&home.layout.all_attempts(), &[run(1)], limits(1), NOW, &|| true), 0);
    std::fs::remove_file(&path).unwrap();
    // The process is about to end.
    assert_eq!(archive_attempts(&home.layout.all_attempts(), &[run(1)], limits(1), NOW, &|| false), 0);
    assert!(folder.is_dir() && !path.exists());
}

/// The folder took the place of all that the archive held of the attempt.
#[test]
fn what_a_folder_lacks_is_kept_where_the_archive_has_it() {
    let home = AttemptFolders::new();
    home.attempt(run(1), "a/1/1", 3, &[(LOG, b"1000 O a\n"), ("stdout", b"a\n"), ("turns/1/stdout", b"")]);
    assert_eq!(home.archive(&[run(1)]), 1);
    // A person unpacks a part of it beside the archive.
    let folder = home.layout.attempt(&effect(run(1), "a/1/1"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("stdout"), "other").unwrap();
    std::fs::write(folder.join(EXIT), "{}").unwrap();
    set_age(&folder.join(EXIT), 2);
    assert_eq!(home.archive(&[run(1)]), 1);
    assert!(!folder.exists());
    let held = entries(&home.layout.archived_attempts(run(1)));
    assert_eq!(
        (held["a-r1-a1/log"].as_slice(), held["a-r1-a1/stdout"].as_slice()),
        (&b"1000 O a\n"[..], &b"other"[..])
    );
    let names: Vec<&str> = held.keys().map(String::as_str).collect();
    let of = ["", "exit.json", "log", "stdout", "turns/", "turns/1/", "turns/1/stdout"];
    assert_eq!(names, of.map(|name| format!("a-r1-a1/{name}")));
}

#[test]
fn a_folder_that_may_be_at_work_or_was_written_to_meanwhile_stays() {
    let home = AttemptFolders::new();
    let begun = home.attempt(run(1), "begun/1/1", 3, &[("started", b""), (LOG, b"1000 O a\n")]);
    std::fs::remove_file(begun.join(EXIT)).unwrap();
    set_age(&begun.join(LOG), 3);
    let late = home.attempt(run(1), "late/1/1", 3, &[(LOG, b"1000 O a\n")]);
    // Asked between any two steps: when the archive is there something comes into the folder.
    let path = home.layout.archived_attempts(run(1)).with_extension("zip.new");
    let goes_on = || {
        if path.exists() {
            std::fs::write(late.join("more"), "more").unwrap();
        }
        true
    };
    assert_eq!(archive_attempts(&home.layout.all_attempts(), &[run(1)], limits(1), NOW, &goes_on), 0);
    assert!(begun.is_dir() && late.join(LOG).is_file());
    assert_eq!(home.archive(&[run(1)]), 1);
    let held = entries(&home.layout.archived_attempts(run(1)));
    assert_eq!(held["late-r1-a1/more"], b"more");
    assert!(begun.is_dir() && !late.exists());
}

#[test]
fn a_sweep_that_is_told_to_end_in_the_middle_leaves_everything_as_it_was() {
    for steps in 0..12 {
        let home = AttemptFolders::new();
        let folders =
            ["a/1/1", "b/1/1"].map(|attempt| home.attempt(run(1), attempt, 2, &[(LOG, b"1000 O a\n")]));
        let asked = std::cell::Cell::new(0);
        let goes_on = || {
            asked.set(asked.get() + 1);
            asked.get() <= steps
        };
        let archived = archive_attempts(&home.layout.all_attempts(), &[run(1)], limits(1), NOW, &goes_on);
        let are_folders = folders.iter().all(|folder| folder.is_dir());
        assert_eq!((archived, are_folders, home.names().len()), (0, true, 1), "{steps}");
    }
}

#[test]
fn an_attempt_without_a_log_needs_no_sound_archive() {
    let home = AttemptFolders::new();
    home.attempt(run(1), "silent/1/1", 2, &[]);
    std::fs::write(home.layout.archived_attempts(run(1)), "no archive").unwrap();
    assert_eq!(home.log(run(1), "silent/1/1"), (true, None));
    assert!(LogFinder::new(home.layout.clone()).find(&effect(run(1), "gone/1/1"), None, false).is_err());
}

#[test]
fn a_folder_of_more_files_than_an_archive_should_hold_stays_a_folder() {
    let home = AttemptFolders::new();
    let many = home.attempt(run(1), "many/1/1", 2, &[]);
    for number in 0..10_000 {
        std::fs::write(many.join(number.to_string()), "").unwrap();
    }
    let few = home.attempt(run(1), "few/1/1", 2, &[]);
    assert_eq!(home.archive(&[run(1)]), 1);
    assert!(many.is_dir() && !few.exists());
}

#[test]
fn archives_are_under_the_limits_of_their_attempts() {
    let home = AttemptFolders::new();
    for (number, hours) in [(1, 40), (2, 30), (3, 20)] {
        for attempt in ["a/1/1", "b/1/1"] {
            home.attempt(run(number), attempt, hours, &[]);
        }
    }
    let all: Vec<RunId> = (1..=3).map(run).collect();
    assert_eq!(home.archive(&all), 6);
    let sweep = |keep_hours: u64, keep_max| {
        let keep = Duration::from_secs(keep_hours * 3_600);
        let limits = AttemptLimits { keep, keep_max, archive_after: Duration::from_secs(3_600) };
        remove_old_attempts(&home.layout.all_attempts(), &all, limits, NOW, &|| true)
    };
    assert_eq!(sweep(48, 6), 0);
    // The oldest archive is there until newer ones hold as many.
    assert_eq!(sweep(48, 5), 0);
    assert_eq!(sweep(48, 4), 2);
    assert_eq!(sweep(25, 4), 2);
    assert_eq!(runs_with_attempts(&home.layout.all_attempts()).unwrap(), [run(3)]);
    assert_eq!(sweep(48, 0), 2);
    assert!(home.names().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In however many sweeps attempts come into an archive, it holds the bytes of each.
    #[test]
    fn whatever_the_order_of_sweeps_every_file_is_kept(
        attempts in prop::collection::vec((0_u8..6, 2_i64..9, prop::collection::vec(any::<u8>(), 0..300)), 1..12),
    ) {
        let home = AttemptFolders::new();
        let mut expected = BTreeMap::new();
        for (number, (step, hours, bytes)) in attempts.iter().enumerate() {
            let attempt = format!("s{step}/1/{}", number + 1);
            home.attempt(run(1), &attempt, *hours, &[(LOG, bytes)]);
            expected.insert(attempt, bytes.clone());
            if bytes.len() % 3 == 0 {
                prop_assert!(home.archive(&[run(1)]) > 0);
            }
        }
        home.archive(&[run(1)]);
        let mut finder = LogFinder::new(home.layout.clone());
        for (attempt, bytes) in expected {
            let mut found = finder.find(&effect(run(1), &attempt), None, false).unwrap();
            let mut read = Vec::new();
            found.files.log.as_mut().unwrap().read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, bytes);
        }
        prop_assert_eq!(damage(&home, &[]), Vec::<String>::new());
        prop_assert_eq!(home.names(), [format!("{}.zip", run(1))]);
    }
}

//! A data folder of which a part is gone, and copies that are one with it: `store verify` and `store repair` say what is
//! missing, and what to do.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use super::fixtures::Scratch;

/// A scratch folder whose data folder holds a run that has ended.
fn with_run() -> Scratch {
    let scratch = Scratch::new();
    scratch.write(
        "ok.yaml",
        "name: ok\nsteps:\n  - { id: a, command: echo a }\n  - { id: b, command: echo b }\n",
    );
    assert_eq!(scratch.run(&["run", "./ok.yaml"]).code, 0);
    scratch
}

fn cp(options: &str, from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(options).arg(from).arg(to).status().unwrap().success());
}

/// The process of a `lock` that was left behind was named as the one that has the folder.
#[test]
fn a_copy_that_nobody_has_is_in_use_by_nobody() {
    let scratch = with_run();
    for yes in [&[][..], &["--yes"]] {
        let own = scratch.run(&[&["store", "repair", "--from", ".everfold"][..], yes].concat());
        assert_eq!(own.code, 2, "{own:?}");
        assert!(own.err.contains("is the folder that is to be repaired, and no copy of it"), "{own:?}");
    }
    // Its file `lock` is one with that of the folder, which the command has locked.
    cp("-al", &scratch.data(), &scratch.path("linked"));
    let linked = scratch.run(&["store", "repair", "--from", "linked"]);
    assert!(linked.code == 0 && linked.out.contains("nothing need be repaired"), "{linked:?}");
    // Somebody has this one, and it is not who left the file.
    cp("-a", &scratch.data(), &scratch.path("copy"));
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    fs::write(scratch.path("copy/lock"), format!("{}\n", gone.id())).unwrap();
    let held = fs::File::open(scratch.path("copy")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let used = scratch.run(&["store", "repair", "--from", "copy"]);
    assert!(used.code == 7 && used.err.contains("the store is in use by another process\n"), "{used:?}");
}

#[test]
fn what_a_folder_lacks_is_named_with_what_makes_it_again() {
    let scratch = with_run();
    for (lacks, verified, repaired, next) in [
        (&["journal"][..], "/journal: it is missing; `store repair --from-sled`", "missing ", "--from-sled"),
        (&["sled"], "the next start builds it again from the journal", "nothing need be", ""),
        (
            &["store.json"],
            "store.json: it is missing; the next start makes it again, and `store adopt`",
            "nothing need be",
            "",
        ),
        (
            &["journal", "sled"],
            "/journal: it is missing; `store repair --from DIR`",
            "missing ",
            "--from DIR",
        ),
        (
            &["journal", "store.json"],
            "/journal: it is missing; `store repair --from-sled`",
            "missing ",
            "--from-sled",
        ),
    ] {
        let folder = scratch.path("copy");
        cp("-a", &scratch.data(), &folder);
        remove(&folder, lacks);
        let verify = scratch.run(&["--dir", "copy", "store", "verify"]);
        assert!(verify.code == 7 && verify.out.contains(verified), "{lacks:?}: {verify:?}");
        let repair = scratch.run(&["--dir", "copy", "store", "repair"]);
        let said = format!("{}{}", repair.out, repair.err);
        assert!(said.contains(repaired) && said.contains(next), "{lacks:?}: {repair:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// It was no data folder (`EF0404`) where the store had begun to keep room for a full disk, and all was to be made again by
/// the next start where it had not.
#[test]
fn a_folder_without_any_event_is_one_whose_history_is_gone() {
    for left in ["reserve", "journal.damaged-1", "attempts.lost-1", "attempts"] {
        let scratch = with_run();
        let folder = scratch.path("copy");
        cp("-a", &scratch.data(), &folder);
        remove(&folder, &["journal", "sled", "store.json"]);
        if left != "attempts" {
            fs::write(folder.join(left), "").unwrap();
        }
        let before = fs::read_dir(&folder).unwrap().count();
        for verb in [&["verify"][..], &["repair"], &["repair", "--yes"], &["repair", "--from", ".everfold"]] {
            let done = scratch.run(&[&["--dir", "copy", "store"], verb].concat());
            assert_eq!(done.code, 7, "{left} {verb:?}: {done:?}");
            let said = format!(
                "holds {left} of a data folder, and neither journal, sled (the index) nor store.json"
            );
            assert!(done.err.contains("EF0403") && done.err.contains(&said), "{left} {verb:?}: {done:?}");
            assert!(done.err.contains("`everfold --dir copy store adopt`"), "{left} {verb:?}: {done:?}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), before, "nothing is made in it");
        // As the hint says.
        cp("-a", &scratch.data().join("journal"), &folder.join("journal"));
        assert_eq!(scratch.run(&["--dir", "copy", "store", "adopt"]).code, 0, "{left}");
        let run = scratch.run(&["--dir", "copy", "show", "@"]);
        assert!(run.code == 0 && run.out.contains("succeeded"), "{left}: {run:?}");
    }
}

/// Verification named no fault, and a repair wrote zeros over what was left of the last record.
#[test]
fn a_journal_that_was_cut_is_restored_from_a_copy_and_what_no_repair_mends_names_the_way_on() {
    let scratch = with_run();
    cp("-a", &scratch.data(), &scratch.path("copy"));
    let segment = scratch.data().join("journal/0000000001.segment");
    let whole = fs::read(&segment).unwrap();
    let last = (0..whole.len() - 4).rfind(|at| whole[*at..].starts_with(b"EVGR")).unwrap();
    fs::write(&segment, &whole[..last + 70]).unwrap();
    remove(&scratch.data(), &["sled", "store.json"]);
    let said = |args: &[&str], code: i32, words: &[&str]| {
        let done = scratch.run(args);
        let text = format!("{}{}", done.out, done.err);
        assert!(done.code == code && words.iter().all(|word| text.contains(word)), "{args:?}: {done:?}");
        text
    };
    let place = format!("0000000001.segment is damaged at byte {last}");
    said(&["store", "verify"], 7, &[&place, "store repair"]);
    said(&["store", "repair"], 7, &["lost    position", "--from DIR", "--give-up-behind"]);
    said(&["store", "repair", "--from", "copy"], 0, &["would   write the journal anew", "--from copy --yes"]);
    said(&["store", "repair", "--from", "copy", "--yes"], 0, &["did     write the journal anew"]);
    said(&["store", "adopt"], 0, &[]);
    said(&["store", "verify"], 0, &["everything is as it was written"]);
    said(&["show", "@"], 0, &["succeeded"]);
    // The command that was typed was named as the next one.
    fs::write(scratch.data().join("journal/0000000002.segment"), "").unwrap();
    let unmended = ["cannot mend it", "everfold --dir copy store adopt", "is to be moved out of `journal`"];
    let text = said(&["store", "repair", "--from", "copy"], 7, &unmended);
    assert!(!text.contains("--from DIR"), "{text}");
}

/// Nothing was taken from it, and the hint led to giving up what it has.
#[test]
fn a_copy_that_is_older_than_store_json_names_what_it_has_and_the_command_that_gives_up_only_the_rest() {
    for lacks in [&["journal", "sled"][..], &["sled"]] {
        let scratch = with_run();
        cp("-a", &scratch.data(), &scratch.path("copy"));
        let info = scratch.run(&["--dir", "copy", "store", "info", "--json"]);
        let info: serde_json::Value = serde_json::from_str(&info.out).unwrap();
        let end = info["position"].as_u64().unwrap();
        assert_eq!(scratch.run(&["run", "./ok.yaml"]).code, 0);
        remove(&scratch.data(), lacks);
        let segment = scratch.data().join("journal/0000000001.segment");
        if segment.exists() {
            // All but the first groups.
            let whole = fs::read(&segment).unwrap();
            let groups: Vec<usize> =
                (0..whole.len() - 4).filter(|at| whole[*at..].starts_with(b"EVGR")).collect();
            fs::write(&segment, &whole[..groups[2]]).unwrap();
        }
        let said = |args: &[&str], code: i32, words: &[&str]| {
            let done = scratch.run(args);
            let text = format!("{}{}", done.out, done.err);
            assert!(done.code == code && words.iter().all(|word| text.contains(word)), "{args:?}: {done:?}");
        };
        let lost = format!("neither the journal nor copy holds positions {} to ", end + 1);
        let (held, behind) = (format!(" to {end}, by copy"), end.to_string());
        let hint =
            format!("--from copy --give-up-behind {end} takes what copy holds, and goes on without it");
        said(&["store", "repair", "--from", "copy"], 7, &["held    position", &held, &lost, &hint]);
        let alone = ["is whole up to position ", "store repair --from DIR says what a copy"];
        said(&["store", "repair", "--give-up-behind", &behind], 7, &alone);
        let yes = ["store", "repair", "--from", "copy", "--yes"];
        said(&yes, 7, &["copy does not hold them", &format!("--from copy --give-up-behind {end} ")]);
        said(&["show", "@"], 7, &[]);
        let both = ["store", "repair", "--from", "copy", "--give-up-behind", &behind];
        let next = format!("store repair --from copy --give-up-behind {end} --yes");
        said(&both, 0, &["would   give up positions ", " from copy", &next]);
        said(&[&both[..], &["--yes"]].concat(), 0, &["did     give up positions ", "store adopt"]);
        said(&["store", "adopt"], 0, &[]);
        said(&["store", "verify"], 0, &["everything is as it was written"]);
        said(&["show", "@"], 0, &["succeeded"]);
    }
}

fn remove(folder: &Path, names: &[&str]) {
    for path in names.iter().map(|name| folder.join(name)) {
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
    }
}

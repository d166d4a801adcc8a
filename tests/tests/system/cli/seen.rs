//! What people approve is what they saw: real files, real git, the real program.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::fixtures::{Done, Scratch};

fn said(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{done:#?}");
    for word in words {
        assert!(done.out.contains(word) || done.err.contains(word), "{word} in {done:#?}");
    }
}

const RELEASE: &str = "\
name: release
steps:
  - id: write
    command: 'if [ \"$EVERFOLD_ROUND\" = 1 ] || [ -e other ]; then echo \"plan $EVERFOLD_ROUND\" > plan.md; fi'
  - id: sign
    approval:
      title: Release it?
      show: [plan.md, { file: notes.md }, It is ready.]
      quorum: 2
      keep: unchanged
      on_changes: { rework: write }
  - id: deploy
    approved: sign
    retry: { attempts: 3, backoff: 1ms..1ms }
    command: cp plan.md deployed
";

fn by(scratch: &Scratch, user: &str, args: &[&str]) -> Done {
    scratch.command(args).env("EVERFOLD_USER", user).output().unwrap().into()
}

/// The digest of what the only open approval shows.
fn digest(scratch: &Scratch) -> String {
    let view = scratch.run(&["show", "--json"]).json();
    view["awaits"][0]["seen"]["digest"].as_str().expect("a digest").to_owned()
}

fn released() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("release.yaml", RELEASE);
    said(&scratch.run(&["run", "./release.yaml", "--no-wait"]), 6, &["approve", "--seen"]);
    scratch
}

#[test]
fn a_vote_is_on_what_was_shown_and_refused_where_a_file_changed_meanwhile() {
    let scratch = released();
    let hash = blake3::hash(b"plan 1\n").to_hex().to_string();
    let shown = scratch.run(&["show"]);
    said(&shown, 0, &[&hash[..12], "missing  notes.md", "seen "]);
    let view = scratch.run(&["show", "--json"]).json();
    let parts = &view["awaits"][0]["seen"]["parts"];
    assert_eq!((&parts[1]["kind"], &parts[1]["hash"]), (&"file".into(), &hash.clone().into()), "{parts:#}");
    assert_eq!((&parts[2]["what"], &parts[2]["hash"]), (&"notes.md".into(), &serde_json::Value::Null));

    let seen = digest(&scratch);
    said(
        &scratch.run(&["approve", "@", "--seen", "00000000"]),
        4,
        &["EF0346", "it changed since you looked"],
    );
    said(&scratch.run(&["approve", "@", "--seen", "123"]), 2, &["digest"]);
    scratch.write("plan.md", "something else\n");
    let refused = scratch.run(&["approve", "@", "--seen", &seen[..8]]);
    said(&refused, 4, &["EF0346", "plan.md (was", "everfold recheck"]);
    said(&scratch.run(&["approve", "@"]), 4, &["EF0346"]);

    // Asked anew, it shows what lies there now.
    let again = scratch.run(&["recheck", "@", "sign"]);
    assert!(matches!(again.code, 0 | 6), "{again:#?}");
    said(&scratch.run(&["resume", "--no-wait"]), 6, &[]);
    let now = digest(&scratch);
    assert_ne!(now, seen);
    said(&scratch.run(&["approve", "@", "--seen", &now[..8]]), 0, &["counted (1 of 2)"]);
    said(&by(&scratch, "ben", &["approve", "@"]), 0, &["approved"]);
    said(&scratch.run(&["resume"]), 0, &[]);
    assert_eq!(std::fs::read_to_string(scratch.path("deployed")).unwrap(), "something else\n");
}

/// The bytes of a file that an approval shows, as the run keeps them.
fn kept(scratch: &Scratch, path: &str) -> Option<String> {
    let view = scratch.run(&["show", "--json"]).json();
    let parts = view["awaits"][0]["seen"]["parts"].as_array().unwrap().clone();
    let hash = parts.iter().find(|part| part["what"] == path).unwrap()["hash"].as_str().unwrap().to_owned();
    let blob = scratch.path(".everfold/blobs").join(view["id"].as_str().unwrap()).join(hash);
    std::fs::read_to_string(blob).ok()
}

#[test]
fn what_an_approval_showed_can_be_read_when_it_has_changed_since() {
    let scratch = released();
    scratch.write("plan.md", "something else\n");
    assert_eq!(kept(&scratch, "plan.md").as_deref(), Some("plan 1\n"));
    let looked: Vec<_> = scratch
        .run(&["events", "--json"])
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["event"]["artefacts"][0]["path"] == "plan.md")
        .map(|line| line["event"]["id"]["path"]["step"].clone())
        .collect();
    assert_eq!(looked, ["sign"], "the history names what is kept");
    said(&scratch.run(&["store", "verify"]), 0, &[]);
}

#[test]
fn a_file_that_holds_a_secret_or_is_too_large_is_shown_by_its_hash_alone() {
    let scratch = Scratch::new();
    scratch.write("token.txt", "opaque-words-of-nobody");
    scratch.write(
        "release.yaml",
        "\
name: release
secrets: { token: { file: token.txt } }
steps:
  - id: write
    command: 'echo \"a plan\" > plan.md; echo \"key=$(cat token.txt)\" > key.md; head -c 9000000 /dev/zero > large.md'
  - { id: sign, approval: { title: Release it?, show: [plan.md, key.md, large.md] } }
",
    );
    said(&scratch.run(&["run", "./release.yaml", "--no-wait"]), 6, &["approve"]);
    assert_eq!(kept(&scratch, "plan.md").as_deref(), Some("a plan\n"));
    assert_eq!(kept(&scratch, "key.md"), None);
    assert_eq!(kept(&scratch, "large.md"), None);
    said(&scratch.run(&["approve", "@"]), 0, &["approved"]);
}

#[test]
fn nothing_is_kept_while_a_secret_cannot_be_looked_up() {
    let scratch = Scratch::new();
    scratch.write(
        "release.yaml",
        "\
name: release
secrets: { token: { command: [cat, token.txt] }, unset: { env: EVERFOLD_TEST_IS_NOT_SET } }
steps:
  - { id: write, command: echo key=opaque-words-of-nobody > plan.md }
  - { id: sign, approval: { title: Release it?, show: [plan.md], on_changes: { rework: write } } }
",
    );
    said(&scratch.run(&["run", "./release.yaml", "--no-wait"]), 6, &["approve"]);
    assert_eq!(kept(&scratch, "plan.md"), None, "it may hold the value that is not known");
    scratch.write("token.txt", "another-value-of-it");
    said(&scratch.run(&["changes", "@", "-m", "look again"]), 0, &["sent back"]);
    said(&scratch.run(&["resume", "--no-wait"]), 6, &["approve"]);
    assert_eq!(kept(&scratch, "plan.md").as_deref(), Some("key=opaque-words-of-nobody\n"));
}

#[test]
fn what_changed_after_the_approval_is_not_deployed() {
    let scratch = released();
    let short = scratch.short("@");
    said(&scratch.run(&["approve", "@"]), 0, &["counted (1 of 2)"]);
    // Nothing goes on before the file is another one.
    said(&scratch.run(&["breakpoints", "@", "deploy"]), 0, &[]);
    said(&by(&scratch, "ben", &["approve", "@"]), 0, &["approved"]);
    scratch.write("plan.md", "slipped in\n");
    let done = scratch.run(&["resume", &short]);
    said(&done, 1, &["CHANGED_SINCE_APPROVED", "it is not what “sign” approved: plan.md (was"]);
    assert!(!scratch.path("deployed").exists(), "nothing was started");
    let view = scratch.run(&["show", "--json"]).json();
    let deploy = view["steps"].as_array().unwrap().iter().find(|step| step["id"] == "deploy").unwrap();
    assert_eq!(deploy["attempt"], 1, "no retry covers it: {deploy:#}");
}

#[test]
fn a_rework_without_a_change_keeps_the_vote_and_one_with_a_change_asks_anew() {
    let scratch = released();
    let first = digest(&scratch);
    said(&scratch.run(&["approve", "@"]), 0, &["counted (1 of 2)"]);
    said(&by(&scratch, "ben", &["changes", "@", "-m", "look at it again"]), 0, &["sent back"]);
    said(&scratch.run(&["resume", "--no-wait"]), 6, &["approve"]);
    said(&scratch.run(&["show"]), 0, &["user:ada approved it in round 1"]);
    assert_eq!(digest(&scratch), first);
    scratch.write("other", "");
    said(&by(&scratch, "ben", &["changes", "@", "-m", "write it anew"]), 0, &["sent back"]);
    said(&scratch.run(&["resume", "--no-wait"]), 6, &[]);
    assert_ne!(digest(&scratch), first);
    said(&scratch.run(&["approve", "@"]), 0, &["counted (1 of 2)"]);
    let events = scratch.run(&["events", "--json"]);
    let asked = events.out.lines().filter(|line| line.contains("\"ApprovalRequested\""));
    let kept: Vec<usize> = asked
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["event"]["seen"]["kept"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(kept, [0, 1, 0]);
}

/// It was looked for at the vote, and not where what was approved is used.
#[test]
fn a_text_that_became_a_file_after_the_approval_is_not_deployed() {
    let long = format!("{}/{}.md", "d".repeat(100), "x".repeat(100));
    for (path, is_approved) in [("later/plan.md", false), (long.as_str(), false), (long.as_str(), true)] {
        let scratch = Scratch::new();
        let text = "name: texts\nsteps:\n  - id: sign\n    approval: { title: Use it?, show: [PATH] }\n  \
            - { id: deploy, approved: sign, command: cat PATH > deployed }\n";
        scratch.write("texts.yaml", &text.replace("PATH", path));
        said(&scratch.run(&["run", "./texts.yaml", "--no-wait"]), 6, &["approve"]);
        let short = scratch.short("@");
        let appears = || {
            std::fs::create_dir_all(scratch.path(path).parent().unwrap()).unwrap();
            scratch.write(path, "slipped in\n");
        };
        if is_approved {
            appears();
            said(&scratch.run(&["approve", "@"]), 4, &["EF0346", "was a text, is the file"]);
            continue;
        }
        said(&scratch.run(&["breakpoints", "@", "deploy"]), 0, &[]);
        said(&scratch.run(&["approve", "@"]), 0, &["approved"]);
        appears();
        let done = scratch.run(&["resume", &short]);
        said(&done, 1, &["CHANGED_SINCE_APPROVED", "(was a text, is the file"]);
        assert!(!scratch.path("deployed").exists(), "nothing was started");
    }
}

const MERGE: &str = "\
name: merge
workspace: { git: repo, save: commit, keep: always }
steps:
  - { id: write, command: echo one > a.txt }
  - id: sign
    approval: { title: Merge it?, commit: true, show: [{ file: a.txt }] }
  - { id: later, command: 'if [ $SLIP = yes ]; then echo two > b.txt; fi', env: { SLIP: '${input.slip}' } }
  - id: check
    approved: [sign]
    gates: [{ id: there, file: { exists: a.txt } }]
  - { id: merge, approved: sign, command: git rev-parse HEAD }
output: ${steps.merge.output.stdout}
";

/// `slip`: whether a step behind the approval leaves something.
fn merging(slip: &str) -> Scratch {
    let scratch = Scratch::new();
    let git = |args: &[&str]| {
        let done = Command::new("git").args(args).current_dir(scratch.path("repo")).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    std::fs::create_dir(scratch.path("repo")).unwrap();
    git(&["init", "-q", "-b", "main"]);
    git(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first"]);
    scratch.write("merge.yaml", MERGE);
    let slip = format!("slip={slip}");
    said(&scratch.run(&["run", "./merge.yaml", "-i", &slip, "--no-wait"]), 6, &["approve"]);
    scratch
}

#[test]
fn the_commit_of_a_worktree_is_approved_and_gates_and_work_are_held_to_it() {
    let scratch = merging("no");
    let view = scratch.run(&["show", "--json"]).json();
    let parts = view["awaits"][0]["seen"]["parts"].as_array().unwrap().clone();
    let commit =
        parts.iter().find(|part| part["kind"] == "commit").unwrap()["hash"].as_str().unwrap().to_owned();
    assert!(commit.len() >= 40 && !commit.contains('+'), "{commit}");
    said(&scratch.run(&["approve", "@"]), 0, &["approved"]);
    said(&scratch.run(&["resume"]), 0, &[&commit]);
    let events = scratch.run(&["events", "--json"]);
    let decided = events.out.lines().find(|line| line.contains("\"ApprovalDecided\"")).unwrap();
    assert!(decided.contains(&commit) && decided.contains("digest"), "{decided}");
}

/// The worktree was looked at first, and it had gone with the end of the run.
#[test]
fn what_was_decided_takes_the_same_vote_again_also_where_its_worktree_is_gone() {
    let scratch = merging("no");
    let task = scratch.run(&["show", "--json"]).json()["awaits"][0]["task"].as_str().unwrap().to_owned();
    said(&scratch.run(&["approve", &task]), 0, &["approved"]);
    said(&scratch.run(&["resume"]), 0, &[]);
    std::fs::remove_dir_all(scratch.data().join("worktrees")).unwrap();
    let events = scratch.run(&["events", "--json"]).out.lines().count();
    said(&scratch.run(&["approve", &task]), 0, &[]);
    assert_eq!(scratch.run(&["events", "--json"]).out.lines().count(), events, "without an event");
    said(&scratch.run(&["reject", &task, "-m", "no"]), 4, &["EF0304"]);
}

#[test]
fn what_lies_in_a_worktree_beside_its_commit_is_seen_too() {
    let scratch = merging("yes");
    // Marks of worktrees lie beside them, as files.
    let mut beside =
        std::fs::read_dir(scratch.data().join("worktrees")).unwrap().map(|entry| entry.unwrap().path());
    let worktree = beside.find(|path| path.is_dir()).unwrap();
    std::fs::write(worktree.join("slipped.txt"), "in").unwrap();
    let refused = scratch.run(&["approve", "@"]);
    said(&refused, 4, &["EF0346", "the commit (was", "+"]);
    std::fs::remove_file(worktree.join("slipped.txt")).unwrap();
    // What the worktree's index is told to overlook is looked at.
    let index = ["update-index", "--assume-unchanged", "a.txt"];
    assert!(Command::new("git").args(index).current_dir(&worktree).status().unwrap().success());
    let mode = |mode| std::fs::set_permissions(worktree.join("a.txt"), Permissions::from_mode(mode)).unwrap();
    mode(0o755);
    said(&scratch.run(&["approve", "@"]), 4, &["EF0346", "the commit (was"]);
    mode(0o644);
    said(&scratch.run(&["approve", "@"]), 0, &["approved"]);
    let done = scratch.run(&["resume"]);
    said(&done, 1, &["CHANGED_SINCE_APPROVED", "the commit (was"]);
    let view = scratch.run(&["show", "--json"]).json();
    let check = view["steps"].as_array().unwrap().iter().find(|step| step["id"] == "check").unwrap();
    assert_eq!(check["status"], "failed", "its gates judged nothing: {check:#}");
}

/// A run whose approval of a commit was given, and its worktree; `prepare` worked there before.
fn approved_commit(prepare: &str) -> (Scratch, std::path::PathBuf) {
    let scratch = Scratch::new();
    let git = |folder: &std::path::Path, line: &str| {
        let all = format!("git init -q -b main . && {line}");
        let git = Command::new("sh").args(["-ec", &all]).current_dir(folder).output().unwrap();
        assert!(git.status.success(), "{git:?}");
    };
    let commit = "git add -A && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first";
    for name in ["library", "repo"] {
        std::fs::create_dir(scratch.path(name)).unwrap();
    }
    git(&scratch.path("library"), &format!("echo good > l && {commit}"));
    let submodule = "git -c protocol.file.allow=always submodule --quiet add ../library sub";
    git(&scratch.path("repo"), &format!("echo good > x.sh && {submodule} && {commit}"));
    scratch.write(
        "whole.yaml",
        &format!(
            "name: whole\nworkspace: {{ git: repo, keep: always }}\nsteps:\n  - {{ id: write, command: '{prepare}' }}\n  \
             - {{ id: sign, approval: {{ title: Merge it?, commit: true }} }}\n  \
             - {{ id: merge, approved: sign, command: 'true' }}\n"
        ),
    );
    said(&scratch.run(&["run", "./whole.yaml", "--no-wait"]), 6, &["approve"]);
    let mut beside =
        std::fs::read_dir(scratch.data().join("worktrees")).unwrap().map(|entry| entry.unwrap().path());
    let worktree = beside.find(|path| path.is_dir()).unwrap();
    (scratch, worktree)
}

/// Has a shell change the worktree; a vote on what was seen is refused then.
fn refused_after(prepare: &str, change: &str) {
    let (scratch, worktree) = approved_commit(prepare);
    let done = Command::new("sh").args(["-ec", change]).current_dir(&worktree).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    said(&scratch.run(&["approve", "@"]), 4, &["EF0346", "the commit (was"]);
}

#[test]
fn a_commit_that_another_one_stands_for_is_not_what_was_approved() {
    let evil = "echo EVIL > x.sh && git add x.sh && \
        git replace HEAD $(git -c user.name=a -c user.email=a@b commit-tree -m evil $(git write-tree))";
    refused_after("true", evil);
}

#[test]
fn a_repository_within_the_worktree_is_seen_with_all_that_lies_in_it() {
    let nested = "git init -q n && cd n && echo good > f && git add f && \
        git -c user.name=a -c user.email=a@b commit -qm n";
    refused_after(nested, "echo EVIL > n/f");
    refused_after(nested, "echo EVIL > n/more");
}

#[test]
fn a_submodule_is_seen_with_all_that_lies_in_it() {
    let there = "git -c protocol.file.allow=always submodule --quiet update --init";
    refused_after(there, "cd sub && git update-index --assume-unchanged l && echo EVIL > l");
    refused_after(&format!("{there} && echo dirty > sub/l"), "echo EVIL > sub/l");
    refused_after("true", "echo EVIL > sub/l");
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_seen_all_the_same() {
    let change = "git config core.sparseCheckout true && mkdir -p $(git rev-parse --git-dir)/info && \
        echo /new > $(git rev-parse --git-dir)/info/sparse-checkout && echo EVIL > x.sh";
    refused_after("echo new > new", change);
    refused_after(
        "true",
        &format!(
            "{change} && git config sparse.expectFilesOutsideOfPatterns true && git update-index --skip-worktree x.sh"
        ),
    );
}

#[test]
fn what_a_repository_has_git_start_knows_no_secret_of_the_engine() {
    let scratch = merging("no");
    let given = "cat > $(git rev-parse --git-common-dir)/info/attributes <<'E'\n* filter=spy\nE\n\
        git config filter.spy.clean 'env >> ../../spied; cat' && git config core.fsmonitor 'env > ../../monitored'";
    let mut beside =
        std::fs::read_dir(scratch.data().join("worktrees")).unwrap().map(|entry| entry.unwrap().path());
    let worktree = beside.find(|path| path.is_dir()).unwrap();
    let done = Command::new("sh").args(["-ec", given]).current_dir(&worktree).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let mut approve = scratch.command(&["approve", "@"]);
    said(&approve.env("FORGE_TOKEN", "geheimnis-123456").output().unwrap().into(), 0, &["approved"]);
    let spied = std::fs::read_to_string(scratch.data().join("spied")).unwrap();
    assert!(spied.contains("PATH=") && !spied.contains("geheimnis-123456"), "{spied}");
    assert!(!scratch.data().join("monitored").exists());
}

//! Secrets, agents and worktrees, seen from outside: nothing of a secret stays, whatever is done with it.

use std::path::{Path, PathBuf};

use super::fixtures::{Scratch, await_that};

const VALUE: &str = "s3cr3t/Value+42==";

/// The files below a folder in which the value stands, in one of its usual forms.
fn leaks(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            leaks(&path, found);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            if [VALUE, "s3cr3t%2FValue%2B42%3D%3D", "czNjcjN0L1ZhbHVlKzQy"].into_iter().any(holds) {
                found.push(path);
            }
        }
    }
}

fn assert_clean(scratch: &Scratch, run: &str) {
    let mut found = Vec::new();
    leaks(&scratch.data(), &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());
    for args in [
        &["show", run, "--json"][..],
        &["show", run],
        &["events", run, "--json"],
        &["logs", run],
        &["state", run],
        &["replay", run],
        &["runs", "--json"],
        &["inbox", "--json"],
    ] {
        let done = scratch.run(args);
        assert!(!done.out.contains(VALUE) && !done.err.contains(VALUE), "{args:?}: {done:?}");
    }
}

const LEAKY: &str = r#"name: leaky
secrets:
  TOKEN: { env: LEAKY_TOKEN }
  FILE: { file: token.txt }
  TOLD: { command: cat token.txt }
notify:
  - { id: n, events: [StepFailed, RunSucceeded], function: notify.log, with: { text: "x ${secrets.TOKEN}" } }
steps:
  - id: shout
    secrets: [TOKEN, FILE, TOLD]
    env: { AUTH: "Bearer ${secrets.TOKEN}" }
    outputs: { report: report.txt }
    command: |
      test "$TOKEN" = "$TOLD"; test "$AUTH" = "Bearer $FILE"
      echo "$TOKEN"; echo "$AUTH" >&2; printf '%s' "$TOKEN" | base64
      printf '%s' "$TOKEN" | sed 's,/,%2F,; s,+,%2B,; s,=,%3D,g'; echo
      echo "$TOKEN" > report.txt
      printf '{"said": "%s", "everfold": {"note": "n %s", "labels": {"a": "l %s"}}}' "$TOKEN" "$TOKEN" "$TOKEN" > "$EVERFOLD_OUTPUT"
    gates:
      - { id: seen, command: 'echo "gate $TOKEN $AUTH"' }
      - { id: file, file: { all: [report.txt], matches: "s3.*" } }
  - { id: others, command: env }
  - id: echo
    function: everfold.echo
    with: { a: "${secrets.TOKEN}", b: ["x ${secrets.FILE} y"] }
  - id: fails
    secrets: TOKEN
    command: 'printf "{\"everfold\": {\"code\": \"c-%s\", \"note\": \"left %s\"}}" "$TOKEN" "$TOKEN" > "$EVERFOLD_OUTPUT"; echo "boom $TOKEN" >&2; exit 3'
    on_fail: continue
output: "${[steps.shout.output, steps.echo.output]}"
"#;

#[test]
fn l34_after_a_run_that_tries_hard_to_leak_it_the_data_folder_does_not_hold_the_secret() {
    let scratch = Scratch::new();
    scratch.write("token.txt", &format!("{VALUE}\n"));
    scratch.write("leaky.yaml", LEAKY);
    let mut command = scratch.command(&["run", "./leaky.yaml"]);
    let done: super::fixtures::Done = command.env("LEAKY_TOKEN", VALUE).output().unwrap().into();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.out.contains(VALUE) && !done.err.contains(VALUE), "{done:?}");
    let shown = scratch.run(&["show", "@", "--json"]).json();
    assert_eq!(shown["output"][1], serde_json::json!({"a": "***", "b": ["x *** y"]}), "{shown}");
    assert_eq!(shown["labels"]["a"], "l ***");
    let logs = scratch.run(&["logs", "@"]);
    assert!(logs.out.contains("boom ***") || logs.out.contains("***"), "{logs:?}");
    assert_clean(&scratch, "@");
}

#[test]
fn l34_a_killed_engine_leaves_no_secret_behind_and_the_next_one_needs_none_for_what_runs() {
    let scratch = Scratch::new();
    scratch.write("token.txt", &format!("{VALUE}\n"));
    scratch.write(
        "long.yaml",
        "name: long\nsecrets: { T: { file: token.txt } }\nsteps:\n  - id: a\n    secrets: T\n    command: 'touch began; while [ ! -e go ]; do sleep 0.05; done; echo \"late $T\"'\n",
    );
    let mut engine = scratch.start(&["run", "./long.yaml"]);
    await_that("the step begins", || scratch.path("began").exists().then_some(()));
    engine.kill();
    let mut found = Vec::new();
    leaks(&scratch.data(), &mut found);
    assert_eq!(found, Vec::<PathBuf>::new(), "nor while it runs");
    std::fs::remove_file(scratch.path("token.txt")).unwrap();
    scratch.write("go", "");
    let done = scratch.run(&["resume", "@"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(scratch.run(&["logs", "@"]).out.trim(), "late ***");
    assert_clean(&scratch, "@");
}

#[test]
fn l34_a_missing_secret_fails_the_step_at_once_with_what_to_do() {
    let scratch = Scratch::new();
    scratch.write(
        "missing.yaml",
        "name: missing\nsecrets: { T: { env: NO_SUCH_TOKEN } }\nsteps:\n  - { id: a, secrets: T, command: touch ran, retry: { attempts: 3 } }\n",
    );
    let done = scratch.run(&["run", "./missing.yaml"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("NO_SUCH_TOKEN"), "{done:?}");
    assert!(!scratch.path("ran").exists());
    let events = scratch.run(&["events", "@", "--json"]).out;
    assert!(!events.contains("RetryScheduled") && events.contains("\"SECRET\""), "{events}");
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn repository(scratch: &Scratch) -> PathBuf {
    let folder = scratch.path("repo");
    std::fs::create_dir(&folder).unwrap();
    git(&folder, &["init", "--quiet", "--initial-branch=main"]);
    git(&folder, &["config", "user.name", "Ada"]);
    git(&folder, &["config", "user.email", "ada@example.org"]);
    std::fs::write(folder.join("readme"), "one\n").unwrap();
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "-m", "first"]);
    folder
}

#[test]
fn l33_own_copies_a_shared_worktree_and_a_clean_retry_work_together() {
    let scratch = Scratch::new();
    let repo = repository(&scratch);
    scratch.write(
        "child.yaml",
        "name: child\nworkspace: parent\nsteps:\n  - { id: work, command: 'echo child > child.txt' }\n",
    );
    scratch.write(
        "main.yaml",
        r#"name: main
workspace: { git: repo, branch: work, save: commit }
steps:
  - id: build
    clean: true
    retry: { attempts: 2 }
    command: 'test ! -e half; echo built > built; if [ "$EVERFOLD_ATTEMPT" = 1 ]; then touch half; exit 1; fi'
  - id: review
    workspace: own
    command: 'test -e built; echo "verdict: ok" > review.md; echo scribble > readme; pwd'
    outputs: { review: review.md }
    gates:
      - { file: review.md }
      - { command: "grep -q scribble readme" }
  - { id: child, run: ./child.yaml }
  - { id: after, command: 'test ! -e review.md; test "$(cat readme)" = one; cat child.txt' }
output: "${workspace.commit}"
"#,
    );
    let done = scratch.run(&["run", "./main.yaml"]);
    assert_eq!(done.code, 0, "{done:?}");
    let shown = scratch.run(&["show", "@1", "--json"]);
    let main = if shown.json()["pipeline"] == "main" { shown } else { scratch.run(&["show", "@", "--json"]) };
    let main = main.json();
    assert_eq!(main["output"].as_str().unwrap(), git(&repo, &["rev-parse", "work"]));
    assert_eq!(git(&repo, &["ls-tree", "--name-only", "work"]), "built\nchild.txt\nreadme");
    let events = scratch.run(&["events", main["id"].as_str().unwrap(), "--json"]).out;
    assert!(events.contains("\"WorktreeReset\""), "{events}");
    assert_eq!(git(&repo, &["worktree", "list"]).lines().count(), 1, "nothing is left");
    let left: Vec<_> = std::fs::read_dir(scratch.data().join("worktrees")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn l33_a_pipeline_that_works_in_its_parents_workspace_says_so_when_started_alone() {
    let scratch = Scratch::new();
    scratch.write("child.yaml", "name: child\nworkspace: parent\nsteps:\n  - { id: a, command: 'true' }\n");
    let done = scratch.run(&["run", "./child.yaml"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("no run started this one"), "{done:?}");
}

#[test]
fn l33_a_step_works_in_the_runs_folder_where_the_run_was_started_or_in_one_that_it_names() {
    let scratch = Scratch::new();
    for folder in ["shared", "named"] {
        std::fs::create_dir(scratch.path(folder)).unwrap();
    }
    scratch.write(
        "places.yaml",
        r#"name: places
workspace: { dir: shared }
steps:
  - { id: a, command: 'pwd; echo a > a' }
  - { id: b, workspace: none, command: pwd, gates: [{ file: places.yaml }] }
  - { id: c, workspace: { dir: "${input.folder}" }, command: 'pwd; echo c > c', outputs: { c: c }, gates: [{ file: c }] }
  - { id: d, gates: [{ file: a }, { command: test -e a }] }
output: "${[steps.a.output, steps.b.output, steps.c.output].map(said, said.stdout.trim())}"
"#,
    );
    let done = scratch.run(&["run", "./places.yaml", "-i", "folder=named"]);
    assert_eq!(done.code, 0, "{done:?}");
    let here = scratch.path("").canonicalize().unwrap();
    let expected = [here.join("shared"), here.clone(), here.join("named")];
    let expected: Vec<String> = expected.iter().map(|path| path.display().to_string()).collect();
    let said = scratch.run(&["show", "@", "--json"]).json()["output"].clone();
    let said: Vec<String> = serde_json::from_value(said).unwrap();
    let trimmed: Vec<&str> = expected.iter().map(|path| path.trim_end_matches('/')).collect();
    assert_eq!(said, trimmed);
}

#[test]
fn l33_a_worktree_and_its_branch_stay_as_the_pipeline_says() {
    for (keep, fails, worktree, branch) in [
        ("keep: failed", "true", true, true),
        ("keep: failed", "false", false, true),
        ("keep: always", "false", true, true),
        ("keep_branch: false", "true", false, false),
        ("keep: failed, keep_branch: false", "false", false, false),
    ] {
        let scratch = Scratch::new();
        let repo = repository(&scratch);
        let pipeline = format!(
            "name: kept\nworkspace: {{ git: repo, branch: 'work/${{input.n}}', save: commit, message: '${{step.id}} no. ${{attempt}}', \
             author: 'Bo <bo@example.org>', {keep} }}\nsteps:\n  - {{ id: a, command: 'echo a > a; ! ${{input.fails}}' }}\n"
        );
        scratch.write("kept.yaml", &pipeline);
        let done = scratch.run(&["run", "./kept.yaml", "-i", "n=7", "-i", &format!("fails={fails}")]);
        assert_eq!(done.code, i32::from(fails == "true"), "{done:?}");
        let (worktrees, branches) =
            (git(&repo, &["worktree", "list"]), git(&repo, &["branch", "--list", "work/7"]));
        assert_eq!(worktrees.lines().count(), 1 + usize::from(worktree), "{keep} {fails}: {worktrees}");
        assert_eq!(!branches.is_empty(), branch, "{keep} {fails}: {branches}");
        // What is shown of it is what is there.
        let shown = scratch.run(&["show", "@"]).out;
        let is_removed =
            shown.lines().any(|line| line.trim_start().starts_with("workspace removed; it was "));
        assert_eq!(is_removed, !worktree, "{keep} {fails}: {shown}");
        let view = scratch.run(&["show", "@", "--json"]).json();
        assert_eq!(view["workspace_removed"] == true, !worktree, "{keep} {fails}");
        if branch {
            let commit = git(&repo, &["log", "-1", "--format=%an <%ae> %s", "work/7"]);
            assert_eq!(commit, "Bo <bo@example.org> a no. 1", "{keep} {fails}");
        }
    }
}

/// It committed what lay about in the folder in which the run was started.
#[test]
fn l33_a_commit_as_the_first_step_leaves_the_users_own_folder_alone() {
    let scratch = Scratch::new();
    let folder = scratch.path("");
    scratch.write(".gitignore", ".everfold\nconfig\n");
    scratch.write(
        "commit.yaml",
        "name: commit\nworkspace: { git: ., branch: work }\nsteps:\n  - { id: a, function: git.commit, with: { message: mine } }\n",
    );
    git(&folder, &["init", "--quiet", "--initial-branch=main"]);
    git(&folder, &["add", "."]);
    let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    git(&folder, &[&author[..], &["commit", "--quiet", "-m", "first"]].concat());
    scratch.write("draft", "not ready\n");
    let done = scratch.run(&["run", "./commit.yaml"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(git(&folder, &["rev-list", "--count", "--all"]), "1");
    assert_eq!(git(&folder, &["status", "--short"]), "?? draft");
}

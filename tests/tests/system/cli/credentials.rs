//! Credentials of a request, seen from outside: brought by a command, sealed, and after a kill in no byte of the folder.

use std::path::{Path, PathBuf};

use super::fixtures::{Done, Scratch, await_that};

const VALUE: &str = "s3cr3t/Brought+42==";

const LOUD: &str = r#"name: loud
secrets: { TOKEN: { credential: claude-token } }
admit:
  secrets: [TOKEN]
  gates:
    - { id: login, credentials: [claude-token] }
    - { id: password, command: 'echo "checking $TOKEN"; test "$TOKEN" = "$(cat password)"', code: WRONG_PASSWORD }
steps:
  - id: shout
    secrets: TOKEN
    command: |
      echo "$TOKEN"; echo "again $TOKEN" >&2; printf '%s' "$TOKEN" | base64
      if [ -e wait ]; then touch began; while [ ! -e go ]; do sleep 0.05; done; fi
      printf '{"said": "%s", "everfold": {"note": "n %s"}}' "$TOKEN" "$TOKEN" > "$EVERFOLD_OUTPUT"
    gates:
      - { id: seen, command: 'echo "gate $TOKEN"' }
  - { id: others, command: env }
  - { id: echo, function: everfold.echo, with: { a: "Bearer ${secrets.TOKEN}" } }
output: "${[steps.shout.output, steps.echo.output]}"
"#;

/// The files below a folder in which the value stands, in one of its usual forms.
fn leaks(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(leaks(&path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            found.extend([VALUE, "czNjcjN0L0Jyb3VnaHQrNDI"].into_iter().any(holds).then_some(path));
        }
    }
    found
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("loud.yaml", LOUD);
    scratch.write("password", VALUE);
    scratch
}

fn bring(scratch: &Scratch, args: &[&str]) -> Done {
    let mut command = scratch.command(args);
    command.env("EVERFOLD_CREDENTIAL_CLAUDE_TOKEN", VALUE).output().unwrap().into()
}

fn sealed(scratch: &Scratch) -> usize {
    std::fs::read_dir(scratch.data().join("credentials")).map_or(0, Iterator::count)
}

#[test]
fn a_credential_that_a_run_prints_and_checks_stands_in_no_byte_of_the_data_folder() {
    let scratch = scratch();
    let asked = scratch.run(&["run", "./loud.yaml"]);
    assert_eq!(asked.code, 4, "{asked:?}");
    assert!(asked.err.contains("EF0316") && asked.err.contains("--credential claude-token"), "{asked:?}");
    scratch.write("wrong", "another value\n");
    let wrong = scratch.run(&["run", "./loud.yaml", "--credential", "claude-token=@wrong"]);
    assert!(wrong.code == 4 && wrong.err.contains("EF0317"), "{wrong:?}");
    assert_eq!(
        (scratch.run(&["runs", "--json"]).json()["items"].clone(), sealed(&scratch)),
        (serde_json::json!([]), 0)
    );
    let typed = scratch.run(&["run", "./loud.yaml", "--credential", "claude-token=typed-here"]);
    assert!(
        typed.code == 2 && typed.err.contains("lists of processes") && !typed.err.contains("typed-here"),
        "{typed:?}"
    );
    let done = bring(&scratch, &["run", "./loud.yaml", "--credential", "claude-token"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.out.contains(VALUE) && !done.err.contains(VALUE), "{done:?}");
    let shown = scratch.run(&["show", "@", "--json"]).json();
    assert_eq!(shown["output"], serde_json::json!([{"said": "***"}, {"a": "Bearer ***"}]), "{shown}");
    assert_eq!((leaks(&scratch.data()), sealed(&scratch)), (Vec::new(), 0));
    for args in [&["show", "@"][..], &["events", "@", "--json"], &["logs", "@"], &["replay", "@"]] {
        let done = scratch.run(args);
        assert!(!done.out.contains(VALUE) && !done.err.contains(VALUE), "{args:?}: {done:?}");
    }
    assert!(scratch.path("state/everfold/credentials.key").exists(), "the key lies elsewhere");
}

#[test]
fn an_engine_that_is_killed_in_the_middle_leaves_the_value_sealed_and_the_next_one_uses_it() {
    let scratch = scratch();
    scratch.write("wait", "");
    let mut command = scratch.command(&["run", "./loud.yaml", "--credential", "claude-token"]);
    let mut engine = command.env("EVERFOLD_CREDENTIAL_CLAUDE_TOKEN", VALUE).spawn().unwrap();
    await_that("the step begins", || scratch.path("began").exists().then_some(()));
    engine.kill().unwrap();
    engine.wait().unwrap();
    assert_eq!((leaks(&scratch.data()), sealed(&scratch)), (Vec::new(), 1));
    // A start that was killed before it was recorded: its run is not there.
    let folder = scratch.data().join("credentials");
    let orphan = folder.join("0198c1f0-0000-7000-8000-0000deadbeef");
    let kept = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::create_dir(&orphan).unwrap();
    std::fs::copy(kept.join("claude-token.sealed"), orphan.join("claude-token.sealed")).unwrap();
    scratch.write("go", "");
    // The function that comes after the process looks the value up in the next engine.
    let done = scratch.run(&["resume", "@"]);
    assert_eq!(done.code, 0, "{done:?}");
    let shown = scratch.run(&["show", "@", "--json"]).json();
    assert_eq!(shown["output"][1], serde_json::json!({"a": "Bearer ***"}), "{shown}");
    assert_eq!((leaks(&scratch.data()), sealed(&scratch)), (Vec::new(), 0));
}

#[test]
fn a_run_whose_credential_cannot_be_opened_fails_with_what_to_do_and_its_retry_brings_it_again() {
    let scratch = Scratch::new();
    scratch.write(
        "plain.yaml",
        "name: plain\nsecrets: { TOKEN: { credential: claude-token } }\nsteps:\n  - { id: a, approval: { title: Go? } }\n  - { id: b, secrets: TOKEN, command: 'echo \"had $TOKEN\"' }\n",
    );
    let begun = bring(&scratch, &["run", "./plain.yaml", "--credential", "claude-token", "--no-wait"]);
    assert_eq!(begun.code, 6, "{begun:?}");
    assert_eq!(sealed(&scratch), 1);
    // As on another machine: the key is not there.
    std::fs::remove_file(scratch.path("state/everfold/credentials.key")).unwrap();
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    let failed = scratch.run(&["resume", "@"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    let failure = &scratch.run(&["show", "@", "--json"]).json()["failure"];
    assert_eq!(failure["code"], "SECRET", "{failure}");
    assert_eq!(sealed(&scratch), 0);
    let without = scratch.run(&["retry", "@"]);
    assert_eq!(without.code, 1, "{without:?}");
    let failure = &scratch.run(&["show", "@", "--json"]).json()["failure"];
    assert!(failure["message"].as_str().unwrap().contains("no credential claude-token"), "{failure}");
    assert!(failure["hint"].as_str().unwrap().contains("--credential claude-token"), "{failure}");
    let done = bring(&scratch, &["retry", "@", "--credential", "claude-token"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(scratch.run(&["logs", "@", "b"]).out.trim(), "had ***");
    assert_eq!((leaks(&scratch.data()), sealed(&scratch)), (Vec::new(), 0));
}

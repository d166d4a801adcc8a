//! Credentials that no pipeline declares: whatever prints, outputs, fails with or is given one, nothing that is kept
//! holds it. They are put together here, so that this file holds none.

use std::path::{Path, PathBuf};

use super::fixtures::{Scratch, await_that};

/// Text around a credential, and the credential.
fn credentials() -> Vec<(String, String)> {
    let of =
        |length: usize| -> String { "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8".chars().cycle().take(length).collect() };
    let hex: String = "0123456789abcdef".chars().cycle().take(32).collect();
    let alone = [
        format!("sk-ant-{}", of(40)),
        format!("sk-{}", of(48)),
        format!("ghp_{}", of(36)),
        format!("AKIA{}", "ABCDEFGH12345678"),
        format!("sk_live_{}", of(24)),
        format!("xoxb-{}", of(30)),
        format!("AIza{}", of(35)),
        format!("SK{hex}"),
        format!("npm_{}", of(36)),
        format!("eyJ{}.eyJ{}.{}", of(20), of(30), of(43)),
        format!("M{}.{}.{}", of(23), of(6), of(27)),
    ];
    let mut all: Vec<(String, String)> = alone.into_iter().map(|token| ("# ".to_owned(), token)).collect();
    all.push(("db postgres://ada:".to_owned(), format!("u{}@", of(14))));
    all.push(("Authorization: Bearer ".to_owned(), of(31)));
    all.push(("aws_secret_access_key=".to_owned(), format!("{}/", of(41))));
    all
}

fn private_key() -> (String, String) {
    let line: String = "Zq3Rt5Uv7Wx9Yz1A".repeat(4);
    let begin = ["-----BEGIN OPENSSH PRIV", "ATE KEY-----"].concat();
    let end = ["-----END OPENSSH PRIV", "ATE KEY-----"].concat();
    (format!("{begin}\n{line}\n{line}\n{end}\n"), line)
}

/// The text that holds all of them, and what must be found nowhere.
fn all() -> (String, Vec<String>) {
    let (key, line) = private_key();
    let credentials = credentials();
    let text: String = credentials.iter().map(|(before, token)| format!("{before}{token}\n")).collect();
    let tokens = credentials.into_iter().map(|(_, token)| token).chain([line]).collect();
    (text + &key, tokens)
}

fn leaks(folder: &Path, tokens: &[String], found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            leaks(&path, tokens, found);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            for token in tokens {
                if bytes.windows(token.len()).any(|window| window == token.as_bytes()) {
                    found.push((path.clone(), token.clone()));
                }
            }
        }
    }
}

fn assert_clean(scratch: &Scratch, tokens: &[String]) {
    let mut found = Vec::new();
    leaks(&scratch.data(), tokens, &mut found);
    assert_eq!(found, Vec::new());
    for args in [
        &["show", "@", "--json"][..],
        &["events", "@", "--json"],
        &["logs", "@"],
        &["state", "@"],
        &["replay", "@"],
        &["runs", "--json"],
    ] {
        let done = scratch.run(args);
        for token in tokens {
            assert!(!done.out.contains(token) && !done.err.contains(token), "{args:?} {token}: {done:?}");
        }
    }
}

const LEAKY: &str = r#"name: leaky
notify:
  - { id: n, events: [StepFailed, RunSucceeded], function: notify.log, with: { text: "x ${input.note}" } }
steps:
  - id: shout
    outputs: { report: report.txt }
    env: { NOTE: "${input.note}" }
    command: |
      cat all.txt; cat all.txt >&2; echo "$NOTE"
      for part in $(cat parts.txt); do printf '%s' "$part"; sleep 0.3; done; echo
      cp all.txt report.txt; cp all.txt "$(dirname "$EVERFOLD_OUTPUT")/mine"; cp output.json "$EVERFOLD_OUTPUT"
    gates:
      - { id: seen, command: "cat all.txt" }
      - { id: file, file: { all: [report.txt], matches: "db" } }
  - id: echo
    function: everfold.echo
    with: { a: "${input.note}", b: "${steps.shout.output}" }
  - id: fails
    command: 'cp failed.json "$EVERFOLD_OUTPUT"; cat all.txt >&2; exit 3'
    on_fail: continue
output: "${[steps.shout.output, steps.echo.output]}"
"#;

#[test]
fn after_a_run_that_prints_outputs_and_fails_with_credentials_the_data_folder_holds_none() {
    let scratch = Scratch::new();
    let (text, tokens) = all();
    scratch.write("leaky.yaml", LEAKY);
    scratch.write("all.txt", &text);
    let token = &tokens[2];
    scratch.write("parts.txt", &format!("{}\n{}\n", &token[..10], &token[10..]));
    let said = serde_json::json!({
        "said": text, "api_key": "short", "n": { "token": 5, "max_tokens": 9, "author": "x" },
        "everfold": { "note": format!("n {token}"), "labels": { "a": format!("l {token}") } },
    });
    scratch.write("output.json", &said.to_string());
    let failed = serde_json::json!({ "everfold": { "note": token, "code": "E_LEAK" } });
    scratch.write("failed.json", &failed.to_string());
    let (note, title) = (format!("note={text}"), format!("title {token}"));
    let done = scratch.run(&["run", "./leaky.yaml", "-i", &note, "--title", &title]);
    assert_eq!(done.code, 0, "{done:?}");
    for token in &tokens {
        assert!(!done.out.contains(token) && !done.err.contains(token), "{token}: {done:?}");
    }
    let shown = scratch.run(&["show", "@", "--json"]).json();
    let output = &shown["output"][0];
    assert_eq!(
        (&output["api_key"], &output["n"]),
        (&"***".into(), &serde_json::json!({"token": "***", "max_tokens": 9, "author": "x"}))
    );
    assert!(output["said"].as_str().unwrap().starts_with("# ***\n# ***\n"), "{output}");
    assert_eq!((&shown["title"], &shown["labels"]["a"]), (&"title ***".into(), &"l ***".into()));
    let logs = scratch.run(&["logs", "@"]).out;
    assert!(logs.contains("db postgres://ada:***@") || logs.contains("db postgres://ada:***"), "{logs}");
    assert_clean(&scratch, &tokens);
    let kept = std::fs::read_to_string(scratch.path("report.txt")).unwrap();
    assert_eq!(kept, text, "what the work wrote for itself stays its own");
}

#[test]
fn a_killed_engine_and_a_killed_supervisor_leave_no_credential_behind() {
    let scratch = Scratch::new();
    let (text, tokens) = all();
    scratch.write("all.txt", &text);
    scratch.write(
        "long.yaml",
        "name: long\nsteps:\n  - id: a\n    on_lost: fail\n    command: 'cat all.txt; cp all.txt \"$EVERFOLD_OUTPUT\"; touch began; while [ ! -e go ]; do sleep 0.05; done; kill -9 $PPID; sleep 5'\n",
    );
    let mut engine = scratch.start(&["run", "./long.yaml"]);
    await_that("the step begins", || scratch.path("began").exists().then_some(()));
    engine.kill();
    scratch.write("go", "");
    let done = scratch.run(&["resume", "@"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert_clean(&scratch, &tokens);
}

#[test]
fn a_pipeline_that_holds_a_credential_is_refused_and_nothing_is_kept() {
    let scratch = Scratch::new();
    let token = credentials().remove(2).1;
    scratch.write("own.yaml", &format!("name: own\nsteps:\n  - {{ id: a, command: 'echo {token}' }}\n"));
    let done = scratch.run(&["run", "./own.yaml"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("own.yaml:3: a credential stands here (github-token)"), "{done:?}");
    assert!(done.err.contains("declare it under `secrets`") && !done.err.contains(&token), "{done:?}");
    std::fs::create_dir_all(scratch.data()).unwrap();
    std::fs::write(scratch.data().join("everfold.toml"), "[redact]\nexcept = [\"github-token\"]\n").unwrap();
    let done = scratch.run(&["run", "./own.yaml"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(scratch.run(&["logs", "@"]).out.contains(&token));
}

#[test]
fn doctor_says_what_is_masked_by_its_form() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.data()).unwrap();
    std::fs::write(
        scratch.data().join("everfold.toml"),
        "[redact]\nexcept = [\"jwt\"]\nkeys = [\"pin\"]\npatterns = { order = \"ORD-[0-9]{8}\" }\n",
    )
    .unwrap();
    let said = scratch.run(&["doctor", "--json"]).json();
    let found = said["findings"].as_array().unwrap().iter().find(|it| it["what"] == "redaction").unwrap();
    let found = found["found"].as_str().unwrap();
    assert!(
        found.contains("github-token") && found.contains("own: order") && found.ends_with("pin"),
        "{found}"
    );
    assert!(!found.contains("jwt"), "{found}");
}

//! The gates of `orch` as they stand in its files, over real worktrees: docs beside code (O42), shared gates (O44), code behind the
//! test report (O46), criteria (O47), scopes (O194), accepted ADRs (O197), credentials (OV2), coverage (OV19).
//!
//! A step for each row: its script changes files in a worktree of its own run, the program saves it, and the very gate of the
//! pipeline judges. What follows from the verdict is cases' business.

use std::path::Path;

use everfold_engine::definition::{FileSource, parse};
use serde_json::{Value, json};

use super::super::fixtures::{Scratch, await_that};
use super::cases::folder;
use crate::orch::host_clone::git;

/// The files of the pipeline, as they lie in the repository.
struct PipelineFiles;

impl FileSource for PipelineFiles {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(std::fs::read_to_string(folder().join(path)).ok())
    }
}

/// A gate of a step, with all locals in place; a failure goes on to the next gate, so that each row is judged.
fn gate(step: &str, id: &str) -> Value {
    let text = std::fs::read_to_string(folder().join("orch.yaml")).unwrap();
    let definition = parse(&text, "orch", &PipelineFiles).unwrap().definition;
    let document: Value = serde_json::from_str(&definition.document()).unwrap();
    let named = |of: &Value, name: &str| {
        of.as_array().unwrap().iter().find(|it| it["id"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    let gate = named(&named(&document["steps"], step)["gates"], id);
    let turned = &gate["probe"]["not"]["probe"];
    let task = if turned.is_null() { &gate["probe"]["task"] } else { &turned["task"] };
    let mut spec = task["spec"].clone();
    if task["kind"] == "command" {
        spec = spec["argv"].clone();
    }
    // What the reader makes of `since`.
    if task["kind"] == "diff" && !spec["base"].is_null() {
        spec.as_object_mut().unwrap().remove("base");
    }
    let asked = json!({ task["kind"].as_str().unwrap(): spec });
    let mut written = if turned.is_null() { asked } else { json!({ "not": asked }) };
    written["id"] = "judged".into();
    written["on_fail"] = "next".into();
    for key in ["policy", "code"] {
        if !gate[key].is_null() {
            written[key] = gate[key].clone();
        }
    }
    written
}

/// What a step does, and the gate that judges it.
struct JudgedRow {
    script: String,
    gate: Value,
}

/// An origin whose main has these files, and its clone.
fn repositories(scratch: &Scratch, files: &[(&str, &str)]) {
    let origin = scratch.path("origin");
    std::fs::create_dir_all(&origin).unwrap();
    git(&origin, &["init", "--quiet", "--initial-branch=main"]);
    for (name, text) in files {
        let path = origin.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    git(Path::new(&scratch.path("")), &["clone", "--quiet", "origin", "clone"]);
}

/// The verdict and the reason on each row.
fn judged(scratch: &Scratch, rows: &[JudgedRow], config: &Value) -> Vec<(String, String)> {
    described(scratch, &[], rows, config);
    verdicts(scratch)
}

/// The same behind what a step of this id has left, which is tagged `before`.
fn judged_behind(scratch: &Scratch, step: &str, script: &str, rows: &[JudgedRow]) -> Vec<(String, String)> {
    let script = format!("{script}; git add -A; git commit --quiet -m before; git tag before");
    let former = json!({ "id": step, "command": ["sh", "-ec", script] });
    described(scratch, &[former], rows, &json!({}));
    verdicts(scratch)
}

fn verdicts(scratch: &Scratch) -> Vec<(String, String)> {
    let run = scratch.run(&["run", "./judged.yaml"]);
    assert_eq!(run.code, 0, "{run:?}");
    let shown = scratch.run(&["show", "@", "--json"]).json();
    let said = shown["output"].as_array().unwrap_or_else(|| panic!("{shown}"));
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    said.iter().map(|it| (text(&it[1]), text(&it[2]))).collect()
}

/// Writes the pipeline of the rows, behind former steps.
fn described(scratch: &Scratch, former: &[Value], rows: &[JudgedRow], config: &Value) {
    let step = |(number, row): (usize, &JudgedRow)| json!({ "id": format!("r{number}"), "command": ["sh", "-ec", row.script], "gates": [row.gate] });
    let steps: Vec<Value> = former.iter().cloned().chain(rows.iter().enumerate().map(step)).collect();
    let pipeline = json!({
        "name": "judged", "labels": { "item": "ET-001" }, "steps": steps,
        "config": { "orch": [config] },
        "workspace": { "git": "clone", "base": "main", "branch": "feature/ET-001", "save": "commit" },
        "output": "${run.gates.map(g, [g.gate, g.verdict, g.reason])}",
    });
    scratch.write("judged.yaml", &pipeline.to_string());
}

fn write(name: &str) -> String {
    format!("mkdir -p \"$(dirname '{name}')\" && echo more >> '{name}'")
}

#[test]
fn o194_each_role_writes_its_own_documents_of_its_own_work_item_and_nothing_else() {
    let own = "docs/work-items/ET-001";
    let rows: &[(&str, &str, &[&str], &[&str])] = &[
        (
            "analyst",
            "scope",
            &["OWN/01-brd.md", "OWN/questions.md"],
            &["OTHER/01-brd.md", "LONGER/01-brd.md", "src/a.py"],
        ),
        ("ux", "ux-scope", &["OWN/05-ux/start.html"], &["OWN/01-brd.md", "OTHER/05-ux/start.html"]),
        (
            "architect",
            "scope",
            &["OWN/06-adr/ADR-001-how.md", "docs/architecture.md"],
            &["src/a.py", "CHANGELOG.md"],
        ),
        (
            "developer",
            "scope",
            &[
                "src/deep/a.py",
                "tests/a.py",
                "CHANGELOG.md",
                "docs/lessons/ET-001.md",
                "OWN/07-notes.md",
                "OWN/08-a.md",
                "OWN/09-a.md",
                "OWN/10-a.md",
            ],
            &["OWN/12-review.md", "OWN/01-brd.md", "OTHER/07-notes.md", "compose.yaml"],
        ),
        (
            "reviewer",
            "scope",
            &["OWN/12-review.md"],
            &["OTHER/12-review.md", "OWN/13-test-report.md", "src/a.py"],
        ),
        (
            "tester",
            "scope",
            &["OWN/13-test-report.md"],
            &["OTHER/13-test-report.md", "OWN/12-review.md", "tests/a.py"],
        ),
        (
            "staging",
            "scope",
            &["OWN/15-staging-log.md"],
            &["OTHER/15-staging-log.md", "OWN/14-deploy-log.md", "src/a.py"],
        ),
        (
            "deployer",
            "scope",
            &["OWN/14-deploy-log.md"],
            &["OTHER/14-deploy-log.md", "OWN/15-staging-log.md", "compose.yaml"],
        ),
    ];
    let mut told = Vec::new();
    let mut given = Vec::new();
    for (role, id, allowed, forbidden) in rows {
        let gate = gate(role, id);
        for (passes, names) in [("pass", allowed), ("fail", forbidden)] {
            for name in *names {
                let name = name
                    .replace("OWN", own)
                    .replace("OTHER", "docs/work-items/ET-099")
                    .replace("LONGER", "docs/work-items/ET-0011");
                given.push(JudgedRow { script: write(&name), gate: gate.clone() });
                told.push((passes, format!("{role} writes {name}"), name));
            }
        }
        // What was there is none of its business, either.
        given.push(JudgedRow { script: "git rm --quiet \"$(git ls-files old | head -1)\"".into(), gate });
        told.push(("fail", format!("{role} removes a file"), "old/".into()));
    }
    let scratch = Scratch::new();
    let old: Vec<String> = (0..rows.len()).map(|number| format!("old/{number}.txt")).collect();
    repositories(&scratch, &old.iter().map(|name| (name.as_str(), "old\n")).collect::<Vec<_>>());
    let said = judged(&scratch, &given, &json!({}));
    assert_eq!(said.len(), told.len());
    for ((wanted, what, name), (verdict, reason)) in told.iter().zip(&said) {
        assert_eq!(verdict, wanted, "{what}: {reason}");
        assert!(*wanted == "pass" || reason.contains(name.as_str()), "{what}: {reason}");
    }
}

/// The branch as main is, and then a script.
fn anew(script: &str) -> String {
    format!("git reset --quiet --hard origin/main; {script}")
}

/// The branch as the step before left it, and then a script.
fn behind(script: &str) -> String {
    format!("git reset --quiet --hard before; {script}")
}

/// Each row has the verdict that is wanted, and a failure names what it is about.
fn assert_said(rows: &[(&str, &str, String)], named: &str, said: &[(String, String)]) {
    assert_eq!(said.len(), rows.len(), "{said:?}");
    for ((wanted, what, _), (verdict, reason)) in rows.iter().zip(said) {
        assert_eq!(verdict, wanted, "{what}: {reason}");
        assert!(*wanted == "pass" || reason.contains(named), "{what}: {reason}");
    }
}

/// Rows of one gate.
fn of_gate(rows: &[(&str, &str, String)], step: &str, id: &str) -> Vec<JudgedRow> {
    let gate = gate(step, id);
    rows.iter().map(|(_, _, script)| JudgedRow { script: script.clone(), gate: gate.clone() }).collect()
}

#[test]
fn o42_code_that_changed_behind_the_architect_without_docs_changelog_or_adr_is_refused() {
    let docs = "docs/work-items/ET-001";
    let with = |more: &str| behind(&format!("{}; {}", write("src/a.py"), write(more)));
    let rows = [
        // The ADR that the architect has left is not the developer's.
        ("fail", "code alone", behind(&write("src/a.py"))),
        (
            "fail",
            "code that is committed",
            behind("mkdir -p src; echo other > src/a.py; git add -A; git commit --quiet -m more"),
        ),
        ("fail", "code that is removed", behind("git rm --quiet src/old.py")),
        ("fail", "code that is moved elsewhere", behind("git mv src/old.py old.py")),
        ("fail", "code and the review", with(&format!("{docs}/12-review.md"))),
        ("pass", "code and CHANGELOG", with("CHANGELOG.md")),
        ("pass", "code and docs", with(&format!("{docs}/07-infra-requirements.md"))),
        ("pass", "code and an ADR", with(&format!("{docs}/06-adr/ADR-002-more.md"))),
        ("pass", "tests alone", behind(&write("tests/a.py"))),
        ("pass", "nothing", behind("true")),
    ];
    let scratch = Scratch::new();
    repositories(&scratch, &[("src/old.py", "old\n")]);
    let adr = write(&format!("{docs}/06-adr/ADR-001-how.md"));
    let said = judged_behind(&scratch, "architect", &adr, &of_gate(&rows, "reviewer", "documented"));
    assert_said(&rows, "src/ is changed, but neither docs nor CHANGELOG nor an ADR", &said);
}

#[test]
fn o44_a_change_of_a_shared_gate_is_refused_wherever_the_gates_lie() {
    let rows = [
        ("fail", "in src", anew(&write("src/gates/a.py"))),
        ("fail", "at the top", anew(&write("gates/a.py"))),
        ("fail", "deep below it", anew(&write("src/gates/deep/a.py"))),
        ("fail", "one that is removed", anew("git rm --quiet gates/old.py")),
        ("fail", "one that is moved elsewhere", anew("mkdir src; git mv gates/old.py src/old.py")),
        ("pass", "other code", anew(&write("src/a.py"))),
        ("pass", "a file of that name", anew(&write("src/gates.py"))),
    ];
    let scratch = Scratch::new();
    repositories(&scratch, &[("gates/old.py", "old\n")]);
    let said = judged(&scratch, &of_gate(&rows, "reviewer", "shared-gates"), &json!({}));
    assert_said(&rows, "**/gates/** denies", &said);
}

#[test]
fn o46_code_or_tests_that_changed_behind_the_testers_commit_are_tested_again() {
    let docs = "docs/work-items/ET-001";
    let rows = [
        ("fail", "code", behind(&write("src/a.py"))),
        (
            "fail",
            "code that is committed",
            behind("mkdir -p src; echo other > src/a.py; git add -A; git commit --quiet -m more"),
        ),
        ("fail", "tests", behind(&write("tests/a.py"))),
        ("fail", "code that is removed", behind("git rm --quiet src/a.py")),
        ("pass", "the log of staging", behind(&write(&format!("{docs}/15-staging-log.md")))),
        ("pass", "nothing", behind("true")),
    ];
    let scratch = Scratch::new();
    repositories(&scratch, &[]);
    let report = format!("{}; {}", write("src/a.py"), write(&format!("{docs}/13-test-report.md")));
    let said = judged_behind(&scratch, "tester", &report, &of_gate(&rows, "staging", "tested"));
    assert_said(&rows, "is changed, which", &said);
}

#[test]
fn o47_criteria_that_say_approve_are_refused_and_the_words_of_the_gates_are_not() {
    let docs = "docs/work-items/ET-001";
    let says =
        |text: &str| anew(&format!("mkdir -p {docs}; echo '{text}' > {docs}/03-acceptance-criteria.md"));
    let rows = [
        ("fail", "in a sentence", says("The reviewer says APPROVE.")),
        ("fail", "as code", says("verdict: `APPROVE`")),
        ("fail", "beside the right ones", says("APPROVE, and not APPROVED or REQUEST_CHANGES")),
        ("pass", "the words of the gate", says("The reviewer says APPROVED or REQUEST_CHANGES.")),
        ("pass", "no criteria yet", anew("true")),
    ];
    let scratch = Scratch::new();
    repositories(&scratch, &[]);
    let said = judged(&scratch, &of_gate(&rows, "analyst", "criteria"), &json!({}));
    assert_said(&rows, "03-acceptance-criteria.md", &said);
}

const ADRS: [(&str, &str, bool); 13] = [
    ("plain", "# A\n\nStatus: Accepted\n", true),
    ("bold", "# A\n\n**Status:** Accepted\n", true),
    ("listed", "# A\n\n- Status: accepted\n", true),
    ("dated", "# A\n\nStatus: Accepted (2026-01-05)\n", true),
    ("capitals", "# A\n\nSTATUS: ACCEPTED\n", true),
    ("below", "# A\n\n## Status\n\nAccepted\n", true),
    ("head", "---\nstatus: accepted\n---\n# A\n", true),
    ("quoted", "---\nstatus: \"accepted\"\n---\n# A\n", true),
    ("tabled", "# A\n\n| Field | Value |\n|---|---|\n| **Status** | Accepted |\n", true),
    ("Тема", "# A\n\nStatus: Accepted\n", true),
    ("of two words", "# A\n\nStatus: Accepted\n", true),
    ("proposed", "# A\n\nStatus: Proposed\n", false),
    ("told", "# A\n\nStatus: Proposed\n\nThe board accepted a like one.\n", false),
];

#[test]
fn o197_an_accepted_adr_is_neither_edited_nor_removed_nor_renamed_however_its_status_is_written() {
    let place = |name: &str| format!("docs/work-items/ET-050/06-adr/ADR-{name}.md");
    let gate = gate("architect", "accepted-adr");
    let (mut given, mut told) = (Vec::new(), Vec::new());
    for (name, _, is_accepted) in ADRS {
        let adr = place(name);
        for (what, script) in [
            ("edited", format!("echo more >> '{adr}'")),
            ("removed", format!("git rm --quiet '{adr}'")),
            ("renamed", format!("git mv '{adr}' {} && echo more >> {}", place("new"), place("new"))),
        ] {
            given.push(JudgedRow { script: anew(&script), gate: gate.clone() });
            told.push((if is_accepted { "fail" } else { "pass" }, format!("{name}, {what}")));
        }
    }
    given.push(JudgedRow { script: anew(&write(&place("fresh"))), gate });
    told.push(("pass", "a new one".into()));
    let scratch = Scratch::new();
    let files: Vec<(String, &str)> = ADRS.iter().map(|(name, text, _)| (place(name), *text)).collect();
    repositories(&scratch, &files.iter().map(|(name, text)| (name.as_str(), *text)).collect::<Vec<_>>());
    let said = judged(&scratch, &given, &json!({}));
    for ((wanted, what), (verdict, reason)) in told.iter().zip(&said) {
        assert_eq!(verdict, wanted, "{what}: {reason}");
    }
    assert_eq!(said.len(), told.len());
}

#[test]
fn ov2_a_credential_in_any_commit_of_the_branch_is_found_also_one_that_was_taken_back() {
    let gate = gate("developer", "secrets");
    let commit = "git add -A && git commit --quiet -m more";
    // Put together as they are written: neither this file nor the pipeline has one.
    let aws = "k=AKIA; echo $k\"ABCDEFGH12345678\"";
    let rows = [
        ("pass", "nothing of the kind", "echo 'print(1)' > a.py".to_owned()),
        ("fail", "a key of AWS", format!("{aws} > a.py")),
        ("fail", "a private key", "k=KEY; echo \"-----BEGIN RSA PRIVATE $k-----\" > a.pem".to_owned()),
        ("fail", "a token of GitHub", format!("k=ghp; echo \"token = $k\"_{} > a.py", "a".repeat(36))),
        (
            "fail",
            "taken back by a later commit",
            format!("{aws} > a.py; {commit}; echo none > a.py; {commit}"),
        ),
        (
            "fail",
            "in a file that a later commit removes",
            format!("{aws} > b.py; {commit}; git rm --quiet b.py; {commit}"),
        ),
        ("pass", "taken out of what main has", "echo none > old.py".to_owned()),
    ];
    let given: Vec<JudgedRow> =
        rows.iter().map(|(_, _, script)| JudgedRow { script: anew(script), gate: gate.clone() }).collect();
    let scratch = Scratch::new();
    repositories(&scratch, &[("old.py", &format!("AKIA{}\n", "ABCDEFGH12345678"))]);
    let said = judged(&scratch, &given, &json!({}));
    assert_eq!(said.len(), rows.len());
    for ((wanted, what, _), (verdict, reason)) in rows.iter().zip(&said) {
        assert_eq!(verdict, wanted, "{what}: {reason}");
        assert!(!reason.contains("ABCDEFGH12345678"), "{what}: the verdict tells it: {reason}");
    }
}

#[test]
fn ov19_coverage_is_the_last_figure_that_the_command_prints_and_a_command_that_fails_covers_nothing() {
    let gate = gate("tester", "coverage");
    for (wanted, command, reason) in [
        ("pass", "echo 'TOTAL 120 12 90%'", "coverage 90"),
        ("pass", "echo 80", "coverage 80"),
        ("fail", "echo 79.9%", "coverage 79.9%, at least 80"),
        ("fail", "echo 99%; exit 3", "coverage -1"),
    ] {
        let scratch = Scratch::new();
        repositories(&scratch, &[]);
        let rows = [JudgedRow { script: "true".into(), gate: gate.clone() }];
        let said = judged(&scratch, &rows, &json!({ "coverage": { "command": command, "min": 80 } }));
        assert_eq!(said.len(), 1);
        assert!(said[0].0 == wanted && said[0].1.starts_with(reason), "{command}: {said:?}");
    }
}

#[test]
fn o5_a_check_whose_program_is_missing_is_no_evidence_and_no_verdict_on_the_work() {
    let config = json!({ "coverage": { "command": "there-is-no-such-program", "min": 80 } });
    for (script, gate) in [
        ("true", gate("tester", "coverage")),
        // Nothing to compare with.
        ("git remote remove origin", gate("developer", "secrets")),
        ("git remote remove origin", gate("architect", "accepted-adr")),
    ] {
        let scratch = Scratch::new();
        repositories(&scratch, &[]);
        described(&scratch, &[], &[JudgedRow { script: script.into(), gate }], &config);
        let _run = scratch.start(&["run", "./judged.yaml"]);
        scratch.await_owner();
        let answered = await_that("an answer to the gate", || {
            let events = scratch.run(&["events", "@", "--json"]).out;
            let mut events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            events.find(|it| matches!(it["event"]["type"].as_str(), Some("ProbeFailed" | "GateEvaluated")))
        });
        let event = &answered["event"];
        assert_eq!(event["type"], "ProbeFailed", "{event}");
        assert!(event["message"].as_str().unwrap().contains("(exit 127)"), "{event}");
    }
}

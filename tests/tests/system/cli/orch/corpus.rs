//! The corpus of the gates that read documents: real files, the real prober, `orch`'s own policies; kept for ever.
//!
//! Law: no row changes. What a gate once said of a document it says for ever; a new form is a new row at the end. The scratch
//! folder replays what it recorded, so each verdict is also the same a second time. Histories of the rows are kept
//! (`corpus_golden`). The words of the YAML reader in a reason are the one part that another version of it may change.

use super::super::fixtures::Scratch;
use super::cases::folder;

/// A document and what its gate says of it: the verdict and the reason.
pub(super) struct CorpusRow(
    pub(super) &'static str,
    pub(super) Option<&'static str>,
    pub(super) bool,
    pub(super) &'static str,
);

pub(super) const TESTS: &[CorpusRow] = &[
    CorpusRow("o14", Some("---\nresult: PASS\n---\n"), true, "Test verdict: PASS (PASS)"),
    CorpusRow("o15", Some("---\nresult: FAIL\n---\n"), false, "Test verdict: FAIL (FAIL)"),
    CorpusRow("o16", Some("---\nverdict: PASS\n---\n"), true, "Test verdict: PASS (PASS)"),
    CorpusRow("o16", Some("---\nstatus: PASSED\n---\n"), true, "Test verdict: PASSED (PASS)"),
    CorpusRow(
        "o16",
        Some("---\nresult: ready-to-deploy\n---\n"),
        true,
        "Test verdict: READY-TO-DEPLOY (PASS)",
    ),
    CorpusRow(
        "o17",
        Some("---\nresult: PASS\nverdict: BLOCKED\n---\n"),
        false,
        "Test verdict: BLOCKED (BLOCKED)",
    ),
    CorpusRow(
        "o18",
        Some("---\nresult: PASS\nstatus: failed\n---\n"),
        false,
        "Test verdict: FAILED (FAILED)",
    ),
    CorpusRow("o19", Some("---\nverdict: PASS\nstatus: pass\n---\n"), true, "Test verdict: PASS (PASS)"),
    CorpusRow(
        "o19",
        Some("---\nverdict: ready-to-deploy\nstatus: PASSED\n---\n"),
        true,
        "Test verdict: READY-TO-DEPLOY (PASS)",
    ),
    CorpusRow(
        "o19",
        Some("---\nverdict: stage:ready-to-deploy\nstatus: pass\n---\n"),
        true,
        "Test verdict: STAGE:READY-TO-DEPLOY (PASS)",
    ),
    CorpusRow(
        "o19",
        Some("---\nresult: PASS — ready-to-deploy\n---\n"),
        true,
        "Test verdict: PASS — READY-TO-DEPLOY (PASS)",
    ),
    CorpusRow(
        "o13",
        Some("---\nverdict: BLOCKED\nstatus: blocked\n---\n"),
        false,
        "Test verdict: BLOCKED (BLOCKED)",
    ),
    CorpusRow(
        "o20",
        Some("---\nverdict: BLOCKED\n---\n23 passed\n"),
        false,
        "Test verdict: BLOCKED (BLOCKED)",
    ),
    CorpusRow(
        "o21",
        Some("---\ntype: test-report\n---\nResult: PASS\n"),
        false,
        "No machine-readable verdict/status/result in test report frontmatter",
    ),
    CorpusRow(
        "o22",
        Some("Result: PASS\n"),
        false,
        "No YAML frontmatter in test report (cannot read machine verdict)",
    ),
    CorpusRow("o22", Some("---\nresult: PASS\n"), false, "Malformed YAML frontmatter in test report"),
    CorpusRow(
        "o22",
        Some("---\n- result\n---\n"),
        false,
        "Malformed YAML frontmatter in test report (not a mapping)",
    ),
    CorpusRow("o22", None, false, "13-test-report.md not found"),
    CorpusRow(
        "o23",
        Some("---\nverdict: null\nstatus:\nresult: \"\"\n---\n"),
        false,
        "No machine-readable verdict/status/result in test report frontmatter",
    ),
    CorpusRow(
        "o23",
        Some("---\nresult: maybe\n---\n"),
        false,
        "No recognized PASS verdict in frontmatter (verdict=, status=, result=MAYBE)",
    ),
    CorpusRow("o25", Some("---\nresult: delivered\n---\n"), false, "Test verdict: DELIVERED (RED)"),
    CorpusRow("o25", Some("---\nresult: BYPASS\n---\n"), true, "Test verdict: BYPASS (PASS)"),
    CorpusRow(
        "o3",
        Some("---\nx: [\n---\n"),
        false,
        "Invalid YAML frontmatter in test report: unclosed bracket '[' at char 3 line 1 column 4",
    ),
    CorpusRow(
        "o3",
        Some("---\nPASS\n---\n"),
        false,
        "Malformed YAML frontmatter in test report (not a mapping)",
    ),
    CorpusRow(
        "o3",
        Some("---\n---\nresult: PASS\n"),
        false,
        "Malformed YAML frontmatter in test report (not a mapping)",
    ),
    CorpusRow(
        "o3",
        Some("---\nresult: PASS\n---\n<1 MiB>"),
        false,
        "Error reading test report: is larger than 1 MiB",
    ),
];
/// The same gate with `tests_gate: strict`.
pub(super) const STRICT: &[CorpusRow] = &[
    CorpusRow(
        "o25",
        Some("---\nresult: delivered\n---\n"),
        false,
        "No recognized PASS verdict in frontmatter (verdict=, status=, result=DELIVERED)",
    ),
    CorpusRow(
        "o25",
        Some("---\nresult: BYPASS\n---\n"),
        false,
        "No recognized PASS verdict in frontmatter (verdict=, status=, result=BYPASS)",
    ),
    CorpusRow("o25", Some("---\nresult: NOT PASSED\n---\n"), false, "Test verdict: NOT PASSED (NOT)"),
    CorpusRow("o25", Some("---\nresult: PASS\n---\n"), true, "Test verdict: PASS (PASS)"),
];
pub(super) const REVIEW: &[CorpusRow] = &[
    CorpusRow("o38", Some("---\nverdict: \" approved \"\n---\n"), true, "Verdict: APPROVED"),
    CorpusRow("o39", Some("---\nverdict: APPROVE\n---\n"), false, "Verdict: 'APPROVE'"),
    CorpusRow("o39", Some("---\nverdict:\n---\nVerdict: APPROVED\n"), false, "Verdict: ''"),
    CorpusRow("o39", None, false, "review: does not exist"),
    CorpusRow(
        "o3",
        Some("verdict: APPROVED\n"),
        false,
        "review: has no front matter: its first line is not ---",
    ),
    CorpusRow(
        "o3",
        Some("---\nverdict: APPROVED\n"),
        false,
        "review: has a front matter that does not end with ---",
    ),
    CorpusRow(
        "o41",
        Some("---\nverdict: APPROVED\n---\n- [ ] P1: a line is lost\n"),
        false,
        "APPROVED with an open P0 or P1",
    ),
    CorpusRow(
        "o41",
        Some("---\nverdict: APPROVED\n---\n- [x] P1: a line was lost\n- [ ] P2: a name\n"),
        true,
        "Verdict: APPROVED",
    ),
    CorpusRow(
        "o3",
        Some("---\nx: [\n---\nverdict: APPROVED\n"),
        false,
        "review: has a front matter that is no YAML: unclosed bracket '[' at char 3 line 1 column 4",
    ),
    CorpusRow("o3", Some("---\n- APPROVED\n---\n"), false, "review: has a front matter that is no mapping"),
    CorpusRow("o3", Some("---\nAPPROVED\n---\n"), false, "review: has a front matter that is no mapping"),
    CorpusRow(
        "o41",
        Some("---\nverdict: APPROVED\n---\n<17 KiB>\n- [ ] P1: a line is lost\n"),
        false,
        "the review is longer than 16 KiB, so not all of it can be judged",
    ),
];
pub(super) const DEPLOY: &[CorpusRow] = &[
    CorpusRow("o64", Some("---\ndeploy_status: \" success \"\n---\n"), true, "Deploy status: SUCCESS"),
    CorpusRow(
        "o64",
        Some("---\ndeploy_status: OK\n---\n"),
        false,
        "No machine-readable deploy_status in frontmatter (got: 'OK')",
    ),
    CorpusRow("o62", Some("---\ndeploy_status: FAILED\n---\n"), false, "Deploy status: FAILED"),
    CorpusRow(
        "o4",
        Some("---\ntype: log\n---\ndeploy_status: SUCCESS\n"),
        false,
        "No machine-readable deploy_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o3",
        Some("- deploy_status\n"),
        false,
        "No machine-readable deploy_status in frontmatter (got: '')",
    ),
    CorpusRow("o67", None, false, "Deploy log not found (14-deploy-log.md)"),
    CorpusRow(
        "o3",
        Some("---\nx: [\n---\ndeploy_status: SUCCESS\n"),
        false,
        "Invalid YAML frontmatter in deploy log: unclosed bracket '[' at char 3 line 1 column 4",
    ),
    CorpusRow(
        "o3",
        Some("---\n- SUCCESS\n---\n"),
        false,
        "No machine-readable deploy_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o3",
        Some("---\nSUCCESS\n---\n"),
        false,
        "No machine-readable deploy_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o3",
        Some("---\ndeploy_status: SUCCESS\n"),
        false,
        "No machine-readable deploy_status in frontmatter (got: '')",
    ),
];
pub(super) const STAGING: &[CorpusRow] = &[
    CorpusRow(
        "o65",
        Some("---\nstaging_status: FAILED\nresult: 9/10 checks PASS\n---\n"),
        false,
        "Staging status: FAILED",
    ),
    CorpusRow("o63", Some("---\nstaging_status: SUCCESS\n---\n"), true, "Staging status: SUCCESS"),
    CorpusRow("o67", None, false, "Staging log not found (15-staging-log.md)"),
    CorpusRow(
        "o3",
        Some("---\nx: [\n---\nstaging_status: SUCCESS\n"),
        false,
        "Invalid YAML frontmatter in staging log: unclosed bracket '[' at char 3 line 1 column 4",
    ),
    CorpusRow(
        "o3",
        Some("---\n- SUCCESS\n---\n"),
        false,
        "No machine-readable staging_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o3",
        Some("---\nSUCCESS\n---\n"),
        false,
        "No machine-readable staging_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o3",
        Some("---\nstaging_status: SUCCESS\n"),
        false,
        "No machine-readable staging_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o3",
        Some("staging_status: SUCCESS\n"),
        false,
        "No machine-readable staging_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o4",
        Some("---\ntype: log\n---\nstaging_status: SUCCESS\n"),
        false,
        "No machine-readable staging_status in frontmatter (got: '')",
    ),
    CorpusRow(
        "o64",
        Some("---\nstaging_status: OK\n---\n"),
        false,
        "No machine-readable staging_status in frontmatter (got: 'OK')",
    ),
];

/// The policy, the file and the fields of a gate.
pub(super) type Kind = (&'static str, &'static str, &'static str);

pub(super) const TESTS_GATE: Kind = ("tests", "13-test-report.md", "[verdict, status, result]");
pub(super) const REVIEW_GATE: Kind = ("review", "12-review.md", "[verdict]");
pub(super) const DEPLOY_GATE: Kind = ("deployed", "14-deploy-log.md", "[deploy_status]");
pub(super) const STAGING_GATE: Kind = ("deployed", "15-staging-log.md", "[staging_status]");

/// A pipeline whose one step has a gate for each row.
pub(super) fn pipeline(rows: &[CorpusRow], kind: Kind, strict: bool) -> String {
    let (policy, file, fields) = kind;
    let mut gates = String::new();
    for (number, CorpusRow(rule, ..)) in rows.iter().enumerate() {
        gates += &format!(
            "      - {{ id: {rule}-{number}, on_fail: next, policy: {policy}, frontmatter: {{ file: r{number}/{file}, fields: {fields}, pass: [PASS], text: true }} }}\n"
        );
    }
    format!(
        "name: corpus\ninclude: orch/gates.yaml\nlocals: {{ strict: {strict} }}\nsteps:\n  - id: judged\n    command: \"true\"\n    gates:\n{gates}output: \"${{run.gates.map(g, [g.gate, g.verdict, g.reason])}}\"\n"
    )
}

/// What stands for so much text in the document of a row.
const FILLED: [(&str, usize); 2] = [("<17 KiB>", 17 * 1024), ("<1 MiB>", 1024 * 1024)];

/// A document of a row as it lies in its file.
fn filled(text: &str) -> String {
    FILLED.iter().fold(text.to_owned(), |text, (name, bytes)| {
        text.replace(name, &"all is well\n".repeat(bytes / 12 + 1))
    })
}

/// The pipeline and the documents of its rows, beside a copy of the gates of `orch`.
pub(super) fn written(scratch: &Scratch, rows: &[CorpusRow], kind: Kind, strict: bool) {
    std::fs::create_dir_all(scratch.path("orch")).unwrap();
    std::fs::copy(folder().join("orch/gates.yaml"), scratch.path("orch/gates.yaml")).unwrap();
    for (number, CorpusRow(_, text, ..)) in rows.iter().enumerate() {
        std::fs::create_dir_all(scratch.path(&format!("r{number}"))).unwrap();
        if let Some(text) = text {
            scratch.write(&format!("r{number}/{}", kind.1), &filled(text));
        }
    }
    scratch.write("corpus.yaml", &pipeline(rows, kind, strict));
}

fn judged(rows: &[CorpusRow], kind: Kind, strict: bool) {
    let scratch = Scratch::new();
    written(&scratch, rows, kind, strict);
    let run = scratch.run(&["run", "./corpus.yaml"]);
    assert_eq!(run.code, 0, "{run:?}");
    let shown = scratch.run(&["show", "@", "--json"]).json();
    let said = shown["output"].as_array().unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(said.len(), rows.len());
    for (number, (CorpusRow(rule, text, passes, reason), said)) in rows.iter().zip(said).enumerate() {
        let verdict = if *passes { "pass" } else { "fail" };
        let wanted = serde_json::json!([format!("{rule}-{number}"), verdict, reason]);
        assert_eq!(said, &wanted, "{text:?}");
    }
}

#[test]
fn o13_the_tests_gate_says_of_each_report_what_it_always_said() {
    judged(TESTS, TESTS_GATE, false);
}

#[test]
fn o25_the_strict_tests_gate_wants_whole_words() {
    judged(STRICT, TESTS_GATE, true);
}

#[test]
fn o39_the_review_gate_accepts_one_word() {
    judged(REVIEW, REVIEW_GATE, false);
}

#[test]
fn o64_the_gates_of_deployments_accept_one_word() {
    judged(DEPLOY, DEPLOY_GATE, false);
    judged(STAGING, STAGING_GATE, false);
}

#[test]
fn o24_the_words_of_the_tests_gate_are_frozen() {
    let gates = std::fs::read_to_string(folder().join("orch/gates.yaml")).unwrap();
    for words in [
        "(['BLOCKED', 'FAILED', 'FAIL', 'REQUEST_CHANGES', 'REJECT', 'RED'] +",
        "['PASSED', 'PASS', 'READY-TO-DEPLOY', 'READY_TO_DEPLOY', 'GREEN', 'APPROVED']",
    ] {
        assert_eq!(gates.matches(words).count(), 1, "{words}");
    }
}

/// What a role's prompt tells it to write, judged by the role's own gate.
pub(super) fn verdict_on(kind: Kind, text: String) -> (bool, String) {
    let scratch = Scratch::new();
    let text: &'static str = Box::leak(text.into_boxed_str());
    written(&scratch, &[CorpusRow("o6", Some(text), true, "")], kind, false);
    assert_eq!(scratch.run(&["run", "./corpus.yaml"]).code, 0);
    let shown = scratch.run(&["show", "@", "--json"]).json();
    (shown["output"][0][1] == "pass", shown["output"][0][2].as_str().unwrap_or_default().to_owned())
}

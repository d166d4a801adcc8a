//! The pipeline is as short as promised and without faults; all its cases pass; its gates are those that ORCH has.

use std::path::{Path, PathBuf};

use everfold_workflows::builtin;

use super::super::fixtures::Scratch;

/// How many lines the pipeline may have, and how many characters a line.
const LINES_MAX: usize = 150;
const WIDTH_MAX: usize = 140;
/// ORCH's ten gates; two of them judge with other gates in one.
const GATES: [&str; 10] = [
    "check_analysis_approved",
    "check_analysis_complete",
    "check_architecture_done",
    "check_ci_green",
    "check_review_approved",
    "check_tests_passed",
    "check_reviewer_verdict",
    "check_tests_local",
    "check_deploy_status",
    "check_staging_status",
];
/// The stages, in their order, each with the step that owns it.
const STAGES: [(&str, &str); 7] = [
    ("analysis", "analyst"),
    ("architecture", "architect"),
    ("development", "developer"),
    ("review", "reviewer"),
    ("testing", "tester"),
    ("deploy-staging", "staging"),
    ("deploy", "deployer"),
];

/// What must stand in the story of a case, word for word: the rules want it said, and the case's own expectations do not.
const SAID: [(&str, &str, &str); 9] = [
    (
        "O29:",
        "GateEvaluated",
        "check_ci_green fail: Branch 'feature/ET-018-dark-mode' not found or no status",
    ),
    ("O30: CI", "ProbeFailed", "check_ci_green: no answer"),
    ("O30 O31:", "GateEvaluated", "check_ci_green pass: CI green"),
    ("O40 O80 O81 O128 O129:", "GateEvaluated", "check_ci_green fail: CI state: failure"),
    ("O48 O52", "GateEvaluated", "note pass: analysis-in-review"),
    ("O48 O52", "GateEvaluated", "check_analysis_approved pass: approved-via-status"),
    ("O48 O52", "GateEvaluated", "check_staging_status skipped: Staging gate N/A for shop"),
    ("O50 O51:", "GateEvaluated", "questions fail: analysis-empty"),
    ("O54: Approved is refused", "SignalTaken", "refused: the analysis is not complete, so there is nothing to approve"),
];

/// The folder of the built-in pipelines.
pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../workflows/pipelines")
}

/// Every file with cases of `orch`.
pub(super) fn case_files() -> Vec<PathBuf> {
    let more = std::fs::read_dir(folder().join("orch/cases")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = more.chain([folder().join("orch.test.yaml")]).collect();
    files.sort();
    files
}

fn played(scratch: &Scratch, pipeline: &str, cases: &Path) -> serde_json::Value {
    let done = scratch.run(&["pipeline", "test", pipeline, "--cases", cases.to_str().unwrap(), "--json"]);
    assert_eq!(done.code, 0, "{}: {}\n{}", cases.display(), done.err, done.out);
    done.json()
}

#[test]
fn orch_is_short_and_without_faults() {
    let text = builtin::find("orch").unwrap().text;
    assert!(text.lines().count() <= LINES_MAX, "{} lines", text.lines().count());
    let wide = text.lines().find(|line| line.chars().count() > WIDTH_MAX);
    assert!(wide.is_none(), "{wide:?}");
    let scratch = Scratch::new();
    let path = folder().join("orch.yaml");
    let checked = scratch.run(&["pipeline", "check", path.to_str().unwrap()]);
    assert!(checked.code == 0 && checked.err.is_empty(), "{checked:?}");
}

#[test]
fn the_cases_of_orch_pass_and_each_notice_can_be_said() {
    let scratch = Scratch::new();
    let path = folder().join("orch.yaml");
    let mut said = 0;
    for file in case_files() {
        let json = played(&scratch, path.to_str().unwrap(), &file);
        assert_eq!(json["failed"], 0, "{}", file.display());
        for case in json["cases"].as_array().unwrap() {
            let events = case["story"].as_array().unwrap();
            let unsaid = events.iter().find(|event| event["event"] == "NoticeFailed");
            assert!(unsaid.is_none(), "{}: {unsaid:?}", case["name"]);
            let name = case["name"].as_str().unwrap();
            for (_, kind, words) in SAID.iter().filter(|(begin, ..)| name.starts_with(begin)) {
                let has = |event: &serde_json::Value| {
                    event["event"] == *kind && event["detail"].as_str().unwrap_or_default().contains(words)
                };
                assert!(events.iter().any(has), "{name}: no {kind} says {words}");
                said += 1;
            }
        }
    }
    assert_eq!(said, SAID.len(), "each is said by one case");
    let built_in = scratch.run(&["pipeline", "test", "orch", "--json"]);
    assert_eq!((built_in.code, built_in.json()["failed"].as_u64()), (0, Some(0)), "{built_in:?}");
}

#[test]
fn o2_the_gates_and_the_stage_table_are_those_of_orch() {
    let text = builtin::find("orch").unwrap().text;
    for gate in GATES {
        assert!(text.contains(&format!("id: {gate}")), "{gate}");
    }
    let mut known: Vec<&str> = regex::Regex::new(r"id: (check_[a-z_]+)")
        .unwrap()
        .captures_iter(text)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    known.sort_unstable();
    known.dedup();
    let mut wanted = GATES;
    wanted.sort_unstable();
    assert_eq!(known, wanted, "a gate that ORCH has not, or has under another name");
    let mut at = 0;
    for (stage, owner) in STAGES {
        let place =
            text[at..].find(&format!("stage: {stage}")).unwrap_or_else(|| panic!("{stage} in its order"));
        at += place;
        assert!(text.contains(&format!("id: {owner}\n")), "{owner}");
    }
}

/// O86: each stage has an owner that can be started again, and a state of the tracker.
#[test]
fn o86_every_stage_has_an_owner_and_a_state_of_the_tracker() {
    let voice = std::fs::read_to_string(folder().join("orch/voice.yaml")).unwrap();
    let pipeline = builtin::find("orch").unwrap().text;
    let part = |name: &str| {
        voice.split(&format!("      {name}: {{")).nth(1).unwrap().split('}').next().unwrap().to_owned()
    };
    let (owners, board, next) = (part("owners"), part("board"), part("next"));
    let has = |map: &str, key: &str| map.split(',').any(|pair| pair.trim().starts_with(&format!("{key}:")));
    for (stage, owner) in STAGES {
        assert!(
            has(&owners, owner) && (pipeline.contains(&format!("why-{owner}")) || owner == "deployer"),
            "{stage}"
        );
        // A stage stands in the tracker under its own name, unless the map says another.
        let is_state =
            everfold_workflows::fakes::STATE_NAMES.iter().any(|(name, _)| name.to_lowercase() == stage);
        assert!(has(&board, stage) || is_state, "{stage} has no state");
        assert!(next.contains(stage) || stage == "analysis", "{stage} follows none");
    }
}

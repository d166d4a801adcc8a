//! Histories in which the gates of `orch` judged the documents of the corpus, kept for ever (`tests/golden/orch-…-ROWS.jsonl`).
//!
//! Law: replayed by their own definition they are what they were, and today's policies say the same of what was recorded.
//! A row that is added gets a new history beside the old ones: `EVERFOLD_WRITE_GOLDEN=1` writes those that are missing.

use std::sync::Arc;

use everfold_core::event::RunEvent;
use everfold_engine::definition::{Definition, parse};
use everfold_workflows::builtin;
use serde_json::Value;

use super::super::fixtures::Scratch;
use super::corpus::{
    CorpusRow, DEPLOY, DEPLOY_GATE, Kind, REVIEW, REVIEW_GATE, STAGING, STAGING_GATE, STRICT, TESTS,
    TESTS_GATE, pipeline, written,
};
use crate::golden_histories;

/// The histories, each with its rows, their gate, and whether whole words are wanted.
const HISTORIES: [(&str, &[CorpusRow], Kind, bool); 5] = [
    ("orch-tests", TESTS, TESTS_GATE, false),
    ("orch-strict", STRICT, TESTS_GATE, true),
    ("orch-review", REVIEW, REVIEW_GATE, false),
    ("orch-deploy", DEPLOY, DEPLOY_GATE, false),
    ("orch-staging", STAGING, STAGING_GATE, false),
];

/// The pipeline of some rows with the gates of `orch` as they are built in.
fn today(rows: &[CorpusRow], kind: Kind, strict: bool) -> Definition {
    let text = pipeline(rows, kind, strict);
    parse(&text, "corpus", builtin::find("orch").unwrap()).unwrap().definition
}

/// The newest history of these rows, where one is missing and is to be written.
fn ensure(name: &str, rows: &[CorpusRow], kind: Kind, strict: bool) {
    let name = format!("{name}-{}", rows.len());
    if golden_histories::folder().join(format!("{name}.jsonl")).exists() || !golden_histories::are_written() {
        return;
    }
    let scratch = Scratch::new();
    written(&scratch, rows, kind, strict);
    assert_eq!(scratch.run(&["run", "./corpus.yaml"]).code, 0);
    let run = scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned();
    golden_histories::write(&name, &scratch.data(), &run, &today(rows, kind, strict));
}

/// Gate, verdict and reason of each judgement among these events.
fn verdicts(events: &[RunEvent]) -> Vec<(String, String, String)> {
    let judged = events.iter().filter(|event| matches!(event, RunEvent::GateEvaluated(_)));
    let judged = judged.map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        (text("gate"), text("verdict"), text("reason"))
    });
    judged.collect()
}

#[test]
fn o8_o13_kept_histories_of_the_gates_replay_and_todays_policies_say_the_same() {
    for (name, rows, kind, strict) in HISTORIES {
        ensure(name, rows, kind, strict);
        let policy = serde_json::from_str::<Value>(&today(rows, kind, strict).document()).unwrap();
        let policy = &policy["steps"][0]["gates"][0]["policy"];
        assert!(policy.is_string(), "{policy}");
        let histories = golden_histories::kept(&format!("{name}-"));
        let newest = format!("{name}-{}", rows.len());
        assert!(
            histories.iter().any(|kept| kept.name == newest),
            "{newest} is missing: EVERFOLD_WRITE_GOLDEN=1 writes it"
        );
        for kept in histories {
            kept.assert_replays();
            let mut document = kept.document.clone();
            let gates = document["steps"][0]["gates"].as_array_mut().unwrap();
            let count = gates.len();
            gates.iter_mut().for_each(|gate| gate["policy"] = policy.clone());
            let definition: Arc<Definition> = Arc::new(serde_json::from_value(document).unwrap());
            let mut judged = Vec::new();
            kept.decided_again(definition, |recorded, decided| {
                let (recorded, decided) = (verdicts(recorded), verdicts(decided));
                assert_eq!(recorded, decided, "{}: today's policy says otherwise", kept.name);
                judged.extend(recorded);
            });
            assert_eq!(judged.len(), count, "{}", kept.name);
            for (number, CorpusRow(rule, _, passes, reason)) in rows.iter().enumerate().take(count) {
                let verdict = if *passes { "pass" } else { "fail" };
                let said = (format!("{rule}-{number}"), verdict.to_owned(), (*reason).to_owned());
                assert_eq!(judged[number], said, "{}: the row was changed", kept.name);
            }
        }
    }
}

//! The corpus of the gate of CI: statuses of a commit as Gitea lists them, the real prober, `orch`'s own policy; kept for ever.
//!
//! Law: no row changes, as with those that read documents (`corpus`): a new form is a new row at the end. A history of the rows is
//! kept (`tests/golden/orch-ci-ROWS.jsonl`), and today's policy says the same of what was recorded.
//! `EVERFOLD_WRITE_GOLDEN=1` writes the newest one where it is missing.

use std::sync::Arc;

use everfold_core::event::RunEvent;
use everfold_engine::definition::{Definition, parse};
use everfold_workflows::builtin;
use serde_json::{Value, json};

use super::super::fixtures::Scratch;
use super::cases::folder;
use crate::golden_histories;
use crate::workflow_fixtures::fake_server::{Answer, Asked, Fake};

const NAME: &str = "orch-ci";
const TOKEN: &str = "gitea-token";

/// The statuses of a commit, `None` where Gitea knows no such commit; the verdict and the reason.
struct CiRow(&'static str, Option<&'static [&'static str]>, &'static str, &'static str);

const ROWS: [CiRow; 14] = [
    CiRow("o26", Some(&["success"]), "pass", "CI green"),
    CiRow("o26", Some(&["success", "success"]), "pass", "CI green"),
    CiRow("o26", Some(&["pending"]), "pending", "CI state: pending"),
    CiRow("o26", Some(&["success", "pending"]), "pending", "CI state: pending"),
    CiRow("o27", Some(&["failure"]), "fail", "CI state: failure"),
    CiRow("o27", Some(&["error"]), "fail", "CI state: error"),
    CiRow("o27", Some(&["success", "pending", "failure"]), "fail", "CI state: failure"),
    CiRow("o27", Some(&["warning", "error"]), "fail", "CI state: error"),
    CiRow("o27", Some(&["warning"]), "pending", "CI state: pending"),
    CiRow("o27", Some(&["success", "warning"]), "pending", "CI state: pending"),
    CiRow("o27", Some(&["on_hold"]), "pending", "CI state: pending"),
    CiRow("o29", None, "fail", "Branch 'feature/ET-001-dark-mode' not found or no status"),
    CiRow("o34", Some(&[]), "pending", "CI state: pending"),
    CiRow("o34", Some(&["success", ""]), "pending", "CI state: pending"),
];

/// The commit of a row.
fn commit(number: usize) -> String {
    format!("{number:040x}")
}

/// What Gitea answers for the commit of a row.
fn answer(asked: &Asked) -> Answer {
    assert_eq!(asked.header("authorization"), format!("token {TOKEN}"));
    let of_row =
        |number: &usize| asked.path.ends_with(&format!("/repos/team/app/commits/{}/status", commit(*number)));
    let row = (0..ROWS.len()).find(of_row).map(|number| &ROWS[number]);
    let Some(CiRow(_, Some(words), ..)) = row else {
        return Answer::status(404, json!({ "message": "The target couldn't be found." }));
    };
    let shown = |(number, word): (usize, &&str)| json!({ "status": word, "context": format!("check-{number}"), "target_url": "", "description": "" });
    let statuses: Vec<Value> = words.iter().enumerate().map(shown).collect();
    let statuses = if statuses.is_empty() { Value::Null } else { statuses.into() };
    Answer::ok(json!({ "state": "", "total_count": words.len(), "statuses": statuses }))
}

/// A step whose gates ask about the commit of a row each. Beside each question stands a member that passes: so nothing is waited
/// for, and what is pending is recorded as what is decided.
fn pipeline() -> String {
    let mut gates = String::new();
    for (number, CiRow(rule, ..)) in ROWS.iter().enumerate() {
        gates += &format!(
            "      - {{ id: {rule}-{number}, any: [{{ id: ci, policy: ci, ci: {{ provider: gitea, repository: team/app, sha: \"{}\" }} }}, {{ id: on, expression: \"true\" }}] }}\n",
            commit(number)
        );
    }
    format!(
        "name: corpus\ninclude: orch/gates.yaml\nlocals: {{ strict: false }}\nlabels: {{ branch: feature/ET-001-dark-mode }}\nsteps:\n  - id: judged\n    command: \"true\"\n    gates:\n{gates}"
    )
}

/// The rows with the gates of `orch` as they are built in.
fn today() -> Definition {
    parse(&pipeline(), "corpus", builtin::find("orch").unwrap()).unwrap().definition
}

/// Gate, verdict and reason of a question.
type Said = (String, String, String);

/// What an event says of the question about a row; `None`: it is another event.
fn said(event: &Value) -> Option<Said> {
    let asked = &event["evidence"]["members"][0];
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    (event["type"] == "GateEvaluated")
        .then(|| (text(&event["gate"]), text(&asked["verdict"]), text(&asked["reason"])))
}

fn all_said(events: &[RunEvent]) -> Vec<Said> {
    events.iter().filter_map(|event| said(&serde_json::to_value(event).unwrap())).collect()
}

fn assert_rows(judged: &[Said], name: &str) {
    for ((number, CiRow(rule, words, verdict, reason)), said) in ROWS.iter().enumerate().zip(judged) {
        let wanted = (format!("{rule}-{number}"), (*verdict).to_owned(), (*reason).to_owned());
        assert_eq!(said, &wanted, "{name}: {words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o13_the_gate_of_ci_says_of_each_commit_what_it_always_said() {
    let fake = Fake::serve(answer).await;
    tokio::task::spawn_blocking(move || play(&fake)).await.unwrap();
}

/// Plays the rows, and keeps a history of them where one is missing and is to be written.
fn play(fake: &Fake) {
    let scratch = Scratch::new();
    for place in [scratch.data(), scratch.path("orch")] {
        std::fs::create_dir_all(place).unwrap();
    }
    std::fs::copy(folder().join("orch/gates.yaml"), scratch.path("orch/gates.yaml")).unwrap();
    scratch.write("token", TOKEN);
    let (url, token) = (&fake.url, scratch.path("token"));
    scratch.write(
        ".everfold/everfold.toml",
        &format!(
            "[providers.gitea]\nkind = \"gitea\"\nurl = \"{url}\"\nowner = \"team\"\ntoken = {{ file = \"{}\" }}\n",
            token.display()
        ),
    );
    scratch.write("corpus.yaml", &pipeline());
    let run = scratch.run(&["run", "./corpus.yaml"]);
    assert_eq!(run.code, 0, "{run:?}");
    let events = scratch.run(&["events", "@", "--json"]).out;
    let judged: Vec<Said> = events
        .lines()
        .filter_map(|line| said(&serde_json::from_str::<Value>(line).unwrap()["event"]))
        .collect();
    assert_eq!(judged.len(), ROWS.len());
    assert_rows(&judged, "today");
    assert_eq!(fake.asked().len(), ROWS.len(), "each is asked about once");
    let name = format!("{NAME}-{}", ROWS.len());
    let is_there = golden_histories::folder().join(format!("{name}.jsonl")).exists();
    if !is_there && golden_histories::are_written() {
        let run = scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned();
        golden_histories::write(&name, &scratch.data(), &run, &today());
    }
    let histories = golden_histories::kept(&format!("{NAME}-"));
    assert!(
        histories.iter().any(|kept| kept.name == name),
        "{name} is missing: EVERFOLD_WRITE_GOLDEN=1 writes it"
    );
}

#[test]
fn o8_o13_kept_histories_of_ci_replay_and_todays_policy_says_the_same() {
    let document = serde_json::from_str::<Value>(&today().document()).unwrap();
    let policy = &document["steps"][0]["gates"][0]["probe"]["any"][0]["policy"];
    assert!(policy.is_string(), "{document}");
    for kept in golden_histories::kept(&format!("{NAME}-")) {
        kept.assert_replays();
        let mut document = kept.document.clone();
        let gates = document["steps"][0]["gates"].as_array_mut().unwrap();
        let count = gates.len();
        gates.iter_mut().for_each(|gate| gate["probe"]["any"][0]["policy"] = policy.clone());
        let definition: Arc<Definition> = Arc::new(serde_json::from_value(document).unwrap());
        let mut judged = Vec::new();
        kept.decided_again(definition, |recorded, decided| {
            let (recorded, decided) = (all_said(recorded), all_said(decided));
            assert_eq!(recorded, decided, "{}: today's policy says otherwise", kept.name);
            judged.extend(recorded);
        });
        assert_eq!(judged.len(), count, "{}", kept.name);
        assert_rows(&judged, &kept.name);
    }
}

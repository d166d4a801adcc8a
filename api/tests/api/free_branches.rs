//! `git.free_branch` by runs that begin at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@x"])
        .args(arguments)
        .current_dir(folder)
        .status();
    assert!(status.unwrap().success(), "git {arguments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o114_twenty_runs_at_once_get_twenty_branches_and_a_rework_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "--quiet", "--initial-branch=main"]);
    git(&repository, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
    git(&repository, &["branch", "feature/ET-1"]);
    // The second round comes after the branch was made.
    let definition = "
name: named
input: { type: object, required: [repo], properties: { repo: { type: string } } }
steps:
  - id: name
    function: git.free_branch
    with: { path: '${input.repo}', name: feature/ET-1, or: [feature/ET-1-alt] }
  - id: again
    when: steps.name.rounds < 2
    function: everfold.echo
    with: { first: '${steps.name.output.branch}' }
    gates: [{ id: once, expression: 'steps.name.rounds > 1', on_fail: { rework: name } }]
output: { branch: '${steps.name.output.branch}', rounds: '${steps.name.rounds}' }
";
    let api = Api::new();
    let mut runs = Vec::new();
    for _ in 0..20 {
        let body = json!({"definition": definition, "input": {"repo": repository}});
        let (status, run) = api.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        runs.push(run["id"].as_str().unwrap().to_owned());
    }
    let mut given = BTreeSet::new();
    for run in runs {
        let view = api.until(&run, "succeeded").await;
        assert_eq!(view["output"]["rounds"], 2, "{view}");
        let (_, events) = api.get(&format!("/api/v1/runs/{run}/events?limit=1000")).await;
        let [first, second] = branches(&events).try_into().unwrap_or_else(|_| panic!("{events}"));
        assert_eq!(first, second, "the next round gets the same name");
        given.insert(first);
    }
    assert_eq!(given.len(), 20, "{given:?}");
    assert!(given.contains("feature/ET-1-alt") && given.contains("feature/ET-1-20"), "{given:?}");
    assert!(!given.contains("feature/ET-1"));
}

/// What the step `name` gave in its rounds.
fn branches(events: &Value) -> Vec<String> {
    let all = events["items"].as_array().unwrap().iter();
    let of_name = all.filter(|event| {
        event["event"]["type"] == "AttemptSucceeded" && event["event"]["id"]["path"]["step"] == "name"
    });
    of_name.map(|event| event["event"]["output"]["branch"].as_str().unwrap().to_owned()).collect()
}

//! Forks, restarts and retries of runs with workspaces, from every version and every step.

use std::time::Duration;

use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{RunId, Version};
use everfold_core::event::{OriginKind, RunEvent, decode};
use everfold_core::state::{RunState, RunStatus};
use everfold_language::definition::{Definition, NoFiles, parse};
use everfold_runtime::{Engine, ForkRequest};
use everfold_workflows::builtin;
use everfold_workflows::demo::Scratch;
use futures::StreamExt as _;
use serde_json::json;

use super::place::{Place, approved_to_its_end, approved_to_success, ended, failure_of_fork, fork_request};
use crate::workflow_fixtures::home::{git, repository};

/// A pipeline every expression of which may name the workspace, in a repository with one commit.
fn naming_the_workspace(place: &Place) -> Definition {
    repository(&place.home.path("repository"));
    let text = r#"
name: names-it
input: { type: object, properties: { broken: { type: boolean, default: false } } }
workspace: { git: "../repository", branch: "work", save: commit }
steps:
  - { id: make, command: "echo 1 >> numbers" }
  - id: ask
    approval: { title: "Merge ${workspace.branch} into ${workspace.base}?" }
  - id: told
    when: "workspace.base == 'main'"
    command: 'test "${input.broken}" = false; test "$(git branch --show-current)" = "${workspace.branch}"; echo 2 >> numbers'
  - id: elsewhere
    workspace: { dir: "${workspace.path}" }
    command: "test -f numbers"
  - id: judged
    gates:
      - { id: ahead, command: [git, merge-base, --is-ancestor, "${workspace.base}", "${workspace.branch}"] }
      - { id: changed, diff: { min_files: 1 } }
      - { id: said, expression: "workspace.branch.startsWith('work')" }
on_finish:
  - { id: bye, workspace: none, command: 'test -n "${workspace.branch}"' }
output: { branch: "${workspace.branch}" }
"#;
    parse(text, "names-it.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}")).definition
}

/// An engine, and a run of that pipeline that succeeded.
async fn succeeded(place: &Place) -> (Engine, RunId, RunState) {
    let engine = place.open();
    let run = place.start(&engine, naming_the_workspace(place), &json!({})).await;
    let state = approved_to_success(&engine, run).await;
    (engine, run, state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_whatever_names_the_workspace_goes_on_from_every_version_and_every_step() {
    let place = Place::new();
    let (engine, origin, state) = succeeded(&place).await;
    let mut wrong = Vec::new();
    for at in 1..=state.version().0 {
        let request = fork_request(origin, OriginKind::Fork, Some(Version(at)), None);
        wrong.extend(failure_of_fork(&engine, &format!("fork at {at}"), request).await);
    }
    for step in ["make", "ask", "told", "elsewhere", "judged"] {
        let request = fork_request(origin, OriginKind::Restart, None, Some(step));
        wrong.extend(failure_of_fork(&engine, &format!("restart from {step}"), request).await);
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_a_retry_of_a_failed_run_and_a_fork_of_a_fork_have_workspaces_of_their_own() {
    let place = Place::new();
    let definition = naming_the_workspace(&place);
    let engine = place.open();
    let origin = place.start(&engine, definition, &json!({"broken": true})).await;
    let failed = approved_to_its_end(&engine, origin).await;
    assert_eq!((failed.status(), failed.retry_step()), (RunStatus::Failed, Some("told".into())));
    let mut retry = fork_request(origin, OriginKind::Retry, None, None);
    retry.input = Some(json!({"broken": false}));
    let second = engine.fork(retry).await.unwrap().run;
    approved_to_success(&engine, second).await;
    let third =
        engine.fork(fork_request(second, OriginKind::Restart, None, Some("judged"))).await.unwrap().run;
    let state = approved_to_success(&engine, third).await;
    let branches = [second, third].map(|run| format!("work-{}", run.short()));
    let repository = place.home.path("repository");
    let there = git(&repository, &["branch", "--list", "--format=%(refname:short)", "work*"]);
    assert!(branches.iter().all(|branch| there.lines().any(|it| it == branch)), "{branches:?}: {there}");
    assert_eq!(state.root(), Some(origin), "the root is the first origin, also of a fork of a fork");
}

/// Its history named a file that only its origin had: that was damage, and nothing could go on from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_that_replays_effects_has_the_files_that_stand_in_for_those_of_its_work() {
    let place = Place::new();
    let text = "\
name: keeps
steps:
  - { id: made, command: 'echo hi > out.txt', outputs: { out: out.txt } }
  - { id: end, command: 'true' }
";
    let definition = parse(text, "keeps.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}"));
    let engine = place.open();
    let origin = place.start(&engine, definition.definition, &json!({})).await;
    approved_to_success(&engine, origin).await;
    let request = fork_request(origin, OriginKind::Fork, Some(Version(1)), None);
    let fork = engine.fork(ForkRequest { replay_effects: true, ..request }).await.unwrap().run;
    approved_to_success(&engine, fork).await;
    let events = place.store.read(&StreamId::run(fork), Version::FIRST, 100).await.unwrap();
    let decoded =
        events.iter().map(|event| decode(event.header.kind, event.header.schema, &event.payload).unwrap());
    let events: Vec<RunEvent> = decoded.collect();
    assert!(events.iter().any(|event| matches!(event, RunEvent::WorkSpared(_))), "{events:?}");
    let blobs = place.home.processes_with("").blobs;
    let kept: Vec<Vec<u8>> =
        events.iter().flat_map(RunEvent::blobs).map(|blob| blobs.get(fork, &blob).unwrap()).collect();
    assert_eq!(kept, [b"hi\n"]);
    let restart = fork_request(fork, OriginKind::Restart, None, Some("end"));
    approved_to_success(&engine, engine.fork(restart).await.unwrap().run).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_a_fork_whose_repository_is_gone_says_so_and_can_be_cancelled() {
    let place = Place::new();
    let (engine, origin, _) = succeeded(&place).await;
    std::fs::rename(place.home.path("repository"), place.home.path("moved")).unwrap();
    let run = engine.fork(fork_request(origin, OriginKind::Restart, None, Some("make"))).await.unwrap().run;
    assert_eq!(ended(&engine, run).await, RunStatus::Failed);
    let state = engine.state(run).await.unwrap();
    let message = &state.failure().unwrap().0.message;
    assert!(message.contains("repository"), "{message}");
}

/// A repository like the demo's, with all that its runs committed; before its delivery was merged, where the
/// history that is gone on from does not say so yet.
fn like_the_demos(scratch: &Scratch, start: Option<&str>, to: &std::path::Path) {
    let shown = to.display().to_string();
    git(&scratch.repository, &["clone", "--quiet", ".", &shown]);
    for (key, value) in [("user.name", "Demo"), ("user.email", "demo@localhost")] {
        git(to, &["config", key, value]);
    }
    if let Some(start) = start {
        git(to, &["reset", "--quiet", "--hard", start]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_17_the_demos_delivery_goes_on_from_every_version_and_every_step() {
    let place = Place::new();
    let scratch = Scratch::write(&place.home.path("scratch")).unwrap();
    scratch.set_pace(Duration::ZERO).unwrap();
    let start = git(&scratch.repository, &["rev-parse", "main"]);
    let pipeline = builtin::find("delivery").unwrap();
    let definition = parse(pipeline.text, pipeline.name, pipeline).unwrap().definition;
    let steps: Vec<String> = definition.steps.iter().map(|step| step.id.to_string()).collect();
    let engine = place.open();
    let origin = place.start(&engine, definition, &scratch.input()).await;
    let state = approved_to_success(&engine, origin).await;
    let history = place.store.read(&StreamId::run(origin), Version(1), 1_000).await.unwrap();
    let has_merged = |it: &Envelope| match decode(it.header.kind, it.header.schema, &it.payload) {
        Ok(RunEvent::AttemptSucceeded(done)) => done.id.path.step.as_str() == "deploy",
        _ => false,
    };
    let merged_at = history.iter().find(|it| has_merged(it)).unwrap().header.version;
    let versions = (1..=state.version().0)
        .map(|at| (format!("fork at {at}"), fork_request(origin, OriginKind::Fork, Some(Version(at)), None)));
    let restarts = steps.iter().map(|step| {
        (format!("restart from {step}"), fork_request(origin, OriginKind::Restart, None, Some(step)))
    });
    let all: Vec<(String, ForkRequest)> = versions.chain(restarts).collect();
    let count = all.len();
    // Each in a repository of its own, in which nothing of the others was merged.
    let going_on = all.into_iter().enumerate().map(|(nth, (what, mut request))| {
        let (engine, scratch, start) = (&engine, &scratch, &start);
        let repository = place.home.path(&format!("fork-{nth}"));
        async move {
            let is_merged = request.at.is_some_and(|at| at >= merged_at) || what == "restart from done";
            like_the_demos(scratch, (!is_merged).then_some(start.as_str()), &repository);
            request.input = Some(json!({"repo": repository}));
            let wrong = failure_of_fork(engine, &what, request).await;
            drop(std::fs::remove_dir_all(&repository));
            wrong
        }
    });
    let failures: Vec<Option<String>> = futures::stream::iter(going_on).buffer_unordered(4).collect().await;
    assert_eq!(failures.len(), count);
    assert_eq!(failures.into_iter().flatten().collect::<Vec<_>>(), Vec::<String>::new());
}

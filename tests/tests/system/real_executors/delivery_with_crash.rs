//! A whole delivery by the real driver: work, commit, push, request, checks, merge; with a crash between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_base::json::JsonText;
use everfold_core::input::StartOptions;
use everfold_core::state::RunStatus;
use everfold_language::definition::{NoFiles, parse};
use everfold_runtime::{Engine, EngineConfig, StartRequest, Which};
use everfold_store::{EventStore, MemoryStore};
use everfold_system::clock;
use serde_json::json;

use crate::workflow_fixtures::fake_services::{KINDS, MERGED, TOKEN};
use crate::workflow_fixtures::home::{PATIENCE, git, until};
use crate::workflow_fixtures::workspace_at_service::Place;

const PIPELINE: &str = r#"
name: deliver
workspace: { git: work, base: main, branch: "feature/${run.short_id}" }
steps:
  - { id: ready, gates: [{ id: repository, function: git.ready, with: { clean: true }, code: REPO_NOT_READY }] }
  - { id: work, command: "echo x >> out.txt" }
  - { id: commit, function: git.commit, with: { message: "Add out" } }
  - { id: push, function: git.push }
  - id: propose
    function: git.open_pr
    with: { title: "Add out", provider: host }
    gates:
      - { id: ci, ci: { provider: host, sha: "${workspace.commit}" }, poll: { every: 250ms, timeout: 1m } }
      - { id: conflicts, mergeable: { provider: host, pr: "${output.number}" } }
  - { id: merge, function: git.merge_pr, with: { pr: "${steps.propose.output.number}", method: squash } }
output: { sha: "${workspace.commit}", merged: "${steps.merge.output.merge_sha}", made: "${steps.commit.output.committed}" }
"#;

fn open(place: &Place, store: &Arc<dyn EventStore>) -> Engine {
    let processes = place.processes();
    let edge = place.edge(&processes);
    Engine::open(EngineConfig::default(), Arc::clone(store), processes.blobs, place.layout(), edge)
}

async fn ended(engine: &Engine, run: RunId) -> RunStatus {
    let started = Instant::now();
    loop {
        let state = engine.state(run).await.unwrap();
        if state.is_ended() {
            return state.status();
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{:?} {:?} {:?}",
            state.status(),
            state.awaited(),
            state.failure()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_survives_a_crash_while_the_request_is_opened_and_opens_it_once() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = Place::at(kind, &fake);
        git(&place.work(), &["switch", "--quiet", "main"]);
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new(clock::system()));
        world.lock().unwrap().loses_open_answer = true;
        let first = open(&place, &store);
        let definition =
            parse(PIPELINE, "deliver.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}"));
        let cwd = Some(place.home.path(".").display().to_string());
        let options = StartOptions { cwd, ..StartOptions::new(JsonText::new(&json!({}))) };
        let definition = Arc::new(definition.definition);
        let request = StartRequest::new(definition, options, Actor::User("ada".to_owned()));
        let run = first.start(request).await.unwrap().run;
        until("the request", || !world.lock().unwrap().pulls.is_empty()).await;
        drop(first); // As a crash would: the service has it, the run does not know.
        world.lock().unwrap().loses_open_answer = false;

        let second = open(&place, &store);
        second.recover(Which::All).await.unwrap();
        let [good, _, running] = kind.words();
        world.lock().unwrap().checks = vec![("build", running)];
        until("a look at the checks", || fake.asked().iter().any(|asked| asked.path.contains("commits")))
            .await;
        world.lock().unwrap().checks = vec![("build", good)];
        let status = ended(&second, run).await;
        let state = second.state(run).await.unwrap();
        assert_eq!(status, RunStatus::Succeeded, "{kind:?}: {:?}", state.failure());
        let output = state.output().value(&Default::default()).unwrap();
        assert_eq!((&output["merged"], &output["made"]), (&json!(MERGED), &json!(true)), "{kind:?}");
        let branch = format!("refs/heads/feature/{}", run.short());
        assert_eq!(git(&place.remote(), &["rev-parse", &branch]), output["sha"].as_str().unwrap());
        assert_eq!(git(&place.remote(), &["rev-list", "--count", &format!("main..{branch}")]), "1");
        assert_eq!(world.lock().unwrap().pulls.len(), 1, "{kind:?}");
        let opened = fake.count(Method::POST, "/pulls") + fake.count(Method::POST, "/merge_requests");
        assert_eq!(opened, 1, "{kind:?}");
        let stream = everfold_base::envelope::StreamId::run(run);
        let events = store.read(&stream, everfold_base::id::Version(1), 1_000).await.unwrap();
        assert!(events.iter().all(|event| !String::from_utf8_lossy(&event.payload).contains(TOKEN)));
        assert!(second.shutdown(Duration::from_secs(5)).await);
    }
}

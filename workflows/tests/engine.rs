//! The real driver over the executors, probers and workspaces of this crate.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use everfold_engine::actor::Actor;
use everfold_engine::clock;
use everfold_engine::decide::Refusal;
use everfold_engine::definition::{Definition, NoFiles, Vote, parse};
use everfold_engine::driver::{Engine, ForkRequest, StartError, StartRequest, Submission, Which};
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::event::{OriginKind, RunEvent, decode};
use everfold_engine::id::{RunId, StepId, Version};
use everfold_engine::input::InputKind;
use everfold_engine::json::{JsonText, Value};
use everfold_engine::layout::Layout;
use everfold_engine::state::{Awaited, RunState, RunStatus};
use everfold_engine::store::{EventStore, MemoryStore};
use everfold_workflows::builtin;
use everfold_workflows::demo::{EXECUTIONS, LONG_STEP, Scratch};
use everfold_workflows::function::Functions;
use futures::StreamExt as _;
use serde_json::json;
use support::{Home, PATIENCE, git, is_alive, pid_in};

struct Place {
    home: Home,
    store: Arc<dyn EventStore>,
}

impl Place {
    fn new() -> Self {
        Self { home: Home::new(), store: Arc::new(MemoryStore::new(clock::system())) }
    }

    fn open(&self) -> Engine {
        self.open_with("")
    }

    fn open_with(&self, settings: &str) -> Engine {
        let (layout, processes) = (Layout::new(self.home.path("data")), self.home.processes_with(settings));
        let edge = everfold_workflows::edge(&layout, &processes, Functions::built_in(), None);
        let config = processes.settings.engine_config();
        Engine::open(config, Arc::clone(&self.store), processes.blobs, layout, edge)
    }

    async fn start(&self, engine: &Engine, definition: Definition, input: &Value) -> RunId {
        let actor = Actor::User("ada".to_owned());
        let request = StartRequest {
            cwd: Some(self.home.path("work").display().to_string()),
            ..StartRequest::new(Arc::new(definition), JsonText::new(input), actor)
        };
        engine.start(request).await.unwrap().run
    }
}

async fn tell(engine: &Engine, run: RunId, kind: InputKind) {
    let submission = Submission { run, kind, actor: Actor::User("ada".to_owned()), id: None, dedup: None };
    engine.submit(submission).await.unwrap();
}

/// What goes on from a run's history.
fn again(origin: RunId, how: OriginKind, at: Option<Version>, from_step: Option<&str>) -> ForkRequest {
    ForkRequest {
        origin,
        how,
        at,
        from_step: from_step.map(StepId::from),
        input: None,
        config: None,
        definition: None,
        title: None,
        until_step: None,
        actor: Actor::User("grace".to_owned()),
        dedup: None,
    }
}

/// Approves whatever a run asks until it ends.
async fn approved_to_its_end(engine: &Engine, run: RunId) -> RunState {
    loop {
        // Several whole deliveries go on beside each other.
        let task = found_within(PATIENCE * 10, engine, run, "a task or the end", |state| {
            let asked = state.awaited().into_iter().find_map(|awaited| match awaited {
                Awaited::Approval { id, .. } => Some(id),
                _ => None,
            });
            let stands = state.status() == RunStatus::Blocked;
            (state.is_ended() || stands || asked.is_some()).then_some(asked)
        })
        .await;
        let Some(id) = task else { return engine.state(run).await.unwrap() };
        let (vote, comment, edited) = (Vote::Approve, None, None);
        let (roles, comments) = (Vec::new(), Vec::new());
        tell(engine, run, InputKind::Vote { id, vote, comment, roles, comments, edited }).await;
    }
}

/// How a run that goes on from a history ended, in a line; what is right ends well.
async fn told_of(engine: &Engine, what: &str, request: ForkRequest) -> Option<String> {
    let run = match engine.fork(request).await {
        Ok(started) => started.run,
        // After the last thing has happened there is nothing to fork.
        Err(StartError::Refused(Refusal::Ended(RunStatus::Succeeded))) => return None,
        Err(error) => return Some(format!("{what}: {error}")),
    };
    let state = approved_to_its_end(engine, run).await;
    let differences = engine.replay(run).await.unwrap().differences;
    let is_well = state.status() == RunStatus::Succeeded && differences.is_empty();
    (!is_well).then(|| {
        format!("{what}: {} {:?} {:?} {differences:?}", state.status(), state.failure(), state.awaited())
    })
}

/// Waits for something to be found in the durable state.
async fn found<T: Send + 'static>(
    engine: &Engine,
    run: RunId,
    what: &str,
    look: impl Fn(&RunState) -> Option<T> + Clone + Send + 'static,
) -> T {
    found_within(PATIENCE, engine, run, what, look).await
}

async fn found_within<T: Send + 'static>(
    patience: Duration,
    engine: &Engine,
    run: RunId,
    what: &str,
    look: impl Fn(&RunState) -> Option<T> + Clone + Send + 'static,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = engine.with_state(run, look.clone()).await.unwrap() {
            return found;
        }
        if started.elapsed() > patience {
            let state = engine.state(run).await.unwrap();
            panic!("{what} did not come: {:?} {:?} {:?}", state.status(), state.awaited(), state.failure());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn ended(engine: &Engine, run: RunId) -> RunStatus {
    let status = found(engine, run, "the end", |state| state.is_ended().then(|| state.status())).await;
    let replayed = engine.replay(run).await.unwrap();
    assert_eq!(replayed.differences, [], "every decision and every verdict would be the same again");
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_goes_on_in_a_second_engine_and_no_agent_runs_twice() {
    let place = Place::new();
    let scratch = Scratch::write(&place.home.path("scratch")).unwrap();
    scratch.set_pace(Duration::from_millis(150)).unwrap();
    let pipeline = builtin::find("delivery").unwrap();
    let definition = parse(pipeline.text, pipeline.name, pipeline).unwrap().definition;
    let first = place.open();
    let run = place.start(&first, definition, &scratch.input()).await;
    let task = found(&first, run, "the approval", |state| {
        state.awaited().into_iter().find_map(|awaited| match awaited {
            Awaited::Approval { id, .. } => Some(id),
            _ => None,
        })
    })
    .await;
    tell(
        &first,
        run,
        InputKind::Vote {
            id: task,
            vote: Vote::Approve,
            comment: None,
            roles: Vec::new(),
            comments: Vec::new(),
            edited: None,
        },
    )
    .await;
    support::until("the developer", || scratch.executions().unwrap().iter().any(|it| it.step == LONG_STEP))
        .await;
    let developer = scratch.executions().unwrap().pop().unwrap();
    drop(first); // As a crash would.
    assert!(is_alive(developer.pid), "the agent outlives its engine");

    let second = place.open();
    second.recover(Which::All).await.unwrap();
    let status = ended(&second, run).await;
    let state = second.state(run).await.unwrap();
    assert_eq!(status, RunStatus::Succeeded, "{:?} {:?}", state.failure(), state.awaited());
    let executed = scratch.executions().unwrap();
    let executed: Vec<(&str, u32)> = executed.iter().map(|it| (it.step.as_str(), it.round)).collect();
    assert_eq!(executed, EXECUTIONS);
    assert_eq!(git(&scratch.repository, &["log", "-1", "--format=%P", "main"]).split(' ').count(), 2);
    let short = run.short();
    assert_eq!(
        git(&scratch.repository, &["branch", "--list", "--format=%(refname:short)", "delivery/*"]),
        format!("delivery/{short}")
    );
    support::until("the worktree's end", || {
        git(&scratch.repository, &["worktree", "list"]).lines().count() == 1
    })
    .await;
    assert!(second.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_ends_the_whole_process_group() {
    let place = Place::new();
    let text = "name: long\nsteps: [{ id: wait, command: \"trap '' TERM; echo $$ > head; while :; do sleep 0.05; done\", grace: 200ms }]";
    let engine = place.open();
    let definition = parse(text, "long.yaml", &NoFiles).unwrap().definition;
    let run = place.start(&engine, definition, &json!({})).await;
    let head = pid_in(&place.home.work("head")).await;
    tell(&engine, run, InputKind::Cancel { reason: None }).await;
    assert_eq!(ended(&engine, run).await, RunStatus::Cancelled);
    support::until("its end", || !is_alive(head)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_step_leaves_reaches_the_next_and_the_output() {
    let place = Place::new();
    let text = r#"
name: pass-on
steps:
  - { id: make, command: "echo n=7; echo hello > note.txt", outputs: { note: note.txt, match: { n: "n=(.*)" } } }
  - { id: use, command: 'test "${steps.make.output.n}" = 7; cat "$EVERFOLD_INPUT"', outputs: { json: stdout } }
  - { id: echo, function: everfold.echo, with: { n: "${steps.make.output.n}" } }
  - { id: check, gates: [{ id: there, file: { exists: "${steps.make.outputs.note}" } }] }
output: { told: "${steps.use.output.needs.make.n}", echo: "${steps.echo.output.n}" }
"#;
    let engine = place.open();
    let definition =
        parse(text, "pass-on.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}")).definition;
    let run = place.start(&engine, definition, &json!({})).await;
    assert_eq!(
        ended(&engine, run).await,
        RunStatus::Succeeded,
        "{:?}",
        engine.state(run).await.unwrap().failure()
    );
    let output = engine.state(run).await.unwrap().output().value(&Default::default()).unwrap();
    assert_eq!(output, json!({"told": "7", "echo": "7"}));
}

/// A pipeline every expression of which may name the workspace, in a repository with one commit.
fn naming_the_workspace(place: &Place) -> Definition {
    let repository = place.home.path("repository");
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "--quiet", "--initial-branch", "main"]);
    for (key, value) in [("user.name", "Ada"), ("user.email", "ada@localhost")] {
        git(&repository, &["config", key, value]);
    }
    std::fs::write(repository.join("readme"), "hello\n").unwrap();
    git(&repository, &["add", "--all"]);
    git(&repository, &["commit", "--quiet", "-m", "start"]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_whatever_names_the_workspace_goes_on_from_every_version_and_every_step() {
    let place = Place::new();
    let definition = naming_the_workspace(&place);
    let engine = place.open();
    let origin = place.start(&engine, definition, &json!({})).await;
    let state = approved_to_its_end(&engine, origin).await;
    assert_eq!(state.status(), RunStatus::Succeeded, "{:?}", state.failure());
    let mut wrong = Vec::new();
    for at in 1..=state.version().0 {
        let request = again(origin, OriginKind::Fork, Some(Version(at)), None);
        wrong.extend(told_of(&engine, &format!("fork at {at}"), request).await);
    }
    for step in ["make", "ask", "told", "elsewhere", "judged"] {
        let request = again(origin, OriginKind::Restart, None, Some(step));
        wrong.extend(told_of(&engine, &format!("restart from {step}"), request).await);
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
    let mut retry = again(origin, OriginKind::Retry, None, None);
    retry.input = Some(json!({"broken": false}));
    let second = engine.fork(retry).await.unwrap().run;
    let state = approved_to_its_end(&engine, second).await;
    assert_eq!(state.status(), RunStatus::Succeeded, "{:?}", state.failure());
    let third = engine.fork(again(second, OriginKind::Restart, None, Some("judged"))).await.unwrap().run;
    let state = approved_to_its_end(&engine, third).await;
    assert_eq!(state.status(), RunStatus::Succeeded, "{:?}", state.failure());
    let branches = [second, third].map(|run| format!("work-{}", run.short()));
    let repository = place.home.path("repository");
    let there = git(&repository, &["branch", "--list", "--format=%(refname:short)", "work*"]);
    assert!(branches.iter().all(|branch| there.lines().any(|it| it == branch)), "{branches:?}: {there}");
    assert_eq!(state.root(), Some(origin), "the root is the first origin, also of a fork of a fork");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_a_fork_whose_repository_is_gone_says_so_and_can_be_cancelled() {
    let place = Place::new();
    let definition = naming_the_workspace(&place);
    let engine = place.open();
    let origin = place.start(&engine, definition, &json!({})).await;
    let state = approved_to_its_end(&engine, origin).await;
    assert_eq!(state.status(), RunStatus::Succeeded, "{:?}", state.failure());
    std::fs::rename(place.home.path("repository"), place.home.path("moved")).unwrap();
    let run = engine.fork(again(origin, OriginKind::Restart, None, Some("make"))).await.unwrap().run;
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
    let state = approved_to_its_end(&engine, origin).await;
    assert_eq!(state.status(), RunStatus::Succeeded, "{:?}", state.failure());
    let history = place.store.read(&StreamId::run(origin), Version(1), 1_000).await.unwrap();
    let has_merged = |it: &Envelope| match decode(it.header.kind, it.header.schema, &it.payload) {
        Ok(RunEvent::AttemptSucceeded(done)) => done.id.path.step.as_str() == "deploy",
        _ => false,
    };
    let merged_at = history.iter().find(|it| has_merged(it)).unwrap().header.version;
    let versions = (1..=state.version().0)
        .map(|at| (format!("fork at {at}"), again(origin, OriginKind::Fork, Some(Version(at)), None)));
    let restarts = steps
        .iter()
        .map(|step| (format!("restart from {step}"), again(origin, OriginKind::Restart, None, Some(step))));
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
            let wrong = told_of(engine, &what, request).await;
            drop(std::fs::remove_dir_all(&repository));
            wrong
        }
    });
    let told: Vec<Option<String>> = futures::stream::iter(going_on).buffer_unordered(4).collect().await;
    assert_eq!(told.len(), count);
    assert_eq!(told.into_iter().flatten().collect::<Vec<_>>(), Vec::<String>::new());
}

/// An agent that says what each of its messages used up, as Claude Code does, and works until it is stopped.
const ENDLESS: &str = r#"
n=0
while [ -z "$END" ] || [ "$n" -lt "$END" ]; do
  n=$((n+1))
  for twice in 1 2; do
    echo "{\"type\":\"assistant\",\"message\":{\"model\":\"m-1\",\"id\":\"msg_$n\",\"usage\":{\"input_tokens\":1000000,\"output_tokens\":1000},\"content\":[]},\"session_id\":\"s\"}"
  done
  sleep 0.05
done
sleep 600
"#;

fn metered(place: &Place, pipeline: &str) -> (Definition, String) {
    std::fs::write(place.home.work("agent.sh"), ENDLESS).unwrap();
    let script = place.home.work("agent.sh").display().to_string();
    let settings = format!(
        "[agents.endless]\ncommand = [\"sh\", \"{script}\"]\noutput = \"claude\"\n[prices.\"a:m-*\"]\nin = 0.001\nout = 1\n"
    );
    let definition =
        parse(pipeline, "metered.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}")).definition;
    (definition, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_an_agent_that_overspends_is_stopped_while_it_works() {
    let place = Place::new();
    // A message costs 0.002 dollars by the table: the fifth or so is too much.
    let (definition, settings) = metered(
        &place,
        r#"
name: metered
budget: { cost: 0.01, on_over: stop }
steps:
  - { id: work, agent: { profile: endless, prompt: "go on" }, grace: 100ms, on_fail: continue }
"#,
    );
    let engine = place.open_with(&settings);
    let run = place.start(&engine, definition, &json!({})).await;
    let status = ended(&engine, run).await;
    let state = engine.state(run).await.unwrap();
    assert_eq!(status, RunStatus::Succeeded, "{:?}", state.failure());
    let failure = state.step(&"work".into()).unwrap().1.failure.clone().unwrap();
    assert_eq!(failure.kind, everfold_engine::failure::FailureKind::Budget, "{failure:?}");
    let used = state.usage();
    assert!(used.cost_micros > 10_000, "{used:?}");
    // All of it, once: what it said while it worked is not counted again at its end.
    assert_eq!(used.cost_micros, used.input_tokens / 1_000_000 * 2_000, "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_what_an_agent_used_up_is_counted_also_where_it_is_cancelled_or_out_of_time() {
    for how in ["timeout", "cancel"] {
        let place = Place::new();
        let limit = if how == "timeout" { "3s" } else { "10m" };
        let (definition, settings) = metered(
            &place,
            &format!(
                "name: metered\nsteps:\n  - {{ id: work, agent: {{ profile: endless, prompt: p }}, env: {{ END: \"7\" }}, timeout: {limit}, grace: 100ms }}\n"
            ),
        );
        let engine = place.open_with(&settings);
        let run = place.start(&engine, definition, &json!({})).await;
        if how == "cancel" {
            found(&engine, run, "its first report", |state| (state.usage().input_tokens > 0).then_some(()))
                .await;
            let said = place.home.path("data/attempts").join(run.to_string()).join("work-r1-a1/stdout");
            support::until("the seventh message", || {
                std::fs::read_to_string(&said).unwrap_or_default().contains("msg_7")
            })
            .await;
            // An engine that takes it up again counts from the beginning, and nothing twice.
            drop(engine);
            let engine = place.open_with(&settings);
            engine.recover(Which::All).await.unwrap();
            tell(&engine, run, InputKind::Cancel { reason: None }).await;
            assert_eq!(ended(&engine, run).await, RunStatus::Cancelled);
            let used = engine.state(run).await.unwrap().usage();
            assert_eq!((used.input_tokens, used.output_tokens, used.cost_micros), (7_000_000, 7_000, 14_000));
            continue;
        }
        assert_eq!(ended(&engine, run).await, RunStatus::Failed);
        let state = engine.state(run).await.unwrap();
        assert_eq!(state.failure().unwrap().0.kind, everfold_engine::failure::FailureKind::Timeout);
        let said = place.home.path("data/attempts").join(run.to_string()).join("work-r1-a1/stdout");
        let said = std::fs::read_to_string(&said).unwrap().lines().count() as u64;
        let (messages, used) = (said.div_ceil(2), state.usage());
        assert!(messages > 0);
        assert_eq!(
            (used.input_tokens, used.output_tokens, used.cost_micros),
            (messages * 1_000_000, messages * 1_000, messages * 2_000)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_tokens_without_a_cost_count_by_the_table_of_prices() {
    let place = Place::new();
    let text = r#"
name: priced
budget: { cost: 0.01, on_over: fail }
steps:
  - id: first
    command: 'printf "{\"everfold\": {\"usage\": {\"model\": \"m-1\", \"input_tokens\": 5000000}}}" > "$EVERFOLD_OUTPUT"'
  - id: second
    agent: { profile: script, prompt: "go on", args: [sh, -c, "echo not reached > reached"] }
"#;
    let (definition, settings) = metered(&place, text);
    let settings = settings.replace("in = 0.001", "in = 1.25");
    let engine = place.open_with(&settings);
    let run = place.start(&engine, definition, &json!({})).await;
    assert_eq!(ended(&engine, run).await, RunStatus::Failed);
    let state = engine.state(run).await.unwrap();
    assert_eq!(state.usage().cost_micros, 6_250_000, "five million tokens are not free");
    assert_eq!(state.failure().unwrap().0.kind, everfold_engine::failure::FailureKind::Budget);
    assert!(!place.home.work("reached").exists());
}

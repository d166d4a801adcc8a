//! Databases of ORCH, imported into real folders.

use std::path::Path;
use std::sync::Arc;

use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::driver::Submission;
use everfold_engine::envelope::{StreamId, flag};
use everfold_engine::event::{self, RunEvent, SignalReceived};
use everfold_engine::execution::NameRequest;
use everfold_engine::id::{RunId, Version};
use everfold_engine::input::InputKind;
use everfold_engine::json::{JsonText, Payload};
use everfold_engine::state::{RunState, RunStatus};
use everfold_engine::store::SledOptions;
use everfold_engine::time::Timestamp;
use everfold_engine::unique_names::WantedName;
use rusqlite::Connection;
use serde_json::json;

use super::import::{ImportOutcome, ImportedTask, import};
use super::plan::plan;
use super::projects::read_projects;
use super::source::read_database;
use crate::fault::Code;
use crate::node::HoldOptions;
use crate::serve::{NodeGuard, hold};

/// A pipeline in the shape of the built-in one, whose steps call upon nothing.
const PIPELINE: &str = r#"
name: orch
input: { type: object, required: [project, issue] }
key: { value: "plane:${input.issue}", release: unsuccessful }
labels: { project: "${input.project}" }
steps:
  - id: issue
    stage: created
    function: plane.issue
    with: { url: "http://127.0.0.1:1", workspace: w, token: t, project: "${input.project}", issue: "${input.issue}" }
  - { id: item, function: everfold.unique, with: { name: X-1, scope: items }, labels: { item: "${output.name}" } }
  - { id: request, command: "false" }
  - { id: analyst, stage: analysis, agent: { prompt: analyse } }
  - { id: answers, when: "steps.analyst.round > 7", question: { title: Questions } }
  - { id: approve, approval: { title: Approve } }
  - { id: architect, stage: architecture, agent: { prompt: design } }
  - { id: why-developer, stage: development, function: everfold.noop, when: rework != null, else: { newest: null } }
  - { id: developer, stage: development, max_rounds: 3, agent: { prompt: "Develop ${steps.issue.output.name + steps.issue.output.description}" } }
  - { id: reviewer, stage: review, agent: { prompt: review } }
  - { id: tester, stage: testing, agent: { prompt: test } }
  - { id: staging, stage: deploy-staging, agent: { prompt: stage } }
  - { id: deployer, stage: deploy, agent: { prompt: deploy } }
output: { issue: "${steps.issue.output}" }
"#;

const SCHEMA: &str = "
CREATE TABLE tasks (id INTEGER PRIMARY KEY, plane_id TEXT UNIQUE, work_item_id TEXT, repo TEXT, branch TEXT, stage TEXT,
  title TEXT, tracker_message_id INTEGER, brd_review_started_at TEXT, brd_review_ended_at TEXT, created_at TEXT, updated_at TEXT);
CREATE TABLE jobs (id INTEGER PRIMARY KEY, task_id INTEGER, agent TEXT, repo TEXT, task_content TEXT, status TEXT);
CREATE TABLE agent_runs (id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL, agent TEXT, started_at TEXT, finished_at TEXT,
  exit_code INTEGER, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_creation_tokens INTEGER,
  cost_usd REAL, model TEXT);
";

fn database(folder: &Path, more: &str) -> Connection {
    let connection = Connection::open(folder.join("orch.sqlite")).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection
        .execute_batch(
            "INSERT INTO tasks VALUES
               (1, 'issue-1', 'ET-006', 'enduro-trails', 'feature/ET-006-a', 'done', 'A done task', 7,
                '2026-01-05 09:10:00', '2026-01-05 10:00:00', '2026-01-05 09:00:00', '2026-01-05 12:00:00'),
               (2, 'issue-2', 'ET-007', 'enduro-trails', 'feature/ET-007-b', 'analysis', 'Waits for Approved', NULL,
                '2026-01-06 09:10:00', NULL, '2026-01-06 09:00:00', '2026-01-06 09:10:00'),
               (3, 'issue-3', 'ET-008', 'enduro-trails', 'feature/ET-008-c', 'development', 'At the cap', NULL,
                '2026-01-07 09:10:00', '2026-01-07 09:20:00', '2026-01-07 09:00:00', '2026-01-07 13:00:00'),
               (4, 'issue-4', 'X-001', 'elsewhere', 'b', 'done', 'Of no project', NULL, NULL, NULL, '2026-01-07 09:00:00', NULL);
             INSERT INTO agent_runs VALUES
               (1, 1, 'analyst', '2026-01-05 09:00:10', '2026-01-05 09:10:00', 0, 1000, 200, 5000, 30, 0.25, 'claude-opus-4-8'),
               (2, 1, 'architect', '2026-01-05 10:00:05', '2026-01-05 10:10:00', 0, NULL, NULL, NULL, NULL, NULL, NULL),
               (3, 1, 'developer', '2026-01-05 10:10:05', '2026-01-05 10:30:00', -9, 10, 20, 0, 0, 0.5, NULL),
               (4, 1, 'developer', '2026-01-05 10:31:00', '2026-01-05 10:50:00', 0, 10, 20, 0, 0, 0.5, NULL),
               (5, 1, 'reviewer', '2026-01-05 10:51:00', '2026-01-05 11:00:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (6, 1, 'tester', '2026-01-05 11:01:00', '2026-01-05 11:10:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (7, 1, 'deployer', '2026-01-05 11:11:00', '2026-01-05 11:20:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (8, 1, 'deployer', '2026-01-05 11:21:00', '2026-01-05 11:59:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (9, 2, 'analyst', '2026-01-06 09:00:10', '2026-01-06 09:10:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (10, 3, 'analyst', '2026-01-07 09:00:10', '2026-01-07 09:10:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (11, 3, 'architect', '2026-01-07 09:20:10', '2026-01-07 09:30:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (12, 3, 'developer', '2026-01-07 10:00:00', '2026-01-07 10:30:00', 0, 1, 1, 0, 0, 0.1, NULL),
               (13, 3, 'developer', '2026-01-07 11:00:00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
               (14, 99, 'developer', '2026-01-07 11:00:00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);",
        )
        .unwrap();
    connection.execute_batch(more).unwrap();
    connection
}

async fn node(folder: &Path) -> NodeGuard {
    node_with(folder, PIPELINE.to_owned()).await
}

async fn node_with(folder: &Path, text: String) -> NodeGuard {
    let guard = hold(Layout::new(folder.join("data")), HoldOptions::default()).await.unwrap();
    let parsed = crate::node::parsed(&text, Some("orch.yaml"), &Default::default()).unwrap();
    let (definition, actor) = (Arc::new(parsed.definition), Actor::User("test".into()));
    guard.node().engine().save_pipeline(&definition, Some(text), actor).await.unwrap();
    guard
}

async fn imported(guard: &NodeGuard, folder: &Path) -> Vec<ImportedTask> {
    let database = read_database(&folder.join("orch.sqlite")).unwrap();
    let planned = plan(database, &read_projects(None).unwrap());
    import(guard.node(), "orch", planned, None, |_| {}).await.unwrap()
}

async fn state(guard: &NodeGuard, run: &Option<String>) -> RunState {
    state_when(guard, run, |_| true).await
}

/// The state of a run, as soon as it is as it is to be: what follows from a start comes a moment later.
async fn state_when(guard: &NodeGuard, run: &Option<String>, is_so: impl Fn(&RunState) -> bool) -> RunState {
    let run: RunId = run.as_deref().unwrap().parse().unwrap();
    for _ in 0..1_000 {
        let state = guard.node().engine().state(run).await.unwrap();
        if is_so(&state) {
            return state;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the run never stands as it is to")
}

fn stands(state: &RunState) -> bool {
    state.is_paused() || !state.awaited().is_empty()
}

async fn events(guard: &NodeGuard, run: &Option<String>) -> Vec<(Timestamp, u16, RunEvent)> {
    let run: RunId = run.as_deref().unwrap().parse().unwrap();
    let events =
        guard.node().engine().store().read(&StreamId::run(run), Version::FIRST, 1_000).await.unwrap();
    let decoded = events.iter().map(|envelope| {
        let header = &envelope.header;
        let event = event::decode(header.kind, header.schema, &envelope.payload).unwrap();
        // Virtual time wakes up to a millisecond late.
        (Timestamp(header.recorded_at.0 / 1_000 * 1_000), header.flags, event)
    });
    decoded.collect()
}

fn at(text: &str) -> Timestamp {
    Timestamp(format!("2026-01-{text}Z").parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_task_becomes_an_ended_run_with_its_rounds_times_and_costs() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), ""));
    let guard = node(folder.path()).await;
    let tasks = imported(&guard, folder.path()).await;
    let done = &tasks[0];
    assert_eq!((done.outcome, &done.note, &done.goes_on), (ImportOutcome::Imported, &None, &None));
    let state = state(&guard, &done.history).await;
    assert_eq!(state.status(), RunStatus::Succeeded);
    assert_eq!(state.labels()["item"], "ET-006");
    assert_eq!(state.usage().cost_micros, 1_650_000);
    let events = events(&guard, &done.history).await;
    assert!(events.iter().all(|(_, flags, _)| *flags == flag::IMPORTED));
    let of = |wanted: &str| -> Vec<(Timestamp, u32)> {
        events
            .iter()
            .filter_map(|(at, _, event)| match event {
                RunEvent::AttemptStarted(event) if event.id.path.step.as_str() == wanted => {
                    Some((*at, event.id.round.0))
                }
                _other => None,
            })
            .collect()
    };
    let developed = of("developer");
    assert_eq!(
        developed.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [at("05T10:10:05"), at("05T10:31:00")]
    );
    assert_eq!(developed[1].1, developed[0].1 + 1);
    assert_eq!(of("staging").first().map(|(at, _)| *at), Some(at("05T11:11:00")));
    assert_eq!(of("deployer").first().map(|(at, _)| *at), Some(at("05T11:21:00")));
    let failed = events.iter().find_map(|(at, _, event)| match event {
        RunEvent::AttemptFailed(event) => Some((*at, event.failure.message.clone())),
        _other => None,
    });
    assert_eq!(failed, Some((at("05T10:30:00"), "ORCH's watchdog ended it (exit code -9)".to_owned())));
    let approved = events.iter().find(|(_, _, event)| matches!(event, RunEvent::ApprovalDecided(_)));
    assert_eq!(approved.map(|(at, ..)| *at), Some(at("05T10:00:00")));
    assert_eq!(events.first().map(|(at, ..)| *at), Some(at("05T09:00:00")));
    assert_eq!(events.last().map(|(at, ..)| *at), Some(at("05T12:00:00")));
    let run: RunId = done.history.as_deref().unwrap().parse().unwrap();
    let replayed = guard.node().engine().replay(run).await.unwrap();
    assert!(replayed.inputs > 10 && replayed.differences.is_empty(), "{:?}", replayed.differences);
    guard.release().await;
    let verified =
        crate::node::verify_folder(&folder.path().join("data"), &SledOptions::default(), None).unwrap();
    assert!(verified.sound, "{:?}", verified.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_tasks_go_on_at_their_stage_and_keep_what_is_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), ""));
    let guard = node(folder.path()).await;
    let tasks = imported(&guard, folder.path()).await;
    let waits = state_when(&guard, &tasks[1].goes_on, stands).await;
    assert_eq!(waits.awaited().len(), 1, "{:?}", waits.awaited());
    assert!(matches!(&waits.awaited()[0], everfold_engine::state::Awaited::Approval { .. }));
    let paused = state_when(&guard, &tasks[2].goes_on, stands).await;
    assert!(paused.is_paused(), "{:?}", tasks[2]);
    assert_eq!(paused.labels()["branch"], "feature/ET-008-c");
    let history = state(&guard, &tasks[2].history).await;
    assert_eq!(history.status(), RunStatus::Cancelled);
    assert_eq!(tasks[3].outcome, ImportOutcome::Left);
    // The names are taken, so that new tasks get others.
    assert_eq!(
        guard.node().engine().holder("plane:issue-2").await.unwrap().map(|run| run.to_string()),
        tasks[1].goes_on
    );
    guard.release().await;
}

/// The issue was read anew when the run began, beside the agent that was to be told of it: the run failed.
#[tokio::test(flavor = "multi_thread")]
async fn what_orch_knew_of_an_issue_is_there_before_the_agent_that_goes_on_is_told_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let content = "Work item: ET-008\nRepo: enduro-trails\nTitle: At the cap\nNote: CI failed\nDescription: A page\nthat is dark.";
    let queued = format!(
        "INSERT INTO jobs VALUES (1, 3, 'analyst', 'enduro-trails', 'Description: A page', 'done'),
           (2, 3, 'developer', 'enduro-trails', '{content}', 'queued');"
    );
    drop(database(folder.path(), &queued));
    let guard = node(folder.path()).await;
    let tasks = imported(&guard, folder.path()).await;
    assert!(tasks[2].note.as_deref().unwrap().contains("its agent begins"), "{:?}", tasks[2]);
    state_when(&guard, &tasks[2].goes_on, |state| !state.awaited().is_empty() || state.is_ended()).await;
    let events = events(&guard, &tasks[2].goes_on).await;
    let forked = events.iter().position(|(.., event)| matches!(event, RunEvent::RunForked(_))).unwrap();
    let scheduled = |events: &[(Timestamp, u16, RunEvent)]| -> Vec<(String, String)> {
        let of = |(.., event): &(Timestamp, u16, RunEvent)| match event {
            RunEvent::StepScheduled(event) => Some((event.id.path.to_string(), format!("{:?}", event.work))),
            _other => None,
        };
        events.iter().filter_map(of).collect()
    };
    let begun = scheduled(&events[forked..]);
    assert!(begun.iter().all(|(step, _)| step != "issue"), "{begun:?}");
    let (_, work) = begun.iter().find(|(step, _)| step == "developer").unwrap_or_else(|| panic!("{begun:?}"));
    assert!(work.contains("Develop At the capA page\\nthat is dark."), "{work}");
    assert!(scheduled(&events[..forked]).iter().any(|(step, _)| step == "issue"), "it is of the history");
    guard.release().await;
}

/// The breakpoint that the import waits with stopped each later round too, and said nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waited_for_a_person_is_stopped_once_and_its_rounds_in_orch_count() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), ""));
    let steered = "defaults: { on_fail: block }\non_signal:\n  in-progress: [{ resume: true }]\n  \
                   again: [{ steps: [developer], rework: developer, max: 9 }]\nsteps:";
    let text = PIPELINE.replacen("steps:", steered, 1).replace("max_rounds: 3", "max_rounds: 4");
    let guard = node_with(folder.path(), text).await;
    let tasks = imported(&guard, folder.path()).await;
    let run = &tasks[2].goes_on;
    let waiting = state_when(&guard, run, stands).await;
    assert!(waiting.is_paused(), "it waits before its developer: {:?}", tasks[2]);
    assert_eq!(developed(&waiting), 2, "those in ORCH");
    signal(&guard, run, "in-progress").await;
    let third = state_when(&guard, run, |state| developed(state) == 3 && is_blocked(state)).await;
    assert!(!third.is_paused());
    signal(&guard, run, "again").await;
    let fourth = state_when(&guard, run, |state| developed(state) == 4 && is_blocked(state)).await;
    assert_eq!((fourth.is_paused(), fourth.breakpoints().count()), (false, 0));
    let replayed = guard.node().engine().replay(run.as_deref().unwrap().parse().unwrap()).await.unwrap();
    assert!(replayed.differences.is_empty(), "{:?}", replayed.differences);
    guard.release().await;
}

async fn signal(guard: &NodeGuard, run: &Option<String>, name: &str) {
    let payload = Payload::Inline(JsonText::new(&json!({})));
    let kind = InputKind::Signal(SignalReceived { name: name.into(), payload, delivery: None });
    let (run, actor) = (run.as_deref().unwrap().parse().unwrap(), Actor::User("olga".into()));
    guard.node().engine().submit(Submission { run, kind, actor, id: None, dedup: None }).await.unwrap();
}

fn developed(state: &RunState) -> u32 {
    let mut steps = state.steps();
    steps.find(|(step, _)| step.id.as_str() == "developer").map_or(0, |(_, facts)| facts.rounds_run)
}

fn is_blocked(state: &RunState) -> bool {
    state.status() == RunStatus::Blocked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_stands_in_the_stage_of_its_last_agent() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), "UPDATE tasks SET stage = 'cancelled' WHERE id = 3"));
    let guard = node(folder.path()).await;
    let tasks = imported(&guard, folder.path()).await;
    for (task, stage) in [(0, "deploy"), (1, "analysis"), (2, "development")] {
        let run: RunId = tasks[task].history.as_deref().unwrap().parse().unwrap();
        let row =
            guard.node().views().stages(None, move |view| view.get(run, None)).await.unwrap().value.unwrap();
        assert_eq!(row.standing.stage.as_deref(), Some(stage), "{:?}", tasks[task]);
    }
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_import_changes_nothing_and_a_changed_task_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let source = database(folder.path(), "");
    let guard = node(folder.path()).await;
    let first = imported(&guard, folder.path()).await;
    for open in &first[1..3] {
        state_when(&guard, &open.goes_on, stands).await;
    }
    let position = guard.node().engine().store().last_position();
    let second = imported(&guard, folder.path()).await;
    assert_eq!(guard.node().engine().store().last_position(), position);
    let words: Vec<ImportOutcome> = second.iter().map(|task| task.outcome).collect();
    assert_eq!(
        words,
        [ImportOutcome::There, ImportOutcome::There, ImportOutcome::There, ImportOutcome::Left]
    );
    assert_eq!(second[0].history, first[0].history);
    source
        .execute_batch(
            "UPDATE tasks SET title = 'Another title' WHERE id = 1;
             INSERT INTO tasks (id, plane_id, work_item_id, repo, stage, created_at)
             VALUES (5, 'issue-5', 'ET-009', 'enduro-trails', 'done', '2026-01-08 09:00:00');",
        )
        .unwrap();
    let third = imported(&guard, folder.path()).await;
    assert_eq!((third[0].outcome, third[4].outcome), (ImportOutcome::Left, ImportOutcome::Imported));
    assert!(third[0].note.as_deref().unwrap().contains("changed in ORCH"));
    guard.release().await;
}

/// Without the token of Plane the run that goes on is refused; a later import left the task alone for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_task_that_was_refused_at_admission_goes_on_with_a_later_import() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), ""));
    let state = folder.path().join("state.yaml");
    let config = json!({ "state": [state, { "open": false }] });
    let gate = json!({ "id": "QG-0", "config": "state.open", "policy": "evidence.value == true" });
    let admit = json!({ "on_refused": "fail", "gates": [gate] });
    let gated = format!("config: {config}\nadmit: {admit}\nsteps:");
    let guard = node_with(folder.path(), PIPELINE.replacen("steps:", &gated, 1)).await;
    let first = imported(&guard, folder.path()).await;
    for refused in &first[1..3] {
        assert_eq!(refused.outcome, ImportOutcome::Refused, "what was refused is said: {refused:?}");
        let note = refused.note.as_deref().unwrap();
        assert!(note.contains("was refused: not admitted: gate “QG-0”"), "{note}");
        assert_eq!(state_when(&guard, &refused.goes_on, |_| true).await.status(), RunStatus::Failed);
    }
    let again = imported(&guard, folder.path()).await;
    assert_eq!(again[1].outcome, ImportOutcome::Refused);
    assert_ne!(again[1].goes_on, first[1].goes_on, "{:?}", again[1]);
    std::fs::write(&state, "open: true\n").unwrap();
    let third = imported(&guard, folder.path()).await;
    assert_eq!(third[1].outcome, ImportOutcome::Imported, "{:?}", third[1]);
    assert_eq!(third[1].history, first[1].history);
    state_when(&guard, &third[1].goes_on, stands).await;
    state_when(&guard, &third[2].goes_on, stands).await;
    let position = guard.node().engine().store().last_position();
    let fourth = imported(&guard, folder.path()).await;
    assert_eq!((fourth[1].outcome, &fourth[1].goes_on), (ImportOutcome::There, &None));
    assert_eq!(fourth[1].note.as_deref(), Some("a run goes on with it already"));
    assert_eq!(guard.node().engine().store().last_position(), position);
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_round_of_the_naming_step_gives_the_task_its_own_name_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), ""));
    let guard = node(folder.path()).await;
    let tasks = imported(&guard, folder.path()).await;
    let named = async |run: &Option<String>| {
        let id = "item/2/1".parse().unwrap();
        let wanted = WantedName { name: "X-1".into(), ..WantedName::default() };
        let request = NameRequest { scope: "items".into(), wanted };
        guard.node().engine().give_name(run.as_deref().unwrap().parse().unwrap(), id, &request).await.unwrap()
    };
    assert_eq!(named(&tasks[1].goes_on).await, "ET-007");
    assert_eq!(named(&tasks[2].goes_on).await, "ET-008");
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_brought_over_whole() {
    let folder = tempfile::tempdir().unwrap();
    let runs: String = (0..200)
        .map(|n| {
            format!(
                "INSERT INTO agent_runs VALUES ({}, 3, 'developer', '2026-01-07 {:02}:{:02}:00', \
                 '2026-01-07 {:02}:{:02}:20', 0, 1, 1, 0, 0, 0.1, NULL);",
                100 + n,
                12 + n / 60,
                n % 60,
                12 + n / 60,
                n % 60
            )
        })
        .collect();
    drop(database(folder.path(), &runs));
    let guard = node(folder.path()).await;
    let tasks = imported(&guard, folder.path()).await;
    assert_eq!((tasks[2].outcome, tasks[2].agent_runs), (ImportOutcome::Imported, 204), "{:?}", tasks[2]);
    let history = state(&guard, &tasks[2].history).await;
    assert!(history.version().get() > 1_000, "{}", history.version());
    assert_eq!(history.usage().cost_micros, 20_300_000);
    state_when(&guard, &tasks[2].goes_on, stands).await;
    state_when(&guard, &tasks[1].goes_on, stands).await;
    let position = guard.node().engine().store().last_position();
    assert_eq!(imported(&guard, folder.path()).await[2].outcome, ImportOutcome::There);
    assert_eq!(guard.node().engine().store().last_position(), position);
    let run: RunId = tasks[2].history.as_deref().unwrap().parse().unwrap();
    let replayed = guard.node().engine().replay(run).await.unwrap();
    assert!(replayed.differences.is_empty(), "{:?}", replayed.differences);
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_which_nothing_was_written_names_no_history() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), "UPDATE tasks SET stage = 'mending' WHERE id = 1"));
    let guard = node(folder.path()).await;
    let tasks = imported(&guard, folder.path()).await;
    assert_eq!((tasks[0].outcome, &tasks[0].history), (ImportOutcome::Left, &None));
    assert_eq!((tasks[3].outcome, &tasks[3].history), (ImportOutcome::Left, &None));
    // A history that was recorded with another pipeline has not changed in ORCH.
    let former = tasks[1].history.clone();
    let text = PIPELINE.replace("answers, when", "answer, when");
    let parsed = crate::node::parsed(&text, Some("orch.yaml"), &Default::default()).unwrap();
    let (definition, actor) = (Arc::new(parsed.definition), Actor::User("test".into()));
    guard.node().engine().save_pipeline(&definition, Some(text), actor).await.unwrap();
    let again = imported(&guard, folder.path()).await;
    assert_eq!((again[1].outcome, &again[1].history), (ImportOutcome::Left, &former));
    assert!(again[1].note.as_deref().unwrap().contains("another version of the pipeline"), "{:?}", again[1]);
    guard.release().await;
}

#[test]
fn numbers_that_cannot_be_are_not_taken_over_and_rows_without_an_id_are_not_mixed_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.sqlite");
    let source = Connection::open(&path).unwrap();
    source
        .execute_batch(
            "CREATE TABLE tasks (id, plane_id TEXT, stage TEXT);
             INSERT INTO tasks VALUES (1, 'a', 'done'), ('x', 'b', 'done'), (1.5, 'c', 'done'), (NULL, 'd', 'done'),
               (1, 'e', 'done'), (2.0, 'f', 'done'), ('3', 'g', 'done');
             CREATE TABLE agent_runs (id INTEGER, task_id, agent TEXT, input_tokens, cost_usd);
             INSERT INTO agent_runs VALUES (1, 1, 'analyst', 5, 1e300), (2, 1, 'analyst', -1, 2), (3, 1, 'analyst', 4e18, -3),
               (4, 1.5, 'analyst', 5, 1), (5, 2, 'analyst', NULL, NULL);",
        )
        .unwrap();
    let read = read_database(&path).unwrap();
    let tasks: Vec<(i64, &str)> = read.tasks.iter().map(|task| (task.id, task.issue.as_str())).collect();
    assert_eq!(tasks, [(1, "a"), (2, "f"), (3, "g")]);
    assert_eq!(read.strays, 1);
    let used: Vec<_> = read.tasks[0].runs.iter().map(|run| (run.input_tokens, run.cost_usd)).collect();
    assert_eq!(used, [(Some(5), None), (None, Some(2.0)), (None, None)]);
    let said = read.warnings.join("\n");
    for words in [
        "a task whose id is no whole number is left: “x”",
        "left: 1.5e0",
        "left: null",
        "a second task with the id 1 is left",
        "agent run 1: `cost_usd` is 1e300, which is not taken over",
        "agent run 2: `input_tokens` is -1, which",
        "agent run 3: `cost_usd` is -3, which",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(!said.contains("agent run 5"), "what is not recorded is no number");
}

/// A view is a program: this one never ends.
#[test]
fn a_view_in_the_place_of_a_table_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("view.sqlite");
    let source = Connection::open(&path).unwrap();
    source
        .execute_batch(
            "CREATE VIEW Tasks AS WITH RECURSIVE endless(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM endless)
             SELECT id, 'i' AS plane_id, 'done' AS stage FROM endless WHERE id < 0;",
        )
        .unwrap();
    let refused = read_database(&path).unwrap_err();
    assert!(refused.message.contains("`tasks` is a view, not a table"), "{}", refused.message);
}

#[test]
fn the_source_is_only_read_whatever_stands_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.sqlite");
    let files = || {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let source = database(folder.path(), "");
    let before = files();
    assert_eq!(read_database(&path).unwrap().tasks.len(), 4);
    assert_eq!(files(), before, "without a write-ahead log");
    source.pragma_update(None, "journal_mode", "wal").unwrap();
    source.execute("UPDATE tasks SET title = 'in the log' WHERE id = 1", []).unwrap();
    let before = files();
    assert!(before.iter().any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty()));
    assert_eq!(read_database(&path).unwrap().tasks[0].title, "in the log");
    assert_eq!(files(), before, "the log is neither checkpointed nor removed");
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.sqlite");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(read_database(&link).unwrap().tasks[0].title, "in the log", "the log lies beside the file");
}

#[test]
fn schemas_of_other_versions_are_read_and_other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.sqlite");
    let source = Connection::open(&path).unwrap();
    source
        .execute_batch(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, plane_issue_id TEXT, stage TEXT, later TEXT);
             INSERT INTO tasks VALUES (1, 'issue', 'done', 'unknown');",
        )
        .unwrap();
    let read = read_database(&path).unwrap();
    assert_eq!((read.tasks[0].issue.as_str(), read.tasks[0].runs.len()), ("issue", 0));
    source.execute_batch("DROP TABLE tasks; CREATE TABLE other (id INTEGER)").unwrap();
    let refused = |path: &Path| read_database(path).unwrap_err();
    assert!(refused(&path).message.contains("no table `tasks`"));
    let text = folder.path().join("text");
    std::fs::write(&text, "not a database").unwrap();
    assert_eq!(refused(&text).code, Code::OrchDatabase);
    assert_eq!(refused(&folder.path().join("absent")).code, Code::File);
    std::fs::write(&text, [b"SQLite format 3\0".as_slice(), &[7; 4096]].concat()).unwrap();
    assert_eq!(refused(&text).code, Code::OrchDatabase);
}

//! Attempts of a real engine: taken up by a second engine, cancelled with their process group, read by the next step.

use std::time::Duration;

use everfold_core::event::{CancelRequested, VoteCast};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus};
use everfold_language::definition::{NoFiles, Vote, parse};
use everfold_runtime::Which;
use everfold_workflows::builtin;
use everfold_workflows::demo::{EXECUTIONS, LONG_STEP, Scratch};
use serde_json::json;

use super::place::{Place, ended, found, tell};
use crate::workflow_fixtures::home::{git, is_alive, pid_in, until};

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
        InputKind::Vote(VoteCast {
            id: task,
            vote: Vote::Approve,
            comment: None,
            roles: Vec::new(),
            comments: Vec::new(),
            edited: None,
            seen: None,
        }),
    )
    .await;
    until("the developer", || scratch.executions().unwrap().iter().any(|it| it.step == LONG_STEP)).await;
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
    until("the worktree's end", || git(&scratch.repository, &["worktree", "list"]).lines().count() == 1)
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
    tell(&engine, run, InputKind::Cancel(CancelRequested { reason: None })).await;
    assert_eq!(ended(&engine, run).await, RunStatus::Cancelled);
    until("its end", || !is_alive(head)).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_says_in_its_result_file_what_its_run_is_found_by() {
    let place = Place::new();
    let text = r#"
name: searched
search: { amount: { type: number }, tags: { type: list }, state: new }
steps:
  - id: count
    command: 'echo "{\"everfold\": {\"search\": {\"amount\": 12.5, \"tags\": [\"a\"], \"state\": null}}}" > "$EVERFOLD_OUTPUT"'
  - id: wrong
    on_fail: continue
    command: 'echo "{\"everfold\": {\"search\": {\"amount\": \"much\"}}}" > "$EVERFOLD_OUTPUT"'
  - { id: later, command: 'test "$AMOUNT" = 12.5', env: { AMOUNT: "${run.search.amount}" } }
"#;
    let definition = parse(text, "searched.yaml", &NoFiles).unwrap().definition;
    let engine = place.open();
    let run = place.start(&engine, definition, &json!({})).await;
    let status = ended(&engine, run).await;
    let state = engine.state(run).await.unwrap();
    assert_eq!(status, RunStatus::Succeeded, "{:?}", state.failure());
    let found: Vec<(&str, serde_json::Value)> =
        state.search().iter().map(|(name, value)| (name.as_str(), value.json())).collect();
    assert_eq!(found, [("amount", json!(12.5)), ("tags", json!(["a"]))]);
    let failure = state.step(&"wrong".into()).unwrap().1.failure.clone().unwrap();
    assert!(failure.message.contains("“amount” is a number, not a text"), "{failure:?}");
}

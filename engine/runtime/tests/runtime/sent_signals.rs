//! Steps that send signals to other runs: once per round, whatever crashes, with what became of it as output.

use everfold_base::json::Value;
use everfold_core::event::RunEvent;
use everfold_core::state::RunStatus;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, command, definition, pipeline};
use crate::fixtures::trigger_setup::signals;

fn sends(spec: Value) -> Value {
    json!({"id": "tell", "work": {"task": {"kind": "signal", "spec": spec}}})
}

/// A run with the key `k` that waits for `go`, and refuses `no`.
async fn receiver(rig: &Rig) -> everfold_base::id::RunId {
    let waits = json!({"id": "w", "work": {"wait": {"signal": "go"}},
        "on_signal": {"no": [{"to": {"refuse": "not today"}}]}});
    let document = json!({"name": "receiver", "key": {"value": "k"}, "steps": [waits]});
    rig.start(&definition(document)).await
}

fn sender(spec: Value) -> std::sync::Arc<everfold_language::definition::Definition> {
    definition(json!({"name": "sender", "steps": [sends(spec)], "output": "${steps.tell.output}"}))
}

#[tokio::test(start_paused = true)]
async fn a_step_sends_a_signal_and_its_output_says_what_became_of_it() {
    let rig = Rig::new();
    let to = receiver(&rig).await;
    let refused = rig.start(&sender(json!({"name": "no", "to": {"key": "k"}}))).await;
    assert_eq!(rig.end(refused).await, RunStatus::Succeeded);
    let output = rig.output(refused).await;
    assert_eq!((&output["outcome"], &output["reason"]), (&json!("refused"), &json!("not today")));
    let spec = json!({"name": "go", "to": {"run": to.to_string()}, "payload": {"n": 7}});
    let run = rig.start(&sender(spec)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let output = rig.output(run).await;
    assert_eq!((&output["outcome"], &output["runs"]), (&json!("signalled"), &json!([to])));
    assert_eq!(rig.end(to).await, RunStatus::Succeeded);
    let delivery = format!("run:{run}/tell/1");
    assert_eq!(signals(&rig, to).await.last(), Some(&("go".to_owned(), Some(delivery))));
    let late = rig.start(&sender(json!({"name": "go", "to": {"key": "k"}}))).await;
    assert_eq!(rig.end(late).await, RunStatus::Succeeded);
    let output = rig.output(late).await;
    assert_eq!(output["outcome"], "ignored");
    assert!(output["reason"].as_str().unwrap().contains("no unended run"), "{output}");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_cannot_be_sent_is_a_failure_with_its_code() {
    let rig = Rig::new();
    let run = rig.start(&sender(json!({"name": "go", "to": {"run": "nonsense"}}))).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let failed = rig.history(run).await.into_iter().find_map(|event| match event {
        RunEvent::AttemptFailed(event) => Some(event.failure),
        _other => None,
    });
    assert_eq!(failed.unwrap().code.as_deref(), Some("bad_run"));
}

#[tokio::test(start_paused = true)]
async fn a_signal_of_a_step_is_taken_once_per_round_whatever_crashes() {
    let mut rig = Rig::new();
    let mut work = command("work", &[], 3_600_000);
    work["on_signal"] = json!({"nudge": [{"to": "ignore"}]});
    let to = rig.start(&definition(json!({"name": "r", "key": {"value": "k"}, "steps": [work]}))).await;
    let spec = json!({"name": "nudge", "to": {"key": "k"}});
    let again = json!({"id": "again", "needs": ["tell"], "gates": [{"id": "g",
        "probe": {"expression": "steps.tell.rounds > 1"}, "on_fail": [{"to": {"rework": "tell"}, "max": {"times": 1}}]}]});
    let run = rig.start(&pipeline(vec![sends(spec), again])).await;
    rig.until(to, |event| matches!(event, RunEvent::SignalReceived(_))).await;
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let got: Vec<String> = signals(&rig, to).await.into_iter().filter_map(|(_, delivery)| delivery).collect();
    assert_eq!(got, [format!("run:{run}/tell/1"), format!("run:{run}/tell/2")]);
}

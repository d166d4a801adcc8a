//! How far work says that it is.

use std::collections::BTreeSet;

use everfold_core::event::RunEvent;
use everfold_core::state::RunStatus;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, decode, definition, function};

fn reports(history: &[RunEvent]) -> Vec<u64> {
    let done = |event: &RunEvent| match event {
        RunEvent::ProgressReported(reported) => Some(reported.progress.done),
        _other => None,
    };
    history.iter().filter_map(done).collect()
}

#[tokio::test(start_paused = true)]
async fn unchanged_reports_append_nothing_and_the_last_one_is_kept_with_a_failure() {
    let rig = Rig::new();
    let with = json!({"of": 3, "ms": 10_000, "fail": true});
    let pipeline = definition(json!({"name": "p", "steps": [function("count", &[], "counts", with)]}));
    let run = rig.start(&pipeline).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    assert_eq!(reports(&rig.history(run).await), [0, 1, 2, 3], "10,000 reports of each");
    let path = "count".parse().unwrap();
    let kept = rig.engine.with_state(run, move |state| state.progress(&path).cloned()).await.unwrap();
    let kept = kept.expect("it is kept");
    assert_eq!((kept.done, kept.of), (3, 3));
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn fast_reports_are_recorded_now_and_then_and_the_last_before_the_end() {
    let rig = Rig::new();
    let with = json!({"of": 100, "ms": 100});
    let pipeline = definition(json!({"name": "p", "steps": [function("count", &[], "counts", with)]}));
    let run = rig.start(&pipeline).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let done = reports(&rig.history(run).await);
    assert!((4..=8).contains(&done.len()), "10 seconds, a report every 2: {done:?}");
    assert_eq!(done.last(), Some(&100));
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn work_that_is_again_where_it_was_reports_it_anew_as_another_input() {
    let rig = Rig::new();
    let with = json!({"of": 1, "ms": 10_000, "times": 2});
    let pipeline = definition(json!({"name": "p", "steps": [function("count", &[], "counts", with)]}));
    let run = rig.start(&pipeline).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(reports(&rig.history(run).await), [0, 1, 0, 1]);
    let envelopes = rig.envelopes(run).await;
    let reported = envelopes.iter().filter(|it| matches!(decode(it), RunEvent::ProgressReported(_)));
    let inputs: BTreeSet<_> = reported.map(|envelope| envelope.header.cause.input).collect();
    assert_eq!(inputs.len(), 4, "an input is recorded once");
    rig.assert_replays(run).await;
}

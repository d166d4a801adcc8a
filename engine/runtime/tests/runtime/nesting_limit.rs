//! Values that are nested deeply: bounded where they enter and where expressions make them.

use everfold_base::failure::FailureKind;
use everfold_base::json::{DEPTH_MAX, JsonText, Payload, Value};
use everfold_core::decide::Refusal;
use everfold_core::event::{RunEvent, SignalReceived};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_runtime::{QueryError, StartError, SubmitError};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, definition, function, request};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// Each step wraps the former output, and a template adds levels of its own: such a value was stored, and every read
/// of it took its whole shard down, again after every restart.
#[tokio::test(start_paused = true)]
async fn row_50_an_expression_makes_nothing_deeper_than_the_limit_and_the_run_fails_for_it() {
    for levels in [DEPTH_MAX - 1, DEPTH_MAX] {
        for wrapped in [json!("${[steps.s.output]}"), json!(["${steps.s.output}"])] {
            let mut rig = Rig::with(|config| config.shards = 1);
            let other = rig
                .start(&definition(json!({
                    "name": "other", "steps": [{"id": "s", "work": {"wait": {"for": "1h"}}}],
                })))
                .await;
            let run = rig
                .start(&definition(json!({
                    "name": "deep",
                    "steps": [function("s", &[], "deep", json!({"levels": levels}))],
                    "output": wrapped,
                })))
                .await;
            let ended = rig.end(run).await;
            assert_eq!(ended == RunStatus::Succeeded, levels < DEPTH_MAX, "{levels} {wrapped}");
            if levels == DEPTH_MAX {
                let Some(RunEvent::RunFailed(failed)) = rig.history(run).await.pop() else {
                    panic!("no end")
                };
                assert_eq!(failed.failure.kind, FailureKind::Validation);
                assert!(failed.failure.message.contains("nested deeper"), "{}", failed.failure.message);
            }
            rig.assert_replays(run).await;
            rig.crash().await;
            rig.recover().await;
            assert_eq!(rig.status(run).await, ended);
            assert_eq!(rig.status(other).await, RunStatus::Waiting, "the shard lives");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn row_50_a_value_that_is_nested_too_deeply_does_not_enter() {
    let rig = Rig::new();
    let one = |levels| function("s", &[], "deep", json!({"levels": levels}));
    let too_deep = |error: &SubmitError| {
        matches!(error, SubmitError::Refused(Refusal::TooDeep { depth: 101, max: DEPTH_MAX }))
    };
    // As what work gives: its failure.
    let pipeline = definition(json!({"name": "p", "steps": [one(DEPTH_MAX + 1)]}));
    let run = rig.start(&pipeline).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let failures = rig.history(run).await.into_iter().filter_map(|event| match event {
        RunEvent::AttemptFailed(failed) => Some(failed.failure),
        _ => None,
    });
    let failures: Vec<_> = failures.collect();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].message.contains("nested 101 levels deep"), "{}", failures[0].message);
    // As an input, and as a signal.
    let wait = definition(json!({"name": "w", "steps": [{"id": "s", "work": {"wait": {"for": "1h"}}}]}));
    let refused = rig.engine.start(request(&wait, nested(DEPTH_MAX + 1))).await;
    assert!(matches!(refused, Err(StartError::Refused(Refusal::TooDeep { .. }))), "{refused:?}");
    let run = rig.engine.start(request(&wait, nested(DEPTH_MAX))).await.unwrap().run;
    let signal = |levels| {
        InputKind::Signal(SignalReceived {
            name: "x".into(),
            payload: Payload::Inline(JsonText::new(&nested(levels))),
            delivery: None,
        })
    };
    let refused = rig.submit(run, signal(DEPTH_MAX + 1)).await.unwrap_err();
    assert!(too_deep(&refused), "{refused}");
    rig.submit(run, signal(DEPTH_MAX)).await.unwrap();
    let seen: Result<_, QueryError> = rig.engine.with_state(run, |state| state.version()).await;
    assert!(seen.is_ok());
}

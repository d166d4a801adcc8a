//! Panics: those of one run quarantine that run, those of the engine are reported to its owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use everfold_core::event::CancelRequested;
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_runtime::{QueryError, Which};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, definition, function, pipeline, virtual_clock};

fn waiting() -> Arc<everfold_language::definition::Definition> {
    definition(json!({"name": "w", "steps": [{"id": "s", "work": {"wait": {"for": "1h"}}}]}))
}

#[tokio::test(start_paused = true)]
async fn row_50_a_look_that_panics_takes_no_run_with_it() {
    let rig = Rig::with(|config| config.shards = 1);
    let run = rig.start(&waiting()).await;
    let looked = rig.engine.with_state(run, |_| -> u8 { panic!("a bug in a view") }).await;
    assert!(
        matches!(&looked, Err(QueryError::Panicked(what)) if what.contains("a bug in a view")),
        "{looked:?}"
    );
    assert_eq!(rig.status(run).await, RunStatus::Waiting);
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    assert_eq!(rig.engine.set_aside(), []);
}

/// What was not caught killed the shard: every run of it answered that the engine is shutting down.
#[tokio::test(start_paused = true)]
async fn row_50_a_panic_in_what_follows_for_one_run_sets_that_run_aside_and_the_others_go_on() {
    let rig = Rig::with(|config| config.shards = 1);
    let other = rig.start(&waiting()).await;
    let run = rig.start(&pipeline(vec![function("s", &[], "wild", json!({}))])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let aside = rig.engine.set_aside();
    assert!(
        matches!(&aside[..], [(which, why)] if *which == run && why.contains("a bug in an executor")),
        "{aside:?}"
    );
    assert!(matches!(rig.engine.state(run).await, Err(QueryError::SetAside { .. })));
    assert_eq!(rig.status(other).await, RunStatus::Waiting);
    assert_eq!(rig.end(other).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn row_50_the_end_of_work_is_not_lost_with_a_panic_in_what_follows_from_it() {
    let rig = Rig::with(|config| config.shards = 1);
    let run = rig.start(&pipeline(vec![function("s", &[], "wild", json!({}))])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.engine.set_aside().len(), 1);
    rig.engine.recover(Which::Only(run)).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn row_50_a_panic_of_the_engine_itself_is_told_to_whoever_owns_it() {
    let is_wild = Arc::new(AtomicBool::new(false));
    let (clock, wild) = (virtual_clock(), Arc::clone(&is_wild));
    let rig = Rig::with(|config| {
        config.shards = 1;
        config.clock = Arc::new(move || {
            assert!(!wild.load(Ordering::SeqCst), "a bug in a clock");
            clock()
        });
    });
    let run = rig.start(&waiting()).await;
    let early = tokio::time::timeout(Duration::from_secs(1), rig.engine.broken()).await;
    assert!(early.is_err(), "nothing is broken yet");
    is_wild.store(true, Ordering::SeqCst);
    // A shard that is woken looks at the clock.
    let _lost = rig.engine.with_state(run, |state| state.version()).await;
    let broken = tokio::time::timeout(Duration::from_secs(60), rig.engine.broken()).await.unwrap();
    assert!(broken.contains("a bug in a clock"), "{broken}");
}

//! Schedules that are changed in place, removed with their runs, or judged by the key of those.

use std::collections::BTreeSet;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_base::json::{JsonText, Value};
use everfold_core::schedules::ScheduleOrigin;
use everfold_core::state::{RunState, RunStatus};
use everfold_core::triggers::Outcome;
use everfold_language::definition::Schedule;
use everfold_runtime::{
    NewSchedule, Removal, RemovedSchedule, ScheduleError, ScheduleRecord, ScheduleUpdate,
};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, definition, function};
use crate::fixtures::trigger_setup::{pass, pipeline, runs, save, settled, started};

fn ada() -> Actor {
    Actor::User("ada".into())
}

fn schedule(spec: Value) -> Schedule {
    serde_json::from_value(spec).unwrap()
}

fn starts(pipeline: &str) -> ScheduleOrigin {
    ScheduleOrigin::Added { pipeline: pipeline.into(), input: JsonText::new(&json!({"n": 1})), title: None }
}

async fn add(rig: &Rig, spec: Value) -> NewSchedule {
    let new = NewSchedule { name: "tick".into(), schedule: schedule(spec), origin: starts("p") };
    rig.engine.add_schedule(new.clone(), ada()).await.unwrap();
    new
}

async fn listed(rig: &Rig) -> ScheduleRecord {
    rig.engine.schedules().await.unwrap().remove(0)
}

async fn remove(rig: &Rig) -> RemovedSchedule {
    let order = Removal { name: "tick".into(), reason: Some("not needed".into()), cancels: true };
    rig.engine.take_schedule_away(order, ada()).await.unwrap()
}

async fn status(rig: &Rig, run: RunId) -> RunStatus {
    rig.engine.with_state(run, RunState::status).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_schedule_is_changed_in_place_and_keeps_its_history_and_its_pause() {
    let rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    let seen = add(&rig, json!({"every": "10s"})).await;
    pass(&rig, 20).await;
    let before = runs(&rig).await;
    assert_eq!(before, 2);
    let hourly = schedule(json!({"every": "1h"}));
    let update = ScheduleUpdate { seen, schedule: hourly.clone(), origin: starts("p") };
    let changed = rig.engine.update_schedule(update.clone(), ada()).await.unwrap();
    assert!(changed.changed);
    assert_eq!(listed(&rig).await.settled.len(), before, "its history stays");
    pass(&rig, 30).await;
    assert_eq!(runs(&rig).await, before, "the former moments come no more");
    // What the caller saw is there no more: nothing is changed, unless it is so already.
    assert!(!rig.engine.update_schedule(update, ada()).await.unwrap().changed);
    let stale =
        NewSchedule { name: "tick".into(), schedule: schedule(json!({"every": "10s"})), origin: starts("p") };
    let update =
        ScheduleUpdate { seen: stale, schedule: schedule(json!({"every": "2h"})), origin: starts("p") };
    let refused = rig.engine.update_schedule(update, ada()).await;
    assert_eq!(refused, Err(ScheduleError::Changed("tick".into())));
    rig.engine.pause_schedule("tick", true, None, ada()).await.unwrap();
    let seen = NewSchedule { name: "tick".into(), schedule: hourly, origin: starts("p") };
    let update = ScheduleUpdate { seen, schedule: schedule(json!({"every": "10s"})), origin: starts("p") };
    rig.engine.update_schedule(update, ada()).await.unwrap();
    pass(&rig, 30).await;
    assert_eq!(runs(&rig).await, before, "it is paused still");
    rig.engine.pause_schedule("tick", false, None, ada()).await.unwrap();
    pass(&rig, 10).await;
    assert_eq!(runs(&rig).await, before + 1);
}

#[tokio::test(start_paused = true)]
async fn an_anchor_counts_from_the_moment_at_which_the_moments_became_what_they_are() {
    let mut rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    let seen = add(&rig, json!({"every": "7m", "anchor": "added"})).await;
    let first = listed(&rig).await.next.unwrap();
    pass(&rig, 90).await;
    // Another input leaves the moments as they are, and so does a crash.
    let origin = ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::null(), title: None };
    let update = ScheduleUpdate {
        seen,
        schedule: schedule(json!({"every": "7m", "anchor": "added"})),
        origin: origin.clone(),
    };
    rig.engine.update_schedule(update, ada()).await.unwrap();
    assert_eq!(listed(&rig).await.next, Some(first));
    rig.crash().await;
    rig.recover().await;
    assert_eq!(listed(&rig).await.next, Some(first));
    // Others are counted anew.
    let seen = NewSchedule {
        name: "tick".into(),
        schedule: schedule(json!({"every": "7m", "anchor": "added"})),
        origin: origin.clone(),
    };
    let update =
        ScheduleUpdate { seen, schedule: schedule(json!({"every": "11m", "anchor": "added"})), origin };
    rig.engine.update_schedule(update, ada()).await.unwrap();
    let next = listed(&rig).await.next.unwrap();
    assert!(next.since(first) >= std::time::Duration::from_secs(5 * 60), "{first} {next}");
    assert_eq!(runs(&rig).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_removed_with_its_runs_cancels_those_that_go_on() {
    let rig = Rig::new();
    save(&rig, &pipeline("p", 30_000, json!({}))).await;
    add(&rig, json!({"every": "10s", "overlap": "allow"})).await;
    pass(&rig, 45).await;
    let all: Vec<RunId> = listed(&rig).await.settled.iter().map(|tick| started(&tick.outcome)).collect();
    assert!(all.len() >= 4, "{}", all.len());
    assert_eq!(status(&rig, all[0]).await, RunStatus::Succeeded);
    let by_hand = everfold_runtime::StartRequest::new(
        pipeline("p", 30_000, json!({})),
        everfold_core::input::StartOptions::new(JsonText::null()),
        ada(),
    );
    let other = rig.engine.start(by_hand).await.unwrap().run;
    let removed = remove(&rig).await;
    let cancelled = removed.cancelled.await.unwrap();
    assert!(cancelled.len() >= 2 && !cancelled.contains(&all[0]), "{cancelled:?}");
    pass(&rig, 5).await;
    for run in &cancelled {
        assert_eq!(status(&rig, *run).await, RunStatus::Cancelled);
    }
    assert_eq!(status(&rig, all[0]).await, RunStatus::Succeeded);
    assert_eq!(status(&rig, other).await, RunStatus::Running, "a run of another start is left alone");
    assert_eq!(rig.engine.schedules().await.unwrap(), []);
}

/// Only runs that a person started had their task as title.
#[tokio::test(start_paused = true)]
async fn a_run_that_a_schedule_starts_has_the_first_line_of_its_task_as_title() {
    let rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    let input = JsonText::new(&json!({"task": "\n Write the report\nof today"}));
    let origin = ScheduleOrigin::Added { pipeline: "p".into(), input, title: None };
    let new = NewSchedule { name: "tick".into(), schedule: schedule(json!({"every": "10s"})), origin };
    rig.engine.add_schedule(new, ada()).await.unwrap();
    pass(&rig, 12).await;
    let run = started(&listed(&rig).await.settled[0].outcome);
    let title = rig.engine.with_state(run, |state| state.title().map(str::to_owned)).await.unwrap();
    assert_eq!(title.as_deref(), Some("Write the report"));
    rig.assert_replays(run).await;
}

/// They were left out without a word.
#[tokio::test(start_paused = true)]
async fn runs_that_are_set_aside_are_named_where_a_schedule_is_removed_with_its_runs() {
    let rig = Rig::new();
    let wild = function("work", &[], "wild", json!({}));
    save(&rig, &definition(json!({"name": "p", "steps": [wild]}))).await;
    add(&rig, json!({"every": "10s"})).await;
    pass(&rig, 12).await;
    let run = started(&listed(&rig).await.settled[0].outcome);
    assert_eq!(rig.engine.set_aside().iter().map(|(run, _)| *run).collect::<Vec<_>>(), [run]);
    let removed = remove(&rig).await;
    assert_eq!(removed.cancelled.await.unwrap(), []);
    assert_eq!(rig.engine.schedule_runs_set_aside("tick").await.unwrap(), [run]);
    assert_eq!(rig.engine.schedule_runs_set_aside("other").await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_crash_behind_a_removal_leaves_no_run_of_it_going_on() {
    let mut seen = BTreeSet::new();
    for steps in 0..30 {
        let mut rig = Rig::new();
        save(&rig, &pipeline("p", 600_000, json!({}))).await;
        add(&rig, json!({"every": "10s", "overlap": "allow"})).await;
        pass(&rig, 25).await;
        let all: Vec<RunId> = listed(&rig).await.settled.iter().map(|tick| started(&tick.outcome)).collect();
        let engine = rig.engine.clone();
        let order = Removal { name: "tick".into(), reason: None, cancels: true };
        let task = tokio::spawn(async move { engine.take_schedule_away(order, ada()).await });
        for _step in 0..steps {
            tokio::task::yield_now().await;
        }
        task.abort();
        rig.crash().await;
        rig.recover().await;
        let is_removed = rig.engine.schedules().await.unwrap().is_empty();
        pass(&rig, 5).await;
        for run in all {
            let is_cancelled = status(&rig, run).await == RunStatus::Cancelled;
            assert_eq!(is_cancelled, is_removed, "{steps}");
        }
        seen.insert(is_removed);
    }
    assert_eq!(seen.len(), 2, "crashes came before and behind the removal");
}

#[tokio::test(start_paused = true)]
async fn overlap_by_key_counts_the_holder_of_the_key_however_it_was_started() {
    let keyed = |ms| pipeline("p", ms, json!({"key": {"value": "only"}}));
    for overlap in ["skip", "queue"] {
        let rig = Rig::new();
        save(&rig, &keyed(25_000)).await;
        let by_hand = everfold_runtime::StartRequest::new(
            keyed(25_000),
            everfold_core::input::StartOptions::new(JsonText::null()),
            ada(),
        );
        rig.engine.start(by_hand).await.unwrap();
        add(&rig, json!({"every": "10s", "overlap": overlap, "overlap_by": "key"})).await;
        pass(&rig, 15).await;
        assert_eq!(runs(&rig).await, 1, "{overlap}");
        let schedule = listed(&rig).await;
        match overlap {
            "skip" => {
                let Outcome::Ignored { why } = &schedule.settled[0].outcome else {
                    panic!("{:?}", schedule.settled)
                };
                assert!(why.contains("of the same key has not ended"), "{why}");
            }
            _queue => assert!(schedule.waiting > 0 && schedule.settled.is_empty()),
        }
        pass(&rig, 20).await;
        assert_eq!(runs(&rig).await, 2, "{overlap}: its key is free");
    }
}

/// Both looked before either had started: the second moment was refused, or had the run of the first one cancelled.
#[tokio::test(start_paused = true)]
async fn of_two_schedules_with_one_key_and_one_moment_the_second_is_put_off_whatever_on_taken_says() {
    for on_taken in ["reject", "return", "replace"] {
        for overlap in ["skip", "queue"] {
            let rig = Rig::new();
            let key = json!({"value": "only", "on_taken": on_taken});
            save(&rig, &pipeline("p", 15_000, json!({"key": key}))).await;
            for name in ["a", "b", "c"] {
                let spec = json!({"every": "10s", "overlap": overlap, "overlap_by": "key"});
                let new = NewSchedule { name: name.into(), schedule: schedule(spec), origin: starts("p") };
                rig.engine.add_schedule(new, ada()).await.unwrap();
            }
            pass(&rig, 60).await;
            let all = rig.engine.schedules().await.unwrap();
            let outcomes: Vec<&Outcome> =
                all.iter().flat_map(|schedule| &schedule.settled).map(|settled| &settled.outcome).collect();
            let mut begun = 0;
            for outcome in outcomes {
                match outcome {
                    Outcome::Started { run } => {
                        begun += 1;
                        let status = status(&rig, *run).await;
                        let lives_or_did_well =
                            [RunStatus::Running, RunStatus::Waiting, RunStatus::Succeeded];
                        assert!(lives_or_did_well.contains(&status), "{on_taken} {overlap}: {status:?}");
                    }
                    Outcome::Ignored { why } if overlap == "skip" => {
                        assert!(why.contains("of the same key has not ended"), "{why}");
                    }
                    other => panic!("{on_taken} {overlap}: {other:?}"),
                }
            }
            assert!(begun >= 3, "{on_taken} {overlap}: one after the other: {begun}");
        }
    }
}

/// Moments that waited were looked at every five seconds: one that came when the key had just been freed went first.
#[tokio::test(start_paused = true)]
async fn moments_of_several_schedules_that_wait_for_one_key_go_in_their_order_as_soon_as_it_is_free() {
    let rig = Rig::new();
    save(&rig, &pipeline("p", 14_200, json!({"key": {"value": "only"}}))).await;
    let names = ["c", "a", "d", "b"];
    for (number, name) in names.iter().enumerate() {
        let anchor = format!("2020-01-01T00:00:0{}Z", number * 3);
        let spec = json!({"every": "10m", "anchor": anchor, "overlap": "queue", "overlap_by": "key"});
        let new = NewSchedule { name: (*name).into(), schedule: schedule(spec), origin: starts("p") };
        rig.engine.add_schedule(new, ada()).await.unwrap();
    }
    pass(&rig, 700).await;
    let all = rig.engine.schedules().await.unwrap();
    let mut begun: Vec<_> = Vec::new();
    for schedule in &all {
        let first = &schedule.settled[0];
        let run = started(&first.outcome);
        let spans = rig
            .engine
            .with_state(run, |state| (state.started().map(|(_, at)| at), state.ended_at()))
            .await
            .unwrap();
        begun.push((first.tick.at, schedule.name.as_str(), spans.0.unwrap(), spans.1.unwrap()));
    }
    begun.sort_unstable_by_key(|(_, _, started_at, _)| *started_at);
    let order: Vec<&str> = begun.iter().map(|(_, name, _, _)| *name).collect();
    assert_eq!(order, names, "{begun:?}");
    for (former, next) in begun.iter().zip(&begun[1..]) {
        let unused = next.2.since(former.3);
        assert!(unused < Duration::from_secs(1), "the key was free for {unused:?}: {begun:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn overlap_by_key_lets_runs_of_other_keys_go_on_beside_each_other() {
    let rig = Rig::new();
    let trigger = json!({
        "on": {"schedule": {"every": "10s", "overlap_by": "key"}}, "start": {"input": {"n": "${event.at}"}},
    });
    save(
        &rig,
        &pipeline("nightly", 60_000, json!({"key": {"value": "at-${input.n}"}, "triggers": [trigger]})),
    )
    .await;
    pass(&rig, 35).await;
    assert!(runs(&rig).await >= 3);
    assert!(settled(&rig).await.iter().all(|outcome| matches!(outcome, Outcome::Started { .. })));
}

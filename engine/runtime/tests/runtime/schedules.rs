//! Schedules: what their moments lead to, and what a crash in between does (T).

use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::json::JsonText;
use everfold_core::schedules::ScheduleOrigin;
use everfold_core::triggers::Outcome;
use everfold_language::definition::Schedule;
use everfold_runtime::{NewSchedule, ScheduleError, ScheduleUpdate};
use serde_json::json;

use crate::fixtures::test_engine::Rig;
use crate::fixtures::trigger_setup::{
    every, only_run, pass, pipeline, runs, save, settled, signals, started,
};

#[tokio::test(start_paused = true)]
async fn t_a_saved_schedule_starts_a_run_per_moment_once_somebody_looks_at_the_clock() {
    let rig = Rig::new();
    save(&rig, &every(json!({"every": "10s"}))).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(runs(&rig).await, 0, "the clock was not read");
    pass(&rig, 1).await;
    // `catch_up: none` takes what is at most a minute late; while that run goes on the next is passed over.
    let before = runs(&rig).await;
    pass(&rig, 30).await;
    assert_eq!(runs(&rig).await, before + 3);
    let listed = rig.engine.schedules().await.unwrap().remove(0);
    assert_eq!(listed.name, "nightly:1");
    let run = started(&listed.settled.last().unwrap().outcome);
    let title = rig.engine.with_state(run, |state| state.title().map(str::to_owned)).await.unwrap();
    assert_eq!(title.as_deref(), Some("schedule:nightly:1"));
    assert!(listed.next.unwrap() > listed.settled.last().unwrap().tick.at);
    // Another version without it ends it.
    save(&rig, &pipeline("nightly", 10, json!({}))).await;
    let before = runs(&rig).await;
    pass(&rig, 30).await;
    assert_eq!(runs(&rig).await, before);
    assert_eq!(rig.engine.schedules().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn t_a_crash_anywhere_between_a_moment_and_its_run_starts_it_exactly_once() {
    for steps in 0..40 {
        let mut rig = Rig::new();
        save(&rig, &every(json!({"every": "10m", "catch_up": "all", "overlap": "queue"}))).await;
        pass(&rig, 1).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let engine = rig.engine.clone();
        let task = tokio::spawn(async move { engine.look_at_clock().await });
        for _step in 0..steps {
            tokio::task::yield_now().await;
        }
        task.abort();
        rig.crash().await;
        rig.recover().await;
        pass(&rig, 3).await;
        assert_eq!(runs(&rig).await, 1, "{steps}");
    }
}

#[tokio::test(start_paused = true)]
async fn t_after_a_time_without_an_engine_all_moments_are_queued_one_after_the_other() {
    let mut rig = Rig::new();
    let trigger =
        json!({"on": {"schedule": {"every": "1h", "catch_up": "all", "overlap": "queue"}}, "start": {}});
    save(&rig, &pipeline("p", 5_000, json!({"triggers": [trigger]}))).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(4 * 3_600)).await;
    rig.recover().await;
    pass(&rig, 2).await;
    assert_eq!(runs(&rig).await, 1);
    pass(&rig, 40).await;
    assert_eq!(runs(&rig).await, 4);
    let listed = rig.engine.schedules().await.unwrap().remove(0);
    assert_eq!((listed.waiting, listed.settled.len()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn row_75_paused_and_removed_schedules_start_nothing_for_moments_that_waited() {
    for removes in [false, true] {
        let rig = Rig::new();
        save(&rig, &pipeline("p", 60_000, json!({}))).await;
        let ada = || Actor::User("ada".into());
        let schedule = serde_json::from_value(json!({"every": "10s", "overlap": "queue"})).unwrap();
        let origin = ScheduleOrigin::Added {
            pipeline: "p".into(),
            input: JsonText::new(&json!({"n": 1})),
            title: None,
        };
        let new = NewSchedule { name: "tick".into(), schedule, origin };
        rig.engine.add_schedule(new, ada()).await.unwrap();
        pass(&rig, 45).await;
        assert_eq!(runs(&rig).await, 1);
        assert!(rig.engine.schedules().await.unwrap()[0].waiting > 1);
        match removes {
            true => drop(rig.engine.remove_schedule("tick", None, ada()).await.unwrap()),
            false => drop(rig.engine.pause_schedule("tick", true, None, ada()).await.unwrap()),
        }
        pass(&rig, 300).await;
        assert_eq!(runs(&rig).await, 1, "removes: {removes}");
        let listed = rig.engine.schedules().await.unwrap();
        assert!(listed.iter().all(|schedule| schedule.waiting == 0), "removes: {removes}");
    }
}

#[tokio::test(start_paused = true)]
async fn t_a_schedule_is_added_paused_resumed_triggered_and_removed_by_hand() {
    let rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    let ada = || Actor::User("ada".into());
    let schedule: Schedule = serde_json::from_value(json!({"every": "10s"})).unwrap();
    let origin =
        ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::new(&json!({"n": 1})), title: None };
    let new = NewSchedule { name: "tick".into(), schedule, origin };
    rig.engine.add_schedule(new.clone(), ada()).await.unwrap();
    rig.engine.add_schedule(new.clone(), ada()).await.expect("the same again is no other");
    let other =
        NewSchedule { schedule: serde_json::from_value(json!({"every": "20s"})).unwrap(), ..new.clone() };
    assert_eq!(rig.engine.add_schedule(other, ada()).await, Err(ScheduleError::Exists("tick".into())));
    pass(&rig, 20).await;
    assert_eq!(runs(&rig).await, 2);
    rig.engine.pause_schedule("tick", true, Some("holidays".into()), ada()).await.unwrap();
    assert!(rig.engine.pause_schedule("tick", true, None, ada()).await.is_err());
    pass(&rig, 20).await;
    assert_eq!(runs(&rig).await, 2);
    let ticked = rig.engine.trigger_schedule("tick", ada()).await.unwrap();
    let by_hand = started(&ticked.outcome.await.unwrap());
    let behind = |run| rig.engine.with_state(run, |state| state.initiator().cloned());
    assert_eq!(behind(by_hand).await.unwrap(), Some(ada()));
    let listed = rig.engine.schedules().await.unwrap().remove(0);
    let by_itself = started(&listed.settled.first().unwrap().outcome);
    assert_eq!(behind(by_itself).await.unwrap(), Some(ada()), "who added the schedule");
    assert_eq!(runs(&rig).await, 3);
    rig.engine.pause_schedule("tick", false, None, ada()).await.unwrap();
    pass(&rig, 10).await;
    assert_eq!(runs(&rig).await, 4);
    rig.engine.remove_schedule("tick", None, ada()).await.unwrap();
    pass(&rig, 20).await;
    assert_eq!(runs(&rig).await, 4);
    let gone = rig.engine.remove_schedule("tick", None, ada()).await;
    assert_eq!(gone, Err(ScheduleError::NotFound("tick".into())));
    rig.engine.add_schedule(new, ada()).await.expect("its name is free again");
    save(&rig, &every(json!({"every": "10s"}))).await;
    let of_pipeline = rig.engine.remove_schedule("nightly:1", None, ada()).await;
    assert!(matches!(of_pipeline, Err(ScheduleError::OfPipeline { .. })), "{of_pipeline:?}");
}

/// Who added or changed a schedule could decide what its runs ask in spite of `self_approval: false`.
#[tokio::test(start_paused = true)]
async fn t_who_made_a_schedule_what_it_is_is_behind_the_moments_that_come_by_themselves() {
    let mut rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    let user = |name: &str| Actor::User(name.into());
    let schedule = |every: &str| serde_json::from_value::<Schedule>(json!({"every": every})).unwrap();
    let origin = |n| ScheduleOrigin::Added {
        pipeline: "p".into(),
        input: JsonText::new(&json!({"n": n})),
        title: None,
    };
    let new = NewSchedule { name: "tick".into(), schedule: schedule("10s"), origin: origin(1) };
    rig.engine.add_schedule(new.clone(), user("ada")).await.unwrap();
    pass(&rig, 10).await;
    let newest = async |rig: &Rig| {
        let listed = rig.engine.schedules().await.unwrap().remove(0);
        let run = started(&listed.settled.last().unwrap().outcome);
        let people = rig
            .engine
            .with_state(run, |state| (state.started().map(|(by, _)| by.clone()), state.initiator().cloned()));
        people.await.unwrap()
    };
    assert_eq!(newest(&rig).await, (Some(Actor::Schedule("tick".into())), Some(user("ada"))));
    let update = ScheduleUpdate { seen: new, schedule: schedule("20s"), origin: origin(2) };
    rig.engine.update_schedule(update, user("bob")).await.unwrap();
    rig.crash().await;
    rig.recover().await;
    pass(&rig, 20).await;
    assert_eq!(newest(&rig).await.1, Some(user("bob")), "who changed it last, also after a crash");
    let ticked = rig.engine.trigger_schedule("tick", user("eve")).await.unwrap();
    started(&ticked.outcome.await.unwrap());
    assert_eq!(newest(&rig).await.1, Some(user("eve")));

    rig.engine.remove_schedule("tick", None, user("ada")).await.unwrap();
    save(&rig, &every(json!({"every": "10s"}))).await;
    pass(&rig, 10).await;
    assert_eq!(newest(&rig).await.1, None, "a trigger belongs to its pipeline");
}

/// Both moments had one delivery id: the run heard one of them, and both were settled as heard.
#[tokio::test(start_paused = true)]
async fn t_a_schedule_that_is_triggered_twice_in_one_moment_tells_a_run_twice() {
    let rig = Rig::new();
    let trigger = json!({"on": {"schedule": {"every": "1h"}}, "start": {}, "signal": "again"});
    save(&rig, &pipeline("nightly", 60_000, json!({"key": {"value": "only"}, "triggers": [trigger]}))).await;
    let by_hand = async || rig.engine.trigger_schedule("nightly:1", Actor::User("ada".into())).await.unwrap();
    let run = started(&by_hand().await.outcome.await.unwrap());
    let both = [by_hand().await, by_hand().await];
    for ticked in both {
        assert_eq!(ticked.outcome.await.unwrap(), Outcome::Kept { signal: "again".into(), runs: vec![run] });
    }
    let heard = signals(&rig, run).await;
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_ne!(heard[0].1, heard[1].1);
}

/// It was left out for as long as the engine lived, and said to be none.
#[tokio::test(start_paused = true)]
async fn t_a_schedule_that_could_not_be_read_is_no_unknown_one_and_is_read_again() {
    let ada = || Actor::User("ada".into());
    for (failing, is_asked_first) in (1..5).flat_map(|failing| [(failing, false), (failing, true)]) {
        let about = format!("{failing} reads fail, asked first: {is_asked_first}");
        let mut rig = Rig::new();
        save(&rig, &pipeline("p", 10, json!({}))).await;
        let schedule: Schedule = serde_json::from_value(json!({"every": "10s"})).unwrap();
        let origin = ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::null(), title: None };
        let new = NewSchedule { name: "tick".into(), schedule, origin };
        rig.engine.add_schedule(new.clone(), ada()).await.unwrap();
        rig.crash().await;
        rig.recover().await;
        rig.store.reads_to_fail.store(failing, std::sync::atomic::Ordering::SeqCst);
        if is_asked_first {
            let is_known = |asked: &ScheduleError| matches!(asked, ScheduleError::Store(_));
            let paused = rig.engine.pause_schedule("tick", true, None, ada()).await;
            assert!(paused.as_ref().err().is_none_or(is_known), "{about}: {paused:?}");
            if paused.is_ok() {
                rig.engine.pause_schedule("tick", false, None, ada()).await.unwrap();
            }
            let listed = rig.engine.schedules().await;
            assert!(listed.as_ref().map_or_else(is_known, |listed| listed.len() == 1), "{about}: {listed:?}");
        }
        pass(&rig, 30).await;
        assert!(runs(&rig).await > 0, "{about}");
        assert_eq!(rig.engine.schedules().await.unwrap().len(), 1, "{about}");
    }
}

#[tokio::test(start_paused = true)]
async fn t_a_schedule_that_could_not_be_read_is_read_again_however_often_others_have_their_moments() {
    let ada = || Actor::User("ada".into());
    let mut rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    for (name, every) in [("often", "1s"), ("tick", "10s")] {
        let schedule: Schedule = serde_json::from_value(json!({ "every": every })).unwrap();
        let origin = ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::null(), title: None };
        rig.engine.add_schedule(NewSchedule { name: name.into(), schedule, origin }, ada()).await.unwrap();
    }
    rig.crash().await;
    rig.recover().await;
    rig.store.fail_reads_of("schedule/tick", 1);
    pass(&rig, 30).await;
    assert_eq!(rig.store.unread_left(), 0, "it could not be read");
    let listed = rig.engine.schedules().await.unwrap();
    assert!(listed.iter().all(|schedule| !schedule.settled.is_empty()), "{listed:?}");
}

/// What it does was forgotten with it, and the moment waited for ever.
#[tokio::test(start_paused = true)]
async fn t_a_moment_that_has_come_is_followed_though_its_schedule_is_removed_meanwhile() {
    for crashes in [false, true] {
        let mut rig = Rig::new();
        save(&rig, &pipeline("p", 10, json!({}))).await;
        let ada = || Actor::User("ada".into());
        let schedule: Schedule = serde_json::from_value(json!({"every": "1h"})).unwrap();
        let origin = ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::null(), title: None };
        rig.engine.add_schedule(NewSchedule { name: "tick".into(), schedule, origin }, ada()).await.unwrap();
        // The moment is durable, and cannot be followed at first.
        rig.store.reads_to_fail.store(1, std::sync::atomic::Ordering::SeqCst);
        rig.engine.trigger_schedule("tick", ada()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        rig.engine.remove_schedule("tick", None, ada()).await.unwrap();
        assert_eq!(runs(&rig).await, 0);
        if crashes {
            rig.crash().await;
            rig.recover().await;
        }
        pass(&rig, 10).await;
        assert_eq!(runs(&rig).await, 1, "{crashes}");
    }
}

/// The owner died right behind the start of a run, before it could say so. The trigger that wanted it was
/// saved away, and the moment was settled as if nothing had been started.
#[tokio::test(start_paused = true)]
async fn t_a_moment_whose_run_began_before_a_crash_started_it_though_its_trigger_is_saved_away() {
    let mut rig = Rig::new();
    save(&rig, &every(json!({"every": "10s"}))).await;
    // The run is durable, and its caller gets no answer.
    rig.store.fail_next(crate::fixtures::slow_store::Fault::Kept);
    while runs(&rig).await == 0 {
        pass(&rig, 1).await;
    }
    rig.crash().await;
    save(&rig, &pipeline("nightly", 10, json!({}))).await;
    rig.recover().await;
    pass(&rig, 10).await;
    assert_eq!(runs(&rig).await, 1);
    assert_eq!(settled(&rig).await, [Outcome::Started { run: only_run(&rig).await }]);
}

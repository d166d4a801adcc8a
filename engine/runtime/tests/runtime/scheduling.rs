//! What attempts wait for: resources, urgency, fairness, rates, breakers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::id::RunId;
use everfold_core::event::{CancelRequested, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_ports::Service;
use everfold_runtime::{BreakerPolicy, BreakerStand, FairBy, RatePolicy, Reason, StartError, Which};
use serde_json::{Value, json};

use crate::fixtures::test_engine::{Rig, command, definition, function, pipeline, request};

/// A step with more keys.
fn more(mut step: Value, keys: &[(&str, Value)]) -> Value {
    keys.iter().for_each(|(key, value)| step[*key] = value.clone());
    step
}

fn on_gpu(ms: u64) -> Arc<Definition> {
    pipeline(vec![more(command("render", &[], ms), &[("resources", json!(["gpu"]))])])
}

fn with_gpus(count: usize) -> Rig {
    Rig::with(|config| config.order.resources = [("gpu".to_owned(), count)].into())
}

async fn began(rig: &Rig, run: RunId) {
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
}

/// The work that began last is found alive at the next start.
fn lives_on(rig: &Rig) {
    let layout = Layout::new("/data");
    let folder = layout.attempt(rig.machine.order.lock().unwrap().last().unwrap());
    let name = folder.strip_prefix(layout.all_attempts()).unwrap().to_str().unwrap().to_owned();
    rig.machine.left.lock().unwrap().push(name);
}

/// The order in which the attempts of these runs began.
fn order(rig: &Rig, names: &BTreeMap<RunId, String>) -> Vec<String> {
    rig.machine.order.lock().unwrap().iter().map(|id| names[&id.run].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_held_by_so_many_attempts_and_who_waits_says_so() {
    let rig = with_gpus(2);
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(rig.start(&on_gpu(60_000)).await);
        began(&rig, runs[runs.len() - 1]).await;
    }
    for _ in 0..3 {
        runs.push(rig.start(&on_gpu(60_000)).await);
    }
    let other = rig.start(&pipeline(vec![command("make", &[], 10)])).await;
    assert_eq!(rig.end(other).await, RunStatus::Succeeded, "it needs none");
    let (waiting, total) = rig.engine.waiting(runs[4], 10);
    assert_eq!((waiting.len(), total), (1, 1));
    assert_eq!(waiting[0].reasons[0].to_string(), "resource gpu (2 of 2 in use, 3rd in line)");
    let line = rig.engine.line();
    let gpu = &line.resources[0];
    assert_eq!((gpu.name.as_str(), gpu.in_use, gpu.size, gpu.waiting), ("gpu", 2, 2, 3));
    // They need a place, too, of which enough are free: each waits for the resource alone.
    let held_up = rig.engine.held_up();
    assert_eq!(held_up.len(), 1, "{held_up:?}");
    assert!(matches!(&held_up[0], (Reason::Resource { name, .. }, 3) if name == "gpu"), "{held_up:?}");
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    assert_eq!(rig.engine.line().resources[0].in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_needs_an_unknown_resource_does_not_start() {
    let rig = with_gpus(1);
    let steps = vec![more(command("render", &[], 1), &[("resources", json!(["gpus"]))])];
    let refused = rig.engine.start(request(&pipeline(steps), json!({}))).await.unwrap_err();
    let message = refused.to_string();
    assert!(matches!(refused, StartError::UnknownResource { .. }), "{message}");
    assert!(message.contains("step render") && message.contains("did you mean gpu?"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_goes_first_and_a_runs_priority_counts_for_its_steps() {
    let rig = with_gpus(1);
    let mut names = BTreeMap::new();
    let of = |priority: Value| {
        pipeline(vec![more(
            command("render", &[], 1_000),
            &[("resources", json!(["gpu"])), ("priority", priority)],
        )])
    };
    let first = rig.start(&on_gpu(1_000)).await;
    names.insert(first, "first".to_owned());
    began(&rig, first).await;
    for (name, step, of_run) in [
        ("plain", json!(0), 0),
        ("low", json!(-1), 0),
        ("run", json!(1), 5),
        ("step", json!("${input.n}"), 0),
    ] {
        let mut asked = request(&of(step), json!({"n": 3}));
        asked.options.priority = of_run;
        names.insert(rig.engine.start(asked).await.unwrap().run, name.to_owned());
    }
    for run in names.keys() {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
    }
    assert_eq!(order(&rig, &names), ["first", "run", "step", "plain", "low"]);
}

#[tokio::test(start_paused = true)]
async fn o147_a_busy_project_leaves_places_to_the_others() {
    let rig = Rig::with(|config| {
        config.supervised_max = 2;
        config.order.fair_by = FairBy::Label("team".to_owned());
    });
    let mut names = BTreeMap::new();
    for (team, count) in [("busy", 12), ("small", 3)] {
        for _ in 0..count {
            let mut asked = request(&pipeline(vec![command("make", &[], 1_000)]), json!({}));
            asked.options.labels.insert("team".to_owned(), team.to_owned());
            names.insert(rig.engine.start(asked).await.unwrap().run, team.to_owned());
        }
    }
    for run in names.keys() {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
    }
    let order = order(&rig, &names);
    assert_eq!(order[..2], ["busy", "busy"], "no other group waited");
    assert_eq!(order[2..8].iter().filter(|team| *team == "small").count(), 3, "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn priorities_count_where_all_places_are_taken_and_for_probes() {
    let rig = Rig::with(|config| {
        config.supervised_max = 1;
        config.probes_max = 1;
    });
    let mut names = BTreeMap::new();
    for (name, priority) in [("first", 0), ("low", -5), ("plain", 0), ("high", 5)] {
        let gate = json!([{"id": "ok", "probe": {"task": {"kind": "command", "spec": {"argv": ["check", "1", "10"]}}}}]);
        let steps =
            vec![more(command("make", &[], 1_000), &[("priority", json!(priority)), ("gates", gate)])];
        let run = rig.start(&pipeline(steps)).await;
        names.insert(run, name.to_owned());
        if name == "first" {
            began(&rig, run).await;
        }
    }
    for run in names.keys() {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
    }
    assert_eq!(order(&rig, &names), ["first", "high", "plain", "low"]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_lets_so_many_start_and_says_when_the_next_may() {
    let service = Service::new("function", "ok");
    let rig = Rig::with(|config| {
        let policy = RatePolicy { starts: 6, per: Duration::from_secs(60), burst: 2 };
        config.order.rates = [(service.clone(), policy)].into();
    });
    let items: Vec<usize> = (0..5).collect();
    let each = definition(json!({"name": "each", "steps": [
        {"id": "each", "foreach": {"items": items}, "work": {"task": {"kind": "function", "spec": {"name": "ok", "with": {}}}}},
    ]}));
    let start = (rig.config.clock)();
    let run = rig.start(&each).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.machine.begun(), 2);
    let rate = rig.engine.line().rates.remove(0);
    assert_eq!((rate.left, rate.waiting, rate.next), (0, 3, Some(start.plus(Duration::from_secs(10)))));
    let (waiting, total) = rig.engine.waiting(run, 1);
    assert_eq!(total, 3);
    assert!(matches!(&waiting[0].reasons[..], [Reason::Rate { starts: 6, .. }]), "{waiting:?}");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!((rig.config.clock)().since(start).as_secs(), 30);
    rig.assert_replays(run).await;
}

fn with_breaker() -> Rig {
    Rig::with(|config| {
        let policy = BreakerPolicy {
            failures: 2,
            pause: Duration::from_secs(30),
            pause_max: Duration::from_secs(300),
        };
        config.order.breakers = [(Service::new("function", "call"), policy)].into();
    })
}

fn calling(attempts: u32) -> Arc<Definition> {
    let call = function("call", &[], "call", json!({"ms": 10}));
    let retry = json!({"attempts": attempts, "backoff_min": "1ms", "backoff_max": "1ms"});
    pipeline(vec![more(call, &[("retry", retry)])])
}

#[tokio::test(start_paused = true)]
async fn behind_an_open_breaker_attempts_wait_instead_of_failing() {
    let rig = with_breaker();
    rig.machine.is_down.store(true, Ordering::SeqCst);
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(rig.start(&calling(3)).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        runs.push(rig.start(&calling(1)).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.machine.begun(), 2, "the first two opened it");
    let breaker = rig.engine.line().breakers.remove(0);
    assert_eq!((breaker.state, breaker.failures, breaker.waiting), (BreakerStand::Open, 2, 5));
    assert_eq!(breaker.last.as_deref(), Some("timeout: no answer"));
    let (waiting, _) = rig.engine.waiting(runs[4], 1);
    assert!(matches!(&waiting[0].reasons[..], [Reason::Breaker { .. }]), "{waiting:?}");
    rig.machine.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(27)).await;
    assert_eq!(rig.machine.begun(), 2, "not before its pause is over");
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    assert_eq!(rig.engine.line().breakers[0].state, BreakerStand::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_person_closes_a_breaker_and_a_cancelled_attempt_leaves_the_line() {
    let rig = with_breaker();
    rig.machine.is_down.store(true, Ordering::SeqCst);
    let runs = [rig.start(&calling(2)).await, rig.start(&calling(2)).await];
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.engine.line().breakers[0].state, BreakerStand::Open);
    rig.submit(runs[0], InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(runs[0]).await, RunStatus::Cancelled);
    assert_eq!(rig.engine.line().breakers[0].waiting, 1);
    rig.machine.is_down.store(false, Ordering::SeqCst);
    let before = (rig.config.clock)();
    assert!(!rig.engine.reset_breaker(&Service::new("function", "cal")));
    assert!(rig.engine.reset_breaker(&Service::new("function", "call")));
    assert_eq!(rig.end(runs[1]).await, RunStatus::Succeeded);
    assert!((rig.config.clock)().since(before) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn d9_what_lives_on_holds_its_slot_again_before_anything_new_starts() {
    for pause in [0, 5, 400, 900] {
        let mut rig = with_gpus(1);
        let mut runs = Vec::new();
        for _ in 0..4 {
            runs.push(rig.start(&on_gpu(1_000)).await);
        }
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            rig.crash().await;
            rig.recover().await;
        }
        for run in runs {
            assert_eq!(rig.end(run).await, RunStatus::Succeeded);
            rig.assert_replays(run).await;
        }
        assert_eq!((rig.machine.peak(), rig.machine.begun()), (1, 4), "after {pause} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn d9_no_resource_is_given_while_a_run_cannot_be_read_whose_work_lives_on() {
    let mut rig = with_gpus(1);
    let first = rig.start(&on_gpu(60_000)).await;
    began(&rig, first).await;
    lives_on(&rig);
    rig.crash_into(|store| store.reads_to_fail.store(1, Ordering::SeqCst)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.engine.set_aside().len(), 1, "it could not be read");
    let second = rig.start(&on_gpu(10)).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(rig.machine.begun(), 1, "what the first one's work holds is not known");
    let (waiting, _) = rig.engine.waiting(second, 1);
    assert_eq!(waiting[0].reasons, [Reason::Withheld { name: "gpu".to_owned(), run: Some(first) }]);
    let words = format!("the living work of run {} holds cannot be read", first.short());
    assert!(waiting[0].reasons[0].to_string().contains(&words), "{}", waiting[0].reasons[0]);
    rig.engine.recover(Which::Only(first)).await.unwrap();
    for run in [first, second] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    assert_eq!((rig.machine.peak(), rig.machine.begun()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn d9_the_work_of_a_run_that_cannot_be_read_holds_resources_until_its_end() {
    let mut rig = with_gpus(1);
    let first = rig.start(&on_gpu(60_000)).await;
    began(&rig, first).await;
    lives_on(&rig);
    rig.crash_into(|store| store.reads_to_fail.store(1, Ordering::SeqCst)).await;
    let second = rig.start(&on_gpu(10)).await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!((rig.machine.begun(), rig.engine.set_aside().len()), (1, 1));
    rig.machine.left.lock().unwrap().clear();
    assert_eq!(rig.end(second).await, RunStatus::Succeeded, "nothing lives any more that may hold it");
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_kept_while_large_values_are_read_again() {
    let rig = with_gpus(1);
    let steps = vec![
        function("big", &[], "big", json!({})),
        more(function("hold", &[], "slow", json!({"ms": 1_000})), &[("resources", json!(["gpu"]))]),
        more(
            function("length", &["big"], "length", json!({"text": "${steps.big.output.text}"})),
            &[("resources", json!(["gpu"]))],
        ),
    ];
    let run = rig.start(&pipeline(steps)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.peak(), 1, "one slot, and what made the value is over");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_all_have_their_turn() {
    let rig = Rig::with(|config| config.functions_max = 50);
    let items: Vec<usize> = (0..10_000).collect();
    let wide = definition(json!({"name": "wide", "steps": [{
        "id": "each", "foreach": {"items": items}, "priority": "${index % 5}",
        "work": {"task": {"kind": "function", "spec": {"name": "slow", "with": {"ms": 10}}}},
    }]}));
    let run = rig.start(&wide).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (shown, total) = rig.engine.waiting(run, 20);
    assert!(shown.len() == 20 && total > 1_000, "{total}");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!((rig.machine.peak(), rig.machine.begun()), (50, 10_000));
    assert!(rig.engine.line().places.iter().all(|pool| pool.in_use == 0 && pool.waiting == 0));
}

#[tokio::test(start_paused = true)]
async fn who_says_how_long_it_wants_to_be_left_alone_is_left_alone_by_every_step_and_run() {
    let rig = Rig::new();
    rig.machine.is_down.store(true, Ordering::SeqCst);
    let busy = || {
        let retry = json!({"attempts": 3, "backoff_min": "1ms", "backoff_max": "1ms"});
        pipeline(vec![more(function("ask", &[], "busy", json!({"ms": 600_000})), &[("retry", retry)])])
    };
    let before = (rig.config.clock)();
    let first = rig.start(&busy()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = rig.start(&busy()).await;
    tokio::time::sleep(Duration::from_secs(590)).await;
    assert_eq!(rig.machine.begun(), 1, "the others wait instead of using up their tries");
    let (waiting, _) = rig.engine.waiting(second, 1);
    assert!(
        matches!(&waiting[0].reasons[..], [Reason::Breaker { service, .. }] if service == "function.busy")
    );
    rig.machine.is_down.store(false, Ordering::SeqCst);
    for run in [first, second] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(600) && took < Duration::from_secs(602), "{took:?}");
    assert_eq!(rig.machine.begun(), 3);
    assert!(rig.engine.line().breakers.is_empty(), "there is none before that service");
}

/// The second pause that a service asked for became one of twice the breaker's, long before as many outages had come in
/// a row as open it.
#[tokio::test(start_paused = true)]
async fn a14_each_pause_that_a_service_asks_for_is_kept_and_no_longer_one() {
    let rig = Rig::with(|config| {
        let (pause, pause_max) = (Duration::from_secs(30), Duration::from_secs(300));
        let policy = BreakerPolicy { failures: 5, pause, pause_max };
        config.order.breakers = [(Service::new("function", "busy"), policy)].into();
    });
    rig.machine.is_down.store(true, Ordering::SeqCst);
    let retry = json!({"attempts": 3, "backoff_min": "1ms", "backoff_max": "1ms"});
    let busy = function("ask", &[], "busy", json!({"ms": 4_000}));
    let before = (rig.config.clock)();
    let run = rig.start(&pipeline(vec![more(busy, &[("retry", retry)])])).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(rig.machine.begun(), 2, "it was asked again after 4 s, and asked for a pause again");
    rig.machine.is_down.store(false, Ordering::SeqCst);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(8) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!(rig.machine.begun(), 3);
    rig.assert_replays(run).await;
}

/// A restarted engine called the service at once, with all attempts that waited.
#[tokio::test(start_paused = true)]
async fn a_service_that_asks_for_a_pause_is_left_alone_by_the_next_engine_too() {
    let mut rig = Rig::new();
    rig.machine.is_down.store(true, Ordering::SeqCst);
    let retry = json!({"attempts": 3, "backoff_min": "1ms", "backoff_max": "1ms"});
    let busy = |id| {
        let step = function(id, &[], "busy", json!({"ms": 600_000}));
        pipeline(vec![more(step, &[("retry", retry.clone())])])
    };
    let before = (rig.config.clock)();
    let mut runs = vec![rig.start(&busy("first")).await];
    tokio::time::sleep(Duration::from_secs(1)).await;
    for id in ["second", "third"] {
        runs.push(rig.start(&busy(id)).await);
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    rig.crash().await;
    rig.recover().await;
    tokio::time::sleep(Duration::from_secs(490)).await;
    assert_eq!(rig.machine.begun(), 1, "its pause is not over");
    let (waiting, _) = rig.engine.waiting(runs[1], 1);
    assert!(
        matches!(&waiting[0].reasons[..], [Reason::Breaker { service, .. }] if service == "function.busy")
    );
    rig.machine.is_down.store(false, Ordering::SeqCst);
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(600) && took < Duration::from_secs(603), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_person_ended_does_not_come_back_with_the_next_engine() {
    let mut rig = Rig::new();
    rig.machine.is_down.store(true, Ordering::SeqCst);
    let retry = json!({"attempts": 3, "backoff_min": "50s", "backoff_max": "50s"});
    let step = function("ask", &[], "busy", json!({"ms": 3_000_000}));
    let run = rig.start(&pipeline(vec![more(step, &[("retry", retry)])])).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(rig.engine.reset_breaker(&Service::new("function", "busy")));
    rig.machine.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.crash().await;
    let before = (rig.config.clock)();
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let took = (rig.config.clock)().since(before);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

fn gated(every: &str, passes_at: &str, ms: &str) -> Arc<Definition> {
    let probe = json!({"task": {"kind": "command", "spec": {"argv": ["busy", passes_at, ms]}}});
    let poll = json!({"every": every, "timeout": "2h"});
    pipeline(vec![json!({"id": "check", "gates": [{"id": "g", "probe": probe, "poll": poll}]})])
}

#[tokio::test(start_paused = true)]
async fn l16_a_probe_leaves_a_service_alone_that_asks_for_it() {
    let rig = Rig::new();
    let before = (rig.config.clock)();
    let run = rig.start(&gated("1s", "3", "300000")).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(600) && took < Duration::from_secs(603), "{took:?}");
    let polls = rig.names(run).await.iter().filter(|name| **name == "ProbeFailed").count();
    assert_eq!(polls, 2, "a poll that was not sent does not count");
    rig.assert_replays(run).await;
}

/// A far-off date in the answer to one of them kept all gates of that service waiting.
#[tokio::test(start_paused = true)]
async fn l16_the_time_of_a_poll_goes_on_while_its_service_is_left_alone() {
    let rig = Rig::new();
    let probe = json!({"task": {"kind": "command", "spec": {"argv": ["busy", "9", "3600000"]}}});
    let gate = json!({"id": "g", "probe": probe, "poll": {"every": "1s", "timeout": "60s"}});
    let asks = pipeline(vec![json!({"id": "check", "gates": [gate]})]);
    let before = (rig.config.clock)();
    // The first probe of the second one never goes out.
    for run in [rig.start(&asks).await, rig.start(&asks).await] {
        rig.until(run, |event| matches!(event, RunEvent::StepBlocked(_))).await;
        rig.assert_replays(run).await;
    }
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(60) && took < Duration::from_secs(63), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn l16_probes_wait_before_an_open_breaker_of_their_service() {
    let rig = Rig::with(|config| {
        let (pause, pause_max) = (Duration::from_secs(60), Duration::from_secs(600));
        let policy = BreakerPolicy { failures: 2, pause, pause_max };
        config.order.breakers = [(Service::new("provider", "busy"), policy)].into();
    });
    let before = (rig.config.clock)();
    let run = rig.start(&gated("1s", "3", "0")).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.engine.line().breakers[0].state, BreakerStand::Open);
    assert_eq!(rig.engine.line().breakers[0].waiting, 1);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(61) && took < Duration::from_secs(64), "{took:?}");
    assert_eq!(rig.engine.line().breakers[0].state, BreakerStand::Closed);
}

/// The pause that a service requested of one member of several probes was ignored.
#[tokio::test(start_paused = true)]
async fn l16_one_of_several_probes_leaves_a_service_alone_that_asks_for_it() {
    let rig = Rig::new();
    let before = (rig.config.clock)();
    let member = |id: &str, argv: Value| json!({"id": id, "probe": {"task": {"kind": "command", "spec": {"argv": argv}}}});
    let members = [member("fine", json!(["fine"])), member("busy", json!(["busy", "3", "300000"]))];
    let gate = json!({"id": "g", "probe": {"all": members}, "poll": {"every": "1s", "timeout": "2h"}});
    let run = rig.start(&pipeline(vec![json!({"id": "check", "gates": [gate]})])).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let open: Vec<String> =
        rig.engine.line().breakers.iter().map(|breaker| breaker.service.to_string()).collect();
    assert_eq!(open, ["provider.busy"], "no other service is left alone");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(600) && took < Duration::from_secs(603), "{took:?}");
    let verdicts = rig.names(run).await.iter().filter(|name| **name == "GateEvaluated").count();
    assert_eq!(verdicts, 3, "a poll that was not sent does not count");
    rig.assert_replays(run).await;
}

/// How often a request with so many others of its wait group before it may be passed over (`docs/reference/pipeline.md`).
fn passed_over_max(before_it: usize) -> usize {
    9 * (before_it + 1)
}

#[tokio::test(start_paused = true)]
async fn nobody_starves_under_a_steady_stream_of_more_urgent_work() {
    let rig = with_gpus(1);
    let first = rig.start(&on_gpu(1_000)).await;
    began(&rig, first).await;
    let mut names = BTreeMap::from([(first, "first".to_owned())]);
    let start = async |priority: i32| {
        let mut asked = request(&on_gpu(1_000), json!({}));
        asked.options.priority = priority;
        rig.engine.start(asked).await.unwrap().run
    };
    for at in 0..3 {
        names.insert(start(-100).await, format!("low {at}"));
    }
    // Four times as much urgent work comes as can be done, for as long as it takes.
    for at in 0..200 {
        names.insert(start(100).await, format!("urgent {at}"));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let began = order(&rig, &names);
    for at in 0..3 {
        let name = format!("low {at}");
        let place = began.iter().position(|run| *run == name).unwrap_or_else(|| panic!("{name} never began"));
        // The first one ran already, and those of its kind go before it.
        assert!(place <= 1 + at + passed_over_max(at), "{name} began as number {place}: {began:?}");
    }
    assert!(began.iter().filter(|name| name.starts_with("urgent")).count() > 25, "the urgent ones go first");
}

#[tokio::test(start_paused = true)]
async fn a_run_of_many_items_keeps_another_run_waiting_for_one_place_only() {
    let rig = with_gpus(2);
    let items: Vec<usize> = (0..40).collect();
    let foreach = json!({"items": items, "fail_fast": false});
    let keys = [("resources", json!(["gpu"])), ("foreach", foreach)];
    let busy = rig.start(&pipeline(vec![more(command("render", &[], 1_000), &keys)])).await;
    began(&rig, busy).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let before = rig.machine.order.lock().unwrap().len();
    let other = rig.start(&on_gpu(1_000)).await;
    assert_eq!(rig.end(other).await, RunStatus::Succeeded);
    let names = BTreeMap::from([(busy, "busy".to_owned()), (other, "other".to_owned())]);
    let place = order(&rig, &names).iter().position(|name| name == "other").unwrap();
    assert!(place <= before + 1, "it began as number {place}, {before} had begun when it came");
}

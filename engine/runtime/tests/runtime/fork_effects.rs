//! L30: what a fork does outside, and what of its work the record of its origin stands in for.

use std::sync::Arc;

use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_base::json::JsonText;
use everfold_core::event::{OriginKind, RunEvent, SpareReason};
use everfold_core::state::RunStatus;
use everfold_language::definition::{Definition, NoFiles};
use everfold_runtime::ForkRequest;
use serde_json::{Value, json};

use crate::fixtures::fork_requests::again;
use crate::fixtures::slot_setup::{slot, with};
use crate::fixtures::test_engine::{Rig, command, definition, function, request};

/// The pieces of work that were begun in a run, in their order.
fn begun(rig: &Rig, run: RunId) -> Vec<String> {
    let order = rig.machine.order.lock().unwrap();
    order.iter().filter(|id| id.run == run).map(|id| id.attempt.to_string()).collect()
}

/// The output of a run, behind which notices may stand.
async fn output(rig: &Rig, run: RunId) -> Value {
    let history = rig.history(run).await;
    let output = history.into_iter().find_map(|event| match event {
        RunEvent::RunSucceeded(event) => event.output.text().map(JsonText::value),
        _other => None,
    });
    output.unwrap()
}

fn probes(rig: &Rig) -> usize {
    rig.machine.probes.lock().unwrap().values().sum()
}

fn replaying(origin: RunId, at: u64) -> ForkRequest {
    ForkRequest { at: Some(Version(at)), replay_effects: true, ..again(origin, OriginKind::Fork) }
}

fn held(origin: RunId, at: u64) -> ForkRequest {
    ForkRequest { at: Some(Version(at)), live: false, ..again(origin, OriginKind::Fork) }
}

/// The work that was spared in a run, in its order.
async fn spared(rig: &Rig, run: RunId) -> Vec<(String, SpareReason)> {
    let history = rig.history(run).await;
    let spared = history.into_iter().filter_map(|event| match event {
        RunEvent::WorkSpared(event) => Some((event.id.to_string(), event.reason)),
        _other => None,
    });
    spared.collect()
}

/// The versions at which a run can be forked: it had begun, and had not ended.
async fn versions(rig: &Rig, run: RunId) -> std::ops::Range<u64> {
    let history = rig.history(run).await;
    let ends = |event: &RunEvent| {
        matches!(event, RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_))
    };
    1..history.iter().position(ends).unwrap() as u64 + 1
}

/// Work of all kinds: large values, retries, items, gates that are asked again, reworks.
fn eventful() -> Arc<Definition> {
    let work =
        |name: &str, with: Value| json!({"task": {"kind": "function", "spec": {"name": name, "with": with}}});
    let gate = json!({"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["exit", "2"]}}},
        "poll": {"every": "10s", "timeout": "10m"}});
    let each = json!({"id": "each", "needs": ["big"], "foreach": {"items": "${['x', 'y', 'z']}"},
        "work": work("ok", json!({"of": "${item}"}))});
    let retried = json!({"id": "retried", "needs": ["each"], "retry": {"attempts": 2, "backoff_min": "1s", "backoff_max": "1s"},
        "on_fail": [{"to": "next"}], "work": work("fail", json!({}))});
    let judged = json!({"id": "judged", "needs": ["retried"], "work": work("slow", json!({"ms": 20})), "gates": [gate]});
    definition(json!({
        "name": "p", "output": "${steps.length.output}",
        "steps": [function("big", &[], "big", json!({})), each, retried, judged, command("made", &["judged"], 50),
            {"id": "length", "needs": ["big", "made"], "work": work("length", json!({}))}],
        "on_finish": [function("tidy", &[], "ok", json!({}))],
    }))
}

#[tokio::test(start_paused = true)]
async fn a_fork_that_replays_effects_comes_to_the_same_end_from_every_version_and_does_no_work() {
    let rig = Rig::new();
    let origin = rig.start(&eventful()).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let (wanted, probed) = (output(&rig, origin).await, probes(&rig));
    assert_eq!(wanted, json!(100_000));
    for at in versions(&rig, origin).await {
        let run = rig.engine.fork(replaying(origin, at)).await.unwrap().run;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "from version {at}");
        assert_eq!(output(&rig, run).await, wanted, "from version {at}");
        assert_eq!(begun(&rig, run), Vec::<String>::new(), "from version {at}");
        assert_eq!(probes(&rig), probed, "from version {at}");
        rig.assert_replays(run).await;
    }
}

/// It ended the live run of its origin's pipeline, and did nothing itself.
#[tokio::test(start_paused = true)]
async fn a_fork_takes_the_place_of_a_live_run_only_where_it_acts_itself() {
    let rig = Rig::new();
    let definition = with(1_000, slot(1, "cancel_oldest"));
    let origin = rig.start(&definition).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    for (fork, ends) in [
        (replaying(origin, 3), RunStatus::Succeeded),
        (held(origin, 3), RunStatus::Succeeded),
        (ForkRequest { live: true, ..held(origin, 3) }, RunStatus::Cancelled),
    ] {
        let live = rig.start(&definition).await;
        rig.until(live, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
        let fork = rig.engine.fork(fork).await.unwrap().run;
        assert_eq!(rig.end(live).await, ends);
        assert_eq!(rig.end(fork).await, RunStatus::Succeeded);
        rig.assert_replays(fork).await;
    }
}

/// A pipeline that follows from a number: steps of all kinds that need some of those before them.
fn generated(seed: u64) -> Arc<Definition> {
    let mut luck = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |bound: u64| {
        // Xorshift, after Marsaglia (2003).
        luck ^= luck << 13;
        luck ^= luck >> 7;
        luck ^= luck << 17;
        luck % bound
    };
    let mut steps: Vec<Value> = Vec::new();
    for nth in 0..3 + below(4) {
        let (name, with) = match below(6) {
            0 => ("fail", json!({})),
            1 => ("big", json!({})),
            2 => ("slow", json!({"ms": below(2_000)})),
            _ => ("ok", json!({"of": "${run.id}"})),
        };
        let work = match below(4) {
            0 => json!({"task": {"kind": "command", "spec": {"argv": ["sleep", below(3_000).to_string()]}}}),
            _ => json!({"task": {"kind": "function", "spec": {"name": name, "with": with}}}),
        };
        let needs: Vec<String> =
            (0..nth).filter(|_| below(3) == 0).map(|before| format!("s{before}")).collect();
        let mut step =
            json!({"id": format!("s{nth}"), "needs": needs, "work": work, "on_fail": [{"to": "next"}]});
        match below(5) {
            0 => step["foreach"] = json!({"items": "${[1, 2, 3]}", "max_in_flight": 1 + below(3)}),
            1 => step["retry"] = json!({"attempts": 3, "backoff_min": "1s", "backoff_max": "5s"}),
            2 => {
                let probe = json!({"task": {"kind": "command", "spec": {"argv": ["exit", (1 + below(3)).to_string()]}}});
                step["gates"] =
                    json!([{"id": "g", "probe": probe, "poll": {"every": "5s", "timeout": "1h"}}]);
            }
            3 if nth > 0 => {
                // It is sent back twice, by what it gave.
                let policy = format!("steps.s{nth}.round > 2");
                let gate = json!({"id": "g", "probe": {"expression": policy}, "on_fail": [{"to": {"rework": format!("s{nth}")}, "max": {"times": 2}}]});
                step["gates"] = json!([gate]);
            }
            _plain => {}
        }
        steps.push(step);
    }
    definition(json!({"name": "p", "steps": steps}))
}

#[tokio::test(start_paused = true)]
async fn a_fork_of_any_run_at_any_version_goes_on_as_its_origin_did() {
    for seed in 1..=24 {
        println!("seed {seed}");
        let rig = Rig::new();
        let origin = rig.start(&generated(seed)).await;
        let ended = rig.end(origin).await;
        let course = |history: Vec<RunEvent>| -> Vec<String> {
            let ends = history.into_iter().filter_map(|event| match event {
                RunEvent::StepSucceeded(event) => Some(format!("{} ended well", event.path)),
                RunEvent::StepFailed(event) => Some(format!("{} failed", event.path)),
                RunEvent::ReworkRequested(event) => Some(format!("sent back for the {}. time", event.used)),
                _other => None,
            });
            let mut ends: Vec<String> = ends.collect();
            // Steps beside each other end in any order.
            ends.sort_unstable();
            ends
        };
        let (wanted, probed) = (course(rig.history(origin).await), probes(&rig));
        for at in versions(&rig, origin).await {
            let place = format!("seed {seed}, from version {at}");
            println!("{place}");
            let run = rig.engine.fork(replaying(origin, at)).await.unwrap().run;
            assert_eq!(rig.end(run).await, ended, "{place}");
            assert_eq!(course(rig.history(run).await), wanted, "{place}");
            assert_eq!(begun(&rig, run), Vec::<String>::new(), "{place}");
            assert_eq!(probes(&rig), probed, "{place}");
            rig.assert_replays(run).await;
        }
        // The same work does the same once more.
        for at in versions(&rig, origin).await.step_by(7) {
            let fork = ForkRequest { at: Some(Version(at)), ..again(origin, OriginKind::Fork) };
            let run = rig.engine.fork(fork).await.unwrap().run;
            assert_eq!(rig.end(run).await, ended, "seed {seed}, done again from version {at}");
            assert_eq!(course(rig.history(run).await), wanted, "seed {seed}, done again from version {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fork_that_replays_effects_does_only_what_is_given_something_else() {
    let pipeline = |middle: &str| {
        let through = |id: &str, need: &str| {
            json!({"id": id, "needs": [need], "work": {"task": {"kind": "function",
                "spec": {"name": "searches", "with": {"got": format!("${{steps.{need}.output}}")}}}}})
        };
        definition(json!({"name": "p", "steps": [
            function("a", &[], "ok", json!({})), function("b", &["a"], "slow", json!({"ms": middle.len()})),
            through("after", "b"), through("beside", "a"), command("last", &["beside"], 5),
        ]}))
    };
    let rig = Rig::new();
    let origin = rig.start(&pipeline("x")).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let other = pipeline("xxxx");
    let fork = ForkRequest { definition: Some(other), ..replaying(origin, 1) };
    let run = rig.engine.fork(fork).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(begun(&rig, run), ["b/1/1", "after/1/1"], "what follows from other work is other work");
    let spared: Vec<String> = spared(&rig, run).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(spared, ["a/1/1", "beside/1/1", "last/1/1"]);
}

/// The record of the origin's children stood in for those of another text.
#[tokio::test(start_paused = true)]
async fn a_child_that_is_pinned_with_the_definition_is_another_one_where_its_text_is() {
    let pipeline = |inner: &str| {
        let text = format!(
            "name: p
steps:
  - {{ id: fan, needs: [], foreach: {{ in: [1, 2], steps: [{{ id: w, function: {inner} }}] }} }}
  - {{ id: beside, needs: [], foreach: {{ in: [1], steps: [{{ id: w, function: ok }}] }} }}
"
        );
        Arc::new(everfold_language::definition::parse(&text, "p.yaml", &NoFiles).unwrap().definition)
    };
    let rig = Rig::new();
    let origin = rig.start(&pipeline("ok")).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    for (inner, expected) in
        [("ok", &["beside.0/1/1", "fan.0/1/1", "fan.1/1/1"][..]), ("searches", &["beside.0/1/1"])]
    {
        let fork = ForkRequest { definition: Some(pipeline(inner)), ..replaying(origin, 1) };
        let run = rig.engine.fork(fork).await.unwrap().run;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        let mut spared: Vec<String> = spared(&rig, run).await.into_iter().map(|(id, _)| id).collect();
        spared.sort();
        assert_eq!(spared, expected, "{inner}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_works_on_files_is_done_again_once_the_fork_has_changed_files_that_no_commit_holds() {
    let pipeline = |ms: u64| {
        definition(json!({"name": "p", "steps": [
            command("changes", &[], ms), command("reads", &["changes"], 5), function("apart", &["reads"], "ok", json!({})),
        ]}))
    };
    let rig = Rig::new();
    let origin = rig.start(&pipeline(10)).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let fork = ForkRequest { definition: Some(pipeline(20)), ..replaying(origin, 1) };
    let run = rig.engine.fork(fork).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(begun(&rig, run), ["changes/1/1", "reads/1/1"]);
}

#[tokio::test(start_paused = true)]
async fn another_policy_judges_the_evidence_that_was_recorded() {
    let pipeline = |policy: &str| {
        let probe = json!({"task": {"kind": "command", "spec": {"argv": ["exit", "1"]}}});
        let gate = json!({"id": "g", "probe": probe, "policy": policy});
        definition(json!({"name": "p", "steps": [
            {"id": "a", "work": {"task": {"kind": "function", "spec": {"name": "ok", "with": {}}}}, "gates": [gate]},
        ]}))
    };
    let rig = Rig::new();
    let origin = rig.start(&pipeline("true")).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let probed = probes(&rig);
    let fork = ForkRequest { definition: Some(pipeline("false")), ..replaying(origin, 1) };
    let run = rig.engine.fork(fork).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    assert_eq!(probes(&rig), probed, "nothing was asked again");
    let evidence = rig.history(run).await.into_iter().find_map(|event| match event {
        RunEvent::GateEvaluated(event) => event.evidence.text().map(JsonText::value),
        _other => None,
    });
    assert_eq!(evidence.unwrap()["recorded"]["run"], json!(origin), "it says whose evidence it is");
}

/// A step that acts outside behind one that does not; what it gives is the run's output.
fn acting(name: &str) -> Arc<Definition> {
    let acts = json!({"id": "acts", "needs": ["a"], "outside": true,
        "work": {"task": {"kind": "function", "spec": {"name": name, "with": {"to": "${run.id}"}}}}});
    let notice = json!({"id": "n", "events": ["RunSucceeded"], "function": "tell", "with": "done"});
    definition(json!({"name": "p", "output": "${steps.acts.output}", "notify": [notice],
        "steps": [function("a", &[], "ok", json!({})), acts]}))
}

#[tokio::test(start_paused = true)]
async fn a_fork_holds_back_what_acts_outside_and_says_what_it_would_have_done() {
    let rig = Rig::new();
    let origin = rig.start(&acting("ok")).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    rig.until(origin, |event| matches!(event, RunEvent::NoticeSent(_))).await;
    let heard = rig.machine.ears.ids().len();
    let run = rig.engine.fork(held(origin, 1)).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(begun(&rig, run), ["a/1/1"]);
    assert_eq!(output(&rig, run).await, json!({"ok": true}), "what its origin was given stands in");
    let spared = spared(&rig, run).await;
    let [(id, SpareReason::Held { would, version: Some(_) })] = spared.as_slice() else {
        panic!("{spared:?}")
    };
    assert_eq!((id.as_str(), would.as_str()), ("acts/1/1", format!("ok {{\"to\":\"{run}\"}}").as_str()));
    rig.until(run, |event| matches!(event, RunEvent::NoticeSent(_))).await;
    let told = rig.history(run).await.into_iter().find_map(|event| match event {
        RunEvent::NoticeSent(event) => event.reason,
        _other => None,
    });
    assert_eq!(told.as_deref(), Some("held back: this run is a fork that does not act outside"));
    assert_eq!(rig.machine.ears.ids().len(), heard, "nobody was told");
    rig.assert_replays(run).await;
    // Retried, it is held back still: it goes on from what was never done.
    let live = ForkRequest { at: Some(Version(1)), ..again(origin, OriginKind::Fork) };
    let live = rig.engine.fork(live).await.unwrap().run;
    assert_eq!(rig.end(live).await, RunStatus::Succeeded);
    assert_eq!(begun(&rig, live), ["a/1/1", "acts/1/1"], "a live one does it");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_record_and_is_held_back_gives_null() {
    let rig = Rig::new();
    let origin = rig.start(&acting("fail")).await;
    assert_eq!(rig.end(origin).await, RunStatus::Failed);
    let run = rig.engine.fork(held(origin, 1)).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(output(&rig, run).await, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_from_a_run_that_may_not_act_outside_may_not_either() {
    let rig = Rig::new();
    let origin = rig.engine.start(request(&acting("ok"), json!({}))).await.unwrap().run;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let run = rig.engine.fork(held(origin, 1)).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let restarted = crate::fixtures::fork_requests::restart(run, "acts");
    let restarted = rig.engine.fork(restarted).await.unwrap().run;
    assert_eq!(rig.end(restarted).await, RunStatus::Succeeded);
    assert_eq!(begun(&rig, restarted), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_children_of_a_run_that_may_not_act_outside_may_not_either() {
    let rig = Rig::new();
    rig.engine.save_pipeline(&acting("ok"), None, Actor::User("ada".into())).await.unwrap();
    let child =
        json!({"id": "child", "work": {"task": {"kind": "run", "spec": {"pipeline": "p", "input": {}}}}});
    let parent = definition(json!({"name": "q", "steps": [child]}));
    let origin = rig.start(&parent).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let run = rig.engine.fork(held(origin, 1)).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let child = rig.history(run).await.into_iter().find_map(|event| match event {
        RunEvent::ChildStarted(event) => Some(event.child),
        _other => None,
    });
    assert_eq!(begun(&rig, child.unwrap()), ["a/1/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_fork_that_replays_effects_goes_on_so_after_a_crash() {
    let mut rig = Rig::new();
    let origin = rig.start(&eventful()).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let run = rig.engine.fork(replaying(origin, 3)).await.unwrap().run;
    rig.until(run, |event| matches!(event, RunEvent::TimerSet(_))).await;
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(begun(&rig, run), Vec::<String>::new());
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn files_that_a_fork_changed_stay_changed_when_a_later_round_of_the_step_is_spared() {
    // The first round of `changes` is another one in the fork, the second is given the same.
    let pipeline = |first: u64| {
        let argv = json!(["sleep", format!("${{step.round == 1 ? {first} : 7}}")]);
        let gate = json!({"id": "again", "probe": {"expression": "steps.changes.round > 1"}, "on_fail": [{"to": {"rework": "changes"}, "max": {"times": 2}}]});
        let changes = json!({"id": "changes", "work": {"task": {"kind": "command", "spec": {"argv": argv}}}, "gates": [gate]});
        definition(json!({"name": "p", "steps": [changes, command("reads", &["changes"], 5)]}))
    };
    let rig = Rig::new();
    let origin = rig.start(&pipeline(10)).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let fork = ForkRequest { definition: Some(pipeline(20)), ..replaying(origin, 1) };
    let run = rig.engine.fork(fork).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(
        begun(&rig, run),
        ["changes/1/1", "changes/2/1", "reads/1/1"],
        "each works on the fork's own files"
    );
}

/// A step that a gate on what a command finds sends back to itself, by this route.
fn sent_back(policy: &str, told: &str, route: Value) -> Arc<Definition> {
    let probe = json!({"task": {"kind": "command", "spec": {"argv": ["exit", "1"]}}});
    let gate = json!({"id": "tests", "probe": probe, "policy": policy, "on_fail": [route]});
    let makes = json!({"id": "makes", "gates": [gate],
        "work": {"task": {"kind": "function", "spec": {"name": "ok", "with": {"told": told}}}}});
    let after = function("after", &["makes"], "ok", json!({"told": "${toJson(steps.makes.gates)}"}));
    definition(json!({"name": "p", "steps": [makes, after]}))
}

/// The findings of a rework named the event whose evidence stood in, so the next round was given something else and its
/// work was done again.
#[tokio::test(start_paused = true)]
async fn a_fork_that_replays_effects_does_nothing_again_behind_a_rework_by_a_gate_on_what_was_found() {
    let rig = Rig::new();
    let told = "${rework == null ? 'first' : toJson(rework)}";
    let route = json!({"to": {"rework": "makes"}, "max": {"times": 5}});
    let origin = rig.start(&sent_back("step.round > 2", told, route)).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    assert_eq!(begun(&rig, origin), ["makes/1/1", "makes/2/1", "makes/3/1", "after/1/1"]);
    let probed = probes(&rig);
    for at in versions(&rig, origin).await {
        let run = rig.engine.fork(replaying(origin, at)).await.unwrap().run;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "from version {at}");
        assert_eq!(begun(&rig, run), Vec::<String>::new(), "from version {at}");
        assert_eq!(probes(&rig), probed, "from version {at}");
        rig.assert_replays(run).await;
    }
}

/// What was found again was compared with evidence that named another event, so it never was the same.
#[tokio::test(start_paused = true)]
async fn a_fork_that_replays_effects_is_blocked_where_the_same_was_found_again() {
    let rig = Rig::new();
    let route = json!({"to": {"rework": "makes"}, "if_unchanged": "block", "max": {"times": 5}});
    let origin = rig.start(&sent_back("false", "the same", route)).await;
    let is_blocked = |event: &RunEvent| matches!(event, RunEvent::StepBlocked(_));
    rig.until(origin, is_blocked).await;
    let rounds = ["makes/1/1", "makes/2/1"];
    assert_eq!(begun(&rig, origin), rounds);
    let (history, probed) = (rig.history(origin).await, probes(&rig));
    for at in 1..=history.iter().position(is_blocked).unwrap() as u64 {
        let run = rig.engine.fork(replaying(origin, at)).await.unwrap().run;
        rig.until(run, is_blocked).await;
        let is_rework = |event: &&RunEvent| matches!(event, RunEvent::ReworkRequested(_));
        assert_eq!(rig.history(run).await.iter().filter(is_rework).count(), 1, "from version {at}");
        assert_eq!((begun(&rig, run), probes(&rig)), (Vec::new(), probed), "from version {at}");
        rig.assert_replays(run).await;
    }
}

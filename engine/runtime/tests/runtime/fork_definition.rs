//! L30: forks and restarts that go on by another definition.

use std::sync::Arc;

use everfold_base::id::{RunId, Version};
use everfold_base::json::Value;
use everfold_core::decide::Refusal;
use everfold_core::event::OriginKind;
use everfold_core::state::{RunStatus, StepStatus};
use everfold_language::definition::Definition;
use everfold_runtime::{ForkRequest, StartError};
use everfold_store::EventStore as _;
use serde_json::json;

use crate::fixtures::fork_requests::again;
use crate::fixtures::test_engine::{Rig, command, definition, function, request};

fn onto(origin: RunId, how: OriginKind, definition: &Arc<Definition>) -> ForkRequest {
    ForkRequest { definition: Some(Arc::clone(definition)), ..again(origin, how) }
}

fn named(steps: Value) -> Arc<Definition> {
    definition(json!({"name": "p", "steps": steps}))
}

async fn statuses(rig: &Rig, run: RunId) -> Vec<(String, StepStatus)> {
    let look = |state: &everfold_core::state::RunState| {
        let ids = state.definition().steps.iter().map(|step| step.id.clone());
        ids.map(|id| (id.to_string(), state.step_status(&id).unwrap())).collect()
    };
    rig.engine.with_state(run, look).await.unwrap()
}

fn begun(rig: &Rig, run: RunId, step: &str) -> bool {
    let begun = rig.machine.begun.lock().unwrap();
    begun.keys().any(|id| id.run == run && id.attempt.path.step.as_str() == step)
}

/// `a`, then `b` that fails, then `c`.
async fn failed(rig: &Rig) -> RunId {
    let steps = json!([
        function("a", &[], "ok", json!({"n": 1})),
        function("b", &["a"], "fail", json!({})),
        function("c", &["b"], "ok", json!({})),
    ]);
    let run = rig.start(&named(steps)).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    run
}

fn unfit(answer: Result<everfold_runtime::Started, StartError>) -> String {
    match answer {
        Err(StartError::Refused(refusal @ Refusal::Unfit { .. })) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn l30_a_restart_goes_on_by_the_definition_that_is_given() {
    let mut rig = Rig::new();
    let origin = failed(&rig).await;
    // `b` is mended and of another kind, `c` is gone, others are new and stand elsewhere.
    let mended = named(json!([
        function("before", &[], "ok", json!({})),
        function("a", &[], "ok", json!({"n": 2})),
        command("b", &["a", "before"], 20),
        function("d", &["b"], "ok", json!({})),
    ]));
    let asked = ForkRequest { from_step: Some("b".into()), ..onto(origin, OriginKind::Restart, &mended) };
    let run = rig.engine.fork(asked).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert!(!begun(&rig, run, "a"), "what succeeded is kept");
    let all = ["before", "a", "b", "d"].map(|step| (step.to_owned(), StepStatus::Succeeded));
    assert_eq!(statuses(&rig, run).await, all);
    rig.assert_replays(run).await;
    // The origin is pinned to what it was pinned to; the new run to what it was given, also in another engine.
    rig.crash().await;
    rig.recover().await;
    assert_eq!(statuses(&rig, run).await, all);
    let hash = rig.engine.with_state(run, |state| state.definition_hash()).await.unwrap();
    assert_eq!(hash, Some(mended.hash()));
    assert_eq!(statuses(&rig, origin).await.len(), 3);
    // A fork of the fork, back onto the first definition: `b` and what follows are not kept, `before` begun.
    let origin_definition =
        rig.engine.with_state(origin, |state| Arc::clone(state.definition())).await.unwrap();
    let back =
        ForkRequest { from_step: Some("b".into()), ..onto(run, OriginKind::Restart, &origin_definition) };
    let why = unfit(rig.engine.fork(back).await);
    assert!(why.contains("StepScheduled, is of step “before”: there is no such step"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn l30_a_definition_that_the_history_does_not_fit_is_refused_by_the_first_event() {
    let rig = Rig::new();
    let gate = json!([{"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["probe", "1"]}}}}]);
    let with = |mut step: Value, key: &str, value: Value| {
        step[key] = value;
        step
    };
    let (a, b) = (function("a", &[], "ok", json!({})), command("b", &["a"], 20));
    let gated = with(b.clone(), "gates", gate);
    let late = function("late", &["b"], "ok", json!({}));
    let origin = rig.start(&named(json!([a, gated, late]))).await;
    rig.end(origin).await;
    let names = rig.names(origin).await;
    let last = Version(names.len() as u64 - 3);
    let before = rig.store.inner.last_position();
    let at = |name: &str| names.iter().position(|it| *it == name).unwrap() + 1;
    let fork = |steps: Value| ForkRequest { at: Some(last), ..onto(origin, OriginKind::Fork, &named(steps)) };
    let why = unfit(rig.engine.fork(fork(json!([gated, late]))).await);
    let scheduled = at("StepScheduled");
    assert_eq!(
        why,
        format!(
            "the history does not fit the definition: event {scheduled}, StepScheduled, is of step “a”: there is no such step"
        )
    );
    let other_kind = function("b", &["a"], "ok", json!({}));
    let why = unfit(rig.engine.fork(fork(json!([a, other_kind, late]))).await);
    assert!(why.ends_with("step “b”: it was command, and is function"), "{why}");
    let why = unfit(rig.engine.fork(fork(json!([a, b, late]))).await);
    let probed = at("ProbeScheduled");
    assert!(why.contains(&format!("event {probed}, ProbeScheduled")), "{why}");
    assert!(why.ends_with("gate “g” of step “b”: there is no such gate"), "{why}");
    let expression = json!([{"id": "g", "probe": {"expression": "true"}}]);
    let other_probe = with(b.clone(), "gates", expression);
    let why = unfit(rig.engine.fork(fork(json!([a, other_probe, late]))).await);
    assert!(why.ends_with("its probe was command, and is an expression"), "{why}");
    let each = with(gated.clone(), "foreach", json!({"items": "${[1]}"}));
    let why = unfit(rig.engine.fork(fork(json!([a, each, late]))).await);
    assert!(why.ends_with("it was command, and is command for each item"), "{why}");
    let elsewhere = json!({"name": "p", "steps": [gated.clone(), late.clone()], "on_finish": [a]});
    let moved = ForkRequest { at: Some(last), ..onto(origin, OriginKind::Fork, &definition(elsewhere)) };
    let why = unfit(rig.engine.fork(moved).await);
    assert!(why.ends_with("step “a”: it stands under `on_finish`"), "{why}");
    let other_name = definition(json!({"name": "q", "steps": [a, gated, late]}));
    let answer =
        rig.engine.fork(ForkRequest { at: Some(last), ..onto(origin, OriginKind::Fork, &other_name) }).await;
    assert!(matches!(answer, Err(StartError::Refused(Refusal::OtherPipeline { .. }))), "{answer:?}");
    assert_eq!(rig.store.inner.last_position(), before, "what is refused stores nothing");
    // What has not begun may be anything.
    let free = command("late", &["a"], 1);
    let more = function("more", &["b"], "ok", json!({}));
    let early = Version(at("StepScheduled") as u64);
    let asked =
        ForkRequest { at: Some(early), ..fork(json!([a, free, more, function("b", &[], "ok", json!({}))])) };
    let run = rig.engine.fork(asked).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l30_every_moment_of_a_run_can_be_gone_on_from_by_a_definition_with_more_in_it() {
    let rig = Rig::new();
    let steps = |more: bool| {
        let items = json!({"id": "c", "needs": ["b"], "foreach": {"items": "${[1, 2, 3]}", "max_in_flight": 2},
            "work": {"task": {"kind": "command", "spec": {"argv": ["sleep", "20"]}}}});
        let mut gates = vec![
            json!({"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["probe", "2"]}}}}),
        ];
        if more {
            gates.push(json!({"id": "h", "probe": {"expression": "true"}}));
        }
        let gated = json!({"id": "d", "needs": ["c"], "gates": gates,
            "work": {"task": {"kind": "function", "spec": {"name": "ok", "with": {}}}}});
        let wait = json!({"id": "w", "needs": ["a"], "work": {"wait": {"for": "50ms"}}});
        let mut steps = vec![
            function("a", &[], "big", json!({"bytes": 50_000})),
            command("b", &["a"], 30),
            items,
            gated,
            wait,
        ];
        if more {
            steps.insert(0, function("first", &[], "ok", json!({})));
            steps.push(function("x", &["d", "first"], "ok", json!({})));
        }
        steps
    };
    let of = |more: bool| {
        let keys = json!([{"key": "repo", "limit": 100}]);
        definition(json!({"name": "p", "steps": steps(more), "concurrency": keys}))
    };
    let origin = rig.start(&of(false)).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let last = rig.envelopes(origin).await.last().unwrap().header.version;
    let more = of(true);
    for at in 1..last.0 {
        let asked = ForkRequest { at: Some(Version(at)), ..onto(origin, OriginKind::Fork, &more) };
        let run = rig.engine.fork(asked).await.unwrap_or_else(|error| panic!("at {at}: {error}")).run;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "at {at}");
        let found = statuses(&rig, run).await;
        assert!(found.iter().all(|(_, status)| *status == StepStatus::Succeeded), "at {at}: {found:?}");
        assert!(begun(&rig, run, "first") && begun(&rig, run, "x"), "at {at}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l30_settings_stay_as_pinned_unless_they_are_given() {
    let rig = Rig::new();
    let document = json!({"name": "p", "config": {"limits": [{"values": {"jobs": 4, "model": "small"}}]},
        "steps": [function("a", &[], "ok", json!({}))], "output": "${config}"});
    let origin = rig.engine.start(request(&definition(document), json!({}))).await.unwrap().run;
    rig.end(origin).await;
    let more = json!({"name": "p", "config": {"limits": [{"values": {"jobs": 9}}], "other": [{"values": {"colour": "red"}}]},
        "steps": [function("a", &[], "ok", json!({}))], "output": "${config}"});
    let more = definition(more);
    let asked = ForkRequest { from_step: Some("a".into()), ..onto(origin, OriginKind::Restart, &more) };
    let pinned = rig.engine.fork(asked.clone()).await.unwrap().run;
    rig.end(pinned).await;
    let (limits, other) = (json!({"jobs": 4, "model": "small"}), json!({"colour": "red"}));
    assert_eq!(rig.output(pinned).await, json!({"limits": limits, "other": other}));
    let given = ForkRequest { config: Some(json!({"limits": {"jobs": 1}})), ..asked };
    let given = rig.engine.fork(given).await.unwrap().run;
    rig.end(given).await;
    assert_eq!(rig.output(given).await, json!({"limits": {"jobs": 1}, "other": other}));
}

#[tokio::test(start_paused = true)]
async fn a_settings_document_that_the_pipeline_does_not_name_is_refused_with_the_nearest_name() {
    let rig = Rig::new();
    let document = json!({"name": "p", "config": {"limits": [{"values": {"jobs": 4}}]},
        "steps": [function("a", &[], "ok", json!({}))], "output": "${config}"});
    let origin = rig.start(&definition(document)).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let bare = named(json!([function("a", &[], "ok", json!({}))]));
    for (asked, words) in [
        (
            again(origin, OriginKind::Fork),
            "config.limts: the pipeline has no such document; did you mean “limits”?",
        ),
        (onto(origin, OriginKind::Fork, &bare), "it has no `config`"),
    ] {
        let asked =
            ForkRequest { at: Some(Version(2)), config: Some(json!({"limts": {"jobs": 9}})), ..asked };
        let refused = rig.engine.fork(asked).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rules_of_records_hold_for_settings_that_a_restart_is_given() {
    let rig = Rig::new();
    let record = json!({"type": "object", "required": ["repo"]});
    let parts = json!({"team": [{"values": {"projects": {"old": {}, "web": {"repo": "w"}}}}],
        "lanes": [{"values": {"all": {"slow": {}}}}]});
    let document = json!({"name": "p", "config": parts,
        "config_records": {"team.projects": record, "lanes.all": record},
        "steps": [function("a", &[], "ok", json!({}))], "output": "${config}"});
    let origin = rig.start(&definition(document)).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let places = |output: &serde_json::Value| -> Vec<String> {
        let skipped = output["skipped"].as_array().into_iter().flatten();
        skipped.filter_map(|entry| entry["record"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(places(&rig.output(origin).await), ["lanes.all.slow", "team.projects.old"]);
    let given = json!({"team": {"projects": {"api": {"repo": "a"}, "bad": {"repository": "b"}}}});
    let asked = ForkRequest {
        from_step: Some("a".into()),
        config: Some(given),
        ..again(origin, OriginKind::Restart)
    };
    let restarted = rig.engine.fork(asked).await.unwrap().run;
    rig.end(restarted).await;
    let output = rig.output(restarted).await;
    assert_eq!(output["team"], json!({"projects": {"api": {"repo": "a"}}}));
    assert_eq!(places(&output), ["lanes.all.slow", "team.projects.bad"]);
}

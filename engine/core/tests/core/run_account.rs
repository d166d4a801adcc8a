//! What a run knows of itself: what it used up, how often its routes were taken and why, what it waits for, what its
//! gates said, which signals came, who cancelled it, and what went wrong though it went on.

use std::time::Duration;

use everfold_core::artefact::Usage;
use everfold_core::event::{AttemptStarted, CancelRequested, RunAbandoned, RunEvent, UsageRecorded};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, RunStatus};
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{approval, function, send_signal, vote, with};
use crate::fixtures::simulated_run::{World, definition};

fn task(id: &str, needs: &[&str]) -> Value {
    with(function(id, needs), json!({"stage": "making"}))
}

/// A run of these steps, which says with each note what the expressions give.
fn run(steps: Value, says: Value) -> World {
    let notice = json!({"id": "n", "events": ["NoteAdded", "RunCancelled", "RunFailed"], "function": "notify.log", "with": says});
    World::start(definition(json!({"name": "p", "notify": [notice], "steps": steps})), json!({}))
}

/// What the newest notice says.
fn said(world: &World) -> Value {
    let queued = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::NoticeQueued(queued) => Some(queued),
        RunEvent::NoticeFailed(failed) => panic!("{}", failed.message),
        _other => None,
    });
    let text = queued.expect("a notice").with.text().expect("it is small").clone();
    text.value()["with"].clone()
}

fn asked(world: &mut World) -> Value {
    let note = everfold_core::event::NoteAdded { text: "now".into() };
    world.by("ada", InputKind::Note(note)).expect("taken");
    said(world)
}

fn use_up(world: &mut World, id: &str, seq: u32, model: &str, cost_micros: u64) {
    let usage = Usage {
        model: Some(model.into()),
        input_tokens: 100,
        cached_tokens: 40,
        output_tokens: 7,
        cost_micros,
        session: None,
    };
    let id = id.parse().expect("an attempt");
    world.give(InputKind::Usage(UsageRecorded { id, seq, usage, less_micros: 0 })).expect("taken");
}

/// The same events give the same state: what is told of the run is in it.
fn folded_again(world: &World) -> RunState {
    let mut state = RunState::new(world.state.definition().clone());
    world.history.iter().for_each(|(meta, event)| state.apply(event, meta));
    assert_eq!(state.fingerprint(), world.state.fingerprint());
    let bytes = state.snapshot();
    let read = RunState::from_snapshot(world.state.definition().clone(), &bytes).expect("a snapshot");
    assert_eq!(read, state);
    state
}

#[test]
fn usage_and_times_are_counted_over_rounds_and_attempts_that_failed() {
    let gate =
        json!([{"id": "g", "probe": {"expression": "output == 2"}, "on_fail": [{"to": {"rework": "a"}}]}]);
    let says = json!({"a": "${steps.a.usage}", "run": "${run.usage}", "from": "${steps.a.started_at}",
        "until": "${steps.a.ended_at}", "b": "${steps.b.usage.model == null && steps.b.started_at == null}"});
    let steps = json!([with(task("a", &[]), json!({"gates": gate})), task("b", &["a"])]);
    let mut world = run(steps, says);
    use_up(&mut world, "a/1/1", 1, "small", 250_000);
    world.succeed("a/1/1", json!(1));
    use_up(&mut world, "a/2/1", 1, "large", 1_000_000);
    let open = asked(&mut world);
    let used = json!({"cost": 1.25, "input": 280, "output": 14, "cached": 80});
    assert_eq!(open["a"], with(used.clone(), json!({"model": "large"})));
    assert_eq!((&open["run"], &open["b"], &open["until"]), (&used, &json!(true), &Value::Null));
    world.succeed("a/2/1", json!(2));
    let ended = asked(&mut world);
    assert_eq!(ended["from"], open["from"], "the second round began once");
    assert!(ended["until"].as_str() > ended["from"].as_str(), "{ended}");
    folded_again(&world);
}

#[test]
fn routes_are_counted_with_their_limits_and_causes() {
    let to_a = |more: Value| json!([with(json!({"to": {"rework": "a"}}), more)]);
    let gate = json!([{"id": "g", "probe": {"expression": "output == 2"}, "on_fail": to_a(json!({"max": {"times": 5}}))}]);
    let steps = json!([
        with(task("a", &[]), json!({"gates": gate, "on_fail": to_a(json!({}))})),
        with(approval("ok", json!({"on_reject": to_a(json!({}))})), json!({"needs": ["a"]})),
    ]);
    let mut world = run(steps, json!("${run.routes}"));
    let used = |said: &Value| -> Vec<(String, u64, Value, Value)> {
        let routes = said.as_array().expect("a list").iter();
        let one = |route: &Value| {
            let place = format!(
                "{} {}",
                route["step"].as_str().unwrap_or_default(),
                route["place"].as_str().unwrap()
            );
            (place, route["used"].as_u64().unwrap(), route["max"].clone(), route["causes"].clone())
        };
        routes.map(one).collect()
    };
    let begun = asked(&mut world);
    assert_eq!(
        used(&begun),
        [
            ("a gate:g/0".to_owned(), 0, json!(5), json!({})),
            ("a on_fail/0".to_owned(), 0, json!(3), json!({})),
            ("ok on_reject/0".to_owned(), 0, Value::Null, json!({})),
        ]
    );
    world.succeed("a/1/1", json!(1));
    world.fail("a/2/1", "no");
    world.fail("a/3/1", "no");
    world.succeed("a/4/1", json!(2));
    world
        .by("bob", crate::fixtures::scenario::vote("ok/1/1", everfold_language::definition::Vote::Reject))
        .expect("taken");
    let routes = asked(&mut world);
    assert_eq!(
        used(&routes),
        [
            ("a gate:g/0".to_owned(), 1, json!(5), json!({"g": 1})),
            ("a on_fail/0".to_owned(), 2, json!(3), json!({"exit": 2})),
            ("ok on_reject/0".to_owned(), 1, Value::Null, json!({"rejected": 1})),
        ]
    );
    assert_eq!(routes[0]["to"], json!("a"));
    folded_again(&world);
}

#[test]
fn what_is_awaited_is_told_with_its_people_and_its_moment() {
    let says = json!("${run.waiting}");
    let blocked = with(task("b", &[]), json!({"on_fail": [{"to": "block"}]}));
    let heard = json!({"id": "c", "work": {"wait": {"signal": "go"}}});
    let asks = approval("a", json!({"roles": ["product"]}));
    let mut world = run(json!([asks, blocked, heard]), says);
    let began = world.now;
    world.fail("b/1/1", "no");
    let since = world.now;
    let waiting = asked(&mut world);
    let waiting = waiting.as_array().expect("a list");
    let of = |kind: &str| waiting.iter().find(|one| one["kind"] == kind).expect("it is awaited");
    let (approval, unblock, signal) = (of("approval"), of("unblock"), of("signal"));
    assert_eq!((&approval["title"], &approval["roles"]), (&json!("go on?"), &json!(["product"])));
    assert_eq!((&approval["since"], &signal["since"]), (&json!(began), &json!(began)));
    assert_eq!(
        (&unblock["step"], &unblock["title"], &unblock["since"]),
        (&json!("b"), &json!("failed"), &json!(since))
    );
    assert_eq!(signal["title"], json!("go"));
    world
        .by("ada", crate::fixtures::scenario::unblock(everfold_core::event::UnblockDecision::Skip))
        .expect("taken");
    assert!(!asked(&mut world).to_string().contains("unblock"));
    folded_again(&world);
}

#[test]
fn steps_and_gates_are_told_in_one_list_each() {
    let gate = |code: &str| json!([{"id": "g", "code": code, "probe": {"expression": "output == 2"}, "on_fail": [{"to": {"rework": "a"}}]}]);
    let steps = json!([with(task("a", &[]), json!({"gates": gate("E1")})), task("b", &["a"])]);
    let says = json!({"steps": "${run.steps.map(s, s.id + ' ' + s.status + ' ' + string(s.rounds))}",
        "gates": "${run.gates.map(g, g.step + ' ' + string(g.round) + ' ' + g.verdict + ' ' + g.code)}"});
    let mut world = run(steps, says);
    world.succeed("a/1/1", json!(1));
    world.succeed("a/2/1", json!(2));
    let said = asked(&mut world);
    assert_eq!(said["steps"], json!(["a succeeded 2", "b scheduled 1"]));
    assert_eq!(said["gates"], json!(["a 1 fail E1", "a 2 pass E1"]));
    folded_again(&world);
}

#[test]
fn signals_are_counted_whoever_takes_them() {
    let heard = json!({"id": "c", "work": {"wait": {"signal": "go"}}});
    let says = json!({"go": "${run.signals.go}", "nudge": "${run.signals.?nudge.orValue(0)}"});
    let mut world = run(json!([heard, task("b", &[])]), says);
    assert_eq!(asked(&mut world), json!({"go": 0, "nudge": 0}));
    (0..3).for_each(|_| drop(send_signal(&mut world, "nudge", Value::Null)));
    send_signal(&mut world, "go", Value::Null);
    assert_eq!(asked(&mut world), json!({"go": 1, "nudge": 3}));
    // Names that nothing listens to are counted while there are few of them.
    (0..300).for_each(|n| drop(send_signal(&mut world, &format!("s{n}"), Value::Null)));
    assert!(world.state.signal_counts().len() <= 201, "{}", world.state.signal_counts().len());
    folded_again(&world);
}

#[test]
fn a_cancelled_run_says_who_wanted_it_and_why() {
    let says = json!({"by": "${run.cancelled == null ? 'none' : run.cancelled.by}", "reason": "${run.cancelled.?reason.orValue('')}"});
    let mut world = run(json!([approval("a", json!({}))]), says.clone());
    assert_eq!(asked(&mut world), json!({"by": "none", "reason": ""}));
    let reason = Some("Stopped by the user.".to_owned());
    world.by("bob", InputKind::Cancel(CancelRequested { reason: reason.clone() })).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    assert_eq!(said(&world), json!({"by": "user:bob", "reason": reason}));
    let mut world = run(json!([approval("a", json!({}))]), says);
    world.by("eve", InputKind::Abandon(RunAbandoned { reason })).expect("taken");
    assert_eq!(said(&world), json!({"by": "user:eve", "reason": "Stopped by the user."}));
    folded_again(&world);
}

#[test]
fn what_was_tolerated_is_a_warning() {
    let gate = json!([{"id": "g", "code": "SMALL", "probe": {"expression": "output > 9"}, "on_fail": [{"to": "continue"}]}]);
    let steps = json!([
        with(task("a", &[]), json!({"on_fail": [{"to": "continue"}]})),
        with(task("b", &["a"]), json!({"gates": gate})),
        task("c", &["b"]),
    ]);
    let says =
        json!("${run.warnings.map(w, w.step + ' ' + (w.code == null ? w.kind : w.code) + ' ' + w.message)}");
    let mut world = run(steps, says);
    assert_eq!(asked(&mut world), json!([]));
    world.fail("a/1/1", "no PR");
    world.succeed("b/1/1", json!(1));
    let warnings = asked(&mut world);
    let warnings: Vec<&str> = warnings.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(warnings[0], "a exit no PR");
    assert!(warnings[1].starts_with("b SMALL ") && warnings.len() == 2, "{warnings:?}");
}

#[test]
fn a_code_that_work_gave_its_success_is_a_warning() {
    let mut world = run(json!([task("a", &[])]), json!("${run.warnings}"));
    let notes = everfold_core::event::AttemptNotes {
        note: Some("no forge answered".into()),
        code: Some("PR_CREATE_FAILED".into()),
        ..Default::default()
    };
    let ended = InputKind::AttemptFinished {
        id: "a/1/1".parse().expect("an attempt"),
        result: Ok(json!({"url": null}).into()),
        commit: None,
        artefacts: Vec::new(),
        ended_at: world.now,
        notes,
        ask: None,
    };
    world.give(ended).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let warnings = world.state.warnings();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!(warning.failure.code.as_deref(), Some("PR_CREATE_FAILED"));
    assert_eq!(warning.failure.message, "no forge answered");
}

#[test]
fn a_failed_run_gives_what_can_be_rendered_of_its_output() {
    let output = json!({"a": "${steps.a.output.n}", "b": "${steps.b.output.n}", "fixed": [1]});
    let document =
        json!({"name": "p", "steps": [function("a", &[]), function("b", &["a"])], "output": output});
    let mut world = World::start(definition(document), json!({}));
    world.succeed("a/1/1", json!({"n": 4}));
    world.fail("b/1/1", "broken");
    assert_eq!(world.state.status(), RunStatus::Failed);
    let given = world.state.output().value(&Default::default()).expect("small");
    assert_eq!(given, json!({"a": 4, "b": null, "fixed": [1]}));
    let (failure, _) = world.state.failure().expect("it failed");
    assert_eq!(failure.message, "broken", "the output is no second failure");
    let warnings = world.state.warnings();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(
        warning.step.is_none() && warning.failure.message.contains("b: `steps.b.output.n`"),
        "{warning:?}"
    );
    folded_again(&world);
}

#[test]
fn a_retry_begins_to_count_anew_and_a_fork_keeps_what_was_said() {
    use everfold_core::event::OriginKind;
    let gate =
        json!([{"id": "g", "probe": {"expression": "output == 2"}, "on_fail": [{"to": {"rework": "a"}}]}]);
    let steps = json!([with(task("a", &[]), json!({"gates": gate})), task("b", &["a"])]);
    let mut world = World::start(definition(json!({"name": "p", "steps": steps})), json!({}));
    use_up(&mut world, "a/1/1", 1, "small", 5);
    world.succeed("a/1/1", json!(1));
    world.succeed("a/2/1", json!(2));
    let fork =
        world.forked(world.history.len(), OriginKind::Fork, Some("b".into())).expect("it can be forked");
    assert_eq!(fork.state.usage_of(&"a".into()).cost_micros, 0, "what was used up stays with the origin");
    assert_eq!(fork.state.verdicts().count(), 2);
    let restarted =
        world.forked(world.history.len(), OriginKind::Restart, Some("a".into())).expect("it can be");
    assert_eq!(restarted.state.verdicts().count(), 0, "the step has not been judged in this run");
    assert!(restarted.state.route_uses().iter().all(|route| route.used == 0 && route.causes.is_empty()));
}

#[test]
fn how_long_work_and_people_took_is_added_up_over_rounds_without_what_lies_between() {
    let says = json!({"all": "${run.steps.map(s, s.worked)}", "a": "${steps.a.worked}", "round": "${[run.steps[0].in_round.worked, run.steps[0].in_round.input]}"});
    let back = json!({"on_reject": [{"to": {"rework": "a"}}]});
    let mut world = run(
        json!([
            task("a", &[]),
            with(
                approval("ask", json!({"title": "?", "on_reject": back["on_reject"]})),
                json!({"needs": ["a"]})
            )
        ]),
        says,
    );
    let work = |world: &mut World, id: &str, seconds: u64| {
        world.now = world.now.plus(Duration::from_secs(100));
        let id = id.parse().expect("an attempt");
        world
            .give(InputKind::AttemptStarted(AttemptStarted { id, began_at: None, holder: None }))
            .expect("taken");
        world.now = world.now.plus(Duration::from_secs(seconds));
    };
    work(&mut world, "a/1/1", 60);
    use_up(&mut world, "a/1/1", 1, "small", 5);
    world.succeed("a/1/1", json!(1));
    world.now = world.now.plus(Duration::from_secs(30));
    world.by("bob", vote("ask/1/1", Vote::Reject)).expect("taken");
    work(&mut world, "a/2/1", 5);
    use_up(&mut world, "a/2/1", 1, "small", 5);
    world.succeed("a/2/1", json!(2));
    world.now = world.now.plus(Duration::from_secs(7));
    assert_eq!(
        asked(&mut world),
        json!({"all": [65, 30], "a": 65, "round": [5, 140]}),
        "what is open counts when it has ended"
    );
    world.by("bob", vote("ask/2/1", Vote::Approve)).expect("taken");
    let state = folded_again(&world);
    assert_eq!((state.worked_seconds(&"a".into()), state.worked_seconds(&"ask".into())), (65, 37));
}

/// What every notice of a tracker says, where the state is folded anew from the history (`is_folded`) or read from a
/// snapshot before each input.
fn tracker_texts(is_folded: bool) -> Vec<String> {
    let text = "${toJson([run.steps, run.usage, run.routes, run.waiting, run.gates, run.signals, run.warnings, \
                run.cancelled])} ${run.started_at} ${steps.a.usage.cost} ${steps.a.started_at} ${steps.a.ended_at}";
    let notice = json!({"id": "tracker", "events": ["*"], "function": "notify.log", "with": {"text": text}});
    let gate =
        json!([{"id": "g", "probe": {"expression": "output == 2"}, "on_fail": [{"to": {"rework": "a"}}]}]);
    let steps = json!([
        with(task("a", &[]), json!({"gates": gate})),
        with(approval("ok", json!({"roles": ["product"]})), json!({"needs": ["a"]})),
        with(task("b", &["ok"]), json!({"on_fail": [{"to": "continue"}]})),
    ]);
    let mut world =
        World::start(definition(json!({"name": "p", "notify": [notice], "steps": steps})), json!({}));
    let renew = |world: &mut World| {
        let mut state = RunState::new(world.state.definition().clone());
        world.history.iter().for_each(|(meta, event)| state.apply(event, meta));
        let definition = world.state.definition().clone();
        world.state = match is_folded {
            true => state,
            false => RunState::from_snapshot(definition, &world.state.snapshot()).expect("a snapshot"),
        };
    };
    let turns: [fn(&mut World); 7] = [
        |world| use_up(world, "a/1/1", 1, "small", 250_000),
        |world| drop(world.succeed("a/1/1", json!(1))),
        |world| use_up(world, "a/2/1", 1, "large", 1_000_000),
        |world| drop(world.succeed("a/2/1", json!(2))),
        |world| drop(send_signal(world, "nudge", Value::Null)),
        |world| {
            let mut vote =
                crate::fixtures::scenario::vote("ok/1/1", everfold_language::definition::Vote::Approve);
            if let InputKind::Vote(cast) = &mut vote {
                cast.roles = vec!["product".into()];
            }
            world.by("bob", vote).expect("taken");
        },
        |world| drop(world.fail("b/1/1", "no PR")),
    ];
    for turn in turns {
        renew(&mut world);
        turn(&mut world);
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let texts = world.history.iter().filter_map(|(_, event)| match event {
        RunEvent::NoticeQueued(queued) => Some(queued.with.text().expect("it is small").as_str().to_owned()),
        RunEvent::NoticeFailed(failed) => panic!("{}", failed.message),
        _other => None,
    });
    texts.collect()
}

#[test]
fn o159_o168_the_texts_of_a_tracker_are_the_same_to_the_byte_where_the_history_is_folded_again() {
    let texts = tracker_texts(true);
    let last = texts.last().expect("there are some");
    for part in [r#"\"cost\":1.25"#, "no PR", r#"\"used\":1"#, r#"\"nudge\":1"#] {
        assert!(last.contains(part), "{part}: {last}");
    }
    assert!(texts.iter().any(|text| text.contains("product") && text.contains("since")), "{texts:?}");
    assert_eq!(tracker_texts(false), texts);
}

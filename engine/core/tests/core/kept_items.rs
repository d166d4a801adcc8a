//! A retry of a `foreach` repeats only the items that are not done (L24): of an ended run, and of a step that waits for a
//! person.

use everfold_base::id::StepId;
use everfold_core::event::{OriginKind, RunAdmitted, RunEvent, ScheduledWork, UnblockDecision};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::{OnLost, Vote};
use serde_json::{Value, json};

use crate::fixtures::golden_runs::workspace;
use crate::fixtures::scenario::{attempts, lose, run, unblock, vote, with};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::output;

/// `each` over three items, and a step that shows its output.
fn each(fields: Value) -> World {
    let step = json!({"id": "each", "foreach": {"items": "${[10, 20, 30]}", "fail_fast": false},
        "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    run(json!([with(step, fields), shows()]))
}

fn shows() -> Value {
    json!({"id": "shows", "needs": ["each"],
        "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.each.output}"}}}})
}

/// The first and the last item succeed, the second fails.
fn with_a_failed_item(world: &mut World) {
    world.succeed("each.0/1/1", json!("A"));
    world.fail("each.1/1/1", "broken");
    world.succeed("each.2/1/1", json!("C"));
}

fn retried(world: &World) -> World {
    again(world, OriginKind::Retry, world.state.retry_step())
}

fn again(world: &World, how: OriginKind, from: Option<StepId>) -> World {
    let mut copy = world.forked(world.history.len(), how, from).expect("a copy");
    copy.give(InputKind::Admitted(RunAdmitted { admission: vec![], at_once: false })).expect("taken");
    copy
}

/// Which attempt did which item that was kept.
fn kept(world: &World) -> Vec<(String, String)> {
    let of = |event: &RunEvent| match event {
        RunEvent::StepScheduled(event) => match &event.work {
            ScheduledWork::Kept(kept) => Some((event.id.path.to_string(), kept.id.to_string())),
            _work => None,
        },
        _other => None,
    };
    world.history.iter().filter_map(|(_, event)| of(event)).collect()
}

fn pair(item: &str, by: &str) -> (String, String) {
    (item.to_owned(), by.to_owned())
}

fn outputs(world: &World) -> Vec<Value> {
    let said = output(world, "shows");
    said.as_array().expect("a list").iter().map(|item| item["output"].clone()).collect()
}

#[test]
fn l24_a_retry_of_a_run_repeats_only_the_items_that_failed() {
    let mut origin = each(json!({}));
    with_a_failed_item(&mut origin);
    assert_eq!(origin.state.status(), RunStatus::Failed);
    let mut retry = retried(&origin);
    assert_eq!(attempts(&retry), ["each.1/1/1"]);
    assert_eq!(kept(&retry), [pair("each.0", "each.0/1/1"), pair("each.2", "each.2/1/1")]);
    let of_origin = |event: &RunEvent| match event {
        RunEvent::StepScheduled(event) => match &event.work {
            ScheduledWork::Kept(kept) => Some(kept.run) == origin.state.run(),
            _work => true,
        },
        _other => true,
    };
    assert!(retry.history.iter().all(|(_, event)| of_origin(event)), "the run that did it is named");
    retry.succeed("each.1/1/1", json!("B"));
    assert_eq!(outputs(&retry), [json!("A"), json!("B"), json!("C")]);
    retry.check_fold();
}

#[test]
fn l24_a_second_retry_keeps_what_both_runs_before_it_did() {
    let mut origin =
        each(json!({"foreach": {"items": "${[10, 20, 30]}", "max_in_flight": 1, "fail_fast": false}}));
    origin.succeed("each.0/1/1", json!("A"));
    origin.fail("each.1/1/1", "broken");
    origin.succeed("each.2/1/1", json!("C"));
    let mut first = retried(&origin);
    first.fail("each.1/1/1", "broken again");
    assert_eq!(first.state.status(), RunStatus::Failed);
    let mut second = retried(&first);
    assert_eq!(attempts(&second), ["each.1/1/1"]);
    second.succeed("each.1/1/1", json!("B"));
    assert_eq!(outputs(&second), [json!("A"), json!("B"), json!("C")]);
    let newest: Vec<_> = kept(&second).into_iter().rev().take(2).collect();
    assert_eq!(newest, [pair("each.2", "each.2/1/1"), pair("each.0", "each.0/1/1")]);
}

/// The first item fails at once and stops the others: what was kept of these was not reached.
#[test]
fn l24_what_a_failed_retry_did_not_reach_is_kept_by_the_next() {
    let mut origin = each(
        json!({"foreach": {"items": "${[10, 20, 30]}", "max_in_flight": "${run.origin == null ? 3 : 1}"}}),
    );
    origin.fail("each.0/1/1", "broken");
    origin.succeed("each.1/1/1", json!("B"));
    origin.succeed("each.2/1/1", json!("C"));
    let mut first = retried(&origin);
    assert_eq!(attempts(&first), ["each.0/1/1"]);
    first.fail("each.0/1/1", "broken again");
    assert_eq!(kept(&first), []);
    let mut second = retried(&first);
    assert_eq!(attempts(&second), ["each.0/1/1"]);
    second.succeed("each.0/1/1", json!("A"));
    assert_eq!(outputs(&second), [json!("A"), json!("B"), json!("C")]);
}

/// The same in place: a person lets the step fail after a retry that did not reach what was kept.
#[test]
fn l24_what_a_retry_in_place_did_not_reach_is_kept_when_a_person_lets_the_step_fail() {
    let fields = json!({"foreach": {"items": "${[10, 20, 30]}", "max_in_flight": "${step.round == 1 ? 3 : 1}"}, "on_fail": [{"to": "block"}]});
    let mut world = each(fields);
    world.fail("each.0/1/1", "broken");
    world.succeed("each.1/1/1", json!("B"));
    world.succeed("each.2/1/1", json!("C"));
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    world.fail("each.0/2/1", "broken again");
    world.by("ada", unblock(UnblockDecision::Fail)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Failed);
    assert_eq!(attempts(&retried(&world)), ["each.0/1/1"]);
}

#[test]
fn l24_a_retry_of_a_blocked_step_repeats_only_the_items_that_failed() {
    let mut world = each(json!({"on_fail": [{"to": "block"}]}));
    with_a_failed_item(&mut world);
    assert_eq!(world.state.status(), RunStatus::Blocked);
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["each.1/2/1"]);
    assert_eq!(kept(&world), [pair("each.0", "each.0/1/1"), pair("each.2", "each.2/1/1")]);
    world.fail("each.1/2/1", "broken again");
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["each.1/3/1"], "the work of the first round is kept once more");
    world.succeed("each.1/3/1", json!("B"));
    assert_eq!(outputs(&world), [json!("A"), json!("B"), json!("C")]);
    world.check_fold();
}

#[test]
fn l24_an_item_that_a_person_passed_over_stays_so() {
    let mut world = each(json!({"on_lost": "block"}));
    lose(&mut world, "each.0/1/1", OnLost::Block);
    let skip = InputKind::Unblock {
        path: Some("each.0".parse().expect("a path")),
        decision: UnblockDecision::Skip,
        output: None,
        reason: None,
        policies: Default::default(),
        keeps_items: true,
    };
    world.by("ada", skip).expect("taken");
    world.fail("each.1/1/1", "broken");
    world.succeed("each.2/1/1", json!("C"));
    let mut retry = retried(&world);
    assert_eq!(attempts(&retry), ["each.1/1/1"]);
    retry.succeed("each.1/1/1", json!("B"));
    let said = output(&retry, "shows");
    assert_eq!(said[0]["status"], "skipped");
}

#[test]
fn l24_a_gate_that_says_no_and_a_restart_repeat_all_items() {
    let gate = json!([{"id": "good", "probe": {"expression": "1 == 2"}}]);
    let mut judged = each(json!({"gates": gate}));
    for id in ["each.0/1/1", "each.1/1/1", "each.2/1/1"] {
        judged.succeed(id, json!("done"));
    }
    assert_eq!(judged.state.status(), RunStatus::Failed);
    assert_eq!(attempts(&retried(&judged)), ["each.0/1/1", "each.1/1/1", "each.2/1/1"]);

    let mut world = each(json!({}));
    with_a_failed_item(&mut world);
    let anew = again(&world, OriginKind::Restart, Some(StepId::new("each")));
    assert_eq!(attempts(&anew), ["each.0/1/1", "each.1/1/1", "each.2/1/1"]);
}

#[test]
fn l24_an_item_whose_value_is_another_one_is_repeated() {
    let step = json!({"id": "each", "foreach": {"items": "${has(input.n) ? [10, 20, 31] : [10, 20, 30]}",
        "fail_fast": false}, "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    let mut world = run(json!([step]));
    with_a_failed_item(&mut world);
    let retry = retried(&world);
    assert_eq!(attempts(&retry), ["each.1/1/1", "each.2/1/1"], "the input of the retry has another list");
    assert_eq!(kept(&retry), [pair("each.0", "each.0/1/1")]);
}

/// The new run has a worktree of its own, which begins at the last commit: what items left there is gone otherwise.
#[test]
fn l24_items_that_left_files_which_nothing_commits_are_repeated_by_a_new_run() {
    for (save, again) in
        [("none", vec!["each.0/1/1", "each.1/1/1", "each.2/1/1"]), ("commit", vec!["each.1/1/1"])]
    {
        let step = json!({"id": "each", "foreach": {"items": "${[10, 20, 30]}", "fail_fast": false},
            "work": {"task": {"kind": "command", "spec": {"run": "x"}}}});
        let document =
            json!({"name": "p", "workspace": {"git": {"git": ".", "save": save}}, "steps": [step]});
        let mut world = World::start(definition(document), json!({}));
        world.give(InputKind::WorkspacePrepared(Ok(workspace("c0")))).expect("taken");
        with_a_failed_item(&mut world);
        let mut retry = retried(&world);
        retry.give(InputKind::WorkspacePrepared(Ok(workspace("c0")))).expect("taken");
        assert_eq!(attempts(&retry), again, "{save}");
    }
}

#[test]
fn l24_a_step_whose_tries_clean_the_worktree_repeats_all_items_in_place() {
    let mut world = each(json!({"on_fail": [{"to": "block"}], "clean": true}));
    with_a_failed_item(&mut world);
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["each.0/2/1", "each.1/2/1", "each.2/2/1"]);
}

#[test]
fn l24_what_was_approved_is_not_asked_again_where_another_item_was_rejected() {
    let ask = json!({"id": "ask", "foreach": {"items": "${['a', 'b']}", "fail_fast": false},
        "on_fail": [{"to": "block"}], "work": {"approval": {"title": "go on?"}}});
    let mut world = run(json!([ask]));
    world.by("ada", vote("ask.0/1/1", Vote::Approve)).expect("taken");
    world.by("ada", vote("ask.1/1/1", Vote::Reject)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Blocked);
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(kept(&world), [pair("ask.0", "ask.0/1/1")]);
    world.by("ada", vote("ask.1/2/1", Vote::Approve)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

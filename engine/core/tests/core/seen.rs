//! Approvals keep what they showed: votes name it, later work is held to it, and votes on what did not change count on.

use everfold_base::failure::{Failure, FailureKind};
use everfold_core::decide::{Refusal, plan};
use everfold_core::effect::Effect;
use everfold_core::event::{
    OriginKind, RecheckRequested, RunAdmitted, RunEvent, Seen, SeenKind, SeenPart, TimerKind, VoteCast,
};
use everfold_core::input::InputKind;
use everfold_core::seen::{CHANGED_CODE, LookSpec};
use everfold_core::state::{RunStatus, StepStatus};
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{approval, function, names, status, vote, with};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::{fire, path};

fn run(steps: Value) -> World {
    World::start(definition(json!({"name": "p", "steps": steps})), json!({"doc": "draft"}))
}

fn part(kind: SeenKind, what: &str, hash: Option<&str>) -> SeenPart {
    SeenPart { kind, what: what.to_owned(), hash: hash.map(str::to_owned) }
}

fn file(hash: &str) -> SeenPart {
    part(SeenKind::File, "plan.md", Some(hash))
}

/// A vote, with what was found at that moment.
fn measured(task: &str, vote: Vote, found: Vec<SeenPart>) -> InputKind {
    let id = task.parse().expect("a task");
    let (comments, roles) = (Vec::new(), Vec::new());
    let vote = VoteCast { id, vote, comment: None, roles, comments, edited: None, seen: None };
    InputKind::MeasuredVote { vote, found }
}

/// What the edge reports where the bytes are others.
fn changed(world: &mut World, id: &str) -> Vec<RunEvent> {
    let failure = Failure::new(FailureKind::Conflict, "it is not what “ask” approved");
    world.finish(id, Err(Failure { code: Some(CHANGED_CODE.to_owned()), ..failure }))
}

fn seen(world: &World, task: &str) -> Seen {
    world.state.seen(&task.parse().expect("a task")).expect("it is recorded").clone()
}

fn look(world: &World, task: &str) -> LookSpec {
    let plan = plan::attempt(&world.state, &task.parse().expect("an id"), &Default::default());
    let plan = plan.expect("there").expect("there");
    assert_eq!(plan.kind, "look");
    serde_json::from_value(plan.spec).expect("the parameters of a look")
}

/// `write`, then an approval of `plan.md`, then `deploy`, which needs it.
fn delivery(more: Value) -> World {
    let ask = with(
        json!({"title": "go on?", "show": ["plan.md", "It is ready."], "on_changes": [{"to": {"rework": "write"}}]}),
        more,
    );
    run(json!([
        function("write", &[]),
        {"id": "ask", "needs": ["write"], "work": {"approval": ask}},
        with(function("deploy", &["ask"]), json!({"approved": ["ask"], "retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"}})),
    ]))
}

#[test]
fn people_are_asked_when_the_files_that_they_are_shown_are_measured() {
    let mut world = delivery(json!({"commit": true}));
    let batch = world.succeed("write/1/1", json!(null));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "StepScheduled"]);
    let files = [("plan.md".to_owned(), false)].into();
    assert_eq!(look(&world, "ask/1/1"), LookSpec { files, commit: true });
    let commit = part(SeenKind::Commit, "commit", Some("c1"));
    let batch = world.succeed("ask/1/1", json!([file("aa"), commit]));
    assert_eq!(names(&batch), ["AttemptSucceeded", "ApprovalRequested"]);
    let shown: Vec<(SeenKind, String)> =
        seen(&world, "ask/1/1").parts.into_iter().map(|part| (part.kind, part.what)).collect();
    let named = |kind, what: &str| (kind, what.to_owned());
    assert_eq!(
        shown,
        [
            named(SeenKind::Title, "title"),
            named(SeenKind::File, "plan.md"),
            named(SeenKind::Text, "It is ready."),
            named(SeenKind::Commit, "commit"),
        ]
    );
}

#[test]
fn what_shows_texts_alone_is_asked_at_once_and_has_a_digest_too() {
    let ask = |title: &str| {
        let world = run(json!([approval("ask", json!({"title": title, "show": ["It takes 3 days."]}))]));
        assert_eq!(
            names(&world.history.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>()),
            ["RunStarted", "StepScheduled", "ApprovalRequested"]
        );
        seen(&world, "ask/1/1").digest
    };
    assert_eq!(ask("Ship it?"), ask("Ship it?"));
    assert_ne!(ask("Ship it?"), ask("Ship it to production?"), "what is asked is seen, too");
}

#[test]
fn a_text_that_names_no_file_is_a_text_and_a_wanted_file_may_be_missing() {
    let mut world = run(json!([approval("ask", json!({"show": ["v1.2", {"file": "none.md"}]}))]));
    let files = [("none.md".to_owned(), true), ("v1.2".to_owned(), false)].into();
    assert_eq!(look(&world, "ask/1/1"), LookSpec { files, commit: false });
    world.succeed("ask/1/1", json!([part(SeenKind::File, "none.md", None)]));
    let parts = seen(&world, "ask/1/1").parts;
    assert_eq!((parts[1].kind, parts[1].hash.is_some()), (SeenKind::Text, true));
    assert_eq!(parts[2], part(SeenKind::File, "none.md", None));
}

#[test]
fn a_vote_on_something_else_is_refused_and_a_rejection_is_taken_whatever_lies_there() {
    let mut world = delivery(json!({}));
    world.succeed("write/1/1", json!(null));
    world.succeed("ask/1/1", json!([file("aa")]));
    let refused = world.by("ada", measured("ask/1/1", Vote::Approve, vec![file("bb")]));
    let what = vec!["plan.md (was aa, is bb)".to_owned()];
    let refusal = Refusal::Changed { path: path("ask"), what };
    assert_eq!(refusal.to_string(), "“ask”: it changed since you looked: plan.md (was aa, is bb)");
    assert_eq!(refused, Err(refusal));
    let gone = world.by("ada", measured("ask/1/1", Vote::Approve, Vec::new()));
    assert!(matches!(gone, Err(Refusal::Changed { what, .. }) if what == ["plan.md (was aa, is missing)"]));

    let InputKind::Vote(plain) = vote("ask/1/1", Vote::Approve) else { panic!("a vote") };
    let other = VoteCast { seen: Some(everfold_base::json::Hash::of(b"other")), ..plain.clone() };
    let refused = world.by("ada", InputKind::Vote(other));
    assert_eq!(refused, Err(Refusal::Changed { path: path("ask"), what: Vec::new() }));

    let batch = world.by("bob", measured("ask/1/1", Vote::Changes, vec![file("bb")])).expect("taken");
    assert_eq!(names(&batch)[..3], ["VoteCast", "ApprovalDecided", "ReworkRequested"]);
}

/// Pages and the command line show a file in the place of its path.
#[test]
fn a_text_that_became_a_file_is_something_else_than_what_was_shown() {
    let mut world = run(json!([approval("ask", json!({"show": ["docs/plan.md", "to be released"]}))]));
    world.succeed("ask/1/1", json!([]));
    let parts = seen(&world, "ask/1/1").parts;
    let files = [("docs/plan.md".to_owned(), false)].into();
    assert_eq!(LookSpec::of(&parts), LookSpec { files, commit: false });
    let now = vec![part(SeenKind::File, "docs/plan.md", Some("aa"))];
    let refused = world.by("ada", measured("ask/1/1", Vote::Approve, now));
    let what = vec!["docs/plan.md (was a text, is the file aa)".to_owned()];
    assert_eq!(refused, Err(Refusal::Changed { path: path("ask"), what }));
    world.by("ada", measured("ask/1/1", Vote::Approve, Vec::new())).expect("it is a text still");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

/// It was named by its first 120 letters alone, so that no file was looked for under its name.
#[test]
fn a_long_text_that_may_be_a_path_is_looked_for_by_all_of_it() {
    let long = format!("docs/{}.md", "x".repeat(400));
    let words = "so many words ".repeat(30);
    let mut world = run(json!([
        approval("ask", json!({"show": [long, words]})),
        with(function("deploy", &["ask"]), json!({"approved": ["ask"]})),
    ]));
    world.succeed("ask/1/1", json!([]));
    let parts = seen(&world, "ask/1/1").parts;
    assert_eq!(LookSpec::of(&parts), LookSpec { files: [(long.clone(), false)].into(), commit: false });
    assert!(parts[2].what.chars().count() < 130, "of what is no path its beginning will do");
    let now = vec![part(SeenKind::File, &long, Some("aa"))];
    let refused = world.by("ada", measured("ask/1/1", Vote::Approve, now));
    let what = vec![format!("{long} (was a text, is the file aa)")];
    assert_eq!(refused, Err(Refusal::Changed { path: path("ask"), what }));
    world.by("ada", measured("ask/1/1", Vote::Approve, Vec::new())).expect("it is a text still");
    assert_eq!(
        approved(&world, "deploy/1/1")[0].parts,
        [parts[1].clone()],
        "and looked for before it is used"
    );
}

/// What an attempt is to be measured against.
fn approved(world: &World, id: &str) -> Vec<plan::ApprovedPlan> {
    let plan = plan::attempt(&world.state, &id.parse().expect("an id"), &Default::default());
    plan.expect("there").expect("there").approved
}

#[test]
fn a_vote_and_a_decision_keep_the_digest_and_the_parts() {
    let mut world = delivery(json!({}));
    world.succeed("write/1/1", json!(null));
    world.succeed("ask/1/1", json!([file("aa")]));
    let shown = seen(&world, "ask/1/1");
    let batch = world.by("ada", measured("ask/1/1", Vote::Approve, vec![file("aa")])).expect("taken");
    assert!(matches!(&batch[0], RunEvent::VoteCast(cast) if cast.seen == Some(shown.digest)));
    assert!(matches!(&batch[1], RunEvent::ApprovalDecided(decided) if decided.seen.as_ref() == Some(&shown)));
}

#[test]
fn later_work_is_planned_with_what_was_approved_and_with_why_it_was_not() {
    let mut world = delivery(json!({}));
    world.succeed("write/1/1", json!(null));
    world.succeed("ask/1/1", json!([file("aa")]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    let needed = approved(&world, "deploy/1/1");
    assert_eq!((needed[0].step.as_str(), needed[0].refused.as_deref()), ("ask", None));
    assert_eq!(needed[0].parts, [file("aa")], "a text that is no path is of no use there");

    let skipped = json!([
        with(approval("ask", json!({"show": [{"file": "plan.md"}]})), json!({"when": "input.doc == 'none'"})),
        with(function("deploy", &["ask"]), json!({"approved": ["ask"]})),
    ]);
    let world = run(skipped);
    let needed = approved(&world, "deploy/1/1");
    assert_eq!(needed[0].refused.as_deref(), Some("people did not decide on it"));
}

#[test]
fn a_retry_does_not_cover_other_bytes_unless_it_names_them() {
    let fail = |more: Value| {
        let mut world = delivery(json!({}));
        if more != json!({}) {
            world = run(json!([with(
                function("deploy", &[]),
                json!({"retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s", "only": more}})
            )]));
        } else {
            world.succeed("write/1/1", json!(null));
            world.succeed("ask/1/1", json!([file("aa")]));
            world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
        }
        changed(&mut world, "deploy/1/1")
    };
    assert!(!names(&fail(json!({}))).contains(&"RetryScheduled"));
    assert!(names(&fail(json!([CHANGED_CODE]))).contains(&"RetryScheduled"));
}

#[test]
fn gates_alone_wait_for_an_approval_and_are_tried_again_with_it() {
    let gates = json!({
        "id": "check", "needs": ["ask"], "approved": ["ask"], "on_fail": [{"to": "block"}],
        "gates": [{"id": "ok", "probe": {"expression": "true"}}],
    });
    let mut world = run(json!([approval("ask", json!({"show": [{"file": "plan.md"}]})), gates]));
    world.succeed("ask/1/1", json!([file("aa")]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(status(&world, "check"), StepStatus::Scheduled);
    assert!(look(&world, "check/1/1").is_empty(), "only what was approved is looked at");
    changed(&mut world, "check/1/1");
    assert_eq!(status(&world, "check"), StepStatus::Blocked);
    let retry = crate::fixtures::scenario::unblock(everfold_core::event::UnblockDecision::Retry);
    world.by("ada", retry).expect("taken");
    world.succeed("check/1/2", json!(null));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn a_look_that_vanished_is_made_again() {
    let mut world = delivery(json!({}));
    world.succeed("write/1/1", json!(null));
    crate::fixtures::scenario::lose(&mut world, "ask/1/1", everfold_language::definition::OnLost::Retry);
    let batch = world.succeed("ask/1/2", json!([file("aa")]));
    assert_eq!(names(&batch), ["AttemptSucceeded", "ApprovalRequested"]);
}

/// Two must approve; ada did, and bob wants changes: the next round shows this.
fn next_round(keep: bool, hash: &str) -> (World, Vec<RunEvent>) {
    let mut world = delivery(json!({"quorum": 2, "keep_unchanged": keep}));
    world.succeed("write/1/1", json!(null));
    world.succeed("ask/1/1", json!([file("aa")]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    world.by("bob", vote("ask/1/1", Vote::Changes)).expect("taken");
    world.succeed("write/2/1", json!(null));
    let batch = world.succeed("ask/2/1", json!([file(hash)]));
    (world, batch)
}

#[test]
fn an_approval_of_what_did_not_change_counts_on_where_the_pipeline_says_so() {
    let (mut world, _) = next_round(true, "aa");
    let kept = seen(&world, "ask/2/1").kept;
    assert_eq!((kept.len(), kept[0].by.as_str(), kept[0].round.0), (1, "user:ada", 1));
    let batch = world.by("bob", vote("ask/2/1", Vote::Approve)).expect("taken");
    assert!(names(&batch).contains(&"ApprovalDecided"), "ada's vote counted on");

    for (keep, hash) in [(true, "bb"), (false, "aa")] {
        let (mut world, _) = next_round(keep, hash);
        assert_eq!(seen(&world, "ask/2/1").kept, []);
        let batch = world.by("bob", vote("ask/2/1", Vote::Approve)).expect("taken");
        assert_eq!(names(&batch), ["VoteCast"], "keep: {keep}, {hash}: both are asked anew");
    }
}

#[test]
fn what_was_approved_and_did_not_change_is_approved_at_once() {
    let steps = json!([
        function("write", &[]),
        {"id": "ask", "needs": ["write"], "work": {"approval": {"title": "go on?", "show": [{"file": "plan.md"}], "keep_unchanged": true, "timeout": "1h"}}},
        with(function("check", &["ask"]), json!({"on_fail": [{"to": {"rework": "write"}, "max": {"times": 3}}]})),
    ]);
    let mut world = run(steps);
    world.succeed("write/1/1", json!(null));
    world.succeed("ask/1/1", json!([file("aa")]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    world.fail("check/1/1", "red");
    world.succeed("write/2/1", json!(null));
    let batch = world.succeed("ask/2/1", json!([file("aa")]));
    assert_eq!(
        names(&batch)[..4],
        ["AttemptSucceeded", "ApprovalRequested", "ApprovalDecided", "StepSucceeded"]
    );
    world.fail("check/2/1", "red");
    world.succeed("write/3/1", json!(null));
    world.succeed("ask/3/1", json!([file("aa")]));
    assert_eq!(seen(&world, "ask/3/1").kept[0].round.0, 1, "the round in which it was given");
    world.fail("check/3/1", "red");
    world.succeed("write/4/1", json!(null));
    let batch = world.succeed("ask/4/1", json!([file("bb")]));
    assert_eq!(names(&batch), ["AttemptSucceeded", "ApprovalRequested", "TimerSet"]);
}

#[test]
fn an_open_approval_is_asked_anew_with_what_lies_there_now() {
    let mut world = delivery(json!({"timeout": "1h"}));
    world.succeed("write/1/1", json!(null));
    world.succeed("ask/1/1", json!([file("aa")]));
    let again = RecheckRequested { path: path("ask"), policies: Default::default(), reason: None };
    let batch = world.by("ada", InputKind::Recheck(again.clone())).expect("taken");
    assert_eq!(names(&batch), ["RecheckRequested", "RetryScheduled"]);
    let timers = world.effects().into_iter().filter(|effect| matches!(effect, Effect::Timer { .. })).count();
    assert_eq!(timers, 0, "the time for votes begins anew");
    world.succeed("ask/1/2", json!([file("bb")]));
    assert!(world.by("ada", vote("ask/1/1", Vote::Approve)).is_err(), "that question was withdrawn");
    world.by("ada", measured("ask/1/2", Vote::Approve, vec![file("bb")])).expect("taken");
    assert_eq!(status(&world, "ask"), StepStatus::Succeeded);
    let late = world.by("ada", InputKind::Recheck(again));
    assert!(matches!(late, Err(Refusal::NotJudged(_))), "{late:?}");
}

/// An approval of a file, whose looks are tried twice.
fn tried_twice() -> World {
    run(json!([with(
        approval("ask", json!({"show": [{"file": "plan.md"}]})),
        json!({"retry": {"attempts": 2, "backoff_min": "10s", "backoff_max": "10s"}})
    )]))
}

#[test]
fn a_look_that_failed_is_made_again_after_the_pause_of_the_step() {
    let mut world = tried_twice();
    let batch = world.fail("ask/1/1", "no disk");
    let due = batch.iter().find_map(|event| match event {
        RunEvent::RetryScheduled(retry) => Some(retry.at),
        _other => None,
    });
    let failed_at = world.history.last().expect("it failed").0.at;
    assert_eq!(due, Some(failed_at.plus(std::time::Duration::from_secs(10))));
    fire(&mut world, TimerKind::Retry);
    let batch = world.succeed("ask/1/2", json!([file("aa")]));
    assert_eq!(names(&batch), ["AttemptSucceeded", "ApprovalRequested"]);
    world.check_fold();
}

#[test]
fn an_approval_that_was_asked_anew_has_used_up_no_try() {
    let mut world = tried_twice();
    world.succeed("ask/1/1", json!([file("aa")]));
    let again = RecheckRequested { path: path("ask"), policies: Default::default(), reason: None };
    world.by("ada", InputKind::Recheck(again)).expect("taken");
    assert!(names(&world.fail("ask/1/2", "no disk")).contains(&"RetryScheduled"), "the first try failed");
    fire(&mut world, TimerKind::Retry);
    assert!(!names(&world.fail("ask/1/3", "no disk")).contains(&"RetryScheduled"), "the second was the last");
    world.check_fold();
}

/// Both were answered as if they had been counted.
#[test]
fn a_vote_behind_the_decision_is_refused_where_it_is_on_something_else_or_with_another_value() {
    let mut world = run(json!([approval("ask", json!({"edit": "${input.doc}"}))]));
    let ballot = |digest, edited: Option<&str>| {
        let InputKind::Vote(plain) = vote("ask/1/1", Vote::Approve) else { panic!("a vote") };
        let edited = edited.map(|value| everfold_base::json::Payload::Inline(json!(value).into()));
        InputKind::Vote(VoteCast { edited, seen: digest, ..plain })
    };
    let first = seen(&world, "ask/1/1").digest;
    world.by("ada", ballot(Some(first), Some("final"))).expect("taken");
    let now = seen(&world, "ask/1/1").digest;
    for (by, digest, edited) in [
        ("ada", Some(first), Some("final")),
        ("bob", None, Some("final")),
        ("bob", Some(now), None),
        ("ada", None, None),
    ] {
        assert!(world.by(by, ballot(digest, edited)).expect("it says the same").is_empty());
    }
    for (digest, edited, what) in [
        (None, Some("other"), "with another value than this vote has"),
        (Some(now), Some("draft"), "with another value than this vote has"),
        (Some(first), None, "on something else than this vote names"),
    ] {
        let refused = world.by("ada", ballot(digest, edited));
        assert_eq!(refused, Err(Refusal::DecidedOn { path: path("ask"), decision: Vote::Approve, what }));
    }
}

#[test]
fn a_value_that_a_voter_replaced_is_another_thing_to_look_at() {
    let mut world = run(json!([approval("ask", json!({"quorum": 2, "edit": "${input.doc}"}))]));
    let ballot = |digest, edited: Option<Value>| {
        let InputKind::Vote(plain) = vote("ask/1/1", Vote::Approve) else { panic!("a vote") };
        let edited = edited.map(|value| everfold_base::json::Payload::Inline(value.into()));
        InputKind::Vote(VoteCast { edited, seen: Some(digest), ..plain })
    };
    let first = seen(&world, "ask/1/1").digest;
    world.by("ada", ballot(first, Some(json!("other")))).expect("taken");
    let fork = world.forked(world.history.len(), OriginKind::Fork, None).expect("a fork");
    assert_eq!(seen(&fork, "ask/1/1").digest, first, "the value of another run does not count");
    let refused = world.by("bob", ballot(first, None));
    assert_eq!(refused, Err(Refusal::Changed { path: path("ask"), what: Vec::new() }));
    let now = seen(&world, "ask/1/1").digest;
    let batch = world.by("bob", ballot(now, None)).expect("taken");
    assert!(names(&batch).contains(&"ApprovalDecided"), "{batch:?}");
    world.check_fold();
}

#[test]
fn what_was_approved_of_another_input_does_not_let_work_of_a_fork_pass() {
    let named = |title: &str, more: Value| {
        let mut world = run(json!([
            function("write", &[]),
            {"id": "ask", "needs": ["write"], "work": {"approval": with(json!({"title": title, "show": ["plan.md"]}), more)}},
            with(function("deploy", &["ask"]), json!({"approved": ["ask"]})),
        ]));
        world.succeed("write/1/1", json!(null));
        world.succeed("ask/1/1", json!([file("aa")]));
        world.by("bob", measured("ask/1/1", Vote::Approve, vec![file("aa")])).expect("taken");
        let (first, until) = (approved(&world, "deploy/1/1")[0].clone(), world.history.len());
        assert_eq!(first.refused, None);
        // The fork goes on with another input: {"n": 2}.
        let mut fork = world.forked(until, OriginKind::Restart, Some("deploy".into())).expect("forked");
        fork.give(InputKind::Admitted(RunAdmitted { admission: vec![], at_once: false })).expect("taken");
        approved(&fork, "deploy/1/1")[0].clone()
    };
    let same = named("go on?", json!({}));
    assert_eq!((same.refused, same.parts.len()), (None, 1), "what is shown is the same");
    let title = named("deploy ${input.?n.orValue(1)}?", json!({})).refused.expect("another title");
    assert_eq!(title, "it would show another title now");
    let text = named("go on?", json!({"show": ["plan.md", "${input.?n.orValue(1)} of them"]}));
    assert!(text.refused.expect("another text").contains("1 of them"));
    let value = named("go on?", json!({"edit": "${input}"})).refused.expect("another value");
    assert_eq!(value, "it would show another value now");
}

#[test]
fn what_was_approved_in_the_fork_itself_lets_its_work_pass_also_with_another_value() {
    let ask = json!({"title": "deploy ${input.?n.orValue(1)}?", "show": ["plan.md"], "edit": "${input.?n.orValue(1)}"});
    let mut world = run(json!([
        function("write", &[]),
        {"id": "ask", "needs": ["write"], "work": {"approval": ask}},
        with(function("deploy", &["ask"]), json!({"approved": ["ask"]})),
    ]));
    world.succeed("write/1/1", json!(null));
    world.succeed("ask/1/1", json!([file("aa")]));
    let mut fork =
        world.forked(world.history.len(), OriginKind::Restart, Some("ask".into())).expect("forked");
    fork.give(InputKind::Admitted(RunAdmitted { admission: vec![], at_once: false })).expect("taken");
    fork.succeed("ask/1/1", json!([file("bb")]));
    let InputKind::MeasuredVote { vote, found } = measured("ask/1/1", Vote::Approve, vec![file("bb")]) else {
        panic!("a vote")
    };
    let edited = Some(everfold_base::json::Payload::Inline(json!(5).into()));
    fork.by("bob", InputKind::MeasuredVote { vote: VoteCast { edited, ..vote }, found }).expect("taken");
    assert_eq!(approved(&fork, "deploy/1/1")[0].refused, None);
}

#[test]
fn what_began_before_a_pause_may_live_behind_it() {
    use everfold_core::state::{effects, living_effects};
    let gated = with(
        function("judged", &[]),
        json!({"gates": [{"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}}]}),
    );
    let mut world = run(json!([gated, function("works", &[])]));
    world.succeed("judged/1/1", json!(null));
    let work = |effects: Vec<Effect>| -> Vec<Effect> {
        effects
            .into_iter()
            .filter(|effect| matches!(effect, Effect::Attempt { .. } | Effect::Probe { .. }))
            .collect()
    };
    let before = work(effects(&world.state));
    assert_eq!(before.len(), 2, "{before:?}");
    let pause = everfold_core::event::RunPaused { reason: None, interrupt: false };
    world.by("ada", InputKind::Pause(pause)).expect("taken");
    assert_eq!(work(effects(&world.state)), [], "nothing is begun");
    assert_eq!(work(living_effects(&world.state)), before);
    let cancel = everfold_core::event::CancelRequested { reason: None };
    world.by("ada", InputKind::Cancel(cancel)).expect("taken");
    assert_eq!(work(living_effects(&world.state)), [], "nothing is wanted any more");
}

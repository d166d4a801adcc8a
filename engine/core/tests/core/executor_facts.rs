//! What the core records for executors: secrets, worktrees, sessions.

use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, RunId};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_core::artefact::{Usage, Workspace};
use everfold_core::decide::{Loaded, plan};
use everfold_core::effect::Effect;
use everfold_core::event::{
    AttemptHolder, AttemptNotes, AttemptStarted, LogSeal, QuestionAnswered, RunEvent, UsageRecorded,
    WorkspaceShared,
};
use everfold_core::input::InputKind;
use everfold_core::state::{HoldEnd, RunState, StepStatus, WorkerHold};
use everfold_language::definition::WorkspaceSpec;
use everfold_language::expr::Piece;
use serde_json::{Value, json};

use crate::fixtures::scenario::{attempts, function, names, run, status, with};
use crate::fixtures::simulated_run::{World, definition};

fn secret(name: &str) -> Piece {
    Piece::Secret { secret: name.to_owned() }
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn started(pipeline: Value) -> World {
    World::start(definition(pipeline), json!({"user": "ada"}))
}

fn attempt(world: &World, id: &str) -> plan::AttemptPlan {
    let id: AttemptId = id.parse().expect("an attempt");
    plan::attempt(&world.state, &id, &Loaded::default()).expect("all is at hand").expect("it is current")
}

fn workspace(commit: &str) -> Workspace {
    Workspace {
        path: "/w".into(),
        repository: Some("/repo".into()),
        branch: Some("b".into()),
        base: Some("main".into()),
        commit: Some(commit.into()),
    }
}

fn prepared(world: &mut World) {
    world.give(InputKind::WorkspacePrepared(Ok(workspace("c0")))).expect("taken");
}

fn ended(
    world: &mut World,
    id: &str,
    result: Result<Value, Failure>,
    commit: Option<&str>,
    notes: AttemptNotes,
) {
    let (id, ended_at) = (id.parse().expect("an attempt"), world.now);
    let (result, commit) = (result.map(JsonText::from), commit.map(str::to_owned));
    let artefacts = Vec::new();
    let end = InputKind::AttemptFinished { id, result, commit, artefacts, ended_at, notes, ask: None };
    world.give(end).expect("taken");
}

fn exit() -> Failure {
    Failure::new(FailureKind::Exit, "exit 1")
}

#[test]
fn l34_a_secret_is_recorded_as_a_mask_and_what_it_is_part_of_beside_it() {
    let work = json!({"task": {"kind": "function", "spec": {"name": "f", "with": {
        "plain": "${input.user}", "a/b": ["x ${secrets.T} ${input.user}", "${secrets['T']}"],
    }}}});
    let step = json!({"id": "a", "work": work, "env": {"AUTH": "Bearer ${secrets.U}"}, "secrets": ["V"]});
    let secrets = json!({"T": {"env": "T"}, "U": {"file": "u"}, "V": {"command": ["v"]}});
    let world = started(json!({"name": "p", "secrets": secrets, "steps": [step]}));
    let recorded = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::StepScheduled(event) => Some(event.clone()),
        _other => None,
    });
    let shown = serde_json::to_string(&recorded.expect("it was scheduled")).expect("it is JSON");
    assert!(shown.contains("x *** ada") && shown.contains("Bearer ***"), "{shown}");
    let plan = attempt(&world, "a/1/1");
    assert_eq!(
        plan.spec["with"],
        json!({"plain": "ada", "a/b": ["x *** ada", "***"]}),
        "what is beside the parameters is taken out"
    );
    assert_eq!(plan.spec.as_object().map(|fields| fields.len()), Some(2));
    assert_eq!(plan.env["AUTH"], "Bearer ***");
    let secrets = plan.secrets;
    assert_eq!(secrets.vars, ["V"]);
    let places: Vec<&str> = secrets.spec.iter().map(|hidden| hidden.at.as_str()).collect();
    assert_eq!(places, ["/with/a~1b/0", "/with/a~1b/1"]);
    assert_eq!(secrets.spec[0].of, [text("x "), secret("T"), text(" "), text("ada")]);
    assert_eq!(
        (secrets.env[0].at.as_str(), &secrets.env[0].of),
        ("/AUTH", &vec![text("Bearer "), secret("U")])
    );
}

#[test]
fn l34_what_stands_in_an_input_is_never_taken_for_a_secret() {
    let work = json!({"task": {"kind": "function", "spec": {"name": "f", "with": {
        "a": "${input.user}", "b": "${'$' + '{secrets.T}'}",
    }}}});
    let pipeline = json!({"name": "p", "secrets": {"T": {"env": "T"}}, "steps": [{"id": "a", "work": work}]});
    let world = World::start(definition(pipeline), json!({"user": "${secrets.T} *** {\"secret\": \"T\"}"}));
    let plan = attempt(&world, "a/1/1");
    assert!(plan.secrets.spec.is_empty() && plan.secrets.vars.is_empty());
    assert_eq!(plan.spec["with"]["b"], "${secrets.T}");
}

#[test]
fn l34_gates_and_their_members_are_given_secrets() {
    let probe = json!({"task": {"kind": "http", "spec": {"url": "u", "headers": {"a": "${secrets.T}"}}}});
    let several = json!({"any": [{"probe": {"expression": "1 == 2"}}, {"probe": probe}]});
    let gates = json!([{"id": "one", "probe": probe}, {"id": "several", "probe": several}]);
    let step = with(function("a", &[]), json!({"gates": gates, "env": {"E": "${secrets.T}"}}));
    let mut world = started(json!({"name": "p", "secrets": {"T": {"env": "T"}}, "steps": [step]}));
    world.succeed("a/1/1", json!(1));
    let id = "a/1/1".parse().expect("an attempt");
    let plan = plan::probe(&world.state, &id, "one", &Loaded::default()).unwrap().unwrap();
    assert_eq!(plan.spec, json!({"url": "u", "headers": {"a": "***"}}));
    assert_eq!((plan.secrets.spec[0].at.as_str(), plan.secrets.env[0].at.as_str()), ("/headers/a", "/E"));
    world.probe("a/1/1", "one", 1, json!({"status": 200}));
    let mut plan = plan::probe(&world.state, &id, "several", &Loaded::default()).unwrap().unwrap();
    assert!(plan.secrets.spec.is_empty(), "each member has its own");
    let member = &mut plan.spec["members"][1]["spec"];
    assert_eq!(plan::take_hidden(member)[0].at, "/headers/a");
    assert_eq!(*member, json!({"url": "u", "headers": {"a": "***"}}));
}

#[test]
fn l34_a_secret_that_cannot_be_had_is_not_tried_again_unless_the_step_says_so() {
    let missing = || Failure {
        code: Some("SECRET".into()),
        ..Failure::new(FailureKind::Spawn, "the secret T cannot be had")
    };
    let retry = |only: Value| {
        let retry = json!({"attempts": 3, "backoff_min": "1s", "backoff_max": "1s", "only": only});
        let mut world = run(json!([with(function("a", &[]), json!({"retry": retry}))]));
        ended(&mut world, "a/1/1", Err(missing()), None, AttemptNotes::default());
        world
    };
    assert_eq!(status(&retry(json!([])), "a"), StepStatus::Failed);
    for only in ["SECRET", "spawn"] {
        assert!(retry(json!([only])).names().contains(&"RetryScheduled"), "{only}");
    }
}

fn clean_step(more: Value) -> Value {
    let retry = json!({"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"});
    let command = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    with(json!({"id": "b", "needs": ["a"], "work": command, "retry": retry, "clean": true}), more)
}

fn in_worktree(step: Value) -> World {
    let first = json!({"id": "a", "work": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}});
    let mut world = started(json!({"name": "p", "workspace": {"git": {"git": "."}}, "steps": [first, step]}));
    prepared(&mut world);
    ended(&mut world, "a/1/1", Ok(json!(1)), Some("c1"), AttemptNotes::default());
    world
}

#[test]
fn l33_a_retry_of_a_clean_step_begins_on_the_first_commit_of_its_round() {
    let mut world = in_worktree(clean_step(json!({})));
    assert_eq!(attempt(&world, "b/1/1").reset_to, None, "the first attempt takes what is there");
    ended(&mut world, "b/1/1", Err(exit()), Some("c2"), AttemptNotes::default());
    let [.., retry, reset] = world.history.as_slice() else { panic!("{:?}", world.names()) };
    assert!(matches!(&retry.1, RunEvent::RetryScheduled(_)), "{:?}", world.names());
    let RunEvent::WorktreeReset(reset) = &reset.1 else { panic!("{:?}", world.names()) };
    assert_eq!((reset.id.to_string().as_str(), reset.commit.as_str()), ("b/1/2", "c1"));
    assert_eq!(attempt(&world, "b/1/2").reset_to.as_deref(), Some("c1"));
    world.check_fold();
}

#[test]
fn l33_an_answered_question_is_no_retry_and_cleans_nothing() {
    let mut world = in_worktree(clean_step(json!({})));
    let (id, ended_at) = ("b/1/1".parse().expect("an attempt"), world.now);
    world
        .give(InputKind::AttemptFinished {
            id,
            result: Ok(JsonText::null()),
            commit: Some("c2".into()),
            artefacts: Vec::new(),
            ended_at,
            notes: AttemptNotes::default(),
            ask: Some(json!({"text": "which one?"}).into()),
        })
        .expect("taken");
    let id = "b/1/1".parse().expect("a task");
    let answer = json!({"text": "this one"}).into();
    world
        .by(
            "ada",
            InputKind::Answer(QuestionAnswered { id, answer: Payload::Inline(answer), roles: Vec::new() }),
        )
        .expect("taken");
    assert_eq!(attempt(&world, "b/1/2").reset_to, None);
    assert!(!world.names().contains(&"WorktreeReset"));
}

#[test]
fn l33_an_own_workspace_is_a_copy_of_the_head_as_last_recorded() {
    let mut world = in_worktree(clean_step(json!({"clean": false, "workspace": "own"})));
    assert_eq!(attempt(&world, "b/1/1").place, plan::WorkPlace::Copy(Some("c1".into())));
    ended(&mut world, "b/1/1", Ok(json!(1)), None, AttemptNotes::default());
    assert_eq!(world.state.commit(), Some("c1"), "what happens in a copy moves no head");
}

#[test]
fn l33_a_step_with_an_own_workspace_waits_for_the_runs() {
    let step = json!({"id": "a", "workspace": "own", "work": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}});
    let mut world = started(json!({"name": "p", "workspace": {"git": {"git": "."}}, "steps": [step]}));
    assert!(attempts(&world).is_empty() && world.effects().contains(&Effect::Workspace));
    prepared(&mut world);
    assert_eq!(attempts(&world), ["a/1/1"]);
    assert_eq!(attempt(&world, "a/1/1").place, plan::WorkPlace::Copy(Some("c0".into())));
}

#[test]
fn l33_a_step_works_in_the_runs_workspace_beside_it_or_in_a_folder_that_is_named() {
    let step = |id: &str, workspace: Value| {
        let work = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
        json!({"id": id, "workspace": workspace, "work": work})
    };
    let steps = json!([
        step("shared", json!("run")),
        step("beside", json!("none")),
        step("named", json!({"dir": "at/${input.user}"})),
    ]);
    let mut world = started(json!({"name": "p", "workspace": {"git": {"git": "."}}, "steps": steps}));
    assert_eq!(attempts(&world), ["beside/1/1", "named/1/1"], "what works elsewhere waits for no workspace");
    prepared(&mut world);
    for (id, place) in [
        ("shared/1/1", plan::WorkPlace::Workspace),
        ("beside/1/1", plan::WorkPlace::Outside),
        ("named/1/1", plan::WorkPlace::Dir("at/ada".into())),
    ] {
        assert_eq!(attempt(&world, id).place, place, "{id}");
    }
    let world = started(json!({"name": "p", "steps": [step("shared", json!("run"))]}));
    assert_eq!(attempt(&world, "shared/1/1").place, plan::WorkPlace::Outside, "there is none");
}

#[test]
fn l33_a_workspace_is_made_when_a_step_first_needs_it_and_may_read_what_came_before() {
    let workspace = json!({"git": {"git": "${steps.find.output.repo}", "base": "${input.base}", "branch": "task/${steps.find.output.n}",
        "save": "commit", "message": "${step.id} ${attempt} of ${run.pipeline}", "author": "${input.user} <a@b>"}});
    let work = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let steps = json!([function("find", &[]), {"id": "work", "needs": ["find"], "work": work}]);
    let pipeline = definition(json!({"name": "p", "workspace": workspace, "steps": steps}));
    let mut world = World::start(pipeline, json!({"user": "ada", "base": ""}));
    assert!(!world.effects().contains(&Effect::Workspace), "a function needs none");
    world.succeed("find/1/1", json!({"repo": "/r", "n": 7}));
    assert!(attempts(&world).is_empty() && world.effects().contains(&Effect::Workspace));
    let asked = plan::workspace(&world.state, &Loaded::default()).expect("every value is at hand");
    let expected = |branch: &str, repository: &str| plan::WorkspacePlan::Git {
        repository: repository.into(),
        base: None,
        from: None,
        branch: branch.into(),
    };
    assert_eq!(asked, Some(expected("task/7", "/r")), "an empty base is the repository's default");
    prepared(&mut world);
    let id: AttemptId = "work/1/1".parse().expect("an attempt");
    let Some(WorkspaceSpec::Git(git)) = world.state.definition().workspace.clone() else { panic!("git") };
    let save = plan::save(&world.state, &id, &git, &Loaded::default()).expect("every value is at hand");
    assert_eq!((save.message.as_deref(), save.author.as_deref()), (Some("work 1 of p"), Some("ada <a@b>")));

    let steps = json!([{"id": "work", "work": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}}]);
    let plain = started(json!({"name": "p", "workspace": {"git": {"git": "."}}, "steps": steps}));
    let asked = plan::workspace(&plain.state, &Loaded::default()).expect("every value is at hand");
    assert_eq!(asked, Some(expected("everfold/deadbeef", ".")));
    let Some(WorkspaceSpec::Git(git)) = plain.state.definition().workspace.clone() else { panic!("git") };
    let save = plan::save(&plain.state, &id, &git, &Loaded::default()).expect("every value is at hand");
    assert_eq!((save.message, save.author), (None, None), "the step's place, and the settings'");
}

/// As the first step of its run such a function found the folder in which the run was started.
#[test]
fn l33_functions_of_git_work_in_the_worktree_also_as_the_first_step() {
    for (name, needs) in
        [("git.commit", true), ("git.push", true), ("git.ready", false), ("everfold.noop", false)]
    {
        let work = json!({"task": {"kind": "function", "spec": {"name": name, "with": {}}}});
        let steps = json!([{"id": "a", "work": work}]);
        let mut world = started(json!({"name": "p", "workspace": {"git": {"git": "."}}, "steps": steps}));
        assert_eq!(world.effects().contains(&Effect::Workspace), needs, "{name}");
        assert_eq!(attempts(&world).is_empty(), needs, "{name}");
        if needs {
            prepared(&mut world);
            assert_eq!(attempts(&world), ["a/1/1"], "{name}");
        }
    }
}

#[test]
fn l33_the_commit_of_a_step_is_the_head_that_its_attempt_left() {
    let commits = json!({"task": {"kind": "function", "spec": {"name": "f", "with": "${[steps.a.commit, steps.b.commit, workspace.commit]}"}}});
    let command = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let steps = json!([
        {"id": "a", "work": command},
        {"id": "b", "needs": ["a"], "work": command},
        {"id": "c", "needs": ["b"], "work": commits},
    ]);
    let mut world = started(json!({"name": "p", "workspace": {"git": {"git": "."}}, "steps": steps}));
    prepared(&mut world);
    ended(&mut world, "a/1/1", Ok(json!(1)), Some("c1"), AttemptNotes::default());
    ended(&mut world, "b/1/1", Ok(json!(1)), Some("c2"), AttemptNotes::default());
    assert_eq!(attempt(&world, "c/1/1").spec["with"], json!(["c1", "c2", "c2"]));
}

#[test]
fn l33_a_child_works_where_its_parent_does_and_saves_as_that_says() {
    let step = json!({"id": "a", "work": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}});
    let mut world = started(json!({"name": "p", "workspace": "parent", "steps": [step]}));
    let asked = plan::workspace(&world.state, &Loaded::default()).expect("every value is at hand");
    assert_eq!(asked, Some(plan::WorkspacePlan::Parent));
    let owner = RunId(uuid::Uuid::from_u128(5));
    let save = everfold_language::definition::Save::Commit;
    let shared = WorkspaceShared { workspace: workspace("c7"), owner, save, author: Some("A <a@b>".into()) };
    let events = world.give(InputKind::WorkspaceShared(shared)).expect("taken");
    assert_eq!(names(&events), ["WorkspaceShared"]);
    assert_eq!((world.state.commit(), attempts(&world).as_slice()), (Some("c7"), &["a/1/1".to_owned()][..]));
    let known = world.state.shared_workspace().expect("it is shared");
    assert_eq!((known.owner, known.save), (owner, save));
    ended(&mut world, "a/1/1", Ok(json!(1)), Some("c8"), AttemptNotes::default());
    world.check_fold();
}

#[test]
fn l33_the_head_that_a_child_leaves_is_its_parents() {
    let child = json!({"task": {"kind": "run", "spec": {"pipeline": "c"}}});
    let pipeline =
        json!({"name": "p", "workspace": {"git": {"git": "."}}, "steps": [{"id": "a", "work": child}]});
    let mut world = started(pipeline);
    prepared(&mut world);
    ended(&mut world, "a/1/1", Ok(json!(1)), Some("c5"), AttemptNotes::default());
    assert_eq!(world.state.commit(), Some("c5"));
    assert!(world.names().contains(&"ChildFinished"));
}

#[test]
fn y_notes_labels_and_codes_of_failed_work_are_kept() {
    let retry = json!({"attempts": 2, "backoff_min": "1s", "backoff_max": "1s"});
    let mut world = run(json!([with(function("a", &[]), json!({"retry": retry}))]));
    let labels = std::collections::BTreeMap::from([("pr".to_owned(), "17".to_owned())]);
    let notes = AttemptNotes {
        labels,
        note: Some("half way".into()),
        code: Some("E7".into()),
        ..AttemptNotes::default()
    };
    ended(&mut world, "a/1/1", Err(exit()), None, notes.clone());
    assert_eq!(world.state.labels()["pr"], "17");
    let kept = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::AttemptFailed(event) => Some(event.notes.clone()),
        _other => None,
    });
    assert_eq!(kept, Some(notes));
    // A log alone says nothing: what the attempt before said of itself stays.
    let log = Some(LogSeal { hash: Hash::ZERO, lines: 3, bytes: 60, lost_bytes: 0 });
    if let Some(timer) = world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. })) {
        world.answer(&timer, 0);
    }
    ended(
        &mut world,
        "a/1/2",
        Err(exit()),
        None,
        AttemptNotes { log: log.clone(), ..AttemptNotes::default() },
    );
    let (_, step) = world.state.step(&"a".into()).expect("there");
    assert_eq!((step.unit.note.as_deref(), step.unit.code.as_deref()), (Some("half way"), Some("E7")));
    let sealed = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::AttemptFailed(event) => Some(event.notes.log.clone()),
        _other => None,
    });
    assert_eq!(sealed, Some(log.clone()));
    // Labels that do not fit do not hide how it failed, nor what its log is.
    let large = std::collections::BTreeMap::from([("x".to_owned(), "y".repeat(1 << 20))]);
    let mut world = run(json!([function("a", &[])]));
    let notes = AttemptNotes { labels: large, log: log.clone(), ..AttemptNotes::default() };
    ended(&mut world, "a/1/1", Err(exit()), None, notes);
    let kept = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::AttemptFailed(event) => Some(event.notes.log.clone()),
        _other => None,
    });
    assert_eq!(kept, Some(log));
    let failure = world.state.failure().expect("the run failed").0;
    assert_eq!((failure.kind, world.state.labels().len()), (FailureKind::Exit, 0));
}

fn agent(id: &str, spec: Value) -> Value {
    let needs = if id == "a" { json!([]) } else { json!(["a"]) };
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "agent", "spec": spec}}})
}

fn used(world: &mut World, id: &str, seq: u32, session: &str) {
    let usage = Usage { session: Some(session.into()), ..Usage::default() };
    let id = id.parse().expect("an attempt");
    world.give(InputKind::Usage(UsageRecorded { id, seq, usage, less_micros: 0 })).expect("taken");
}

#[test]
fn the_next_attempt_continues_the_session_that_the_former_one_reported() {
    let retry = json!({"attempts": 2, "backoff_min": "0s", "backoff_max": "0s"});
    let continued = json!({"role": "dev", "prompt": "p", "session": "resume"});
    let first = with(agent("a", continued.clone()), json!({"retry": retry}));
    let other = agent("b", continued);
    let new = agent("c", json!({"role": "dev", "prompt": "p", "session": "new"}));
    let stranger = agent("d", json!({"role": "dev", "profile": "codex", "prompt": "p", "session": "resume"}));
    let mut world = started(json!({"name": "p", "steps": [first, other, new, stranger]}));
    assert_eq!(attempt(&world, "a/1/1").session, None);
    used(&mut world, "a/1/1", 1, "s-1");
    ended(&mut world, "a/1/1", Err(exit()), None, AttemptNotes::default());
    let timer = world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. }));
    if let Some(timer) = timer {
        world.answer(&timer, 0);
    }
    assert_eq!(attempt(&world, "a/1/2").session.as_deref(), Some("s-1"));
    used(&mut world, "a/1/2", 1, "s-2");
    ended(&mut world, "a/1/2", Ok(json!(1)), None, AttemptNotes::default());
    assert_eq!(attempt(&world, "b/1/1").session.as_deref(), Some("s-2"), "its role's");
    assert_eq!(attempt(&world, "c/1/1").session, None);
    assert_eq!(attempt(&world, "d/1/1").session, None, "another program's session is none of its own");
    world.check_fold();
}

#[test]
fn histories_without_any_of_it_fold_to_the_bytes_that_they_always_had() {
    let mut world = run(json!([function("a", &[])]));
    used(&mut world, "a/1/1", 1, "s-1");
    let bytes = world.state.snapshot();
    let mut longer = bytes.clone();
    longer.push(9);
    assert!(RunState::from_snapshot(world.state.definition().clone(), &longer).is_err());
    assert_eq!(RunState::from_snapshot(world.state.definition().clone(), &bytes).unwrap(), world.state);
}

#[test]
fn an_attempt_is_one_workers_until_it_ends_and_its_report_is_remembered() {
    let document = json!({"name": "held", "steps": [
        {"id": "work", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}, "retry": {"attempts": 2, "backoff_min": "1s", "backoff_max": "8s"}},
    ]});
    let mut world = World::start(definition(document), json!(null));
    let id = || "work/1/1".parse::<AttemptId>().expect("an attempt");
    let holder = |lease: &[u8]| AttemptHolder {
        worker: "token:ci".to_owned(),
        instance: Some("host-7".to_owned()),
        lease: Hash::of(lease),
    };
    let take = |world: &mut World, holder| {
        let before = world.history.len();
        let started = AttemptStarted { id: id(), began_at: None, holder };
        world.give(InputKind::AttemptStarted(started)).expect("never refused");
        world.history.len() - before
    };
    assert_eq!(take(&mut world, Some(holder(b"one"))), 1);
    let since = world.now;
    let hold = |world: &World| world.state.worker_hold(&id()).cloned();
    assert_eq!(hold(&world), Some(WorkerHold { holder: holder(b"one"), since, end: None }));
    assert_eq!(take(&mut world, Some(holder(b"one"))), 0, "it holds it already");
    assert_eq!(take(&mut world, None), 0, "it has begun already");
    assert_eq!(take(&mut world, Some(holder(b"two"))), 1, "the first was never given it");
    assert_eq!(hold(&world).map(|hold| hold.holder), Some(holder(b"two")));
    let read = RunState::from_snapshot(Arc::clone(world.state.definition()), &world.state.snapshot());
    assert_eq!(read.expect("a state").worker_hold(&id()), hold(&world).as_ref());

    let report = Hash::of(b"report");
    let ended = InputKind::AttemptFinished {
        id: id(),
        result: Err(Failure::new(FailureKind::Error, "no")),
        commit: None,
        artefacts: Vec::new(),
        ended_at: world.now,
        notes: AttemptNotes { report: Some(report), ..AttemptNotes::default() },
        ask: None,
    };
    world.give(ended).expect("never refused");
    let end = hold(&world).and_then(|hold| hold.end);
    assert_eq!(end, Some(HoldEnd::Reported(report)), "also while the next attempt is due");
    assert_eq!(take(&mut world, Some(holder(b"three"))), 0, "it is over");
}

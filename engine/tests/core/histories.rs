//! Runs whose histories are golden: budgets, the edge, runs that go on from others, runs that are mended or
//! given up.
//!
//! What they do is fixed: a change here is a change of what a release wrote. New events get new runs.

use std::collections::BTreeMap;

use everfold_engine::effect::Effect;
use everfold_engine::event::{
    BudgetReading, BudgetRefusal, Measure, OriginKind, RunEvent, Spent, TimerKind, Told,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{RunId, StepId};
use everfold_engine::input::{InputKind, SharedFrom};
use everfold_engine::json::{Hash, JsonText};
use everfold_engine::time::Timestamp;
use everfold_engine::trace::Workspace;
use serde_json::{Value, json};

use super::world::{World, definition};

fn task(kind: &str) -> Value {
    json!({"task": {"kind": kind, "spec": {"argv": ["x"]}}})
}

fn agent(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "needs": needs, "work": task("agent")})
}

fn money(micros: u64) -> Spent {
    Spent { cost_micros: micros, ..Spent::default() }
}

fn ended(world: &mut World, id: &str, result: Result<Value, Failure>, commit: Option<&str>, told: Told) {
    let end = InputKind::AttemptFinished {
        id: id.parse().expect("an attempt"),
        result: result.map(JsonText::from),
        commit: commit.map(str::to_owned),
        artefacts: Vec::new(),
        ended_at: world.now,
        told,
        ask: None,
    };
    world.give(end).expect("reports are never refused");
}

fn fire(world: &mut World, kind: TimerKind) {
    let due = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Timer { timer, at } if timer.kind == kind => Some((timer, at)),
        _other => None,
    });
    let (timer, due) = due.expect("there is such a timer");
    world.now = world.now.max(due);
    world.give(InputKind::TimerFired { timer, due }).expect("a timer is never refused");
}

fn tell_counters(world: &mut World) {
    let told = world.effects().into_iter().filter_map(|effect| match effect {
        Effect::SpendReport { version } => Some(version),
        _other => None,
    });
    for version in told.collect::<Vec<_>>() {
        let readings = vec![reading(1_000_000, None)];
        world.give(InputKind::SpendReported { version, readings }).expect("taken");
    }
}

fn reading(cost_micros: u64, until: Option<Timestamp>) -> BudgetReading {
    BudgetReading {
        budget: "team".into(),
        spent: money(cost_micros),
        reserved_micros: 250_000,
        raised: Spent::default(),
        until,
    }
}

/// A run with a day's budget of its own and a shared one: both refuse, a day begins, somebody raises,
/// exempt work goes through, and a third budget stops what runs.
pub fn budgets() -> World {
    let mut exempt = agent("flat", &["b"]);
    exempt["budget_exempt"] = json!("input.n == 1");
    let document = json!({"name": "golden/budgets", "budgets": [
        {"id": "daily", "per": "day", "cost": "1 USD", "reserve": "0.10 USD"},
        {"id": "team", "scope": "team-${input.n}", "per": "week", "zone": "Europe/Berlin", "cost": "5 USD"},
        {"id": "words", "tokens": 400, "on_over": "stop"},
    ], "steps": [agent("a", &[]), agent("b", &["a"]), exempt, agent("c", &["flat"])]});
    let mut world = World::start(definition(document), json!({"n": 1}));
    let answer = |world: &mut World, id: &str, refused: bool| {
        let refused = refused.then(|| BudgetRefusal { budget: "team".into(), measure: Measure::Cost });
        let until = Some(Timestamp(world.now.0 + 60_000));
        let readings = vec![reading(4_900_000, until)];
        let id = id.parse().expect("an attempt");
        world.give(InputKind::FundsAnswered { id, refused, readings }).expect("taken");
    };
    world.want_funds("a/1/1");
    answer(&mut world, "a/1/1", true);
    fire(&mut world, TimerKind::Budget);
    answer(&mut world, "a/1/1", false);
    world.use_up(&"a/1/1".parse().expect("an attempt"), 1_200_000);
    world.succeed("a/1/1", json!(1));
    tell_counters(&mut world);
    world.want_funds("b/1/1");
    answer(&mut world, "b/1/1", false);
    let raise = |budget: &str, add| InputKind::RaiseBudget {
        budget: Some(budget.into()),
        add,
        reason: Some("it is worth it".into()),
    };
    world.by("ada", raise("daily", money(10_000))).expect("it can be raised");
    fire(&mut world, TimerKind::Budget);
    world.use_up(&"b/1/1".parse().expect("an attempt"), 20_000);
    world.succeed("b/1/1", json!(1));
    tell_counters(&mut world);
    world.want_funds("flat/1/1");
    world.succeed("flat/1/1", json!(1));
    world.by("ada", raise("words", Spent { tokens: 50, ..Spent::default() })).expect("it can be raised");
    world.by("ada", raise("team", money(1_000_000))).expect("it can be raised");
    tell_counters(&mut world);
    world.want_funds("c/1/1");
    answer(&mut world, "c/1/1", false);
    let usage = everfold_engine::trace::Usage { input_tokens: 900, ..Default::default() };
    let id = "c/1/1".parse().expect("an attempt");
    world.give(InputKind::Usage { id, seq: 1, usage }).expect("taken");
    world.fail("c/1/1", "stopped");
    tell_counters(&mut world);
    world
}

fn workspace(commit: &str) -> Workspace {
    Workspace {
        path: "/w".into(),
        repository: Some("/repository".into()),
        branch: Some("b".into()),
        base: Some("main".into()),
        commit: Some(commit.into()),
    }
}

/// A worktree that a retry finds clean, words of failed work, a child that shared the worktree.
pub fn edge() -> World {
    let retry = json!({"attempts": 2, "backoff_min": "1s", "backoff_max": "1s"});
    let secret =
        json!({"task": {"kind": "http", "spec": {"url": "u", "headers": {"a": "Bearer ${secrets.T}"}}}});
    let document = json!({"name": "golden/edge", "secrets": {"T": {"env": "T"}}, "workspace": {"git": {"git": "."}}, "steps": [
        {"id": "first", "work": task("command")},
        {"id": "clean", "needs": ["first"], "work": task("command"), "retry": retry, "clean": true},
        {"id": "child", "needs": ["clean"], "work": {"task": {"kind": "run", "spec": {"pipeline": "c"}}}},
        {"id": "asks", "needs": ["child"], "work": secret, "env": {"E": "${secrets.T}"}},
        {"id": "copy", "needs": ["asks"], "work": task("command"), "workspace": "own"},
    ]});
    let mut world = World::start(definition(document), json!(null));
    world.give(InputKind::WorkspacePrepared(Ok(workspace("c0")))).expect("taken");
    ended(&mut world, "first/1/1", Ok(json!(1)), Some("c1"), Told::default());
    let labels = BTreeMap::from([("pr".to_owned(), "17".to_owned())]);
    let told = Told { labels, note: Some("half way".into()), code: Some("E7".into()) };
    let exit = Failure::new(FailureKind::Exit, "exit 1");
    ended(&mut world, "clean/1/1", Err(exit), Some("c2"), told);
    fire(&mut world, TimerKind::Retry);
    ended(&mut world, "clean/1/2", Ok(json!(2)), Some("c3"), Told::default());
    ended(&mut world, "child/1/1", Ok(json!({"ok": true})), Some("c4"), Told::default());
    ended(&mut world, "asks/1/1", Ok(json!({"status": 200})), None, Told::default());
    ended(&mut world, "copy/1/1", Ok(json!(3)), None, Told::default());
    world
}

/// A child run in the worktree of the run that started it.
pub fn shared() -> World {
    let document = json!({"name": "golden/shared", "workspace": "parent", "steps": [{"id": "a", "work": task("command")}]});
    let mut world = World::start(definition(document), json!(null));
    let shared = SharedFrom {
        workspace: workspace("c7"),
        owner: RunId(uuid::Uuid::from_u128(5)),
        save: everfold_engine::definition::Save::Commit,
        author: Some("A <a@b>".into()),
    };
    world.give(InputKind::WorkspaceShared(shared)).expect("taken");
    ended(&mut world, "a/1/1", Ok(json!(1)), Some("c8"), Told::default());
    world
}

/// A run that goes on from another's history, and ends with a child that nobody waited for.
pub fn control() -> World {
    let child = json!({"task": {"kind": "run", "spec": {"pipeline": "p", "wait": false}}});
    let document = json!({"name": "golden/control", "steps": [
        {"id": "a", "work": task("command")},
        {"id": "child", "needs": ["a"], "work": child},
        {"id": "hold", "needs": ["child"], "work": {"approval": {"title": "Go?"}}},
    ]});
    let mut origin = World::start(definition(document), json!(null));
    origin.succeed("a/1/1", json!(1));
    origin.succeed("child/1/1", json!({"run": "x"}));
    let from = Some(StepId::new("child"));
    let until = origin.history.len();
    // When this history was kept, the forks of these tests named no definition.
    let forked = origin.forked_by(until, OriginKind::Fork, from, Hash::ZERO);
    let mut world = forked.expect("it can be forked");
    let attempt = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Attempt { id, .. } => Some(id.to_string()),
        _other => None,
    });
    world.succeed(&attempt.expect("the child is started anew"), json!({"run": "y"}));
    world.by("ada", InputKind::Cancel { reason: Some("enough".into()) }).expect("taken");
    let stop = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Stop { id } => Some(id.to_string()),
        _other => None,
    });
    world.fail(&stop.expect("the child is stopped"), "cancelled");
    world
}

/// A run that waited for no slot, whose gate could not be judged, which told only the newest of what
/// happened, whose clock was found to be ahead, and whose workspace is gone.
pub fn mended() -> World {
    let gate = json!({"id": "g", "probe": task("command"), "policy": "evidence.missing == 1"});
    let board = json!({"id": "board", "events": ["StepScheduled", "StepBlocked", "RunSucceeded"], "function": "notify.log",
        "channel": "card", "collapse": true, "with": {"text": "${event.type} at ${event.at}"}});
    let document = json!({"name": "golden/mended", "workspace": {"git": {"git": "."}}, "notify": [board],
        "concurrency": [{"key": "repository", "limit": 2}], "steps": [
        {"id": "judged", "work": task("command"), "gates": [gate]},
        {"id": "pause", "needs": ["judged"], "work": {"wait": {"for": "10s"}}},
        {"id": "last", "needs": ["pause"], "work": task("command")},
    ]});
    let mut world = World::start(definition(document), json!(null));
    let clock = world.now;
    world.give(InputKind::Admitted { admission: Vec::new(), at_once: true }).expect("taken");
    world.give(InputKind::WorkspacePrepared(Ok(workspace("c0")))).expect("taken");
    ended(&mut world, "judged/1/1", Ok(json!(1)), Some("c1"), Told::default());
    let evidence = json!({"argv": ["make"], "exit": 2, "output": ""});
    world.probe("judged/1/1", "g", 1, evidence.clone());
    world.now = Timestamp(world.now.0 + 3_600_000);
    let recheck = InputKind::Recheck {
        path: "judged".parse().expect("a path"),
        policies: BTreeMap::from([("g".to_owned(), "evidence.exit == 2".to_owned())]),
        reason: Some("it was misspelt".into()),
    };
    world.by("ada", recheck).expect("a gate that blocks is judged again");
    world.probe("judged/1/1", "g", 2, evidence);
    world.give(InputKind::ClockRead { clock: Timestamp(clock.0 + 50) }).expect("taken");
    fire(&mut world, TimerKind::Wait);
    ended(&mut world, "last/1/1", Ok(json!(2)), Some("c2"), Told::default());
    world.give(InputKind::WorkspaceRemoved { path: "/w".into() }).expect("taken");
    world
}

/// A run that is given up while it works, waits for evidence, for people and for time, and is blocked.
pub fn abandoned() -> World {
    let board = json!({"id": "board", "events": ["RunAbandoned"], "function": "notify.log", "with": "${event.reason}"});
    let document = json!({"name": "golden/abandoned", "notify": [board], "steps": [
        {"id": "works", "work": task("command")},
        {"id": "judged", "gates": [{"id": "g", "probe": task("command")}]},
        {"id": "asks", "work": {"approval": {"title": "Go?"}}},
        {"id": "pause", "work": {"wait": {"for": "10s"}}},
        {"id": "blocked", "work": task("command"), "on_fail": [{"to": "block"}]},
        {"id": "later", "needs": ["works"], "work": task("command")},
    ], "on_finish": [{"id": "tidy", "work": task("command")}]});
    let mut world = World::start(definition(document), json!(null));
    world.fail("blocked/1/1", "broken");
    world.give(InputKind::AttemptStarted { id: "works/1/1".parse().expect("an attempt") }).expect("taken");
    let given_up = InputKind::Abandon { reason: Some("its history cannot be gone on with".into()) };
    world.by("ada", given_up).expect("it has not ended");
    world
}

/// Each of these kinds, in this schema, is in one of the histories.
pub fn covered() -> Vec<(&'static str, u16)> {
    let first = ["BudgetsOpened", "BudgetExceeded", "BudgetRaised", "FundsRequested", "FundsGranted"];
    let then = [
        "BudgetPeriodBegan",
        "FundsAnswered",
        "SpendReported",
        "WorktreeReset",
        "WorkspaceShared",
        "ChildStopped",
        "ClockRead",
        "RunAbandoned",
        "WorkspaceRemoved",
    ];
    let changed =
        ["RunForked", "AttemptFailed", "ChildFinished", "ProbeFailed", "RunAdmitted", "NoticeQueued"];
    let changed = changed.map(|name| (name, 2));
    first.into_iter().chain(then).map(|name| (name, 1)).chain(changed).collect()
}

/// The kind and the schema in which each event of a run is written.
pub fn schemas(world: &World) -> impl Iterator<Item = (&'static str, u16)> + '_ {
    world.history.iter().map(|(_, event): &(_, RunEvent)| {
        let (schema, _) = everfold_engine::event::encode(event).expect("events can be written");
        (event.name(), schema)
    })
}

//! Golden histories: what a release wrote, every later one reads, and folds to the same state.
//!
//! A file in `tests/golden` is never changed. A new schema gets new files beside the old ones:
//! `EVERFOLD_WRITE_GOLDEN=1 cargo test -p everfold-core golden` writes those that are missing.

use std::fmt::Write as _;
use std::path::PathBuf;

use everfold_core::event::{
    self, AttemptStarted, CancelRequested, NoteAdded, ProbeFailed, RunPaused, RunResumed, UnblockDecision,
    UsageRecorded, VoteCast,
};
use everfold_core::input::InputKind;
use everfold_core::state::{EventMeta, FOLD_VERSION, RunState};
use everfold_language::definition::{OnLost, Vote};
use serde_json::{Value, json};

use crate::fixtures::billed_run::billed;
use crate::fixtures::golden_forks;
use crate::fixtures::golden_runs;
use crate::fixtures::interrupted_run::interrupted;
use crate::fixtures::noticed_run::noticed;
use crate::fixtures::signalled_run::signalled;
use crate::fixtures::simulated_run::{World, definition};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/golden")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect()
}

/// The document, an event per line, and the state that they fold to.
fn written(world: &World) -> String {
    let mut text = format!("{}\n", world.state.definition().document());
    for (meta, event) in &world.history {
        let (schema, bytes) = event::encode(event).expect("events can be written");
        let line = json!({
            "kind": event.kind(), "schema": schema, "at": meta.at, "actor": meta.actor, "input": meta.input,
            "payload": hex(&bytes), "event": event,
        });
        writeln!(text, "{line}").expect("a String takes everything");
    }
    let end = json!({"fold_version": FOLD_VERSION, "fingerprint": world.state.fingerprint(), "status": world.state.status()});
    writeln!(text, "{end}").expect("a String takes everything");
    text
}

/// A delivery in small: gates that fail and pass, a rework, people, a lost attempt, usage, a rework
/// that stops another, items, timers, a large output, an unblocking.
fn delivery() -> World {
    let task = |kind: &str| json!({"task": {"kind": kind, "spec": {"argv": ["x", "${run.short_id}"]}}});
    let document = json!({"name": "golden/delivery", "workspace": {"git": {"git": "/repository", "save": "commit"}}, "steps": [
        {"id": "plan", "work": task("agent"), "outputs": {"files": {"brd": {"file": "docs/brd.md"}}}},
        {"id": "approve", "needs": ["plan"], "work": {"approval": {"title": "Approve ${steps.plan.status}", "on_reject": [{"to": {"rework": "plan"}}]}}},
        {"id": "build", "needs": ["approve"], "work": task("command"), "retry": {"attempts": 2, "backoff_min": "1s", "backoff_max": "8s"},
         "gates": [{"id": "tests", "probe": task("command"), "on_fail": [{"to": {"rework": "build"}, "max": {"times": 1}}]},
                   {"id": "small", "probe": {"expression": "output != null"}, "code": "S1"}]},
        {"id": "slow", "needs": ["approve"], "work": task("command")},
        {"id": "each", "needs": ["build"], "foreach": {"items": "${['a', 'b', 'c']}", "as": "n", "max_in_flight": 2},
         "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${n}"}}}, "timeout": "1m"},
        {"id": "pause", "needs": ["each"], "work": {"wait": {"for": "10s"}}},
    ], "on_finish": [{"id": "tidy", "work": task("command")}], "output": {"last": "${steps.each.output}"}});
    let mut world = World::start(definition(document), json!({"task": "say hello"}));
    world.answer(&world.effects().remove(0), 1);
    let usage = everfold_core::artefact::Usage {
        model: Some("m".into()),
        input_tokens: 10,
        cached_tokens: 2,
        output_tokens: 3,
        cost_micros: 1_234,
        session: None,
    };
    let plan = || "plan/1/1".parse().expect("an id");
    world
        .give(InputKind::AttemptStarted(AttemptStarted { id: plan(), began_at: None, holder: None }))
        .expect("taken");
    world.give(InputKind::Usage(UsageRecorded { id: plan(), seq: 1, usage, less_micros: 0 })).expect("taken");
    let artefacts = vec![everfold_core::artefact::Artefact {
        name: "brd".into(),
        path: "docs/brd.md".into(),
        blob: everfold_base::json::BlobRef { hash: everfold_base::json::Hash::of(b"brd"), size_bytes: 3 },
    }];
    let ended_at = world.now;
    let result = Ok(json!("y".repeat(40_000)).into());
    world
        .give(InputKind::AttemptFinished {
            id: plan(),
            result,
            commit: Some("c1".into()),
            artefacts,
            ended_at,
            notes: Default::default(),
            ask: None,
        })
        .expect("taken");
    let vote = |id: &str, vote, comment: Option<&str>| {
        InputKind::Vote(VoteCast {
            id: id.parse().expect("a task"),
            vote,
            comment: comment.map(Into::into),
            roles: vec!["product".into()],
            comments: Vec::new(),
            edited: None,
            seen: None,
        })
    };
    world.by("bob", vote("approve/1/1", Vote::Reject, Some("too vague"))).expect("taken");
    world.succeed("plan/2/1", json!({"ok": true}));
    world.by("bob", vote("approve/2/1", Vote::Approve, None)).expect("taken");
    world.by("ada", InputKind::Note(NoteAdded { text: "looks good".into() })).expect("taken");
    world.fail("build/1/1", "exit 2");
    let timer = world
        .effects()
        .into_iter()
        .find(|effect| matches!(effect, everfold_core::effect::Effect::Timer { .. }));
    world.answer(&timer.expect("a retry"), 0);
    world.succeed("build/1/2", json!(1));
    world.probe("build/1/2", "tests", 1, json!({"argv": ["make"], "exit": 1, "output": "1 failed"}));
    world
        .by("ada", InputKind::Pause(RunPaused { reason: Some("lunch".into()), interrupt: false }))
        .expect("taken");
    world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).expect("taken");
    world.succeed("build/2/1", json!(2));
    world.probe("build/2/1", "tests", 1, json!({"argv": ["make"], "exit": 1, "output": "1 failed"}));
    let proceed = InputKind::Unblock {
        path: Some("build".parse().expect("a path")),
        decision: UnblockDecision::Proceed,
        output: Some(json!("by hand").into()),
        reason: Some("known flake".into()),
        policies: Default::default(),
        keeps_items: true,
    };
    world.by("ada", proceed).expect("taken");
    let slow = "slow/1/1".parse().expect("an id");
    world
        .give(InputKind::AttemptLost { id: slow, reason: "reboot".into(), fallback: OnLost::Retry })
        .expect("taken");
    world.succeed("slow/1/2", json!(null));
    ["each.0/1/1", "each.1/1/1", "each.2/1/1"].iter().for_each(|id| drop(world.succeed(id, json!(id))));
    world.answer(&world.effects().remove(0), 0);
    world.succeed("tidy/1/1", json!(null));
    world
}

/// A run that is cancelled while it works, waits for a gate's evidence and is blocked.
fn cancelled() -> World {
    let task = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let document = json!({"name": "golden/cancelled", "steps": [
        {"id": "works", "work": task},
        {"id": "gates", "gates": [{"id": "g", "probe": task, "poll": {"every": "5s", "max": 3}}]},
        {"id": "blocked", "work": task, "on_fail": [{"to": "block"}]},
        {"id": "later", "needs": ["works", "gates", "blocked"], "standby": false, "work": task},
    ]});
    let mut world = World::start(definition(document), json!(null));
    world.fail("blocked/1/1", "broken");
    let failed = InputKind::ProbeFailed(ProbeFailed {
        id: "gates/1/1".parse().expect("an id"),
        gate: "g".into(),
        probe_no: 1,
        message: "no network".into(),
        permanent: false,
        took_ms: 3,
        broken: false,
    });
    world.give(failed).expect("taken");
    world.by("ada", InputKind::Cancel(CancelRequested { reason: Some("enough".into()) })).expect("taken");
    world.fail("works/1/1", "stopped");
    world
}

/// Where two texts part: the line, and both from a little before the first character that differs.
fn difference(written: &str, kept: &str) -> Option<String> {
    let mut lines = written.lines().zip(kept.lines()).enumerate();
    let shown =
        |line: &str, at: usize| -> String { line.chars().skip(at.saturating_sub(60)).take(160).collect() };
    match lines.find(|(_, (new, old))| new != old) {
        Some((number, (new, old))) => {
            let at = new.chars().zip(old.chars()).take_while(|(new, old)| new == old).count();
            let (new, old) = (shown(new, at), shown(old, at));
            Some(format!("line {}, character {}:\n  kept:    …{old}\n  written: …{new}", number + 1, at + 1))
        }
        None if written == kept => None,
        None => {
            Some(format!("{} lines are written, {} are kept", written.lines().count(), kept.lines().count()))
        }
    }
}

#[test]
fn a_difference_is_told_by_its_first_place() {
    assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(difference("a\n", "a\nb\n").as_deref(), Some("1 lines are written, 2 are kept"));
    let (new, old) = (format!("{}x{}", "é".repeat(90), "y".repeat(900)), format!("{}z", "é".repeat(90)));
    let first = difference(&format!("a\n{new}"), &format!("a\n{old}")).expect("they differ");
    assert!(first.starts_with("line 2, character 91:\n  kept:    …é") && first.contains("éz\n"), "{first}");
    assert!(first.chars().count() < 320, "{first}");
}

/// Makes a history.
type Written = fn() -> World;

/// What this release writes, byte for byte.
const WRITTEN: [(&str, Written); 29] = [
    ("delivery-15", delivery),
    ("cancelled-14", cancelled),
    ("budgets-15", golden_runs::budgets),
    ("edge-14", golden_runs::edge),
    ("shared-14", golden_runs::shared),
    ("control-14", golden_forks::control),
    ("mended-14", golden_runs::mended),
    ("abandoned-14", golden_runs::abandoned),
    ("otherwise-14", golden_runs::otherwise),
    ("refused-14", golden_runs::refused),
    ("numbered-14", golden_runs::numbered),
    ("nested-14", golden_runs::nested),
    ("initiated-14", golden_runs::initiated),
    ("forked-by-a-step-14", golden_forks::forked_by_a_step),
    ("forked-at-work-17", golden_forks::forked_at_work),
    ("retried-items-8", golden_forks::retried_items),
    ("counted-below-14", golden_runs::nested_and_numbered),
    ("reported-14", golden_runs::reported),
    ("searched-14", golden_runs::searched),
    ("spared-14", golden_forks::spared),
    ("spared-below-a-step-14", golden_forks::spared_below_a_step),
    ("interrupted-14", interrupted),
    ("sealed-14", golden_runs::sealed),
    ("began-7", golden_runs::began),
    ("held-7", golden_runs::held),
    ("seen-8", golden_runs::seen),
    ("billed-5", billed),
    ("noticed-7", noticed),
    ("signalled-4", signalled),
];

#[test]
fn golden_histories_of_every_released_schema_fold_to_the_same_state() {
    for (name, make) in WRITTEN {
        let path = folder().join(format!("{name}.jsonl"));
        let made = written(&make());
        if !path.exists() && std::env::var_os("EVERFOLD_WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(folder()).expect("a folder");
            std::fs::write(&path, &made).expect("a file");
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|failed| panic!("{name}: {failed}"));
        if let Some(first) = difference(&made, &text) {
            panic!("{name}: this release writes other bytes; give them a new schema. First at {first}");
        }
    }
    for entry in std::fs::read_dir(folder()).expect("the golden folder is there") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let end = lines.pop().expect("an end");
        let mut state = RunState::new(definition(lines.remove(0)));
        for line in lines {
            let number = |key: &str| u16::try_from(line[key].as_u64().expect("a number")).expect("small");
            let payload = unhex(line["payload"].as_str().expect("a text"));
            let event = event::decode(number("kind"), number("schema"), &payload).expect("an event");
            let read = |key: &str| line[key].as_str().expect("a text");
            let meta = EventMeta {
                at: read("at").parse().expect("a time"),
                actor: read("actor").parse().expect("an actor"),
                input: read("input").parse().expect("an id"),
            };
            state.apply(&event, &meta);
        }
        assert_eq!(json!(state.status()), end["status"], "{}", path.display());
        if end["fold_version"] == json!(FOLD_VERSION) {
            let same = json!(state.fingerprint()) == end["fingerprint"];
            assert!(same, "{}: the fold changed; raise FOLD_VERSION", path.display());
        }
    }
}

#[test]
fn golden_histories_hold_the_events_that_came_later() {
    let worlds: Vec<World> = WRITTEN.iter().map(|(_, make)| make()).collect();
    let held: std::collections::BTreeSet<_> = worlds.iter().flat_map(golden_runs::schemas).collect();
    let missing: Vec<_> = golden_runs::covered().into_iter().filter(|it| !held.contains(it)).collect();
    assert!(missing.is_empty(), "in no golden history: {missing:?}");
}

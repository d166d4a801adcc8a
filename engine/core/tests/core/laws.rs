//! The laws, over generated pipelines and sequences of answers.

use everfold_base::actor::Actor;
use everfold_base::id::StepId;
use everfold_base::time::Timestamp;
use everfold_core::effect::Effect;
use everfold_core::event::{
    BreakpointsSet, CancelRequested, ClockRead, HaltScope, NoteAdded, OriginKind, RunEvent, RunHalted,
    RunPaused, RunReleased, RunResumed, StepCancelRequested,
};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, PausedBy, RunState, effects};
use proptest::prelude::*;
use serde_json::json;

use crate::fixtures::generated_pipelines::pipelines;
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::user_inputs;

/// One thing that may happen: which effect is answered and how, or what a person does.
#[derive(Debug, Clone)]
struct Turn {
    pick: prop::sample::Index,
    luck: u8,
    person: u8,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = (any::<prop::sample::Index>(), any::<u8>(), any::<u8>())
        .prop_map(|(pick, luck, person)| Turn { pick, luck, person });
    prop::collection::vec(turn, 1..60)
}

fn person(world: &mut World, turn: &Turn) {
    let kind = match turn.person {
        0..3 => InputKind::Cancel(CancelRequested { reason: None }),
        3..6 => InputKind::Pause(RunPaused { reason: None, interrupt: turn.luck % 2 == 1 }),
        6..8 => InputKind::Halt(RunHalted { scope: scope(turn.luck), reason: None }),
        8..14 => InputKind::Resume(RunResumed { reason: Some("go on".into()), prompt: None }),
        14..18 => InputKind::Release(RunReleased { scope: scope(turn.luck) }),
        18 => InputKind::Note(NoteAdded { text: "seen".into() }),
        19 => {
            let clock = Timestamp(world.now.0 - 60_000 * i64::from(turn.luck));
            world.give(InputKind::ClockRead(ClockRead { clock })).expect("readings are never refused");
            return;
        }
        20..24 => InputKind::Breakpoints(BreakpointsSet {
            steps: vec![format!("s{}", turn.luck % 7).as_str().into()],
        }),
        24..27 => {
            let path = user_inputs::path(&world.state, turn.luck);
            InputKind::CancelStep(StepCancelRequested { path, reason: Some("enough".into()) })
        }
        27..40 => {
            let actor = if turn.luck.is_multiple_of(2) {
                Actor::Hook("ci".into())
            } else {
                Actor::User("ada".into())
            };
            drop(world.give_as(actor, user_inputs::any_signal(turn.luck)));
            return;
        }
        40..45 => user_inputs::recheck(&world.state, turn.pick, turn.luck),
        45..50 => return late(world, turn),
        _ => return answer_people(world, turn.luck, turn.pick),
    };
    drop(world.by("ada", kind));
}

/// A probe answers, perhaps of a round that was reset, perhaps once more.
fn late(world: &mut World, turn: &Turn) {
    let asked = world.history.iter().filter_map(|(_, event)| match event {
        RunEvent::ProbeScheduled(event) => Some((event.id.clone(), event.gate.clone(), event.probe_no)),
        _other => None,
    });
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        return;
    }
    let (id, gate, probe_no) = turn.pick.get(&asked).clone();
    let evidence = json!({"exit": turn.luck % 2, "output": "late"}).into();
    let kind = InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms: 1 };
    world.give(kind).expect("reports are never refused");
}

fn scope(luck: u8) -> HaltScope {
    if luck.is_multiple_of(2) { HaltScope::Engine } else { HaltScope::Pipeline("generated".into()) }
}

/// What lifts the run's pause: its own first.
fn resume(world: &World) -> InputKind {
    let is_own = world.state.pauses().any(|pause| !matches!(pause.by, PausedBy::Halt(_)));
    match world.state.halts().next() {
        Some(scope) if !is_own => InputKind::Release(RunReleased { scope: scope.clone() }),
        _own => InputKind::Resume(RunResumed { reason: None, prompt: None }),
    }
}

/// Gives an input that an awaited person may give; refusals are fine, and change nothing.
fn answer_people(world: &mut World, luck: u8, pick: prop::sample::Index) {
    let awaited: Vec<Awaited> = world
        .state
        .awaited()
        .into_iter()
        .filter(|awaited| !matches!(awaited, Awaited::Timer { .. }))
        .collect();
    if awaited.is_empty() {
        return;
    }
    let awaited = pick.get(&awaited);
    let kind = match awaited {
        Awaited::Resume => Some(resume(world)),
        other => user_inputs::answer(&world.state, other, luck, world.now),
    };
    let Some(kind) = kind else { return };
    drop(world.by(["ada", "bob"][usize::from(luck % 2)], kind));
}

/// A run that all of this happened to.
fn played(pipeline: serde_json::Value, turns: &[Turn]) -> World {
    let mut world = World::start(definition(pipeline), json!({"n": 1}));
    for turn in turns {
        if world.state.is_ended() {
            break;
        }
        let effects = world.effects();
        if effects.is_empty() || turn.person < 60 {
            person(&mut world, turn);
        } else {
            let effect = turn.pick.get(&effects).clone();
            world.answer(&effect, turn.luck);
        }
    }
    world
}

/// Lets everything go well until the run ends; a run that cannot end fails the law.
fn bring_to_end(world: &mut World) {
    for turn in 0..3_000 {
        if world.state.is_ended() {
            return;
        }
        if let Some(effect) = world.effects().first().cloned() {
            let luck = match &effect {
                Effect::Probe { .. } => 9,
                _other => 16,
            };
            world.answer(&effect, luck);
        } else {
            let awaited = world.state.awaited().into_iter().next();
            let awaited = awaited.unwrap_or_else(|| panic!("nothing to do: {:?}", world.names()));
            let (by, kind) = match &awaited {
                Awaited::Resume => ("ada", resume(world)),
                Awaited::Budget { budget, .. } => {
                    let raise = user_inputs::raise(&world.state, budget, world.now);
                    ("ada", raise.expect("a budget that holds work can be raised"))
                }
                other => user_inputs::help(&world.state, other, turn).expect("a person can help"),
            };
            world.by(by, kind).expect("who is awaited is heard");
        }
    }
    panic!("the run does not end: {:?}", &world.names()[world.names().len().saturating_sub(60)..]);
}

/// 1,000 sequences, or `EVERFOLD_CASES`.
fn cases() -> u32 {
    std::env::var("EVERFOLD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn every_law_holds_after_every_input_and_every_run_can_end(pipeline in pipelines(), turns in turns()) {
        let mut world = played(pipeline, &turns);
        bring_to_end(&mut world);
        world.check_fold();
    }

    #[test]
    fn d11_every_version_of_a_run_can_be_gone_on_with_to_an_end(
        pipeline in pipelines(), turns in turns(), until in any::<prop::sample::Index>(), how in 0_u8..8
    ) {
        let mut world = played(pipeline, &turns);
        if how % 2 == 0 {
            bring_to_end(&mut world);
        }
        let until = until.index(world.history.len()) + 1;
        let steps: Vec<StepId> = world.state.steps().map(|(step, _)| step.id.clone()).collect();
        let from = steps[until % steps.len()].clone();
        world.fork_moment = (until % 2 == 0).then_some(world.now);
        let other = match how {
            0..4 => world.forked(until, OriginKind::Fork, None),
            4..6 => world.forked(until, OriginKind::Restart, Some(from)),
            _ => world.forked(world.history.len(), OriginKind::Retry, world.state.retry_step()),
        };
        if let Some(mut other) = other {
            bring_to_end(&mut other);
            other.check_fold();
        }
    }

    /// A damaged log is folded by who looks for the damage.
    #[test]
    fn events_that_do_not_fit_each_other_are_folded_without_a_panic(
        pipeline in pipelines(), turns in turns(), without in any::<prop::sample::Index>(),
        twice in any::<prop::sample::Index>()
    ) {
        let world = played(pipeline, &turns);
        let mut state = RunState::new(world.state.definition().clone());
        let (without, twice) = (without.index(world.history.len()), twice.index(world.history.len()));
        for (at, (meta, event)) in world.history.iter().enumerate() {
            for _ in 0..1 + usize::from(at == twice) - usize::from(at == without && at != twice) {
                state.apply(event, meta);
            }
        }
        let _ = effects(&state);
    }
}

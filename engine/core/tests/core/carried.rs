//! What a copy of a run takes along: sessions and use of budgets, where the pipeline says so.

use everfold_base::id::AttemptId;
use everfold_core::artefact::Usage;
use everfold_core::decide::plan;
use everfold_core::event::{AttemptStarted, OriginKind, RunAdmitted, Spent, UsageRecorded};
use everfold_core::input::InputKind;
use everfold_language::expr::Loaded;
use serde_json::{Value, json};

use crate::fixtures::simulated_run::{World, definition};

fn agent(id: &str, needs: &[&str], session: &str) -> Value {
    let spec = json!({"session": session, "profile": "p", "role": id});
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "agent", "spec": spec}}})
}

fn works(world: &mut World, attempt: &str, session: &str) {
    let id: AttemptId = attempt.parse().expect("an id");
    world
        .give(InputKind::AttemptStarted(AttemptStarted { id: id.clone(), began_at: None, holder: None }))
        .expect("taken");
    let usage =
        Usage { session: Some(session.into()), cost_micros: 1_000_000, output_tokens: 7, ..Usage::default() };
    world.give(InputKind::Usage(UsageRecorded { id, seq: 1, usage, less_micros: 0 })).expect("taken");
    world.succeed(attempt, json!("done"));
}

fn session(world: &World, attempt: &str) -> Option<String> {
    let id = attempt.parse().expect("an id");
    let plan = plan::attempt(&world.state, &id, &Loaded::default()).expect("nothing is to be loaded");
    plan.expect("it is known").session
}

fn origin(budget: Value) -> World {
    let steps = json!([
        agent("keeps", &[], "carry"),
        agent("leaves", &[], "resume"),
        agent("last", &["keeps", "leaves"], "new")
    ]);
    let document = json!({"name": "p", "budgets": [budget], "steps": steps});
    let mut world = World::start(definition(document), json!(null));
    works(&mut world, "keeps/1/1", "s-1");
    works(&mut world, "leaves/1/1", "s-2");
    world
}

fn spent(world: &World) -> Spent {
    let budget = world.state.budgets(world.now).next().expect("it has one");
    Spent { wall_ms: 0, ..budget.used.spent }
}

#[test]
fn a_session_goes_with_a_copy_where_the_step_says_so() {
    let origin = origin(json!({"id": "budget", "cost": "5.00 USD"}));
    for (step, expected) in [("keeps", Some("s-1")), ("leaves", None)] {
        let mut copy =
            origin.forked(origin.history.len(), OriginKind::Restart, Some(step.into())).expect("a copy");
        copy.give(InputKind::Admitted(RunAdmitted { admission: vec![], at_once: false })).expect("taken");
        assert_eq!(session(&copy, &format!("{step}/1/1")).as_deref(), expected, "{step}");
    }
}

#[test]
fn a_copy_begins_with_what_was_used_up_where_the_budget_says_so() {
    let used = Spent { cost_micros: 2_000_000, tokens: 14, wall_ms: 0 };
    for (carry, begins_with) in [(true, used), (false, Spent::default())] {
        let origin = origin(json!({"id": "budget", "cost": "5.00 USD", "carry": carry}));
        assert_eq!(spent(&origin), used);
        for how in [OriginKind::Fork, OriginKind::Restart] {
            let from = (how != OriginKind::Fork).then(|| "last".into());
            let copy = origin.forked(origin.history.len(), how, from).expect("a copy");
            assert_eq!(spent(&copy), begins_with, "{how:?}");
        }
    }
}

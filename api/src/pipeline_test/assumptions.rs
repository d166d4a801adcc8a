//! What a dry run takes for granted: what a pipeline decides by values that nothing real gives is decided as if all went
//! well.
//!
//! Law: what follows from the input, the settings and the stubs of a case alone is decided by the pipeline's own
//! expressions; what is assumed is listed.

use std::collections::BTreeSet;

use everfold_engine::decide::admission_id;
use everfold_engine::definition::case::{CaseStubs, ProbeStubs};
use everfold_engine::definition::{Definition, Gate, Member, Probe, Routes, Step, Work};
use everfold_engine::expr::{Expr, Reference};
use everfold_engine::id::Round;

/// Fields of a step that the engine itself knows, whatever its work gave.
const KNOWN_FIELDS: [&str; 5] = ["status", "round", "rounds", "attempts", "skipped"];

/// Puts what is assumed in the place of what cannot be known; gives the gates that are taken to pass, as `STEP/GATE`, and
/// lists everything else in `unknown`.
pub(super) fn assume(
    definition: &mut Definition,
    stubs: &CaseStubs,
    unknown: &mut Vec<String>,
) -> BTreeSet<String> {
    let has_stub = |step: &Step| stubs.steps.contains_key(&step.id);
    let is_decided = |step: &Step| stubs.decide.iter().any(|decision| decision.task.step == step.id);
    let made: BTreeSet<String> = definition
        .steps
        .iter()
        .chain(&definition.on_finish)
        .filter(|step| match &step.work {
            Some(Work::Task(_)) => !has_stub(step),
            Some(Work::Question(_)) => !is_decided(step),
            Some(Work::Wait(wait)) => wait.signal.is_some(),
            Some(Work::Approval(_)) | None => false,
        })
        .map(|step| step.id.to_string())
        .collect();
    let mut passing = BTreeSet::new();
    for gate in &mut definition.admit.gates {
        if !stubs.admit.contains_key(&gate.id) && !matches!(gate.probe, Probe::Expression(_)) {
            pass(gate, &made, false);
            let step = admission_id(Round::FIRST).path.step;
            passing.insert(format!("{step}/{}", gate.id));
        }
    }
    let Definition { steps, on_finish, .. } = definition;
    for step in steps.iter_mut().chain(on_finish) {
        let is_made = made.contains(step.id.as_str());
        if let Some(when) = &step.when
            && depends(when, &made, false)
        {
            unknown.push(format!(
                "{}: whether it runs follows from what is made up (when: {}); it is taken to",
                step.id,
                when.source()
            ));
            step.when = Some(literal(true));
        }
        if let Some(foreach) = &step.foreach
            && foreach.items.expressions().iter().any(|list| depends(list, &made, false))
        {
            unknown.push(format!("{}: the items follow from what is made up", step.id));
        }
        let given = stubs.gates.get(&step.id);
        for gate in &mut step.gates {
            let is_given = |given: &ProbeStubs| !matches!(given, ProbeStubs::Members(all) if all.is_empty());
            if given.and_then(|given| given.get(&gate.id)).is_some_and(is_given) {
                continue;
            }
            if pass(gate, &made, is_made) {
                passing.insert(format!("{}/{}", step.id, gate.id));
            }
        }
        unknown.extend(not_taken(step.id.as_str(), &mut step.on_success, &made, is_made));
        match &mut step.work {
            Some(Work::Wait(wait)) => wait.matches = None,
            Some(Work::Question(question)) if is_made => question.accept = None,
            _other => {}
        }
    }
    passing
}

/// Routes behind a success that follow from what is made up are not taken: a rework by them would have no end.
fn not_taken(step: &str, routes: &mut Routes, made: &BTreeSet<String>, own: bool) -> Vec<String> {
    let mut noted = Vec::new();
    for route in &mut routes.0 {
        if let Some(when) = &route.when
            && depends(when, made, own)
        {
            noted.push(format!(
                "{step}: whether on_success takes its route follows from what is made up (when: {}); it is taken not to",
                when.source()
            ));
            route.when = Some(literal(false));
        }
    }
    noted
}

/// Has a gate pass whatever is found; whether anything of it is assumed.
fn pass(gate: &mut Gate, made: &BTreeSet<String>, own: bool) -> bool {
    if gate.when.as_ref().is_some_and(|when| depends(when, made, own)) {
        gate.when = None;
    }
    match &mut gate.probe {
        Probe::Expression(expression) => {
            let follows = |judged: &Expr| depends(judged, made, own);
            if !follows(expression) && !gate.policy.as_ref().is_some_and(follows) {
                return false;
            }
            *expression = literal(true);
            gate.policy = None;
        }
        Probe::Task(_) => gate.policy = Some(literal(true)),
        several => {
            members(several, true);
            gate.policy = None;
        }
    }
    gate.fresh = false;
    true
}

fn members(probe: &mut Probe, wanted: bool) {
    let (all, wanted): (Vec<&mut Member>, bool) = match probe {
        Probe::All(members) | Probe::Any(members) | Probe::AtLeast { of: members, .. } => {
            (members.iter_mut().collect(), wanted)
        }
        Probe::Not(member) => (vec![&mut **member], !wanted),
        Probe::Expression(_) | Probe::Task(_) => return,
    };
    for member in all {
        member.when = None;
        match &mut member.probe {
            Probe::Task(_) => member.policy = Some(literal(wanted)),
            Probe::Expression(expression) => {
                *expression = literal(wanted);
                member.policy = None;
            }
            several => {
                members(several, wanted);
                member.policy = None;
            }
        }
    }
}

/// Whether the value of an expression follows from what is made up; `own`: what the step itself gives is.
fn depends(expression: &Expr, made: &BTreeSet<String>, own: bool) -> bool {
    expression.references().iter().any(|reference| match reference {
        Reference::Step { step, field } => made.contains(step) && !KNOWN_FIELDS.contains(&field.as_str()),
        Reference::Name(name) => match name.as_str() {
            "steps" => !made.is_empty(),
            "output" | "outputs" | "evidence" | "answers" | "files" | "usage" => own,
            "item" | "needs" | "signal" => !made.is_empty(),
            _known => false,
        },
        Reference::Run { .. } => false,
    })
}

fn literal(word: bool) -> Expr {
    Expr::parse(if word { "true" } else { "false" }).expect("a literal is an expression")
}

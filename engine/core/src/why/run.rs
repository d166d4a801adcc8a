//! Why a run is where it is.

use everfold_language::definition::FinishStatus;

use super::budget::budgets;
use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::condition::clipped;
use super::explainer::{Explainer, NAMED_MAX};
use super::standstill::standstill;
use super::step::step_causes;
use super::trail::{Topic, Trail};
use super::work::stopping;
use crate::state::{Agenda, Phase, RunState};

/// Why a run is where it is, what holds it most first. A run that has not ended has one cause at least.
#[must_use]
pub fn of_run(state: &RunState, trail: &Trail) -> Vec<CauseNode> {
    let explainer = Explainer::new(state, trail);
    let mut causes = if state.is_ended() { vec![ended(&explainer)] } else { open(&explainer) };
    causes.retain(|_| explainer.has_room());
    causes
}

fn ended(explainer: &Explainer<'_>) -> CauseNode {
    let state = explainer.state;
    let Some(end) = &state.facts.ended else {
        return CauseNode::new(CauseKind::Engine, CauseSubject::default(), "the run goes on");
    };
    let (kind, sentence) = match end.status {
        FinishStatus::Succeeded => (CauseKind::Ended, "the run succeeded".to_owned()),
        FinishStatus::Cancelled => (CauseKind::Cancelled, cancelled(state, "the run was cancelled")),
        FinishStatus::Failed => {
            let what = end.failure.as_ref().map(|failure| format!(": {}", clipped(&failure.message)));
            (CauseKind::Failed, format!("the run failed{}", what.unwrap_or_default()))
        }
    };
    let cause = explainer.shown(
        CauseNode::new(kind, CauseSubject::default(), sentence).since(end.at),
        Topic::Run,
        "",
    );
    let at = end.path.as_ref().and_then(|path| state.graph.find(&path.step));
    cause.because(at.map(|at| step_causes(explainer, at, 1)).unwrap_or_default())
}

fn cancelled(state: &RunState, what: &str) -> String {
    let Some(cancelling) = state.cancelling() else { return what.to_owned() };
    let why = cancelling.reason.as_ref().map(|reason| format!(": {}", clipped(reason))).unwrap_or_default();
    format!("{what} by {}{why}", cancelling.by)
}

fn open(explainer: &Explainer<'_>) -> Vec<CauseNode> {
    let state = explainer.state;
    let mut causes = Vec::new();
    if let Some(cancelling) = state.cancelling() {
        let sentence = cancelled(state, "the run is being cancelled");
        let cause =
            CauseNode::new(CauseKind::Cancelled, CauseSubject::default(), sentence).since(cancelling.at);
        causes.push(explainer.shown(cause, Topic::Cancelled, ""));
    }
    causes.extend(standstill(explainer));
    let mut stops: Vec<CauseNode> = Vec::new();
    for (id, reason) in state.facts.stops.iter().take(NAMED_MAX) {
        // What a step that goes on says of its own attempt is said there.
        let is_said =
            state.current(id).is_some_and(|key| state.facts.steps[key.step].phase == Phase::Working);
        if !is_said {
            stops.push(stopping(explainer, id, *reason));
        }
    }
    let mut of_steps: Vec<CauseNode> = Vec::new();
    for at in 0..state.graph.len() {
        let phase = &state.facts.steps[at].phase;
        if *phase != Phase::Pending && !phase.is_ended() {
            of_steps.extend(step_causes(explainer, at, 1));
        }
    }
    let mut names: Vec<CauseNode> = Vec::new();
    for cause in stops {
        let is_known = of_steps.iter().any(|known| known.sentence == cause.sentence);
        if !is_known {
            names.push(cause);
        }
    }
    causes.extend(of_steps);
    causes.extend(names);
    if state.owes_workspace() && !state.stands_still() {
        causes.push(CauseNode::new(
            CauseKind::Workspace,
            CauseSubject::default(),
            "the workspace is being made",
        ));
    }
    if !state.facts.spend.held.is_empty() && !causes.iter().any(|cause| cause.kind == CauseKind::Budget) {
        causes.extend(budgets(explainer));
    }
    if !state.stands_still() {
        for item in &state.facts.agenda {
            let Agenda::Ready(at) = item else { continue };
            if state.is_live(*at) {
                causes.extend(step_causes(explainer, *at, 1));
            }
        }
    }
    // The steps that wait for people first: these are what can be acted on.
    causes.sort_by_key(|cause| rank(cause.kind));
    if causes.is_empty() {
        let sentence = match state.facts.outcome {
            Some(_) => "the run is about to end: the engine records how",
            None => "the engine decides what follows",
        };
        causes.push(
            CauseNode::new(CauseKind::Engine, CauseSubject::default(), sentence).since(state.last_at()),
        );
    }
    causes
}

/// What holds a run most comes first.
fn rank(kind: CauseKind) -> u8 {
    match kind {
        CauseKind::Cancelled | CauseKind::Ended => 0,
        CauseKind::Paused => 1,
        CauseKind::Slot => 2,
        CauseKind::Approval | CauseKind::Question | CauseKind::Blocked => 3,
        CauseKind::Budget => 4,
        CauseKind::Signal => 5,
        CauseKind::Timer | CauseKind::Retry => 6,
        CauseKind::Rework | CauseKind::Engine | CauseKind::More => 8,
        _work => 7,
    }
}

//! The routes of a pipeline, and which of them a history took.
//!
//! Law: a rework is recorded with its route's name, so it is known. Of other routes the history holds the end: the first
//! route of the place that leads there counts.

use everfold_engine::definition::{Definition, Route, RouteTo, Routes, Step, Work};
use everfold_engine::event::{BlockReason, RunEvent, TimerKind};
use everfold_engine::id::StepId;
use everfold_engine::policy::Verdict;

/// A route of a pipeline.
pub(super) struct DeclaredRoute<'a> {
    pub(super) name: String,
    route: &'a Route,
}

impl DeclaredRoute<'_> {
    /// Where it leads, in a word or two.
    pub(super) fn leads(&self) -> String {
        match &self.route.to {
            RouteTo::Continue => "continue".to_owned(),
            RouteTo::Rework(step) => format!("rework {step}"),
            RouteTo::Block => "block".to_owned(),
            RouteTo::Fail { code, .. } => {
                code.as_ref().map_or_else(|| "fail".to_owned(), |code| format!("fail {code}"))
            }
            RouteTo::Finish(_) => "finish".to_owned(),
            RouteTo::Approve => "approve".to_owned(),
            RouteTo::Reject => "reject".to_owned(),
            RouteTo::Changes => "changes".to_owned(),
            RouteTo::Answer(_) => "answer".to_owned(),
            RouteTo::Recheck => "recheck".to_owned(),
            RouteTo::Unblock(_) => "unblock".to_owned(),
            RouteTo::Next => "next".to_owned(),
            RouteTo::Resume => "resume".to_owned(),
            RouteTo::Raise(_) => "raise".to_owned(),
            RouteTo::Ignore => "ignore".to_owned(),
            RouteTo::Refuse(_) => "refuse".to_owned(),
            RouteTo::Late(_) => "late".to_owned(),
        }
    }
}

/// Every route of a pipeline whose end its history shows, in the order of the file; `on_signal` is not among them.
pub(super) fn routes(definition: &Definition) -> Vec<DeclaredRoute<'_>> {
    let mut found = Vec::new();
    for step in definition.steps.iter().chain(&definition.on_finish) {
        for (place, routes) in places(step) {
            for (index, route) in routes.0.iter().enumerate() {
                let mut name = format!("{}/{place}/{index}", step.id);
                let mut next = Some(route);
                while let Some(route) = next {
                    found.push(DeclaredRoute { name: name.clone(), route });
                    name.push_str("/then");
                    next = route.then.as_deref();
                }
            }
        }
    }
    found
}

/// The places of a step that have routes, as histories name them.
fn places(step: &Step) -> Vec<(String, &Routes)> {
    let mut places = vec![("on_success".to_owned(), &step.on_success), ("on_fail".to_owned(), &step.on_fail)];
    match &step.work {
        Some(Work::Approval(approval)) => {
            places.push(("on_reject".to_owned(), &approval.on_reject));
            places.push(("on_changes".to_owned(), &approval.on_changes));
            places.push(("on_timeout".to_owned(), &approval.on_timeout));
        }
        Some(Work::Question(question)) => places.push(("on_timeout".to_owned(), &question.on_timeout)),
        Some(Work::Wait(wait)) => places.push(("on_timeout".to_owned(), &wait.on_timeout)),
        Some(Work::Task(_)) | None => {}
    }
    if let Some(ask) = &step.ask {
        places.push(("on_timeout".to_owned(), &ask.on_timeout));
    }
    for gate in &step.gates {
        places.push((format!("gate:{}", gate.id), &gate.on_fail));
        if let Some(poll) = &gate.poll {
            places.push((format!("gate:{}/timeout", gate.id), &poll.on_timeout));
        }
    }
    places
}

/// How a route of a step ended.
enum RouteEnd {
    Continue,
    Block,
    Fail(Option<String>),
    Finish,
}

/// The names of the routes that a history took, once for each time.
pub(super) fn taken(definition: &Definition, events: &[&RunEvent]) -> Vec<String> {
    let all = routes(definition);
    let mut taken: Vec<String> = Vec::new();
    // What of a step went wrong last: the place whose routes follow.
    let mut causes: std::collections::BTreeMap<StepId, String> = std::collections::BTreeMap::new();
    for event in events {
        let mut caused = |step: &StepId, place: &str| drop(causes.insert(step.clone(), place.to_owned()));
        let (step, end) = match event {
            RunEvent::AttemptFailed(event) => {
                caused(&event.id.path.step, "on_fail");
                continue;
            }
            RunEvent::ChildFinished(event) if event.failure.is_some() => {
                caused(&event.id.path.step, "on_fail");
                continue;
            }
            RunEvent::ApprovalDecided(event) => {
                use everfold_engine::definition::Vote;
                let place = if event.decision == Vote::Changes { "on_changes" } else { "on_reject" };
                caused(&event.id.path.step, place);
                continue;
            }
            RunEvent::TimerFired(event) => {
                let place = match event.timer.kind {
                    TimerKind::Expiry => "on_timeout",
                    TimerKind::Signal => "on_timeout",
                    TimerKind::Deadline | TimerKind::Timeout => "on_fail",
                    _other => continue,
                };
                caused(&event.timer.id.path.step, place);
                continue;
            }
            RunEvent::GateEvaluated(event) if event.verdict == Verdict::Fail => {
                caused(&event.id.path.step, &format!("gate:{}", event.gate));
                if !event.tolerated {
                    continue;
                }
                (&event.id.path.step, RouteEnd::Continue)
            }
            RunEvent::GateEvaluated(event) if event.verdict == Verdict::Pending => {
                caused(&event.id.path.step, &format!("gate:{}/timeout", event.gate));
                continue;
            }
            RunEvent::ProbeFailed(event) => {
                caused(&event.id.path.step, &format!("gate:{}/timeout", event.gate));
                continue;
            }
            RunEvent::ReworkRequested(event) => {
                taken.push(event.route.clone());
                continue;
            }
            RunEvent::StepBlocked(event) => {
                // What blocks without a route: work that vanished, a round that is held.
                if matches!(event.reason, BlockReason::Lost | BlockReason::Held | BlockReason::Broken { .. })
                {
                    continue;
                }
                (&event.path.step, RouteEnd::Block)
            }
            RunEvent::StepFailed(event) => {
                let end = match (event.finish, event.tolerated) {
                    (Some(_), _) => RouteEnd::Finish,
                    (None, true) => RouteEnd::Continue,
                    (None, false) => RouteEnd::Fail(event.failure.code.clone()),
                };
                (&event.path.step, end)
            }
            RunEvent::StepSucceeded(event) => {
                causes.remove(&event.path.step);
                if event.finish.is_none() {
                    continue;
                }
                causes.insert(event.path.step.clone(), "on_success".to_owned());
                (&event.path.step, RouteEnd::Finish)
            }
            _other => continue,
        };
        let Some(cause) = causes.get(step) else { continue };
        // A place without routes of its own leads on to the step's.
        for place in [cause.as_str(), "on_fail"] {
            let prefix = format!("{step}/{place}/");
            let mut own = all
                .iter()
                .filter(|route| {
                    route
                        .name
                        .strip_prefix(&prefix)
                        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                })
                .peekable();
            if own.peek().is_none() {
                continue;
            }
            taken.extend(own.find(|route| leads_to(&route.route.to, &end)).map(|route| route.name.clone()));
            break;
        }
    }
    taken
}

fn leads_to(to: &RouteTo, end: &RouteEnd) -> bool {
    match (to, end) {
        (RouteTo::Continue, RouteEnd::Continue)
        | (RouteTo::Block, RouteEnd::Block)
        | (RouteTo::Finish(_), RouteEnd::Finish) => true,
        (RouteTo::Fail { code, .. }, RouteEnd::Fail(came)) => code.is_none() || code == came,
        _other => false,
    }
}

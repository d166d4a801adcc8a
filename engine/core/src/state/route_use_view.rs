//! How often each rework route of a run was used, of how many times, and why.

use std::collections::BTreeMap;

use super::run_state::RunState;
use everfold_base::id::StepId;
use everfold_language::definition::{RouteMax, RouteTo, Routes, Setting, Step, Work};

/// Uses of a rework route where the pipeline does not say how many there may be.
pub(crate) const ROUTE_MAX_DEFAULT: u32 = 3;

/// A rework route, and how often it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteUses {
    /// The step whose route it is; `None`: the run's.
    pub step: Option<StepId>,
    /// Where it stands: `gate:tests/0`, `on_fail/1`.
    pub place: String,
    /// The step that begins anew.
    pub to: StepId,
    /// How often it was used.
    pub used: u32,
    /// How often it may be; `None`: there is no limit, or it is computed at the first use.
    pub max: Option<u32>,
    /// How often for each cause: a gate, `rejected`, `changes`, a signal, a code or kind of a failure.
    pub causes: BTreeMap<String, u32>,
}

impl RunState {
    /// The rework routes of the pipeline in the order of the file, each with how often it was used.
    #[must_use]
    pub fn route_uses(&self) -> Vec<RouteUses> {
        let mut found = Vec::new();
        for (step, _) in self.steps() {
            for (place, routes, by_person) in places(step) {
                self.uses(&mut found, Some(&step.id), &place, routes, by_person);
            }
        }
        for (signal, routes) in &self.definition().on_signal {
            self.uses(&mut found, None, &format!("on_signal:{signal}"), routes, true);
        }
        found
    }

    fn uses(
        &self,
        found: &mut Vec<RouteUses>,
        step: Option<&StepId>,
        place: &str,
        routes: &Routes,
        by_person: bool,
    ) {
        for (index, route) in routes.0.iter().enumerate() {
            let mut place = format!("{place}/{index}");
            let mut next = Some(route);
            while let Some(route) = next {
                if let RouteTo::Rework(to) = &route.to {
                    let name = step.map_or_else(|| place.clone(), |step| format!("{step}/{place}"));
                    let known = self.facts.routes.get(&name);
                    let written = match &route.max {
                        None => (!by_person).then_some(ROUTE_MAX_DEFAULT),
                        Some(RouteMax::Times(Setting::Fixed(times))) => Some(*times),
                        Some(RouteMax::Times(Setting::Computed(_)) | RouteMax::Unlimited) => None,
                    };
                    found.push(RouteUses {
                        step: step.cloned(),
                        place: place.clone(),
                        to: to.clone(),
                        used: known.map_or(0, |known| known.used),
                        max: known.map_or(written, |known| known.max),
                        causes: self.causes_of(&name),
                    });
                }
                place.push_str("/then");
                next = route.then.as_deref();
            }
        }
    }
}

/// The places of a step where routes stand, each with whether people take them.
fn places(step: &Step) -> Vec<(String, &Routes, bool)> {
    let mut places = Vec::new();
    for gate in &step.gates {
        places.push((format!("gate:{}", gate.id), &gate.on_fail, false));
        if let Some(poll) = &gate.poll {
            places.push((format!("gate:{}/timeout", gate.id), &poll.on_timeout, false));
        }
    }
    match &step.work {
        Some(Work::Approval(approval)) => {
            places.push(("on_reject".to_owned(), &approval.on_reject, true));
            places.push(("on_changes".to_owned(), &approval.on_changes, true));
            places.push(("on_timeout".to_owned(), &approval.on_timeout, false));
        }
        Some(Work::Question(question)) => places.push(("on_timeout".to_owned(), &question.on_timeout, false)),
        Some(Work::Wait(wait)) => places.push(("on_timeout".to_owned(), &wait.on_timeout, false)),
        Some(Work::Task(_)) | None => {
            if let Some(ask) = &step.ask {
                places.push(("on_timeout".to_owned(), &ask.on_timeout, false));
            }
        }
    }
    places.push(("on_fail".to_owned(), &step.on_fail, false));
    places.push(("on_success".to_owned(), &step.on_success, false));
    for (signal, routes) in &step.on_signal {
        places.push((format!("on_signal:{signal}"), routes, true));
    }
    places
}

//! What the cases of a pipeline reach: steps, gates with their verdicts, routes.

use std::collections::BTreeMap;

use everfold_engine::definition::Definition;
use everfold_engine::event::RunEvent;
use everfold_engine::policy::Verdict;
use serde::Serialize;

use super::route_coverage::{DeclaredRoute, routes, taken};

/// What cases reach of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PipelineCoverage {
    /// How often each step began a round.
    pub steps: BTreeMap<String, usize>,
    /// The gates.
    pub gates: Vec<GateCoverage>,
    /// The routes.
    pub routes: Vec<RouteCoverage>,
}

/// What a gate was seen to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateCoverage {
    /// Its step.
    pub step: String,
    /// The gate.
    pub gate: String,
    /// How often it passed.
    pub pass: usize,
    /// How often it failed.
    pub fail: usize,
}

/// How often a route was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteCoverage {
    /// The route, as `STEP/PLACE/INDEX`.
    pub route: String,
    /// Where it leads.
    pub to: String,
    /// How often.
    pub taken: usize,
}

impl PipelineCoverage {
    /// What can be reached, and was not.
    pub(super) fn of(definition: &Definition) -> Self {
        let steps = || definition.steps.iter().chain(&definition.on_finish);
        let gates = steps().flat_map(|step| {
            step.gates.iter().map(|gate| GateCoverage {
                step: step.id.to_string(),
                gate: gate.id.clone(),
                pass: 0,
                fail: 0,
            })
        });
        let route =
            |route: DeclaredRoute<'_>| RouteCoverage { to: route.leads(), route: route.name, taken: 0 };
        Self {
            steps: steps().map(|step| (step.id.to_string(), 0)).collect(),
            gates: gates.collect(),
            routes: routes(definition).into_iter().map(route).collect(),
        }
    }

    /// Adds what a run of the pipeline reached.
    pub(super) fn note(&mut self, definition: &Definition, events: &[&RunEvent]) {
        for event in events {
            match event {
                RunEvent::StepScheduled(event) => {
                    *self.steps.entry(event.id.path.step.to_string()).or_default() += 1;
                }
                RunEvent::GateEvaluated(event) => {
                    let step = event.id.path.step.as_str();
                    let gate = self.gates.iter_mut().find(|it| it.step == step && it.gate == event.gate);
                    match (gate, event.verdict) {
                        (Some(gate), Verdict::Pass) => gate.pass += 1,
                        (Some(gate), Verdict::Fail) => gate.fail += 1,
                        _neither => {}
                    }
                }
                _other => {}
            }
        }
        for name in taken(definition, events) {
            if let Some(route) = self.routes.iter_mut().find(|route| route.route == name) {
                route.taken += 1;
            }
        }
    }

    /// Adds what another case reached.
    pub fn add(&mut self, other: &Self) {
        for (step, count) in &other.steps {
            *self.steps.entry(step.clone()).or_default() += count;
        }
        for gate in &other.gates {
            match self.gates.iter_mut().find(|own| own.step == gate.step && own.gate == gate.gate) {
                Some(own) => {
                    own.pass += gate.pass;
                    own.fail += gate.fail;
                }
                None => self.gates.push(gate.clone()),
            }
        }
        for route in &other.routes {
            match self.routes.iter_mut().find(|own| own.route == route.route) {
                Some(own) => own.taken += route.taken,
                None => self.routes.push(route.clone()),
            }
        }
    }

    /// Steps that no case began.
    #[must_use]
    pub fn unreached(&self) -> Vec<&str> {
        self.steps.iter().filter(|(_, count)| **count == 0).map(|(step, _)| step.as_str()).collect()
    }
}

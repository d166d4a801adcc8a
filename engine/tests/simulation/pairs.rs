//! Which events met which statuses: what the simulation really reaches.

use std::collections::BTreeMap;

use everfold_engine::event::RunEvent;
use everfold_engine::state::RunState;

/// How often an event was recorded on a run of that status, and on a step of that status.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Pairs {
    pub of_runs: BTreeMap<(&'static str, &'static str), u64>,
    pub of_steps: BTreeMap<(&'static str, &'static str), u64>,
}

impl Pairs {
    /// An event is about to be folded.
    pub fn note(&mut self, before: &RunState, event: &RunEvent) {
        let status = if before.run().is_some() { before.status().as_str() } else { "none" };
        *self.of_runs.entry((status, event.name())).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        other.of_runs.iter().for_each(|(pair, count)| *self.of_runs.entry(*pair).or_default() += count);
        other.of_steps.iter().for_each(|(pair, count)| *self.of_steps.entry(*pair).or_default() += count);
    }
}

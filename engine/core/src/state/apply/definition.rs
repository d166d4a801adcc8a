//! A run goes on by another definition: what is known by number is renumbered, by the names of the steps.
//!
//! Law: the findings, attempts and output of a step stay as they are. Steps that are new have not begun, steps that
//! are gone leave nothing; that none of them had begun is for `decide` to see to.

use std::collections::BTreeSet;

use crate::state::agenda::Agenda;
use crate::state::control::Order;
use crate::state::step::StepState;
use crate::state::{Key, RunState};
use everfold_base::id::StepId;
use everfold_language::definition::Graph;

impl RunState {
    /// Goes on by `next`; the steps of `reset` have not begun there.
    pub(super) fn change_definition(&mut self, next: Graph, reset: &[StepId]) {
        let is_kept = |step: &StepId| next.find(step).is_some() && !reset.contains(step);
        let gone: Vec<usize> =
            (0..self.graph.len()).filter(|at| !is_kept(&self.graph.step(*at).id)).collect();
        for at in gone {
            self.clear_step(at);
            self.facts.steps[at] = StepState::default();
        }
        let former = std::mem::replace(&mut self.graph, next);
        let place = |at: usize| self.graph.find(&former.step(at).id);
        let mut steps = vec![StepState::default(); self.graph.len()];
        for (at, step) in std::mem::take(&mut self.facts.steps).into_iter().enumerate() {
            if let Some(there) = place(at) {
                steps[there] = step;
            }
        }
        let key = |key: Key| place(key.step).map(|step| Key { step, ..key });
        let keys = |set: &BTreeSet<Key>| -> BTreeSet<Key> { set.iter().filter_map(|it| key(*it)).collect() };
        let numbers =
            |set: &BTreeSet<usize>| -> BTreeSet<usize> { set.iter().filter_map(|at| place(*at)).collect() };
        let facts = &self.facts;
        let agenda: BTreeSet<Agenda> = facts
            .agenda
            .iter()
            .filter_map(|item| match *item {
                Agenda::Signal(None) => Some(Agenda::Signal(None)),
                Agenda::Signal(Some(at)) => place(at).map(|at| Agenda::Signal(Some(at))),
                Agenda::Settle(it) => key(it).map(Agenda::Settle),
                Agenda::Judge(at) => place(at).map(Agenda::Judge),
                Agenda::Items(at) => place(at).map(Agenda::Items),
                // The steps that may begin are counted anew.
                Agenda::Ready(_) | Agenda::End => None,
            })
            .collect();
        let order = Order {
            deferred: facts
                .order
                .deferred
                .iter()
                .filter_map(|((at, name), heard)| {
                    let there = match at {
                        None => None,
                        Some(at) => Some(place(*at)?),
                    };
                    Some(((there, name.clone()), heard.clone()))
                })
                .collect(),
            waiting: keys(&facts.order.waiting),
            breakpoints: numbers(&facts.order.breakpoints),
            hit: numbers(&facts.order.hit),
            passed: numbers(&facts.order.passed),
            ..facts.order.clone()
        };
        let (attempts, held, blocked) = (keys(&facts.attempts), keys(&facts.held), keys(&facts.blocked));
        let (asking, probing) = (keys(&facts.asking), numbers(&facts.probing));
        self.facts.steps = steps;
        self.facts.agenda = agenda;
        self.facts.order = order;
        (self.facts.attempts, self.facts.held, self.facts.blocked) = (attempts, held, blocked);
        (self.facts.asking, self.facts.probing) = (asking, probing);
        let main = &self.facts.steps[..self.graph.main_len()];
        self.facts.unended = main.iter().filter(|step| !step.phase.is_ended()).count();
        for at in 0..self.graph.len() {
            self.count_needs(at);
        }
        for at in 0..self.graph.main_len() {
            self.check_ready(at);
        }
        if self.facts.ended.is_none() && (self.facts.unended == 0 || self.facts.outcome.is_some()) {
            self.facts.agenda.insert(Agenda::End);
        }
    }
}

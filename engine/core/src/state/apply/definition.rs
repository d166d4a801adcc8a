//! A run goes on by another definition: what is known by number is renumbered, by the names of the steps.
//!
//! Law: the findings, attempts and output of a step stay as they are. Steps that are new have not begun, steps that
//! are gone leave nothing; that none of them had begun is for `decide` to see to.

use std::collections::BTreeSet;

use crate::state::agenda::Agenda;
use crate::state::control::Order;
use crate::state::step::{Phase, StepState};
use crate::state::{Key, RunState};
use everfold_base::id::StepId;
use everfold_base::json::Hash;
use everfold_language::definition::Graph;

impl RunState {
    /// This run as it stands, by another definition, as a fork goes over to one: with nothing that begins anew, and
    /// without becoming another run. With it what only going over puts on the agenda.
    pub(crate) fn by_definition(&self, hash: Hash, next: &Graph) -> (Self, BTreeSet<Agenda>) {
        let mut state = self.clone();
        state.change_definition(next.clone(), &[], false);
        if let Some(started) = &mut state.facts.started {
            started.definition = hash;
        }
        // No step of the main graph begins any more where the outcome is certain.
        let live: BTreeSet<usize> = (0..state.graph.len()).filter(|at| state.is_live(*at)).collect();
        state.facts.agenda.retain(|item| !matches!(item, Agenda::Ready(at) if !live.contains(at)));
        let place = |at: usize| next.find(&self.graph.step(at).id);
        let known: BTreeSet<Agenda> =
            self.facts.agenda.iter().filter_map(|item| item.renumbered(place)).collect();
        let added = state.facts.agenda.difference(&known).copied().collect();
        (state, added)
    }

    /// Takes entries off the agenda, and gives those that were there.
    pub(crate) fn set_aside(&mut self, keep: &BTreeSet<Agenda>) -> BTreeSet<Agenda> {
        let aside = self.facts.agenda.difference(keep).copied().collect();
        self.facts.agenda.retain(|item| keep.contains(item));
        aside
    }

    /// Puts entries back on the agenda, but for steps that have begun meanwhile.
    pub(crate) fn put_back(&mut self, aside: BTreeSet<Agenda>) {
        let may_begin = |at: &usize| self.facts.steps[*at].phase == Phase::Pending;
        let back = aside.into_iter().filter(|item| match item {
            Agenda::Ready(at) => may_begin(at),
            _other => true,
        });
        let back: Vec<Agenda> = back.collect();
        self.facts.agenda.extend(back);
    }

    /// Goes on by `next`; the steps of `reset` have not begun there.
    pub(super) fn change_definition(&mut self, next: Graph, reset: &[StepId], counts_on: bool) {
        let is_kept = |step: &StepId| next.find(step).is_some() && !reset.contains(step);
        let gone: Vec<usize> =
            (0..self.graph.len()).filter(|at| !is_kept(&self.graph.step(*at).id)).collect();
        for at in gone {
            self.forget_step(at, counts_on);
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
        // The steps that may begin, and the end, are found anew.
        let is_carried = |item: &&Agenda| !matches!(item, Agenda::Ready(_) | Agenda::End);
        let carried = facts.agenda.iter().filter(is_carried);
        let agenda: BTreeSet<Agenda> = carried.filter_map(|item| item.renumbered(place)).collect();
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
        self.facts.reminders.renumber(key);
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

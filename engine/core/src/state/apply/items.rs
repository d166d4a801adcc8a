//! The items of a `foreach`.

use crate::event::{ItemsExpanded, UnblockDecision};
use crate::state::agenda::Agenda;
use crate::state::step::{Items, Phase, Settling, Stage, Unit};
use crate::state::stored_value::StoredValue;
use crate::state::{Key, RunState};

impl RunState {
    pub(super) fn items_expanded(&mut self, event: &ItemsExpanded) {
        let Some(at) = self.graph.find(&event.step) else { return };
        self.facts.seen.forget_items(&event.step);
        let version = self.facts.version;
        let list: Vec<StoredValue> = event.items.iter().map(|item| StoredValue::of(item, version)).collect();
        self.facts.steps[at].items =
            Some(Items { list, max_in_flight: event.max_in_flight, ..Items::default() });
        self.check_items(at);
    }

    /// Whether the step goes over items of which some are done, and not all. Where all are, it did not fail for them.
    pub(crate) fn is_done_in_part(&self, at: usize) -> bool {
        let Some(items) = &self.facts.steps[at].items else { return false };
        let is_done = |unit: &&Unit| matches!(unit.stage, Stage::Succeeded | Stage::Skipped);
        let done = items.units.iter().filter(is_done).count();
        done < items.total() && (done > 0 || self.facts.kept.has(&self.graph.step(at).id))
    }

    /// A retry of the step repeats only what is not done.
    pub(super) fn keep_items(&mut self, at: usize) {
        let (id, round) = (self.step_id(at), self.facts.steps[at].round);
        let Some(run) = self.run() else { return };
        if let Some(items) = &self.facts.steps[at].items {
            self.facts.kept.keep(run, &id, round, items);
        }
    }

    /// Puts a `foreach` on the agenda where another item may start, or where all are over.
    pub(super) fn check_items(&mut self, at: usize) {
        self.take_up_unblocked(at);
        let step = &mut self.facts.steps[at];
        let Some(items) = &step.items else { return };
        if step.phase != Phase::Working {
            return;
        }
        if items.is_over() {
            self.facts.agenda.remove(&Agenda::Items(at));
            if items.failed == 0 {
                self.open_gate(at, 0);
            } else {
                step.phase = Phase::Settling(Settling::Items);
                self.settle_later(Key::step(at));
            }
        } else if items.has_room() {
            self.facts.agenda.insert(Agenda::Items(at));
        } else {
            self.facts.agenda.remove(&Agenda::Items(at));
        }
    }

    /// Items that a person lets try again count as blocked until there is a place for them, and go before
    /// those that have not begun.
    fn take_up_unblocked(&mut self, at: usize) {
        let waits = |state: &Self, key: &Key| {
            state.unit_at(*key).is_some_and(|unit| unit.stage == Stage::Unblocked(UnblockDecision::Retry))
        };
        let items = Key { step: at, item: Some(0) }..=Key { step: at, item: Some(u32::MAX) };
        while self.facts.steps[at].items.as_ref().is_some_and(|items| items.blocked > 0 && items.has_place())
        {
            let Some(key) = self.facts.blocked.range(items.clone()).find(|key| waits(self, key)).copied()
            else {
                return;
            };
            self.unblock_key(key);
            self.settle_later(key);
        }
    }

    pub(super) fn end_item(&mut self, key: Key, stage: Stage) {
        let stops_others =
            self.graph.step(key.step).foreach.as_ref().is_some_and(|foreach| foreach.fail_fast);
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.unblock_key(key);
        let (Some(items), Some(item)) = (&mut self.facts.steps[key.step].items, key.item) else { return };
        let Some(unit) = items.units.get_mut(item as usize) else { return };
        if unit.stage.is_over() {
            return;
        }
        if stage == Stage::Failed {
            items.failed += 1;
            items.stopped |= stops_others;
        }
        unit.stage = stage;
        items.open = items.open.saturating_sub(1);
        self.check_items(key.step);
        self.touch(key);
    }
}

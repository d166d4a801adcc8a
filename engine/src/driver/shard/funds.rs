//! Funds: paid work asks before it starts, and the counters hear of what was used up.

use super::World;
use super::cell::Cell;
use crate::driver::message::Queued;
use crate::driver::treasury::Ask;
use crate::id::{AttemptId, EffectId, InputId, Version};
use crate::input::InputKind;

impl World {
    /// Whether paid work must ask for funds before it starts; then it has asked. It is listed again when
    /// it may start.
    pub(super) fn wants_funds(&mut self, cell: &mut Cell, id: &AttemptId) -> bool {
        if !cell.state.as_ref().is_some_and(|state| state.wants_funds(id)) {
            return false;
        }
        cell.work.remove(id);
        let about = format!("{}/{id}/funds/{}", cell.run, cell.version);
        cell.push(Queued::own(InputId::derive(&about), InputKind::FundsWanted { id: id.clone() }));
        self.mark(cell);
        true
    }

    /// The state lists an attempt that asks the counters which its run shares.
    pub(super) fn funds_listed(&mut self, cell: &mut Cell, id: AttemptId, since: Version) {
        let Some(state) = &cell.state else { return };
        if cell.asked.insert(id.clone(), since) == Some(since) {
            return;
        }
        let (terms, was_refused) = (state.shared_budgets().cloned().collect(), state.is_refused_funds(&id));
        let attempt = EffectId { run: cell.run, attempt: id };
        self.shared.treasury.put(Ask::Funds { attempt, terms, was_refused });
    }

    /// The state lists something that the counters are to hear of.
    pub(super) fn report_listed(&mut self, cell: &mut Cell, version: Version) {
        let Some(state) = &cell.state else { return };
        cell.reported.retain(|version| state.report(*version).is_some());
        cell.asked.retain(|id, _| state.waits_for_funds(id));
        let Some(report) = state.report(version) else { return };
        if cell.reported.insert(version) {
            let (run, report) = (cell.run, report.clone());
            let terms = state.shared_budgets().cloned().collect();
            self.shared.treasury.put(Ask::Report { run, version, report, terms });
        }
    }
}

//! Funds: paid work asks before it starts, and the counters hear of what was used up.

use crate::messages::Queued;
use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;
use crate::streams::budgets::mailbox::BudgetRequest;
use everfold_base::id::{AttemptId, EffectId, InputId, Version};
use everfold_core::input::InputKind;

impl ShardCore {
    /// Whether paid work must ask for funds before it starts; then it has asked. It is listed again when
    /// it may start.
    pub(crate) fn wants_funds(&mut self, loaded: &mut LoadedRun, id: &AttemptId) -> bool {
        if !loaded.state.as_ref().is_some_and(|state| state.wants_funds(id)) {
            return false;
        }
        loaded.work.remove(id);
        let about = format!("{}/{id}/funds/{}", loaded.run, loaded.version);
        loaded.push(Queued::own(InputId::derive(&about), InputKind::FundsWanted { id: id.clone() }));
        self.mark(loaded);
        true
    }

    /// The state lists an attempt that asks the counters which its run shares.
    pub(crate) fn funds_listed(&mut self, loaded: &mut LoadedRun, id: AttemptId, since: Version) {
        let Some(state) = &loaded.state else { return };
        if loaded.budgets.asked.insert(id.clone(), since) == Some(since) {
            return;
        }
        let (terms, was_refused) = (state.shared_budgets().cloned().collect(), state.is_refused_funds(&id));
        let attempt = EffectId { run: loaded.run, attempt: id };
        self.shared.mailboxes.budgets.put(BudgetRequest::Funds { attempt, terms, was_refused });
    }

    /// The state lists something that the counters are to hear of.
    pub(crate) fn report_listed(&mut self, loaded: &mut LoadedRun, version: Version) {
        let Some(state) = &loaded.state else { return };
        loaded.budgets.reported.retain(|version| state.report(*version).is_some());
        loaded.budgets.asked.retain(|id, _| state.waits_for_funds(id));
        let Some(report) = state.report(version) else { return };
        if loaded.budgets.reported.insert(version) {
            let (run, report) = (loaded.run, report.clone());
            let terms = state.shared_budgets().cloned().collect();
            self.shared.mailboxes.budgets.put(BudgetRequest::Report { run, version, report, terms });
        }
    }
}

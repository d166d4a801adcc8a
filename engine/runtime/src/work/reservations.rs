//! Funds: paid work asks for a reservation before it starts, and what it used up is reported to the shared counters.

use crate::messages::Queued;
use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;
use crate::streams::budgets::mailbox::BudgetRequest;
use everfold_base::id::{AttemptId, EffectId, InputId, Version};
use everfold_core::event::FundsRequested;
use everfold_core::input::InputKind;

impl ShardCore {
    /// Paid work asks for funds before it starts; the state lists it again when it may start.
    pub(crate) fn ask_for_funds(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let about = format!("{}/{id}/funds/{}", loaded.run, loaded.version);
        loaded.push(Queued::own(
            InputId::derive(&about),
            InputKind::FundsWanted(FundsRequested { id: id.clone(), waits: false }),
        ));
        self.mark(loaded);
    }

    /// The state lists an attempt that asks the shared counters of its run for funds.
    pub(crate) fn funds_listed(&mut self, loaded: &mut LoadedRun, id: AttemptId, since: Version) {
        let Some(state) = &loaded.state else { return };
        if loaded.budgets.asked.insert(id.clone(), since) == Some(since) {
            return;
        }
        let (terms, was_refused) = (state.shared_budgets().cloned().collect(), state.is_refused_funds(&id));
        let attempt = EffectId { run: loaded.run, attempt: id };
        self.shared.mailboxes.budgets.put(BudgetRequest::Funds { attempt, terms, was_refused });
    }

    /// The state lists a report to the shared counters.
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

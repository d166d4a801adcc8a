//! All tables of a query.

use std::sync::Arc;

use everfold_sql::SqlTable;

use super::moment::QueryMoment;
use super::{decisions, events, lists, of_runs, runs, spend};

/// The tables, as of a moment.
pub(in crate::http) fn tables(moment: &Arc<QueryMoment>) -> Vec<Arc<dyn SqlTable>> {
    let all = [
        runs::runs,
        runs::labels,
        runs::search,
        of_runs::steps,
        of_runs::attempts,
        of_runs::step_times,
        events::events,
        of_runs::signals,
        decisions::decisions,
        decisions::gates,
        decisions::votes,
        lists::tasks,
        lists::deliveries,
        lists::notices,
        spend::spend,
        spend::model_spend,
        spend::role_spend,
    ];
    all.into_iter().map(|table| Arc::new(table(Arc::clone(moment))) as Arc<dyn SqlTable>).collect()
}

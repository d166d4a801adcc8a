//! What a raise of the budgets of many runs adds to a budget that some of them share: each run raises it anew.

use everfold_engine::budgets::{CounterName, limit, stream};
use everfold_engine::event::{Measure, Spent};
use everfold_engine::id::RunId;
use everfold_engine::state::RunState;

use crate::body::bulk::{BulkOutcome, BulkRun, SharedRaise};
use crate::http::app::App;
use crate::view::AmountsView;

/// Says of each run that takes the order, or would, what it adds to a budget that it shares.
pub(super) async fn add_shared_raises(app: &App, runs: &mut [BulkRun], budget: Option<&str>, add: Spent) {
    for run in runs.iter_mut() {
        run.shared = match run.outcome {
            BulkOutcome::Fits => of_run(app, run.id, budget, add, true).await,
            BulkOutcome::Ordered => of_run(app, run.id, budget, add, false).await,
            BulkOutcome::Refused | BulkOutcome::Changed => None,
        };
    }
}

async fn of_run(
    app: &App,
    run: RunId,
    budget: Option<&str>,
    add: Spent,
    is_asked: bool,
) -> Option<SharedRaise> {
    let budget = budget.map(str::to_owned);
    let look = move |state: &RunState| {
        // A run that has ended refuses it; one may have ended by what it let go on.
        if is_asked && state.is_ended() {
            return None;
        }
        let mut known = state.budgets(state.last_at()).map(|view| view.terms);
        let terms = match &budget {
            Some(name) => known.find(|terms| terms.id == *name)?,
            None => known.next().filter(|_| known.next().is_none())?,
        };
        let is_limited =
            |measure: Measure| measure.of(add) == 0 || limit(terms, measure, Spent::default()).is_some();
        if !Measure::ALL.into_iter().all(is_limited) {
            return None;
        }
        let zone = CounterName::of(&stream(terms)?)?.zone;
        let scope = terms.scope.clone()?;
        Some(SharedRaise { scope, per: terms.per, zone, add: AmountsView::of(add) })
    };
    // A run that cannot be read takes no order.
    app.engine().with_state(run, look).await.ok().flatten()
}

//! Budget counters that hold a reservation since a former engine.
//!
//! Law: looked for once in the engine's life; the budget allocator compares each counter with its runs.

use crate::runtime::Runtime;
use crate::streams::budgets::mailbox::BudgetRequest;
use everfold_base::envelope::StreamKind;
use everfold_store::ReadError;

/// Asks the budget allocator to look at the counters that are due. Where that failed, the next call asks again.
///
/// # Errors
/// The store cannot say which.
pub(crate) async fn look_at_counters(shared: &Runtime) -> Result<(), ReadError> {
    let look = async || {
        let due = shared.store.due(shared.now()).await?;
        let counters = due.into_iter().filter(|stream| stream.kind == StreamKind::Budget);
        counters.for_each(|stream| shared.mailboxes.budgets.put(BudgetRequest::Look(stream)));
        Ok(())
    };
    shared.looked_at_counters.get_or_try_init(look).await.copied()
}

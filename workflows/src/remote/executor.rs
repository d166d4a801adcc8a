//! Steps whose function workers do.

use std::sync::Arc;

use everfold_base::json::Value;
use everfold_ports::{AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::attempt::{CarryMode, WorkOffer};
use super::lease_table::LeaseTable;
use crate::attempt_end::ended_now;
use crate::function::Functions;

/// Offers an attempt, or goes on with one that a worker holds: the request says which. What does not fit is
/// offered to no worker; what does not fit of the output is the attempt's failure.
pub(crate) fn carry(
    table: &LeaseTable,
    functions: &Arc<Functions>,
    request: AttemptRequest,
    mode: CarryMode,
    observer: Arc<dyn AttemptObserver>,
) -> BoxFuture<'static, AttemptEnd> {
    let AttemptRequest { id, mut spec, input, timeout, grace, folder, held, .. } = request;
    let function = spec["name"].as_str().unwrap_or_default().to_owned();
    let with = spec.get_mut("with").map(Value::take).filter(|with| !with.is_null());
    let with = match functions.taken(&function, with.unwrap_or_else(|| json!({}))) {
        Ok(with) => with,
        Err(failure) => return async { ended_now(AttemptResult::Failed(failure)) }.boxed(),
    };
    // Taken here: the shard calls for a run's attempts in their order, and their tasks run in any.
    let nth = table.next_offer();
    let (table, functions) = (table.clone(), Arc::clone(functions));
    async move {
        let offer = WorkOffer {
            id,
            nth,
            function: function.clone(),
            with,
            context: input,
            timeout,
            grace,
            folder,
            held,
            mode,
            observer,
        };
        let mut end = table.carry(offer).await;
        if let AttemptResult::Succeeded(output) = end.result {
            end.result = match functions.given(&function, output) {
                Ok(output) => AttemptResult::Succeeded(output),
                Err(failure) => AttemptResult::Failed(failure),
            };
        }
        end
    }
    .boxed()
}

//! Which version a run had at a time.

use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::context::CommandContext;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};

/// The last version that was recorded by then; `None`: the run began later.
///
/// # Errors
/// There is no such run, or it cannot be read.
pub(super) async fn version_at(
    context: &CommandContext,
    run: &str,
    at: Timestamp,
) -> Result<Option<u64>, Fault> {
    let params = query([("at", Some(at.to_string()))]);
    let then: Result<Value, Fault> =
        context.client.get(&format!("/api/v1/runs/{}/state{params}", encode(run))).await;
    match then {
        Ok(then) => Ok(then["version"].as_u64()),
        Err(fault) if fault.code == Code::NotYet => Ok(None),
        Err(fault) => Err(fault),
    }
}

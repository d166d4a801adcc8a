//! A failure as expressions see it.

use serde_json::json;

use everfold_base::failure::Failure;
use everfold_base::json::Value;

/// A failure as expressions see it.
pub(crate) fn failure_value(failure: &Failure) -> Value {
    json!({
        "kind": failure.kind,
        "code": failure.code,
        "message": failure.message,
        "detail": failure.detail,
        "exit_code": failure.exit_code,
    })
}

//! The functions `everfold.*`.

use everfold_engine::duration;
use everfold_engine::json::Value;
use serde_json::json;

use super::{Call, Function, StepError};

pub(super) fn functions() -> [Function; 3] {
    let anything = || json!(true);
    [
        Function::described("everfold.noop", anything(), json!({ "type": "null" }), noop)
            .summary("Does nothing.")
            .read_only(),
        Function::described("everfold.echo", anything(), anything(), echo)
            .summary("Gives its `with`.")
            .read_only(),
        Function::described(
            "everfold.sleep",
            json!({
                "type": "object", "required": ["for"],
                "properties": { "for": { "type": "string", "description": "a duration, such as 5s" } },
            }),
            anything(),
            sleep,
        )
        .summary("Waits for the duration in `with.for` and gives its `with`.")
        .read_only(),
    ]
}

async fn noop(_call: Call, _with: Value) -> Result<(), StepError> {
    Ok(())
}

async fn echo(_call: Call, with: Value) -> Result<Value, StepError> {
    Ok(with)
}

async fn sleep(_call: Call, with: Value) -> Result<Value, StepError> {
    let span = with["for"].as_str().unwrap_or_default();
    let span =
        duration::parse(span).map_err(|error| StepError::validation(format!("`with.for`: {error}")))?;
    tokio::time::sleep(span).await;
    Ok(with)
}

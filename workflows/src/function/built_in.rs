//! The functions `everfold.*`.

use everfold_base::duration;
use everfold_base::json::Value;
use serde_json::json;

use super::call::Call;
use super::declare::Function;
use super::error::StepError;
use super::registry::Functions;
use crate::notify;

impl Functions {
    /// The built-in functions: `everfold.noop` (null), `everfold.echo` (its `with`),
    /// `everfold.sleep` (waits `with.for`, gives `with`), and those that tell: `notify.log`, `notify.command`,
    /// `notify.http`, `notify.slack`, `notify.telegram`.
    #[must_use]
    pub fn built_in() -> Self {
        let mut functions = Self::default();
        basic_functions()
            .into_iter()
            .chain(notify::functions())
            .for_each(|function| functions.offer(function));
        functions
    }
}

fn basic_functions() -> [Function; 3] {
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

//! The functions `everfold.*`.

use everfold_base::duration;
use everfold_base::json::Value;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;

use super::call::Call;
use super::declare::Function;
use super::error::StepError;
use super::registry::Functions;
use super::unique;
use crate::{notify, plane};

impl Functions {
    /// The built-in functions: `everfold.noop` (null), `everfold.echo` (its `with`),
    /// `everfold.sleep` (waits `with.for`, gives `with`), `everfold.unique` (a name that no other step has), and those that send notices: `notify.log`, `notify.command`,
    /// `notify.http`, `notify.slack`, `notify.telegram`; and those of a tracker, `plane.*`.
    #[must_use]
    pub fn built_in() -> Self {
        let mut functions = Self::default();
        basic_functions()
            .into_iter()
            .chain(notify::functions())
            .chain(plane::functions())
            .for_each(|function| functions.offer(function));
        functions
    }
}

fn basic_functions() -> [Function; 4] {
    [
        Function::built_in("everfold.noop", noop).summary("Does nothing.").read_only(),
        Function::built_in("everfold.echo", echo).summary("Gives its `with`.").read_only(),
        Function::built_in("everfold.sleep", sleep)
            .summary("Waits for the duration in `with.for` and gives its `with`.")
            .read_only(),
        unique::function(),
    ]
}

async fn noop(_call: Call, _with: Value) -> Result<(), StepError> {
    Ok(())
}

async fn echo(_call: Call, with: Value) -> Result<Value, StepError> {
    Ok(with)
}

/// The `with` of `everfold.sleep`.
#[derive(Deserialize, JsonSchema)]
#[schemars(description = "")]
struct Sleep {
    #[serde(rename = "for")]
    #[schemars(description = "a duration, such as 5s")]
    span: String,
    /// Given back as it is.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

async fn sleep(_call: Call, with: Sleep) -> Result<Value, StepError> {
    let Sleep { span, mut rest } = with;
    let pause =
        duration::parse(&span).map_err(|error| StepError::validation(format!("`with.for`: {error}")))?;
    tokio::time::sleep(pause).await;
    rest.insert("for".to_owned(), span.into());
    Ok(Value::Object(rest))
}

//! The settings that the expressions of a trigger see: read when it is asked.

use crate::runtime::Runtime;
use crate::start::admission;
use everfold_base::json::Value;
use everfold_core::decide::Refusal;
use everfold_core::decide::begin::fixed_documents;
use everfold_language::definition::{Definition, Trigger};

/// The settings at fixed paths: files as they are now, values as the saved version has them. An empty map where the
/// trigger reads none.
///
/// # Errors
/// [`Refusal::Config`]: a document is there at no place, or cannot be read; [`Refusal::TooLarge`].
pub(crate) async fn trigger_config(
    shared: &Runtime,
    definition: &Definition,
    trigger: &Trigger,
) -> Result<Value, Refusal> {
    let none = || Value::Object(serde_json::Map::new());
    if !trigger.reads_config() {
        return Ok(none());
    }
    let documents = fixed_documents(definition);
    let read = admission::read_documents(documents, &definition.config_records, None, shared.config.blocking)
        .await?;
    Ok(read.unwrap_or_else(none))
}

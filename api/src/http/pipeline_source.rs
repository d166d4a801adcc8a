//! The pipeline of a body: named, or held as a definition.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fault::{Code, Fault};
use crate::node::PipelineSource;

/// The pipeline that a body names or holds, if any.
pub(super) fn source(
    pipeline: Option<String>,
    definition: Option<Value>,
    file: Option<String>,
    files: Option<BTreeMap<String, String>>,
) -> Result<Option<PipelineSource>, Fault> {
    let files = files.unwrap_or_default();
    match (pipeline, definition) {
        (None, None) => Ok(None),
        (Some(name), None) => Ok(Some(PipelineSource::Named(name))),
        (None, Some(definition)) => {
            Ok(Some(PipelineSource::Text { text: text_of(definition)?, file, files }))
        }
        (Some(_), Some(_)) => Err(Fault::new(Code::Invalid, "give pipeline or definition, not both")),
    }
}

/// The text of a definition, which a body holds as text or as a document.
pub(super) fn text_of(definition: Value) -> Result<String, Fault> {
    match definition {
        Value::String(text) => Ok(text),
        document @ Value::Object(_) => Ok(document.to_string()),
        _other => Err(Fault::new(Code::Invalid, "definition is YAML text or a JSON object")),
    }
}

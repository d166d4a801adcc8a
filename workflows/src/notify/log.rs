//! `notify.log`: one line of JSON in a file, or in the engine's own log.

use std::path::PathBuf;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::message::text;
use crate::function::Call;

/// Appends `{id, text, as, event, run}` to `with.file`; without one it says the text in the log.
pub(super) async fn write(call: Call, with: Value) -> Result<Value, Failure> {
    // A line is a line.
    let text = text(&call, &with).replace('\n', "; ");
    let file = match &with["file"] {
        Value::Null => {
            tracing::info!(notice = call.idempotency_key(), "{text}");
            return Ok(Value::Null);
        }
        Value::String(file) => PathBuf::from(file),
        _other => return Err(Failure::new(FailureKind::Validation, "`with.file` is no path")),
    };
    if !file.is_absolute() {
        let message = format!("`with.file` is not absolute: {}", file.display());
        return Err(Failure::new(FailureKind::Validation, message));
    }
    let mut line = json!({
        "id": call.idempotency_key(),
        "text": text,
        "as": call.context()["as"],
        "event": call.context()["event"],
        "run": call.context()["run"],
    })
    .to_string();
    line.push('\n');
    let written = async {
        let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(&file).await?;
        // In one write, so that lines of several runs do not mix.
        file.write_all(line.as_bytes()).await?;
        file.flush().await
    };
    written.await.map(|()| Value::Null).map_err(|error| {
        Failure::new(FailureKind::Error, format!("could not write {}: {error}", file.display()))
    })
}

//! An event as REST answers and streams show it.

use everfold_engine::envelope::Envelope;
use everfold_engine::event;
use serde_json::{Value, json};

/// One event as answers show it.
pub(crate) fn event_body(envelope: &Envelope) -> Value {
    let header = &envelope.header;
    let event = match event::decode(header.kind, header.schema, &envelope.payload) {
        Ok(event) => serde_json::to_value(&event).unwrap_or(Value::Null),
        Err(error) => json!({ "type": "Unreadable", "message": error.to_string() }),
    };
    json!({
        "run": header.stream.id,
        "version": header.version,
        "position": envelope.position,
        "recorded_at": header.recorded_at,
        "committed_at": envelope.committed_at,
        "actor": header.actor,
        "cause": { "input": header.cause.input, "because": header.cause.because },
        "kind": header.kind,
        "schema": header.schema,
        "flags": header.flags,
        "hash": envelope.hash,
        "event": event,
    })
}

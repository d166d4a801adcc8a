//! What happens to runs, as lines: one for each event, where the filter lets them through.
//!
//! Law: follows the log beside the engine and never slows it. Events hold nothing secret: it is masked before it
//! is recorded.

use std::sync::Arc;

use everfold_engine::envelope::{Envelope, flag};
use everfold_engine::event;
use everfold_engine::store::EventStore;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::event_follower::EventFollower;
use crate::view::event_detail;

/// Says what is recorded from here on, where the filter lets it through.
pub(crate) async fn follow(store: Arc<dyn EventStore>, closing: CancellationToken) {
    if !tracing::enabled!(target: "everfold::run", tracing::Level::INFO) {
        return;
    }
    let mut events = EventFollower::from_now(store);
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            batch = events.next() => match batch {
                Some(batch) => batch.iter().for_each(|event| say(event)),
                None => return,
            },
        }
    }
}

fn say(envelope: &Envelope) {
    let header = &envelope.header;
    let Some(run) = header.stream.as_run() else { return };
    if header.flags & flag::FORMER != 0 {
        return;
    }
    let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) else { return };
    let value = json!({ "event": event });
    let id = &value["event"]["id"];
    let path = if id.is_object() { &id["path"] } else { &value["event"]["path"] };
    let step = path["step"].as_str().map(|step| match path["item"].as_u64() {
        Some(item) => format!("{step}.{item}"),
        None => step.to_owned(),
    });
    let round = if id.is_object() { &id["round"] } else { &value["event"]["round"] };
    let (name, detail) = (event.name(), event_detail(&event));
    let message = if detail.is_empty() { name.to_owned() } else { format!("{name}: {detail}") };
    tracing::info!(
        target: "everfold::run",
        run = run.short(), step, round = round.as_u64(), attempt = id["attempt"].as_u64(),
        event = name, version = header.version.0, by = other_than_engine(&json!(header.actor)),
        "{message}"
    );
}

fn other_than_engine(actor: &Value) -> Option<String> {
    actor.as_str().filter(|actor| *actor != "engine").map(str::to_owned)
}

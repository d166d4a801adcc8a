//! Keeps the pauses that services ask for, so that a restarted engine does not call a service earlier.
//!
//! Laws:
//! - One task appends to the stream `engine/service-pauses`; the scheduler does not wait for it. A crash between an
//!   answer and its record makes the next engine call the service once too early.
//! - An engine that resumes runs takes up what is left of these pauses before it grants anything.

use std::sync::Arc;
use std::time::Duration;

use crate::engine_parts::EngineParts;
use crate::runtime::Runtime;
use crate::scheduler::pause_news::PauseNews;
use crate::streams::folded_stream::{FoldedStream, StreamFold};
use crate::streams::stream_writer::{StoredEvent, StreamError, stored_events};
use everfold_base::envelope::Envelope;
use everfold_core::service_pauses::{SERVICE_PAUSES_FOLD_VERSION, ServicePauseEvent, ServicePauses};
use everfold_ports::Service;
use everfold_store::Writability;

/// How often a record is decided anew where the outcome of an append is unknown.
const TRIES_MAX: usize = 8;
/// The pause after a stream that could not be read.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Records what the scheduler hears, until the engine ends.
pub(crate) async fn record_service_pauses(shared: Arc<Runtime>) {
    let Some(mut heard) = shared.scheduler.pause_news.take() else { return };
    let mut stream = FoldedStream::unread(ServicePauses::stream());
    loop {
        let news = heard.next().await;
        match record(&shared, &mut stream, &news).await {
            Ok(()) => {}
            Err(StreamError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "the pause that a service asked for is not recorded: it ends with this engine");
            }
        }
    }
}

async fn record(
    shared: &Runtime,
    stream: &mut FoldedStream<ServicePauses>,
    news: &PauseNews,
) -> Result<(), StreamError> {
    let now = shared.now();
    for _ in 0..TRIES_MAX {
        let pauses = stream.current(shared).await?;
        let event = match news {
            PauseNews::Asked { service, span } => pauses.ask(&service.to_string(), now.plus(*span)),
            PauseNews::Lifted(service) => pauses.lift(&service.to_string()),
        };
        match stream.append(shared, event.into_iter().collect()).await {
            Err(StreamError::Changed) => {}
            other => return other,
        }
    }
    Err(StreamError::Changed)
}

/// Leaves services alone that asked a former engine for it; once in an engine's life. A stream that cannot be read now
/// is read again: recovery does not wait for it.
pub(crate) async fn take_up_service_pauses(parts: &EngineParts) {
    let shared = &parts.shared;
    let first = async {
        let Err(error) = take_up(shared).await else { return };
        tracing::warn!(%error, "until when services asked to be left alone cannot be read; it is tried again");
        let shared = Arc::clone(shared);
        parts.keep(tokio::spawn(async move {
            let mut writability = shared.store.writability();
            while !shared.is_stopping() {
                tokio::time::sleep(READ_AGAIN_AFTER).await;
                // A disk without room is not asked again and again; nothing is called before there is some.
                if writability.wait_for(|now| *now == Writability::Writable).await.is_err() {
                    return;
                }
                if let Ok(()) | Err(StreamError::Closed) = take_up(&shared).await {
                    return;
                }
            }
        }));
    };
    shared.took_up_service_pauses.get_or_init(|| first).await;
}

async fn take_up(shared: &Runtime) -> Result<(), StreamError> {
    // Read beside the record, which may wait for room on the disk.
    let mut stream = FoldedStream::<ServicePauses>::unread(ServicePauses::stream());
    for (service, left) in stream.current(shared).await?.left_alone(shared.now()) {
        if let Ok(service) = service.parse::<Service>() {
            shared.scheduler.leave_alone_still(&service, left);
        }
    }
    Ok(())
}

impl StreamFold for ServicePauses {
    type Event = ServicePauseEvent;

    const FOLD_VERSION: u32 = SERVICE_PAUSES_FOLD_VERSION;

    fn apply(&mut self, event: &ServicePauseEvent) {
        Self::apply(self, event);
    }

    fn decode(envelope: &Envelope) -> Result<ServicePauseEvent, String> {
        let header = &envelope.header;
        ServicePauseEvent::decode(header.kind, header.schema, &envelope.payload)
            .map_err(|error| error.to_string())
    }

    fn stored(events: &[ServicePauseEvent]) -> Result<Vec<StoredEvent>, StreamError> {
        stored_events(events, ServicePauseEvent::name, ServicePauseEvent::encode)
    }

    fn weight(&self) -> usize {
        1
    }
}

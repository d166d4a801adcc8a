//! Deliveries and redeliveries: recorded, then acknowledged.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::streams::stream_writer::{StreamError, first_append};
use crate::streams::triggers::by::By;
use crate::streams::webhooks::actor::WebhookActor;
use crate::streams::webhooks::error::HookError;
use crate::streams::webhooks::list::one;
use crate::streams::webhooks::mailbox::Answer;
use crate::streams::webhooks::receipt::Receipt;
use crate::streams::webhooks::source_stream::SourceStream;
use everfold_base::actor::Actor;
use everfold_base::id::{Position, Version};
use everfold_core::hooks::DeliveryReceived;

impl WebhookActor {
    pub(super) async fn deliver(
        &mut self,
        name: &str,
        delivery: DeliveryReceived,
        by: Actor,
        answer: Answer,
    ) -> Result<(), StreamError> {
        let by = By::from(by);
        let recorded =
            self.record(name, &by, |source, at| source.state.receive(delivery.clone(), at).ok()).await;
        let shared = Arc::clone(&self.shared);
        let (receipt, is_new) = match recorded {
            Ok(Some((version, position))) => ((version, 1, position), true),
            Ok(None) => {
                let active = match self.open(name).await {
                    Ok(active) => active,
                    Err(error) => return refuse(answer, error),
                };
                let at = active.source.now(&shared);
                let Some((version, entry)) = active.source.state.find(&delivery.id, at) else {
                    let _gone = answer.send(Err(HookError::NotFound(delivery.id)));
                    return Ok(());
                };
                ((version, entry.wanted, Position::ZERO), false)
            }
            Err(error) => return refuse(answer, error),
        };
        let (delivery, nth, position) = receipt;
        self.acknowledge(name, delivery, nth, position, !is_new, answer).await
    }

    pub(super) async fn redeliver(
        &mut self,
        name: &str,
        delivery: Version,
        handled: u32,
        by: &By,
        answer: Answer,
    ) -> Result<(), StreamError> {
        match first_append(&self.shared, by).await {
            Err(error) => return refuse(answer, error),
            Ok(None) => {}
            Ok(Some(None)) => {
                let _gone = answer.send(Err(HookError::KeyReused));
                return Ok(());
            }
            Ok(Some(Some(position))) => {
                // The same request asked for it already.
                let nth = match self.open(name).await {
                    Ok(active) => active.source.state.entry(delivery).map_or(handled, |entry| entry.wanted),
                    Err(error) => return refuse(answer, error),
                };
                return self.acknowledge(name, delivery, nth, position, true, answer).await;
            }
        }
        let decide = |source: &SourceStream, _| source.state.redeliver(delivery, handled);
        match self.record(name, by, decide).await {
            Err(error) => refuse(answer, error),
            Ok(None) => {
                let _gone = answer.send(Err(HookError::BeingHandled));
                Ok(())
            }
            Ok(Some((_, position))) => {
                let nth = match self.open(name).await {
                    Ok(active) => active.source.state.unhandled().get(&delivery).copied().unwrap_or(1),
                    Err(error) => return refuse(answer, error),
                };
                self.acknowledge(name, delivery, nth, position, false, answer).await
            }
        }
    }

    /// Answers that a delivery is durable, and remembers the caller, which waits for what it leads to.
    async fn acknowledge(
        &mut self,
        name: &str,
        delivery: Version,
        nth: u32,
        position: Position,
        repeated: bool,
        answer: Answer,
    ) -> Result<(), StreamError> {
        let shared = Arc::clone(&self.shared);
        let active = match self.open(name).await {
            Ok(active) => active,
            Err(error) => return refuse(answer, error),
        };
        active.handles = true;
        let (sender, outcome) = oneshot::channel();
        let mut position = position;
        if active.source.state.unhandled().contains_key(&delivery) {
            active.awaited.entry((delivery, nth)).or_default().push(sender);
        } else if let Ok(Some(first)) = one(&shared, name, delivery).await {
            // It was handled: the first outcome is the answer.
            position = first.position;
            let _gone = sender.send(first.outcomes());
        }
        let _gone = answer.send(Ok(Receipt { delivery, nth, position, repeated, outcome }));
        Ok(())
    }
}

/// Answers a delivery that was not taken. A closed store ends the actor.
fn refuse(answer: Answer, error: StreamError) -> Result<(), StreamError> {
    let refusal = match &error {
        StreamError::Closed => HookError::ShuttingDown,
        other => HookError::Store(other.to_string()),
    };
    let _gone = answer.send(Err(refusal));
    match error {
        StreamError::Closed => Err(error),
        StreamError::Changed | StreamError::Store(_) => Ok(()),
    }
}

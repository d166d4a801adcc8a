//! Deliveries: taken, handled again, shown.

use crate::engine::handle::Engine;
use crate::error::PipelineError;
use crate::redaction::redact_delivery;
use crate::stream_listing::StreamListing;
use crate::streams::triggers::by::By;
use crate::streams::webhooks::error::HookError;
use crate::streams::webhooks::list::{DeliveryRecord, scan};
use crate::streams::webhooks::mailbox::WebhookRequest;
use crate::streams::webhooks::receipt::Receipt;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamKind;
use everfold_base::id::{Position, Version};
use everfold_base::json::DEPTH_MAX;
use everfold_core::hooks::{BODY_BYTES_MAX, DeliveryReceived, HEADERS_BYTES_MAX, ID_BYTES_MAX, is_source};
use std::collections::BTreeMap;

impl Engine {
    /// Takes a delivery of a source; resolves when it is durable, and before it is handled.
    ///
    /// # Errors
    /// [`HookError`]: it is too large or nameless, or the store takes nothing. Nothing was recorded.
    pub async fn deliver(&self, source: &str, delivery: DeliveryReceived) -> Result<Receipt, HookError> {
        self.deliver_by(source, delivery, Actor::Hook(source.to_owned())).await
    }

    /// The same of a delivery that a person submits: they are behind the runs that it starts.
    ///
    /// # Errors
    /// As for [`Engine::deliver`].
    pub async fn deliver_by(
        &self,
        source: &str,
        mut delivery: DeliveryReceived,
        by: Actor,
    ) -> Result<Receipt, HookError> {
        if let Some(redactor) = &self.inner.shared.edge.redactor {
            redact_delivery(&**redactor, &mut delivery);
        }
        if !is_source(source) {
            return Err(HookError::BadSource(source.chars().take(64).collect()));
        }
        let id = &delivery.id;
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
            return Err(HookError::BadId);
        }
        if let Some((pattern, _)) = self.credential_in(id) {
            return Err(HookError::Credential(pattern));
        }
        let headers = delivery.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let about = delivery.about.as_str().len();
        for (what, size, max) in [
            ("the body", delivery.body.as_str().len(), BODY_BYTES_MAX),
            ("the headers", headers, HEADERS_BYTES_MAX),
            ("what is read of it", about, BODY_BYTES_MAX),
        ] {
            if size > max {
                return Err(HookError::TooLarge { what, size, max });
            }
        }
        let depth = delivery.body.depth().max(delivery.about.depth());
        if depth > DEPTH_MAX {
            return Err(HookError::TooDeep { depth, max: DEPTH_MAX });
        }
        let source = source.to_owned();
        let delivery = Box::new(delivery);
        self.inner
            .shared
            .mailboxes
            .webhooks
            .ask(|answer| WebhookRequest::Deliver { source, delivery, by, answer })
            .await
    }

    /// Has a delivery handled once more, as if it had come just now.
    ///
    /// # Errors
    /// [`HookError`]: there is none, it is being handled, or the store takes nothing.
    pub async fn redeliver(&self, record: &DeliveryRecord, by: impl Into<By>) -> Result<Receipt, HookError> {
        let (source, delivery) = (record.source.clone(), record.delivery);
        let nth = record.handled.iter().map(|handling| handling.nth).max().unwrap_or(0);
        let by = by.into();
        let ask = |answer| WebhookRequest::Redeliver { source, delivery, nth, by, answer };
        self.inner.shared.mailboxes.webhooks.ask(ask).await
    }
}

impl Engine {
    /// Whether a trigger of a saved pipeline listens to a source.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_heard(&self, source: &str) -> Result<bool, PipelineError> {
        let triggers = self.inner.shared.triggers.read(&self.inner.shared).await?;
        Ok(triggers.of_hook(source).next().is_some())
    }
}

/// The fewest characters with which the beginning of an id stands for the whole.
const START_MIN: usize = 4;

impl Engine {
    /// The sources that something was delivered to, in the order of their names.
    ///
    /// # Errors
    /// [`HookError::Store`]
    pub async fn hook_sources(&self) -> Result<Vec<String>, HookError> {
        let mut sources = Vec::new();
        let mut listing = StreamListing::new(self.inner.shared.store.as_ref(), StreamKind::Hook);
        while let Some(page) = listing.next().await.map_err(|error| HookError::Store(error.to_string()))? {
            sources.extend(page.iter().map(|(stream, _)| stream.id.to_string()));
        }
        Ok(sources)
    }

    /// Deliveries of a source, the newest first: those that came before a place in the store, or all.
    ///
    /// Later events are read, too: they record what the deliveries led to.
    ///
    /// # Errors
    /// [`HookError::Store`]
    pub async fn deliveries(
        &self,
        source: &str,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, HookError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        scan(&self.inner.shared, source, Version::FIRST, |record, _| {
            if before.is_none_or(|before| record.position < before) {
                found.push(record);
            }
            found.len() < limit
        })
        .await?;
        Ok(found)
    }

    /// The newest delivery of a source, or of any, with this id, or whose id begins so where only one does.
    ///
    /// # Errors
    /// [`HookError::NotFound`], [`HookError::Ambiguous`], [`HookError::Store`].
    pub async fn delivery(
        &self,
        source: Option<&str>,
        id: &str,
    ) -> Result<(DeliveryRecord, DeliveryReceived), HookError> {
        let mut begins: BTreeMap<(String, String), (DeliveryRecord, DeliveryReceived)> = BTreeMap::new();
        let sources = match source {
            Some(source) => vec![source.to_owned()],
            None => self.hook_sources().await?,
        };
        for source in sources {
            let mut exact = None;
            scan(&self.inner.shared, &source, Version::FIRST, |record, event| {
                if record.id == id {
                    exact = Some((record, event));
                    return false;
                }
                if id.len() >= START_MIN && record.id.starts_with(id) && begins.len() < 2 {
                    begins.entry((record.source.clone(), record.id.clone())).or_insert((record, event));
                }
                true
            })
            .await?;
            if let Some(exact) = exact {
                return Ok(exact);
            }
        }
        match begins.len() {
            0 => Err(HookError::NotFound(id.to_owned())),
            1 => begins.into_values().next().ok_or_else(|| HookError::NotFound(id.to_owned())),
            _several => Err(HookError::Ambiguous(id.to_owned())),
        }
    }
}

//! What Plane tells others: webhooks, signed.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_base::json::Value;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use serde_json::json;
use sha2::Sha256;
use tokio::sync::mpsc;

use super::world::{PlaneUser, PlaneWorld};
use crate::http::{HttpClient, HttpRequest};

/// Deliveries that wait to be sent; more are lost, as Plane loses them when its queue is full.
const WAITING_MAX: usize = 1_000;
/// One delivery, and how often it is tried.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const TRIES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PlaneEvent {
    /// An issue has another state, or is new.
    Issue { issue: String, action: &'static str, activity: Value },
    /// There is a new comment.
    Comment { comment: Value, activity: Value },
}

impl PlaneEvent {
    pub(super) fn state(issue: &str, by: &PlaneUser, old: &str, new: &str) -> Self {
        let activity = json!({"field": "state", "old_value": old, "new_value": new, "actor": actor(by)});
        Self::Issue { issue: issue.to_owned(), action: "updated", activity }
    }

    pub(super) fn created(issue: &str, by: &PlaneUser) -> Self {
        let activity = json!({"field": null, "old_value": null, "new_value": null, "actor": actor(by)});
        Self::Issue { issue: issue.to_owned(), action: "created", activity }
    }

    pub(super) fn comment(by: &PlaneUser, comment: &Value) -> Self {
        let activity = json!({"field": null, "old_value": null, "new_value": null, "actor": actor(by)});
        Self::Comment { comment: comment.clone(), activity }
    }

    /// The delivery: its kind and its body.
    pub(super) fn delivery(&self, world: &PlaneWorld) -> PlaneDelivery {
        let (event, action, data, activity) = match self {
            Self::Issue { issue, action, activity } => {
                ("issue", *action, world.issue(issue, true).unwrap_or_default(), activity)
            }
            Self::Comment { comment, activity } => ("issue_comment", "created", comment.clone(), activity),
        };
        let body = json!({
            "event": event, "action": action, "webhook_id": "f1a0", "workspace_id": world.workspace,
            "data": data, "activity": activity,
        });
        PlaneDelivery { event, body }
    }
}

fn actor(user: &PlaneUser) -> Value {
    json!({"id": user.id, "display_name": user.name})
}

/// What is sent to a webhook.
#[derive(Debug)]
pub(super) struct PlaneDelivery {
    event: &'static str,
    body: Value,
}

impl PlaneDelivery {
    /// What is sent.
    pub(super) fn body(&self) -> &Value {
        &self.body
    }
}

/// Sends deliveries, one after the other.
#[derive(Debug)]
pub(super) struct HookSender {
    waiting: mpsc::Sender<PlaneDelivery>,
    sending: tokio::task::JoinHandle<()>,
}

impl Drop for HookSender {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

impl HookSender {
    pub(super) fn new(url: String, secret: String) -> Self {
        let (waiting, mut queue) = mpsc::channel::<PlaneDelivery>(WAITING_MAX);
        let sending = tokio::spawn(async move {
            let client = HttpClient::new();
            let mut count = 0_u64;
            while let Some(delivery) = queue.recv().await {
                count += 1;
                deliver(&client, &url, &secret, count, &delivery).await;
            }
        });
        Self { waiting, sending }
    }

    pub(super) fn send(&self, delivery: PlaneDelivery) {
        if self.waiting.try_send(delivery).is_err() {
            tracing::warn!("a delivery of the fake Plane is lost: too many wait");
        }
    }
}

/// Sends a delivery until it is taken, a few times.
async fn deliver(client: &HttpClient, url: &str, secret: &str, count: u64, delivery: &PlaneDelivery) {
    let raw = delivery.body.to_string().into_bytes();
    let headers = BTreeMap::from([
        ("content-type", "application/json".to_owned()),
        ("x-plane-delivery", format!("{count:08x}-0000-4000-9000-000000000000")),
        ("x-plane-event", delivery.event.to_owned()),
        ("x-plane-signature", signature(secret, &raw)),
    ]);
    for _ in 0..TRIES_MAX {
        let mut request = HttpRequest::get(url);
        (request.method, request.timeout, request.body) = (Method::POST, TIME_LIMIT, Some(raw.clone()));
        request.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        match client.send(request).await {
            Ok(answer) if answer.status < 500 => return,
            _not_taken => tokio::time::sleep(PAUSE).await,
        }
    }
    tracing::warn!(url, "a delivery of the fake Plane was not taken");
}

/// The HMAC-SHA256 of the body in hexadecimal digits.
fn signature(secret: &str, raw: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(raw);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

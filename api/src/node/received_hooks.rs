//! Signed deliveries as their services send them.
//!
//! Law: a delivery is believed only with its source's secret, and is answered when it is durable. What it leads to is
//! waited for only where the answer shows it to a person.

use std::time::Duration;

use everfold_engine::driver::Receipt;
use everfold_engine::id::Position;
use everfold_workflows::hook::signature::SignatureError;
use everfold_workflows::hook::{self, AwaitedReply, Headers, HookSettings};
use serde_json::Value;

use super::handle::Node;
use super::hook_reply::ButtonReply;
use super::hooks::read;
use crate::fault::{Code, Fault};

/// How long a person who pressed a button waits for its outcome.
const BUTTON_OUTCOME: Duration = Duration::from_secs(5);

/// A signed delivery that is durable.
#[derive(Debug)]
pub struct ReceivedDelivery {
    /// Where it stands in the store.
    pub position: Position,
    /// Its id.
    pub id: String,
    /// It had come before; nothing was recorded.
    pub repeated: bool,
    /// What its service shows to the person behind it, if somebody waits for that.
    pub reply: Option<Value>,
}

impl Node {
    /// Refuses a delivery whose head alone shows that it cannot be accepted.
    ///
    /// # Errors
    /// The settings do not know the source, or the head holds no signature of its kind.
    pub fn expects(&self, source: &str, headers: &Headers) -> Result<(), Fault> {
        hook::signature::is_claimed(self.source(source)?, headers).map_err(not_believed)
    }

    /// Whether deliveries of a source are signed.
    #[must_use]
    pub fn is_signed_source(&self, source: &str) -> bool {
        self.hooks.get(source).is_some_and(|settings| settings.scheme() != hook::Scheme::None)
    }

    /// The sources of the settings to which no saved pipeline listens.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn unheard_sources(&self) -> Result<Vec<String>, Fault> {
        let mut unheard = Vec::new();
        for source in self.hooks.keys() {
            if !self.engine().is_heard(source).await? {
                unheard.push(source.clone());
            }
        }
        Ok(unheard)
    }

    /// The settings of a source. The fault names no other source: its reader may be any sender.
    pub(crate) fn source(&self, source: &str) -> Result<&HookSettings, Fault> {
        self.hooks.get(source).ok_or_else(|| {
            Fault::new(Code::NoSource, format!("there is no source “{source}”"))
                .hint(format!("name it in everfold.toml: [hooks.{source}]"))
        })
    }

    /// Records a signed delivery; resolves when it is durable. One that a person waits for is answered when its outcome
    /// is known, or after five seconds.
    ///
    /// # Errors
    /// The settings do not know the source, the signature does not fit, the delivery cannot be read, or the store takes no
    /// writes.
    pub async fn receive(
        &self,
        source: &str,
        headers: &Headers,
        raw: &[u8],
    ) -> Result<ReceivedDelivery, Fault> {
        let settings = self.source(source)?;
        let now = everfold_engine::clock::now();
        hook::signature::check(settings, headers, raw, now).map_err(not_believed)?;
        self.may_write()?;
        let delivery = read(settings, headers, raw, None)?;
        let id = delivery.id.clone();
        let Receipt { position, repeated, outcome, .. } = self.engine().deliver(source, delivery).await?;
        let reply = match AwaitedReply::of(settings, raw) {
            None => None,
            Some(awaited) => {
                let outcomes = tokio::time::timeout(BUTTON_OUTCOME, outcome).await;
                let outcomes = outcomes.ok().and_then(Result::ok);
                let said = ButtonReply::of(outcomes.as_deref());
                Some(awaited.body(&said.text, said.is_alert))
            }
        };
        Ok(ReceivedDelivery { position, id, repeated, reply })
    }
}

fn not_believed(error: SignatureError) -> Fault {
    if error.is_of_sender() {
        return Fault::new(Code::NotSigned, crate::fault::chain(&error));
    }
    // The reader may be any sender: what the settings name stays in the log.
    tracing::error!("a delivery cannot be checked: {}", crate::fault::chain(&error));
    Fault::new(Code::Settings, error.to_string()).hint("the log of the server says more")
}

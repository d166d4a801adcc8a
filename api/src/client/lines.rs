//! Follows a log: its lines as they are written, over any number of owners.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures::StreamExt as _;
use serde_json::Value;

use super::answer::parse;
use super::follow::SILENCE;
use super::reconnect::Reconnect;
use super::rest_client::Client;
use super::sse::Events;
use crate::fault::Fault;

/// A log that is followed.
pub(crate) struct LogLines<'a> {
    client: &'a Client,
    path: String,
    last_id: Option<String>,
    stream: Option<BodyDataStream>,
    events: Events,
    reconnect: Reconnect,
    damage: Option<String>,
}

impl<'a> LogLines<'a> {
    /// Follows the log at a path; connects with the first line.
    pub(crate) fn new(client: &'a Client, path: String) -> Self {
        let reconnect = Reconnect::new();
        Self { client, path, last_id: None, stream: None, events: Events::default(), reconnect, damage: None }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// There is no such log, or no owner or server can be reached.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Fault> {
        loop {
            while let Some(event) = self.events.take() {
                match event.name.as_str() {
                    "over" => {
                        let data: Value = parse(event.data.as_bytes()).unwrap_or_default();
                        self.damage = data["damage"].as_str().map(ToOwned::to_owned);
                        return Ok(None);
                    }
                    "line" => {
                        self.last_id = event.id;
                        self.reconnect.goes_on();
                        return Ok(Some(parse(event.data.as_bytes()).unwrap_or_default()));
                    }
                    _end => {}
                }
            }
            let silence = self.client.server().map_or(Duration::MAX, |_| SILENCE);
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => self.stream.insert(self.open().await?),
            };
            match tokio::time::timeout(silence, stream.next()).await {
                Ok(Some(Ok(bytes))) => self.events.push(&bytes),
                // Without the event `over` the log is not at its end: the next owner has the rest.
                _broken => {
                    self.stream = None;
                    self.events.clear();
                    self.reconnect.wait().await;
                }
            }
        }
    }

    /// In which way the log is not what was written, as its end said.
    pub(crate) fn damage(self) -> Option<String> {
        self.damage
    }

    async fn open(&self) -> Result<BodyDataStream, Fault> {
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        headers.extend(self.last_id.iter().map(|id| ("last-event-id", id.clone())));
        Ok(self.client.open(&self.path, &headers).await?.into_body().into_data_stream())
    }
}

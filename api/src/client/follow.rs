//! Follows a run: its events and states as they come, over any number of owners.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use serde_json::Value;

use super::answer::parse;
use super::reconnect::Reconnect;
use super::request::encode;
use super::rest_client::Client;
use super::sse::Events;
use crate::fault::{Code, Fault};
use crate::view::RunView;

/// How long a full disk is left to itself before the run is asked for again.
const ROOM_AGAIN: Duration = Duration::from_millis(500);

/// The longest silence of a server, which sends a comment every 15 s.
pub(super) const SILENCE: Duration = Duration::from_secs(50);

/// How a run is followed.
#[derive(Debug, Clone)]
pub struct Follow {
    /// The run.
    pub run: String,
    /// The first version that is wanted.
    pub from: u64,
    /// Whether states come too.
    pub live: bool,
    /// Whether the owner is asked to go on with the run, each new one again.
    pub drive: bool,
}

/// What comes in.
#[derive(Debug, Clone, PartialEq)]
pub enum FollowMessage {
    /// An event.
    Event(Box<Value>),
    /// The run's state.
    State(Box<RunView>),
    /// The run is over, and so is the stream.
    End,
}

/// A run that is followed.
pub struct Followed<'a> {
    client: &'a Client,
    follow: Follow,
    last_id: Option<String>,
    stream: Option<BodyDataStream>,
    events: Events,
    reconnect: Reconnect,
    ended: bool,
    /// It was connected once.
    has_begun: bool,
    /// It said that it waits for room on the disk.
    is_waiting: bool,
}

impl<'a> Followed<'a> {
    /// Begins to follow; connects with the first message.
    #[must_use]
    pub fn new(client: &'a Client, follow: Follow) -> Self {
        Self {
            client,
            follow,
            last_id: None,
            stream: None,
            events: Events::default(),
            reconnect: Reconnect::new(),
            ended: false,
            has_begun: false,
            is_waiting: false,
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// The run is gone, or no owner can be reached.
    pub async fn next(&mut self) -> Result<FollowMessage, Fault> {
        loop {
            if let Some(message) = self.take_message() {
                return Ok(message);
            }
            if self.stream.is_none() && self.ended {
                return Ok(FollowMessage::End);
            }
            match self.listen().await {
                Ok(()) => {}
                // The engine goes on by itself when there is room, and so does this follower.
                Err(fault) if fault.code == Code::Full && self.has_begun => {
                    if !std::mem::replace(&mut self.is_waiting, true) {
                        tracing::warn!("{fault}; waiting for it");
                    }
                    self.stream = None;
                    self.events.clear();
                    tokio::time::sleep(ROOM_AGAIN).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Takes in what comes next.
    async fn listen(&mut self) -> Result<(), Fault> {
        if self.stream.is_none() {
            self.connect().await?;
            self.has_begun = true;
        }
        let silence = self.client.server().map_or(Duration::MAX, |_| SILENCE);
        let chunk = match &mut self.stream {
            // A stream that says nothing at all is broken, whatever the network thinks of it.
            Some(stream) => tokio::time::timeout(silence, stream.next()).await.unwrap_or(None),
            None => None,
        };
        match chunk {
            Some(Ok(bytes)) => {
                self.is_waiting = false;
                self.events.push(&bytes);
            }
            // The run is over, or the owner is gone: the next connection tells.
            Some(Err(_)) | None => {
                self.stream = None;
                self.events.clear();
                let path = format!("/api/v1/runs/{}", encode(&self.follow.run));
                let view: RunView = self.client.get(&path).await?;
                self.ended = view.status.is_ended() && self.seen() >= view.version.get();
                if !self.ended {
                    self.reconnect.wait().await;
                }
            }
        }
        Ok(())
    }

    /// The last version that came.
    fn seen(&self) -> u64 {
        let last =
            self.last_id.as_ref().and_then(|id| id.rsplit_once('-')).and_then(|(_, it)| it.parse().ok());
        last.unwrap_or(self.follow.from.saturating_sub(1))
    }

    async fn connect(&mut self) -> Result<(), Fault> {
        let run = encode(&self.follow.run);
        let Follow { from, live, .. } = self.follow;
        let path = format!("/api/v1/runs/{run}/events/stream?from={from}&live={live}");
        let headers: Vec<(&str, String)> =
            self.last_id.iter().map(|id| ("last-event-id", id.clone())).collect();
        let response = self.client.open(&path, &headers).await?;
        self.stream = Some(Body::new(response.into_body()).into_data_stream());
        if self.follow.drive {
            // Behind the stream: an owner that is gone by now breaks it, and the next one is asked again.
            // The other way round the next owner would be listened to and never asked.
            let _driven: Value =
                self.client.post(&format!("/api/v1/runs/{run}/drive"), &serde_json::json!({})).await?;
        }
        Ok(())
    }

    /// Takes one whole message out of what came.
    fn take_message(&mut self) -> Option<FollowMessage> {
        loop {
            let event = self.events.take()?;
            match event.name.as_str() {
                "event" => {
                    self.last_id = event.id.or(self.last_id.take());
                    self.reconnect.goes_on();
                    if let Ok(event) = parse(event.data.as_bytes()) {
                        return Some(FollowMessage::Event(Box::new(event)));
                    }
                }
                "state" => {
                    if let Ok(view) = parse(event.data.as_bytes()) {
                        return Some(FollowMessage::State(Box::new(view)));
                    }
                }
                _unknown => {}
            }
        }
    }
}

//! The protocol over standard input and output.
//!
//! Law: what a client sends takes a bounded amount of memory. A line is bounded; while as many requests as are allowed
//! have not been answered, nothing more is read, so a client that does not read its answers is not read either.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::RoleServer;
use rmcp::model::{ClientNotification, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage, serve_server_with_ct};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncWrite, Empty, empty};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::bounded_lines::{BoundedLines, ClientLine};
use crate::client_message::{self, ClientMessage};
use crate::rest::RestRoutes;
use crate::server::McpServer;

/// The longest line that is read, in bytes; a longer one is answered with an error.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// So many requests are answered at a time.
const OPEN_REQUESTS_MAX: usize = 32;

/// Why the server could not be begun, or went down.
#[derive(Debug, thiserror::Error)]
#[error("the client of the Model Context Protocol could not be served: {0}")]
pub struct StdioError(String);

/// Serves one client until its input ends or `until` is cancelled.
///
/// # Errors
/// The client cannot be written to, or asks for what no server can do.
pub async fn serve_stdio(
    routes: RestRoutes,
    read: impl AsyncRead + Send + Unpin + 'static,
    write: impl AsyncWrite + Send + Unpin + 'static,
    until: CancellationToken,
) -> Result<(), StdioError> {
    let transport = BoundedTransport {
        lines: BoundedLines::new(read, LINE_BYTES_MAX),
        answers: AsyncRwTransport::new_server(empty(), write),
        refusal: None,
        open: Arc::default(),
        has_begun: false,
    };
    let service = match serve_server_with_ct(McpServer::new(routes), transport, until).await {
        Ok(service) => service,
        // It went before it asked for anything.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => return Ok(()),
        Err(error) => return Err(StdioError(error.to_string())),
    };
    service.waiting().await.map(|_reason| ()).map_err(|error| StdioError(error.to_string()))
}

/// The requests that have not been answered.
#[derive(Debug, Default)]
struct OpenRequests {
    ids: Mutex<HashSet<RequestId>>,
    answered: Notify,
}

impl OpenRequests {
    fn insert(&self, id: RequestId) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn remove(&self, id: &RequestId) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.answered.notify_one();
    }

    async fn has_room(&self) {
        loop {
            // Registered before the look, so that an answer in between is not missed.
            let answered = self.answered.notified();
            if self.ids.lock().unwrap_or_else(PoisonError::into_inner).len() < OPEN_REQUESTS_MAX {
                return;
            }
            answered.await;
        }
    }
}

/// A transport that reads no further while many requests are open.
struct BoundedTransport<R, W: AsyncWrite> {
    lines: BoundedLines<R>,
    answers: AsyncRwTransport<RoleServer, Empty, W>,
    /// The answer to what was no message, while it is being written.
    refusal: Option<BoxFuture<'static, std::io::Result<()>>>,
    open: Arc<OpenRequests>,
    /// A request has come: before, a notification or an answer is out of place and means nothing.
    has_begun: bool,
}

impl<R, W> BoundedTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// The next message. May be broken off while it waits, and loses nothing then.
    async fn next(&mut self) -> std::io::Result<Option<RxJsonRpcMessage<RoleServer>>> {
        loop {
            if let Some(refusal) = &mut self.refusal {
                let written = refusal.await;
                self.refusal = None;
                written?;
            }
            self.open.has_room().await;
            let refused = match self.lines.next().await? {
                None => return Ok(None),
                Some(ClientLine::TooLong) => client_message::too_long(LINE_BYTES_MAX),
                Some(ClientLine::Whole(line)) if line.trim_ascii().is_empty() => continue,
                Some(ClientLine::Whole(line)) => match client_message::read(&line) {
                    ClientMessage::Message(message) => return Ok(Some(*message)),
                    ClientMessage::Unknown => continue,
                    ClientMessage::Refused(answer) => *answer,
                },
            };
            self.refusal = Some(self.answers.send(refused).boxed());
        }
    }
}

impl<R, W> Transport<RoleServer> for BoundedTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = std::io::Error;

    fn name() -> Cow<'static, str> {
        "stdio".into()
    }

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _other => None,
        };
        let (sent, open) = (self.answers.send(message), Arc::clone(&self.open));
        async move {
            let sent = sent.await;
            if let Some(id) = answered {
                open.remove(&id);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let message = match self.next().await {
                Ok(message) => message?,
                Err(error) => {
                    tracing::error!(%error, "the client cannot be read or written to any more");
                    return None;
                }
            };
            match &message {
                JsonRpcMessage::Request(request) => {
                    self.has_begun = true;
                    self.open.insert(request.id.clone());
                }
                // A cancelled request gets no answer.
                JsonRpcMessage::Notification(notification) => {
                    if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                        && let Some(id) = &cancelled.params.request_id
                    {
                        self.open.remove(id);
                    }
                }
                _answer => {}
            }
            if self.has_begun {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.answers.close().await
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::body::Body;
    use axum::extract::Request;
    use axum::response::Response;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};

    use super::*;

    /// A client's ends of its input and output, and the server's task.
    fn served() -> (DuplexStream, BufReader<DuplexStream>, tokio::task::JoinHandle<Result<(), StdioError>>) {
        let answer = |request: Request| async move {
            // A run that goes on for ever.
            if request.uri().query().is_some_and(|query| query.contains("wait=")) {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::from(r#"{"role":"viewer","items":[]}"#)))
        };
        let routes = RestRoutes::new(tower::service_fn(answer));
        let ((input, read), (write, output)) = (duplex(1024), duplex(1024));
        let server = tokio::spawn(serve_stdio(routes, read, write, CancellationToken::new()));
        (input, BufReader::new(output), server)
    }

    fn request(id: u64, method: &str, params: Value) -> String {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
    }

    /// The paused clock moves when every task waits: a write that nobody takes runs into its limit.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_not_read_and_loses_no_answer() {
        let (mut input, output, server) = served();
        let mut sent = 0;
        loop {
            let line = request(sent, "tools/list", json!({}));
            let written = tokio::time::timeout(Duration::from_secs(3600), input.write_all(line.as_bytes()));
            if written.await.is_err() {
                break;
            }
            sent += 1;
            assert!(sent < 200, "what is sent takes memory without a bound");
        }
        drop(input);
        let mut lines = output.lines();
        let mut answered = HashSet::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["error"]["code"] == -32700 && answer.get("id").is_none() {
                continue; // The line that was given up in its middle.
            }
            assert!(answer["result"]["tools"].is_array(), "{answer}");
            answered.insert(answer["id"].as_u64().unwrap());
        }
        assert_eq!(answered, (0..sent).collect());
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_no_message_is_answered_with_its_error_and_what_follows_is_read() {
        let (mut input, output, server) = served();
        let mut lines = output.lines();
        let long = format!("\"{}\"", "x".repeat(LINE_BYTES_MAX));
        for (sent, code) in
            [("junk", -32700), ("[]", -32600), ("{}", -32600), (long.as_str(), -32600), ("\u{1}", -32700)]
        {
            let (written, answer) = tokio::join!(
                async { input.write_all(format!("{sent}\n").as_bytes()).await },
                lines.next_line()
            );
            written.unwrap();
            let answer: Value = serde_json::from_str(&answer.unwrap().unwrap()).unwrap();
            assert_eq!(answer["error"]["code"], code, "{:.20}: {answer}", sent);
        }
        let unknown = json!({ "jsonrpc": "2.0", "method": "notifications/unheard_of" });
        input.write_all(format!("\n{unknown}\n").as_bytes()).await.unwrap();
        input.write_all(request(1, "tools/list", json!({})).as_bytes()).await.unwrap();
        let answer: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], 1, "{answer}");
        drop(input);
        server.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_request_gives_its_place_to_the_next() {
        let (mut input, output, server) = served();
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "old", "version": "1" } });
        let mut lines = output.lines();
        input.write_all(request(0, "initialize", hello).as_bytes()).await.unwrap();
        assert!(lines.next_line().await.unwrap().unwrap().contains("\"id\":0"));
        for id in 1..=u64::try_from(OPEN_REQUESTS_MAX).unwrap() * 2 {
            let wait = json!({ "name": "wait_for_run", "arguments": { "run": "@", "seconds": 50 } });
            input.write_all(request(id, "tools/call", wait).as_bytes()).await.unwrap();
            let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
            input.write_all(format!("{cancel}\n").as_bytes()).await.unwrap();
        }
        input.write_all(request(1_000, "tools/list", json!({})).as_bytes()).await.unwrap();
        while !lines.next_line().await.unwrap().unwrap().contains("\"id\":1000") {}
        drop(input);
        server.await.unwrap().unwrap();
    }
}

//! A caller of the routes: one connection that is made anew when it is lost, writes that are repeated until they
//! are answered, and streams that are resumed.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long anything may take here. Far more than it needs on a busy machine: who waits longer has found a fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a server that is away.
pub(crate) const AWAY: Duration = Duration::from_millis(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Everfold-Position`.
    pub(crate) position: Option<u64>,
    /// Seconds of `Retry-After`.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

/// There is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// No server took the connection.
    Away,
    /// The connection broke: what became of the request is unknown.
    Unanswered,
}

/// A caller with a token.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    token: String,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// Requests that broke off without an answer.
    pub(crate) lost: u32,
    /// Requests that came too fast or too early.
    pub(crate) put_off: u32,
}

impl Client {
    pub(crate) fn new(address: &str, token: &str) -> Self {
        let (address, token) = (address.to_owned(), token.to_owned());
        Self { address, token, connection: None, lost: 0, put_off: 0 }
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await.ok()?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        named: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        for (name, value) in named {
            request = request.header(*name, *value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        request.body(Full::new(body.into())).unwrap()
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Lost> {
        let kept = self.connection.take().filter(|kept| !kept.is_closed());
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connect().await.ok_or(Lost::Away)?,
        };
        let sent = async {
            connection.ready().await?;
            connection.send_request(request).await
        };
        let answer = tokio::time::timeout(PATIENCE, sent)
            .await
            .expect("an answer begins in time")
            .map_err(|_| Lost::Unanswered)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Asks once.
    pub(crate) async fn once(
        &mut self,
        method: &str,
        path: &str,
        named: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Lost> {
        let request = self.request(method, path, named, body);
        let response = self.send(request).await?;
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
        let (position, retry_after) = (number("everfold-position"), number("retry-after"));
        let status = response.status().as_u16();
        let Ok(collected) = response.into_body().collect().await else {
            self.connection = None;
            return Err(Lost::Unanswered);
        };
        let bytes = collected.to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Ok(Answer { status, position, retry_after, body })
    }

    /// Asks until a server answers: it may be away, end or be busy meanwhile.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        named: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let asking = async {
            loop {
                match self.once(method, path, named, body).await {
                    Ok(answer) if answer.status == 429 || answer.status == 503 => {
                        self.put_off += 1;
                        let wait = answer.retry_after.map_or(AWAY, Duration::from_secs);
                        tokio::time::sleep(wait).await;
                    }
                    Ok(answer) => return answer,
                    Err(lost) => {
                        self.lost += u32::from(lost == Lost::Unanswered);
                        tokio::time::sleep(AWAY).await;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{method} {path}: no answer"))
    }

    /// Reads; the answer is a good one.
    pub(crate) async fn get(&mut self, path: &str) -> Value {
        let answer = self.ask("GET", path, &[], None).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
        answer.body
    }

    /// Writes once and for all: with a key, until it is answered.
    pub(crate) async fn write(&mut self, method: &str, path: &str, key: &str, body: &Value) -> Answer {
        self.ask(method, path, &[("idempotency-key", key)], Some(body)).await
    }

    /// Writes; it is taken.
    pub(crate) async fn post(&mut self, path: &str, key: &str, body: &Value) -> Value {
        let answer = self.write("POST", path, key, body).await;
        assert!(answer.status < 300, "POST {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Opens a stream, on a connection of its own.
    pub(crate) async fn follow(&mut self, path: &str, last_event_id: Option<&str>) -> Result<Events, Lost> {
        let named: Vec<(&str, &str)> = last_event_id.map(|id| ("last-event-id", id)).into_iter().collect();
        let request = self.request("GET", path, &named, None);
        let mut own = Self::new(&self.address, &self.token);
        let response = own.send(request).await?;
        let status = response.status().as_u16();
        if status == 429 || status == 503 {
            return Err(Lost::Away);
        }
        assert_eq!(status, 200, "GET {path} from {last_event_id:?}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Ok(Events { body: response.into_body(), text: Vec::new(), _connection: own })
    }
}

/// One event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    text: Vec<u8>,
    _connection: Client,
}

impl Events {
    /// The next event; `None` where the stream ended or broke.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if let Some(event) = event(&String::from_utf8(block).unwrap()) {
                    return Some(event);
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .expect("a stream gives a sign of life");
            self.text.extend_from_slice(frame?.ok()?.data_ref()?);
        }
    }
}

/// The event of a block of lines; comments are none.
fn event(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let name = field("event")?.to_owned();
    Some(Event {
        id: field("id").map(str::to_owned),
        name,
        data: serde_json::from_str(field("data")?).unwrap(),
    })
}

//! The server that a fake service answers through.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::json::Value;
use http_body_util::{Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::http::read_body;

/// Requests that are remembered; older ones are forgotten.
const REQUESTS_KEPT: usize = 10_000;
/// More of a body is not read.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a body may stay silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeRequest {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Still escaped.
    pub path: String,
    /// Still escaped, without the question mark.
    pub query: String,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    /// JSON; a text where it is none; null where there is none.
    pub body: Value,
}

impl FakeRequest {
    /// A parameter of the query, still escaped.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a fake service answers.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeAnswer {
    /// The status.
    pub status: u16,
    /// Beside `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
    /// A document.
    pub body: Value,
}

impl FakeAnswer {
    /// A status and a document.
    #[must_use]
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A way in which a service fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceFault {
    /// It answers this status and does nothing.
    Status(u16),
    /// What stands before it answers this status with a page of its own.
    Page(u16),
    /// It asks for a pause of so many seconds (429) and does nothing.
    Limited(u64),
    /// It asks for a pause up to a time (429), in seconds since 1970, and does nothing.
    LimitedUntil(u64),
    /// It does what it is asked, and its answer is no JSON.
    Garbled,
    /// It does nothing and never answers.
    Silent,
    /// It does what it is asked, and its answer comes so much later.
    Slow(Duration),
    /// It does what it is asked, and the connection breaks before the answer.
    LostAnswer,
}

/// What a fake service knows and how it answers.
pub trait FakeService: Send + 'static {
    /// Answers a request.
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer;

    /// How the service says that something is wrong with it, or that it is asked too often (`retry_after`).
    fn fault(&self, status: u16, retry_after: Option<u64>) -> FakeAnswer;
}

struct FakeState<S> {
    service: S,
    asked: VecDeque<FakeRequest>,
    faults: VecDeque<Option<ServiceFault>>,
    by_method: Vec<MethodFault>,
}

/// Requests by a method that are to fail.
struct MethodFault {
    method: String,
    fault: ServiceFault,
    /// How many are left.
    times: u32,
}

impl<S> FakeState<S> {
    /// How a request fails, if it does.
    fn fault_of(&mut self, request: &FakeRequest) -> Option<ServiceFault> {
        if let Some(next) = self.faults.pop_front() {
            return next;
        }
        let is_it = |one: &&mut MethodFault| one.times > 0 && one.method == request.method;
        let found = self.by_method.iter_mut().find(is_it)?;
        found.times -= 1;
        Some(found.fault)
    }
}

/// A fake service behind an address. It ends when it is dropped.
pub struct FakeServer<S> {
    url: String,
    shared: Arc<Mutex<FakeState<S>>>,
    task: tokio::task::JoinHandle<()>,
}

impl<S> std::fmt::Debug for FakeServer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeServer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl<S> Drop for FakeServer<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<S: FakeService> FakeServer<S> {
    /// Serves on a free port of loopback.
    ///
    /// # Errors
    /// There is no port.
    pub async fn serve(service: S) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (asked, faults, by_method) = (VecDeque::new(), VecDeque::new(), Vec::new());
        let shared = Arc::new(Mutex::new(FakeState { service, asked, faults, by_method }));
        let served = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&served)))),
                        Err(_out_of_handles) => tokio::time::sleep(Duration::from_millis(50)).await,
                    },
                    Some(_ended) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { url, shared, task })
    }

    /// Where it is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How the next requests fail, one after the other; `None`: one succeeds.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Option<ServiceFault>>) {
        self.locked().faults.extend(faults);
    }

    /// How the next requests by a method fail, so many of them.
    pub fn fail_by(&self, method: &str, fault: ServiceFault, times: u32) {
        self.locked().by_method.push(MethodFault { method: method.to_owned(), fault, times });
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        let mut shared = self.locked();
        shared.faults.clear();
        shared.by_method.clear();
    }

    /// What was asked so far, the oldest first.
    #[must_use]
    pub fn asked(&self) -> Vec<FakeRequest> {
        self.locked().asked.iter().cloned().collect()
    }

    /// Looks at what the service knows, or changes it.
    pub fn service<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        look(&mut self.locked().service)
    }

    fn locked(&self) -> MutexGuard<'_, FakeState<S>> {
        locked(&self.shared)
    }
}

fn locked<S>(shared: &Mutex<FakeState<S>>) -> MutexGuard<'_, FakeState<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection<S: FakeService>(stream: TcpStream, shared: Arc<Mutex<FakeState<S>>>) {
    let answering = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { answered(request, &shared).await }
    });
    // A broken connection is the caller's affair, or wanted.
    let _ended =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answering).await;
}

/// The connection is to break.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost")]
struct AnswerLost;

async fn answered<S: FakeService>(
    request: Request<Incoming>,
    shared: &Mutex<FakeState<S>>,
) -> Result<Response<Full<Bytes>>, AnswerLost> {
    let request = read(request).await;
    let (answer, fault) = {
        let mut shared = locked(shared);
        if shared.asked.len() >= REQUESTS_KEPT {
            shared.asked.pop_front();
        }
        shared.asked.push_back(request.clone());
        let fault = shared.fault_of(&request);
        let answer = match fault {
            Some(ServiceFault::Status(status)) => shared.service.fault(status, None),
            Some(ServiceFault::Limited(seconds)) => shared.service.fault(429, Some(seconds)),
            Some(ServiceFault::LimitedUntil(at)) => {
                shared.service.fault(429, None).with("x-ratelimit-reset", at.to_string())
            }
            Some(ServiceFault::Silent | ServiceFault::Page(_)) => FakeAnswer::new(200, Value::Null),
            Some(ServiceFault::Garbled | ServiceFault::Slow(_) | ServiceFault::LostAnswer) | None => {
                shared.service.answer(&request)
            }
        };
        (answer, fault)
    };
    match fault {
        Some(ServiceFault::Silent) => std::future::pending().await,
        Some(ServiceFault::LostAnswer) => Err(AnswerLost),
        Some(ServiceFault::Slow(pause)) => {
            tokio::time::sleep(pause).await;
            Ok(response(&answer))
        }
        Some(ServiceFault::Page(status)) => {
            let mut page = Response::new(Full::new(Bytes::from_static(b"page not found")));
            *page.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            Ok(page)
        }
        Some(ServiceFault::Garbled) => {
            Ok(Response::new(Full::new(Bytes::from_static(b"<html>upstream error</html>"))))
        }
        Some(ServiceFault::Status(_) | ServiceFault::Limited(_) | ServiceFault::LimitedUntil(_)) | None => {
            Ok(response(&answer))
        }
    }
}

async fn read(request: Request<Incoming>) -> FakeRequest {
    let (head, body) = request.into_parts();
    let body = read_body(Limited::new(body, BODY_BYTES_MAX), BODY_BYTES_MAX, SILENCE).await;
    let bytes = body.map(|body| body.bytes).unwrap_or_default();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    FakeRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()),
        },
    }
}

fn response(answer: &FakeAnswer) -> Response<Full<Bytes>> {
    let body = if answer.body.is_null() { String::new() } else { answer.body.to_string() };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("content-type", "application/json; charset=utf-8");
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    let answer = response.body(Full::new(Bytes::from(body)));
    answer.unwrap_or_else(|_wrong_header| Response::new(Full::new(Bytes::new())))
}

//! How a command reaches the routes: through the owner's socket, or as the owner itself.
//!
//! Law: a write is repeated only with the idempotency key of its first try, so losing the owner in
//! the middle of a request does no harm. When the owner ends, the next request finds the next owner,
//! or makes this process the owner.

mod follow;
mod request;

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use everfold_engine::clock::{Stopwatch, draw_u128};
use everfold_engine::id::RunId;
use everfold_engine::layout::Layout;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tower::ServiceExt as _;

use crate::fault::{Code, Fault, Problem};
use crate::http::Caller;
use crate::http::caller::{USER_HEADER, own_name};
use crate::owner::{self, Held, HoldOptions};

pub use follow::{Follow, Followed, Message};
pub use request::{encode, query};

/// How long a command waits for an owner that ends or begins.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long an owner may take to say that it is there.
const HEALTH: Duration = Duration::from_secs(5);
/// How long it may take for an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// The largest answer that is read as one document.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a command works.
#[derive(Clone)]
pub struct Place {
    /// The data folder.
    pub layout: Layout,
    /// Another settings file.
    pub config: Option<PathBuf>,
    /// For demonstrations and tests.
    pub crash_after: Option<String>,
    /// Whether the folder is made where it is not there.
    pub create: bool,
}

/// A way to the routes.
enum Link {
    /// This process is the owner.
    Here(Box<Held>),
    /// Another one is.
    There,
}

/// A command's way to the routes.
pub struct Client {
    place: Place,
    user: String,
    link: Mutex<Option<Link>>,
}

/// What is to become of runs that go on when a command ends that was their owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// None goes on; the next owner that is asked to goes on with them.
    Nothing,
    /// Those that nobody waits for go on in the background.
    Waiting,
    /// All go on in the background.
    Everything,
}

impl Client {
    /// A client for a folder; reaches out with the first request.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place, user: own_name(), link: Mutex::new(None) }
    }

    /// Where the command works.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether this process is the owner now.
    pub async fn is_owner(&self) -> bool {
        matches!(*self.link.lock().await, Some(Link::Here(_)))
    }

    /// Gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let response = self.send("GET", path, None, &[]).await?;
        document(response).await
    }

    /// Sends a body and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        self.write("POST", path, body).await
    }

    /// Puts a body in its place and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        self.write("PUT", path, body).await
    }

    /// Takes something away and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let key = format!("{:032x}", draw_u128());
        document(self.send("DELETE", path, None, &[("idempotency-key", key)]).await?).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(body).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        let key = format!("{:032x}", draw_u128());
        let response = self.send(method, path, Some(body), &[("idempotency-key", key)]).await?;
        document(response).await
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn open(&self, path: &str, headers: &[(&str, String)]) -> Result<Response<Body>, Fault> {
        let response = self.send("GET", path, None, headers).await?;
        if response.status().is_success() { Ok(response) } else { Err(failed(response).await) }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        headers: &[(&str, String)],
    ) -> Result<Response<Body>, Fault> {
        let since = Stopwatch::start();
        loop {
            self.reach().await?;
            let mut request = Request::builder().method(method).uri(path).header(USER_HEADER, &self.user);
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            if body.is_some() {
                request = request.header(header::CONTENT_TYPE, "application/json");
            }
            let request = request
                .body(body.clone().map_or_else(Body::empty, Body::from))
                .map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
            match self.once(request).await? {
                Some(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return Ok(response);
                }
                // The owner ends, or is gone: the next one is found, or made.
                lost => {
                    if let Some(response) = lost {
                        let fault = failed(response).await;
                        if fault.code != Code::Ending || since.elapsed() > PATIENCE {
                            return Err(fault);
                        }
                    }
                    if since.elapsed() > ANSWER + PATIENCE {
                        return Err(self.no_answer());
                    }
                    self.lost().await;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Sends a request over the link; `None` where the owner is gone.
    async fn once(&self, mut request: Request<Body>) -> Result<Option<Response<Body>>, Fault> {
        let routes = match &*self.link.lock().await {
            Some(Link::Here(held)) => Some(held.routes()),
            _there => None,
        };
        if let Some(routes) = routes {
            request.extensions_mut().insert(Caller::local(&self.user));
            return routes.oneshot(request).await.map(Some).map_err(|never| match never {});
        }
        let Ok(stream) = owner::connect(&self.place.layout.socket()).await else { return Ok(None) };
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = match tokio::time::timeout(PATIENCE, handshake).await {
            Ok(Ok(parts)) => parts,
            Ok(Err(_)) => return Ok(None),
            Err(_) => return Err(self.no_answer()),
        };
        tokio::spawn(async move {
            // A broken connection shows in the answer's body.
            let _ended = connection.await;
        });
        request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("everfold"));
        match tokio::time::timeout(ANSWER, sender.send_request(request)).await {
            Ok(Ok(response)) => Ok(Some(response.map(Body::new))),
            Ok(Err(_)) => Ok(None),
            Err(_) => Err(self.no_answer()),
        }
    }

    fn no_answer(&self) -> Fault {
        let pid = owner::read_record(&self.place.layout.owner()).map_or(0, |record| record.pid);
        Fault::new(Code::NoAnswer, format!("the store is in use by process {pid}, which does not answer"))
            .hint("bring that process to the front or end it; nothing is lost by that")
    }

    /// Forgets an owner that is gone.
    async fn lost(&self) {
        let mut link = self.link.lock().await;
        if matches!(*link, Some(Link::There)) {
            *link = None;
        }
    }

    /// Finds the owner, or becomes it.
    ///
    /// # Errors
    /// The store cannot be opened, or its owner does not answer.
    pub async fn reach(&self) -> Result<(), Fault> {
        let mut link = self.link.lock().await;
        if link.is_some() {
            return Ok(());
        }
        let since = Stopwatch::start();
        loop {
            if let Ok(stream) = owner::connect(&self.place.layout.socket()).await {
                match tokio::time::timeout(HEALTH, is_healthy(stream)).await {
                    Ok(true) => {
                        *link = Some(Link::There);
                        return Ok(());
                    }
                    Ok(false) => {} // It ended in this moment: the lock tells.
                    Err(_) => return Err(self.no_answer()),
                }
            }
            if !self.place.create && !self.place.layout.root().exists() {
                *link = Some(Link::Here(Box::new(owner::imagine(self.place.layout.clone())?)));
                return Ok(());
            }
            let options = HoldOptions {
                config: self.place.config.clone(),
                crash_after: self.place.crash_after.clone(),
                progress: Some(crate::cli::progress_of_store()),
                ..HoldOptions::default()
            };
            match owner::hold(self.place.layout.clone(), options).await {
                Ok(held) => {
                    *link = Some(Link::Here(Box::new(held)));
                    return Ok(());
                }
                Err(fault) if fault.code == Code::InUse && since.elapsed() < PATIENCE => {
                    // An owner that begins does not listen yet; one that ends does not any more.
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The runs that this process goes on with as the owner and that somebody else must go on with
    /// after it.
    async fn unfinished(&self, leave: Leave) -> Vec<RunId> {
        if leave == Leave::Nothing {
            return Vec::new();
        }
        let link = self.link.lock().await;
        let Some(Link::Here(held)) = &*link else { return Vec::new() };
        let owner = held.owner();
        let mut unfinished = Vec::new();
        let driven = owner.driven_runs().await;
        let detached = owner.detached_runs();
        for run in driven {
            let Ok(view) = owner.view(run).await else { continue };
            let goes_on = detached.contains(&run) || (leave == Leave::Everything && view.goes_on_by_itself());
            if goes_on && !view.status.is_ended() {
                unfinished.push(run);
            }
        }
        unfinished
    }

    /// The runs that this process goes on with, where it is the owner.
    pub async fn driven_runs(&self) -> Vec<RunId> {
        match &*self.link.lock().await {
            Some(Link::Here(held)) => held.owner().driven_runs().await,
            _there => Vec::new(),
        }
    }

    /// Ends the client; gives the folder back where this process is the owner. Gives the runs that
    /// somebody else must go on with.
    pub async fn leave(&self, leave: Leave) -> Vec<RunId> {
        let unfinished = self.unfinished(leave).await;
        if let Some(Link::Here(held)) = self.link.lock().await.take() {
            held.release().await;
        }
        unfinished
    }

    /// What this process owns, where it is the owner.
    pub async fn with_owner<R>(&self, body: impl FnOnce(&owner::Owner) -> R) -> Option<R> {
        match &*self.link.lock().await {
            Some(Link::Here(held)) => Some(body(held.owner())),
            _there => None,
        }
    }
}

impl Client {
    /// What this process holds, where it is the owner.
    pub async fn with_held<R>(&self, body: impl FnOnce(&Held) -> R) -> Option<R> {
        match &*self.link.lock().await {
            Some(Link::Here(held)) => Some(body(held)),
            _there => None,
        }
    }
}

/// Whether the owner at the other end says that it is there.
async fn is_healthy(stream: tokio::net::UnixStream) -> bool {
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await
    else {
        return false;
    };
    tokio::spawn(async move {
        let _ended = connection.await;
    });
    let request = Request::builder().uri("/healthz").header(header::HOST, "everfold").body(Body::empty());
    match request {
        Ok(request) => sender.send_request(request).await.is_ok_and(|answer| answer.status().is_success()),
        Err(_) => false,
    }
}

/// Reads an answer as one document.
pub(crate) async fn document<T: DeserializeOwned>(response: Response<Body>) -> Result<T, Fault> {
    if !response.status().is_success() {
        return Err(failed(response).await);
    }
    let bytes = bytes(response).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Fault::new(Code::Internal, format!("the owner's answer cannot be read: {error}")))
}

async fn bytes(response: Response<Body>) -> Result<Vec<u8>, Fault> {
    let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let read = body.collect().await;
    Ok(read
        .map_err(|error| Fault::new(Code::NoAnswer, format!("the answer broke off: {error}")))?
        .to_bytes()
        .to_vec())
}

/// The fault that an answer tells.
async fn failed(response: Response<Body>) -> Fault {
    let status = response.status();
    let problem = match bytes(response).await {
        Ok(bytes) => serde_json::from_slice::<Problem>(&bytes).ok(),
        Err(_) => None,
    };
    problem.map_or_else(|| Fault::new(Code::Internal, format!("the owner answered {status}")), Fault::from)
}

//! A command's way to the routes: in a data folder or at a server, with the same requests.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use everfold_engine::clock::{Stopwatch, draw_u128};
use everfold_engine::id::RunId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{self, BrokenAnswer};
use super::folder::{self, FolderOptions};
use super::leave::Leave;
use super::request::RestRequest;
use super::server::{RemoteServer, Repeated};
use crate::fault::{Code, Fault};
use crate::node;
use crate::serve::NodeGuard;

/// The pause before an answer that broke off is asked for again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(20);

/// A way to the routes.
enum Way {
    Folder(Box<folder::LocalFolder>),
    Server(Box<RemoteServer>),
}

/// A command's way to the routes. Clones share it.
#[derive(Clone)]
pub struct Client {
    way: Arc<Way>,
}

/// A whole answer.
struct ReadAnswer {
    status: StatusCode,
    is_repeated: bool,
    bytes: Vec<u8>,
}

impl Client {
    /// A client for a folder; reaches out with the first request.
    #[must_use]
    pub fn new(place: FolderOptions) -> Self {
        Self { way: Arc::new(Way::Folder(Box::new(folder::LocalFolder::new(place)))) }
    }

    /// A client for a server; reaches out with the first request.
    pub(crate) fn at(server: RemoteServer) -> Self {
        Self { way: Arc::new(Way::Server(Box::new(server))) }
    }

    /// The folder in which the command works, where it works in one.
    #[must_use]
    pub fn place(&self) -> Option<&FolderOptions> {
        match &*self.way {
            Way::Folder(folder) => Some(&folder.place),
            Way::Server(_) => None,
        }
    }

    /// The server at which the command works, where it works at one.
    pub(crate) fn server(&self) -> Option<&RemoteServer> {
        match &*self.way {
            Way::Folder(_) => None,
            Way::Server(server) => Some(server),
        }
    }

    /// Resolves when this process owned the folder and lost it: what it waits for would not come.
    pub(crate) async fn folder_lost(&self) -> Fault {
        match &*self.way {
            Way::Folder(folder) => folder.folder_lost().await,
            Way::Server(_) => std::future::pending().await,
        }
    }

    /// Gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.ask(&RestRequest::get(path)).await
    }

    /// Sends a body and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        self.write("POST", path, body).await
    }

    /// Sends a body under an idempotency key of the caller's, and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub(crate) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: u128,
    ) -> Result<T, Fault> {
        let request = RestRequest { method: "POST", body: Some(bytes(body)?), ..RestRequest::get(path) };
        self.ask(&request.once(key)).await
    }

    /// Sends a body with headers that bring credentials, and gets one document. Where it `is_keyed`, the body holds its
    /// idempotency key itself.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub(crate) async fn post_bringing<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        brought: &[(String, String)],
        is_keyed: bool,
    ) -> Result<T, Fault> {
        let headers = brought.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let request =
            RestRequest { method: "POST", headers, body: Some(bytes(body)?), ..RestRequest::get(path) };
        match is_keyed {
            true => self.ask(&request).await,
            false => self.ask(&request.once(draw_u128())).await,
        }
    }

    /// Puts a body in its place and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        self.write("PUT", path, body).await
    }

    /// Changes a part of what stands in a place and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        self.write("PATCH", path, body).await
    }

    /// Takes something away and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.ask(&RestRequest { method: "DELETE", ..RestRequest::get(path) }.once(draw_u128())).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        self.ask(
            &RestRequest { method, body: Some(bytes(body)?), ..RestRequest::get(path) }.once(draw_u128()),
        )
        .await
    }

    /// Asks until a whole answer has come, and reads it as a document.
    async fn ask<T: DeserializeOwned>(&self, ask: &RestRequest<'_>) -> Result<T, Fault> {
        let ReadAnswer { status, is_repeated, bytes } = self.whole(ask).await?;
        if status.is_success() {
            return answer::parse(&bytes).map_err(|fault| self.versed(fault));
        }
        let fault = answer::fault_in(&bytes);
        let fault =
            fault.unwrap_or_else(|| Fault::new(Code::Internal, format!("{} answered {status}", self.who())));
        let fault = self.versed(fault);
        Err(match fault.code.exit() {
            // What is so already is refused by some; that must not be taken for a failure of the first try.
            2 | 4 if is_repeated && fault.code != Code::TokenMade => fault.hint(
                "the first try lost its connection, and may have done this already: look before you try again",
            ),
            _plain => fault,
        })
    }

    /// Asks until a whole answer has come: one that breaks off is asked for again, a write with the
    /// key of its first try.
    async fn whole(&self, ask: &RestRequest<'_>) -> Result<ReadAnswer, Fault> {
        let since = Stopwatch::start();
        loop {
            let response = self.send(ask).await?;
            let status = response.status();
            let is_repeated = response.extensions().get::<Repeated>().is_some();
            match answer::bytes(response.into_body()).await {
                Ok(bytes) => return Ok(ReadAnswer { status, is_repeated, bytes }),
                Err(BrokenAnswer::Off(_)) if since.elapsed() < self.patience() => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(broken) => return Err(broken.into()),
            }
        }
    }

    /// Answers a request of a program that speaks to the routes as if they were here: whole, and a fault of the way as
    /// the problem document that it is.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let sent = async {
            let body = answer::bytes(body).await?;
            let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
            let headers = head.headers.iter().filter(|(name, _)| *name != header::CONTENT_TYPE);
            let headers =
                headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?.to_owned())));
            let body = (!body.is_empty()).then_some(body);
            let ask = RestRequest { method: head.method.as_str(), path, headers: headers.collect(), body };
            self.whole(&ask).await
        };
        match sent.await {
            Ok(ReadAnswer { status, bytes, .. }) => {
                let mut response = Response::new(Body::from(bytes));
                *response.status_mut() = status;
                response
            }
            Err(fault) => self.versed(fault).into_response(),
        }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn open(&self, path: &str, headers: &[(&str, String)]) -> Result<Response<Body>, Fault> {
        let ask = RestRequest { headers: headers.to_vec(), ..RestRequest::get(path) };
        let response = self.send(&ask).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.versed(answer::failed(response).await))
        }
    }

    async fn send(&self, ask: &RestRequest<'_>) -> Result<Response<Body>, Fault> {
        match &*self.way {
            Way::Folder(folder) => folder.send(ask).await,
            Way::Server(server) => server.send(ask).await,
        }
    }

    /// How long an answer that breaks off is asked for again.
    fn patience(&self) -> std::time::Duration {
        match &*self.way {
            Way::Folder(_) => folder::PATIENCE,
            Way::Server(server) => server.patience(),
        }
    }

    fn who(&self) -> String {
        self.server().map_or_else(|| "the owner".to_owned(), |server| server.address().to_string())
    }

    /// The fault, with what is to be known of it where a server said it.
    fn versed(&self, fault: Fault) -> Fault {
        match &*self.way {
            Way::Folder(_) => fault,
            Way::Server(server) => server.versed(fault),
        }
    }

    /// Finds the owner or the server, or becomes the owner.
    ///
    /// # Errors
    /// The store cannot be opened, or its owner or the server does not answer.
    pub async fn reach(&self) -> Result<(), Fault> {
        match &*self.way {
            Way::Folder(folder) => folder.reach().await,
            Way::Server(server) => server.meet().await.map(|_version| ()),
        }
    }

    /// Whether this process is the owner now.
    pub async fn is_owner(&self) -> bool {
        match &*self.way {
            Way::Folder(folder) => folder.is_owner().await,
            Way::Server(_) => false,
        }
    }

    /// The runs that this process goes on with, where it is the owner.
    pub async fn driven_runs(&self) -> Vec<RunId> {
        match &*self.way {
            Way::Folder(folder) => folder.driven_runs().await,
            Way::Server(_) => Vec::new(),
        }
    }

    /// Ends the client; gives the folder back where this process is the owner. Gives the runs that
    /// another process must drive.
    pub async fn leave(&self, leave: Leave) -> Vec<RunId> {
        match &*self.way {
            Way::Folder(folder) => folder.leave(leave).await,
            Way::Server(_) => Vec::new(),
        }
    }

    /// What this process owns, where it is the owner.
    pub async fn with_owner<R>(&self, body: impl FnOnce(&node::Node) -> R) -> Option<R> {
        self.with_guard(|node_guard| body(node_guard.node())).await
    }

    /// What this process holds, where it is the owner.
    pub async fn with_guard<R>(&self, body: impl FnOnce(&NodeGuard) -> R) -> Option<R> {
        match &*self.way {
            Way::Folder(folder) => folder.with_guard(body).await,
            Way::Server(_) => None,
        }
    }
}

/// A body as it is sent, with its fields in the order of their names: equal bodies are equal bytes.
fn bytes(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_value(body)
        .and_then(|body| serde_json::to_vec(&body))
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))
}

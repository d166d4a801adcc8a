//! How a command reaches the routes: in a data folder, through its owner's socket or as the owner
//! itself ([`folder`]), or at a server, over TCP or TLS ([`server`]).
//!
//! Law: a write is repeated only with the idempotency key of its first try, so losing the owner or
//! the server in the middle of a request does no harm.

mod answer;
mod folder;
mod follow;
mod lines;
mod request;
mod server;
mod sse;

use axum::body::Body;
use axum::http::Response;
use everfold_engine::clock::{Stopwatch, draw_u128};
use everfold_engine::id::RunId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::{Code, Fault};
use crate::owner::{self, Held};

use answer::Broken;
pub(crate) use answer::document;
pub use folder::Place;
pub use follow::{Follow, Followed, Message};
pub(crate) use lines::Lines;
pub(crate) use request::Ask;
pub use request::{encode, query};
pub(crate) use server::{Address, Server, TokenSource};

/// The pause before an answer that broke off is asked for again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(20);

/// A way to the routes.
enum Way {
    Folder(Box<folder::Folder>),
    Server(Box<Server>),
}

/// A command's way to the routes.
pub struct Client {
    way: Way,
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
        Self { way: Way::Folder(Box::new(folder::Folder::new(place))) }
    }

    /// A client for a server; reaches out with the first request.
    pub(crate) fn at(server: Server) -> Self {
        Self { way: Way::Server(Box::new(server)) }
    }

    /// The folder in which the command works, where it works in one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match &self.way {
            Way::Folder(folder) => Some(&folder.place),
            Way::Server(_) => None,
        }
    }

    /// The server at which the command works, where it works at one.
    pub(crate) fn server(&self) -> Option<&Server> {
        match &self.way {
            Way::Folder(_) => None,
            Way::Server(server) => Some(server),
        }
    }

    /// Gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.ask(&Ask::get(path)).await
    }

    /// Sends a body and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        self.write("POST", path, body).await
    }

    /// Sends a body that holds its idempotency key itself, and gets one document.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub(crate) async fn post_keyed<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        self.ask(&Ask { method: "POST", body: Some(bytes(body)?), ..Ask::get(path) }).await
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
        self.ask(&Ask { method: "DELETE", ..Ask::get(path) }.once(draw_u128())).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        self.ask(&Ask { method, body: Some(bytes(body)?), ..Ask::get(path) }.once(draw_u128())).await
    }

    /// Asks until a whole answer has come: one that breaks off is asked for again, a write with the
    /// key of its first try.
    async fn ask<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, Fault> {
        let since = Stopwatch::start();
        loop {
            let response = self.send(ask).await?;
            let status = response.status();
            let is_repeated = response.extensions().get::<server::Repeated>().is_some();
            let bytes = match answer::bytes(response.into_body()).await {
                Ok(bytes) => bytes,
                Err(Broken::Off(_)) if since.elapsed() < self.patience() => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(broken) => return Err(broken.into()),
            };
            if status.is_success() {
                return answer::parse(&bytes).map_err(|fault| self.versed(fault));
            }
            let fault = answer::told(&bytes);
            let fault = fault
                .unwrap_or_else(|| Fault::new(Code::Internal, format!("{} answered {status}", self.who())));
            let fault = self.versed(fault);
            return Err(match fault.code.exit() {
                // What is so already is refused by some; that must not be taken for a failure of the first try.
                2 | 4 if is_repeated && fault.code != Code::TokenMade => fault.hint(
                    "the first try lost its connection, and may have done this already: look before you try again",
                ),
                _plain => fault,
            });
        }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// What the route says, or that no owner could be reached.
    pub async fn open(&self, path: &str, headers: &[(&str, String)]) -> Result<Response<Body>, Fault> {
        let ask = Ask { headers: headers.to_vec(), ..Ask::get(path) };
        let response = self.send(&ask).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.versed(answer::failed(response).await))
        }
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<Response<Body>, Fault> {
        match &self.way {
            Way::Folder(folder) => folder.send(ask).await,
            Way::Server(server) => server.send(ask).await,
        }
    }

    /// How long an answer that breaks off is asked for again.
    fn patience(&self) -> std::time::Duration {
        match &self.way {
            Way::Folder(_) => folder::PATIENCE,
            Way::Server(server) => server.patience(),
        }
    }

    fn who(&self) -> String {
        self.server().map_or_else(|| "the owner".to_owned(), |server| server.address().to_string())
    }

    /// The fault, with what is to be known of it where a server said it.
    fn versed(&self, fault: Fault) -> Fault {
        match &self.way {
            Way::Folder(_) => fault,
            Way::Server(server) => server.versed(fault),
        }
    }

    /// Finds the owner or the server, or becomes the owner.
    ///
    /// # Errors
    /// The store cannot be opened, or its owner or the server does not answer.
    pub async fn reach(&self) -> Result<(), Fault> {
        match &self.way {
            Way::Folder(folder) => folder.reach().await,
            Way::Server(server) => server.meet().await.map(|_version| ()),
        }
    }

    /// Whether this process is the owner now.
    pub async fn is_owner(&self) -> bool {
        match &self.way {
            Way::Folder(folder) => folder.is_owner().await,
            Way::Server(_) => false,
        }
    }

    /// The runs that this process goes on with, where it is the owner.
    pub async fn driven_runs(&self) -> Vec<RunId> {
        match &self.way {
            Way::Folder(folder) => folder.driven_runs().await,
            Way::Server(_) => Vec::new(),
        }
    }

    /// Ends the client; gives the folder back where this process is the owner. Gives the runs that
    /// somebody else must go on with.
    pub async fn leave(&self, leave: Leave) -> Vec<RunId> {
        match &self.way {
            Way::Folder(folder) => folder.leave(leave).await,
            Way::Server(_) => Vec::new(),
        }
    }

    /// What this process owns, where it is the owner.
    pub async fn with_owner<R>(&self, body: impl FnOnce(&owner::Owner) -> R) -> Option<R> {
        self.with_held(|held| body(held.owner())).await
    }

    /// What this process holds, where it is the owner.
    pub async fn with_held<R>(&self, body: impl FnOnce(&Held) -> R) -> Option<R> {
        match &self.way {
            Way::Folder(folder) => folder.with_held(body).await,
            Way::Server(_) => None,
        }
    }
}

fn bytes(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(body).map_err(|error| Fault::new(Code::Internal, error.to_string()))
}

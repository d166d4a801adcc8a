//! The events of the stream `engine/access`.

use serde::{Deserialize, Serialize};

use super::role::Role;
use everfold_base::codec::stored;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// No event of the stream is longer.
const BYTES_MAX: u64 = 64 * 1024;

/// A token was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The approval roles it decides in.
    pub approves: Vec<String>,
    /// What it is recognised by.
    pub hash: Hash,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// A token is refused from now on, and the sessions that were opened with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: Option<String>,
}

/// A browser logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// What the session is recognised by.
    pub hash: Hash,
    /// The token whose rights it has.
    pub token: String,
    /// From when on it is refused.
    pub expires_at: Timestamp,
}

/// A browser logged out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClosed {
    /// What the session was recognised by.
    pub hash: Hash,
}

/// A call was refused because its caller may not do that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRefused {
    /// `POST /api/v1/runs/{run}/cancel`.
    pub route: String,
    /// The role that would have been needed.
    pub needed: Role,
    /// How often, since the last such event of the same caller and route.
    pub times: u32,
}

/// A fact of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum AccessEvent {
    /// A token was made.
    TokenCreated(TokenCreated),
    /// A token was revoked.
    TokenRevoked(TokenRevoked),
    /// A browser logged in.
    SessionOpened(SessionOpened),
    /// A browser logged out.
    SessionClosed(SessionClosed),
    /// A call was refused.
    CallRefused(CallRefused),
}

stored!(AccessEvent, BYTES_MAX, {
    TokenCreated = 30,
    TokenRevoked = 31,
    SessionOpened = 32,
    SessionClosed = 33,
    CallRefused = 34,
});

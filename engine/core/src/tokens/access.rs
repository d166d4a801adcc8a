//! The state of the stream `engine/access`: its fold, and what each change adds.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::event::{AccessEvent, SessionClosed, SessionOpened, TokenCreated, TokenRevoked};
use super::limits::{APPROVES_MAX, NAME_BYTES_MAX, SESSIONS_MAX, TOKEN_SESSIONS_MAX, TOKENS_MAX};
use super::refusal::{AccessRefusal, NotLetIn};
use super::role::Role;
use crate::aggregate::{Aggregate, EventStamp};
use everfold_base::envelope::StreamId;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// A token, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The approval roles it decides in.
    pub approves: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The actor that created it.
    pub created_by: String,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

/// An open session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BrowserSession {
    token: String,
    expires_at: Timestamp,
}

/// Tokens and sessions: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessRegistry {
    tokens: BTreeMap<String, Token>,
    by_hash: HashMap<Hash, String>,
    sessions: HashMap<Hash, BrowserSession>,
}

impl AccessRegistry {
    /// The stream.
    #[must_use]
    pub fn stream() -> StreamId {
        StreamId::engine("access")
    }

    /// What making a token adds.
    ///
    /// # Errors
    /// [`AccessRefusal`].
    pub fn create(&self, token: TokenCreated, now: Timestamp) -> Result<AccessEvent, AccessRefusal> {
        for name in std::iter::once(&token.name).chain(&token.approves) {
            if !is_name(name) {
                return Err(AccessRefusal::BadName(name.clone()));
            }
        }
        if self.tokens.contains_key(&token.name) {
            return Err(AccessRefusal::NameTaken(token.name));
        }
        if token.approves.len() > APPROVES_MAX {
            return Err(AccessRefusal::TooManyRoles);
        }
        if token.expires_at.is_some_and(|at| at <= now) {
            return Err(AccessRefusal::ExpiresInThePast);
        }
        if self.tokens.len() >= TOKENS_MAX {
            return Err(AccessRefusal::TooManyTokens);
        }
        Ok(AccessEvent::TokenCreated(token))
    }

    /// What revoking a token adds; nothing where it is revoked already.
    ///
    /// # Errors
    /// [`AccessRefusal::NoToken`].
    pub fn revoke(&self, name: &str, reason: Option<String>) -> Result<Option<AccessEvent>, AccessRefusal> {
        let token = self.tokens.get(name).ok_or_else(|| AccessRefusal::NoToken(name.to_owned()))?;
        let revoked = TokenRevoked { name: name.to_owned(), reason };
        Ok(token.revoked_at.is_none().then_some(AccessEvent::TokenRevoked(revoked)))
    }

    /// What opening a session adds. It ends with its token at the latest.
    ///
    /// # Errors
    /// [`NotLetIn`]: the token is not, or not any more, one.
    pub fn open(
        &self,
        name: &str,
        hash: Hash,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<AccessEvent, NotLetIn> {
        let token = self.valid(name, now)?;
        let expires_at = token.expires_at.map_or(until, |end| end.min(until));
        Ok(AccessEvent::SessionOpened(SessionOpened { hash, token: name.to_owned(), expires_at }))
    }

    /// What closing a session adds; nothing where it is over already.
    #[must_use]
    pub fn close(&self, hash: Hash) -> Option<AccessEvent> {
        self.sessions.contains_key(&hash).then_some(AccessEvent::SessionClosed(SessionClosed { hash }))
    }

    /// The token of a hash.
    ///
    /// # Errors
    /// [`NotLetIn`].
    pub fn token_of(&self, hash: &Hash, now: Timestamp) -> Result<&Token, NotLetIn> {
        self.valid(self.by_hash.get(hash).ok_or(NotLetIn::Unknown)?, now)
    }

    /// The token whose rights the session of a hash has, and when the session ends.
    ///
    /// # Errors
    /// [`NotLetIn`].
    pub fn session_of(&self, hash: &Hash, now: Timestamp) -> Result<(&Token, Timestamp), NotLetIn> {
        let session = self.sessions.get(hash).filter(|session| session.expires_at > now);
        let session = session.ok_or(NotLetIn::SessionOver)?;
        Ok((self.valid(&session.token, now)?, session.expires_at))
    }

    /// The token of a name, where it is good.
    ///
    /// # Errors
    /// [`NotLetIn`].
    pub fn valid(&self, name: &str, now: Timestamp) -> Result<&Token, NotLetIn> {
        let token = self.tokens.get(name).ok_or(NotLetIn::Unknown)?;
        if token.revoked_at.is_some() {
            return Err(NotLetIn::Revoked(name.to_owned()));
        }
        if token.expires_at.is_some_and(|at| at <= now) {
            return Err(NotLetIn::Expired(name.to_owned()));
        }
        Ok(token)
    }

    /// Every token, revoked ones included, by name.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.chars().all(|c| c.is_alphanumeric() || "._-@".contains(c))
}

impl AccessRegistry {
    /// Makes room for a session: the one that ends first goes, of one token or of all.
    fn close_first(&mut self, token: Option<&str>) {
        let of_token = |session: &BrowserSession| token.is_none_or(|token| session.token == token);
        let open = self.sessions.iter().filter(|(_, session)| of_token(session));
        let first = open.min_by_key(|(hash, session)| (session.expires_at, **hash));
        if let Some(hash) = first.map(|(hash, _)| *hash) {
            self.sessions.remove(&hash);
        }
    }
}

impl Aggregate for AccessRegistry {
    type Event = AccessEvent;

    fn stream() -> StreamId {
        Self::stream()
    }

    fn apply(&mut self, event: &AccessEvent, stamp: &EventStamp<'_>) {
        match event {
            AccessEvent::TokenCreated(created) => {
                self.by_hash.insert(created.hash, created.name.clone());
                let token = Token {
                    name: created.name.clone(),
                    role: created.role,
                    approves: created.approves.clone(),
                    created_at: stamp.at,
                    created_by: stamp.by.to_string(),
                    expires_at: created.expires_at,
                    revoked_at: None,
                };
                self.tokens.insert(created.name.clone(), token);
            }
            AccessEvent::TokenRevoked(revoked) => {
                if let Some(token) = self.tokens.get_mut(&revoked.name) {
                    token.revoked_at = Some(stamp.at);
                }
                self.sessions.retain(|_, session| session.token != revoked.name);
            }
            AccessEvent::SessionOpened(opened) => {
                self.sessions.retain(|_, session| session.expires_at > stamp.at);
                let of_token = self.sessions.values().filter(|session| session.token == opened.token).count();
                let own = (of_token >= TOKEN_SESSIONS_MAX).then_some(opened.token.as_str());
                if own.is_some() || self.sessions.len() >= SESSIONS_MAX {
                    self.close_first(own);
                }
                let session = BrowserSession { token: opened.token.clone(), expires_at: opened.expires_at };
                self.sessions.insert(opened.hash, session);
            }
            AccessEvent::SessionClosed(closed) => drop(self.sessions.remove(&closed.hash)),
            AccessEvent::CallRefused(_) => {}
        }
    }

    fn encode(event: &AccessEvent) -> Result<(u16, u16, Vec<u8>), String> {
        event.encode().map_err(|error| error.to_string())
    }

    fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<AccessEvent, String> {
        AccessEvent::decode(kind, schema, bytes).map_err(|error| error.to_string())
    }
}

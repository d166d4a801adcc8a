//! Who may call from afar: access tokens and the sessions of browsers, one stream of the engine's
//! own, `engine/access`.
//!
//! Law: pure, like the core of a run: [`Access::apply`] neither fails nor chooses, deciding knows no
//! clock. No secret stands here: a token and a session are known by a hash of theirs alone. A token's
//! name is given once for ever, because events name their actor by it.
//!
//! Called by the server, which keeps the stream and asks at every request.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, EventStamp};
use everfold_base::codec::stored;
use everfold_base::envelope::StreamId;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_language::definition::StepRole;

/// No event of the stream is longer.
const BYTES_MAX: u64 = 64 * 1024;
/// Tokens that may be there, revoked ones included.
pub const TOKENS_MAX: usize = 10_000;
/// Sessions that may be open; the one that ends first makes room.
pub const SESSIONS_MAX: usize = 1_000;
/// The most of them that one token opened: opening more closes the token's own ones, not those of others.
pub const TOKEN_SESSIONS_MAX: usize = 50;
/// Approval roles of one token.
pub const APPROVES_MAX: usize = 64;
/// The longest name of a token or an approval role.
pub const NAME_BYTES_MAX: usize = 64;

/// What the holder of a token may do. Roles that people are asked in (`product`, `security`) are
/// free words and stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything.
    Viewer,
    /// Reads, and decides tasks.
    Approver,
    /// Reads, starts and steers runs, and decides tasks that ask for no role.
    Operator,
    /// Takes work of function steps and reports on it; reads nothing else.
    Worker,
    /// Everything, in every approval role.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Approver, Self::Operator, Self::Worker, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<StepRole> for Role {
    fn from(role: StepRole) -> Self {
        match role {
            StepRole::Viewer => Self::Viewer,
            StepRole::Approver => Self::Approver,
            StepRole::Operator => Self::Operator,
        }
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no role: viewer, approver, operator, worker or admin")]
pub struct NoRole(pub String);

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| NoRole(text.to_owned()))
    }
}

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

/// A token, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The approval roles it decides in.
    pub approves: Vec<String>,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

/// An open session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    token: String,
    expires_at: Timestamp,
}

/// Tokens and sessions: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    tokens: BTreeMap<String, Token>,
    by_hash: HashMap<Hash, String>,
    sessions: HashMap<Hash, Session>,
}

/// Why a caller is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// This token or session is unknown.
    #[error("the token is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the token “{0}” has expired")]
    Expired(String),
    /// It was revoked.
    #[error("the token “{0}” was revoked")]
    Revoked(String),
    /// The session is over.
    #[error("the session is over")]
    SessionOver,
}

/// Why a change of tokens makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessRefusal {
    /// The name was given before.
    #[error("there is, or was, a token “{0}”; events name their actor by it, so a name is given once")]
    NameTaken(String),
    /// The name cannot be one.
    #[error("“{0}” cannot be a name: 1 to {NAME_BYTES_MAX} letters, digits and `.`, `_`, `-`, `@`")]
    BadName(String),
    /// There is no such token.
    #[error("there is no token “{0}”")]
    NoToken(String),
    /// The time of its end is past.
    #[error("the token would have expired already")]
    ExpiresInThePast,
    /// It names too many approval roles.
    #[error("a token decides in at most {APPROVES_MAX} approval roles")]
    TooManyRoles,
    /// Too many tokens are there.
    #[error("there are {TOKENS_MAX} tokens already")]
    TooManyTokens,
}

impl Access {
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

impl Access {
    /// Makes room for a session: the one that ends first goes, of one token or of all.
    fn close_first(&mut self, token: Option<&str>) {
        let of_token = |session: &Session| token.is_none_or(|token| session.token == token);
        let open = self.sessions.iter().filter(|(_, session)| of_token(session));
        let first = open.min_by_key(|(hash, session)| (session.expires_at, **hash));
        if let Some(hash) = first.map(|(hash, _)| *hash) {
            self.sessions.remove(&hash);
        }
    }
}

impl Aggregate for Access {
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
                let session = Session { token: opened.token.clone(), expires_at: opened.expires_at };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::stored_text;
    use everfold_base::actor::Actor;

    fn at(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    fn fold(access: &mut Access, event: &AccessEvent, now: i64) {
        let (kind, schema, bytes) = Access::encode(event).unwrap();
        let read = Access::decode(kind, schema, &bytes).unwrap();
        assert_eq!(&read, event, "read back as it was written");
        access.apply(&read, &EventStamp { by: &Actor::Engine, at: at(now) });
    }

    fn token(name: &str, expires: Option<i64>) -> TokenCreated {
        TokenCreated {
            name: name.into(),
            role: Role::Operator,
            approves: vec!["product".into()],
            hash: Hash::of(name.as_bytes()),
            expires_at: expires.map(at),
        }
    }

    #[test]
    fn a_token_lets_in_until_it_expires_or_is_revoked_and_its_sessions_with_it() {
        let mut access = Access::default();
        for (name, expires) in [("ci", Some(100)), ("ada", None)] {
            let event = access.create(token(name, expires), at(1)).unwrap();
            fold(&mut access, &event, 1);
        }
        let (ci, ada) = (Hash::of(b"ci"), Hash::of(b"ada"));
        assert_eq!(access.token_of(&ci, at(99)).unwrap().name, "ci");
        assert_eq!(access.token_of(&ci, at(100)), Err(NotLetIn::Expired("ci".into())));
        assert_eq!(access.token_of(&Hash::of(b"x"), at(1)), Err(NotLetIn::Unknown));

        let session = Hash::of(b"session");
        let opened = access.open("ci", session, at(1_000), at(50)).unwrap();
        fold(&mut access, &opened, 50);
        assert_eq!(access.session_of(&session, at(60)).unwrap().1, at(100), "a session ends with its token");
        let opened = access.open("ada", ada, at(1_000), at(50)).unwrap();
        fold(&mut access, &opened, 50);
        assert!(access.session_of(&ada, at(999)).is_ok());
        let revoked = access.revoke("ada", None).unwrap().unwrap();
        fold(&mut access, &revoked, 60);
        assert_eq!(access.session_of(&ada, at(70)), Err(NotLetIn::SessionOver));
        assert_eq!(access.token_of(&ada, at(70)), Err(NotLetIn::Revoked("ada".into())));
        assert_eq!(access.revoke("ada", None), Ok(None), "the same again is no event");
    }

    #[test]
    fn a_name_is_given_once_for_ever() {
        let mut access = Access::default();
        let event = access.create(token("ci", None), at(1)).unwrap();
        fold(&mut access, &event, 1);
        let event = access.revoke("ci", Some("leaked".into())).unwrap().unwrap();
        fold(&mut access, &event, 2);
        assert_eq!(access.create(token("ci", None), at(3)), Err(AccessRefusal::NameTaken("ci".into())));
        for name in ["", "a b", "a/b", &"x".repeat(65)] {
            assert_eq!(access.create(token(name, None), at(3)), Err(AccessRefusal::BadName(name.into())));
        }
        assert_eq!(access.create(token("new", Some(3)), at(3)), Err(AccessRefusal::ExpiresInThePast));
        assert_eq!(access.revoke("who", None), Err(AccessRefusal::NoToken("who".into())));
    }

    #[test]
    fn sessions_are_bounded_and_the_one_that_ends_first_makes_room() {
        let mut access = Access::default();
        let name = |n: usize| format!("t{}", n / TOKEN_SESSIONS_MAX);
        let hash = |n: usize| Hash::of(&n.to_le_bytes());
        for n in 0..=SESSIONS_MAX {
            if n % TOKEN_SESSIONS_MAX == 0 {
                let event = access.create(token(&name(n), None), at(1)).unwrap();
                fold(&mut access, &event, 1);
            }
            let until = at(1_000 + i64::try_from(n).unwrap());
            let opened = access.open(&name(n), hash(n), until, at(2)).unwrap();
            fold(&mut access, &opened, 2);
        }
        assert!(access.session_of(&hash(0), at(3)).is_err());
        assert!(access.session_of(&hash(1), at(3)).is_ok());
        let closed = access.close(hash(1)).unwrap();
        fold(&mut access, &closed, 4);
        assert!(access.session_of(&hash(1), at(5)).is_err());
        assert_eq!(access.close(hash(1)), None);
    }

    #[test]
    fn a_token_that_opens_many_sessions_closes_its_own_and_no_others() {
        let mut access = Access::default();
        for name in ["ada", "vic"] {
            let event = access.create(token(name, None), at(1)).unwrap();
            fold(&mut access, &event, 1);
        }
        let opened = access.open("ada", Hash::of(b"ada"), at(500), at(2)).unwrap();
        fold(&mut access, &opened, 2);
        let hash = |n: usize| Hash::of(&n.to_le_bytes());
        for n in 0..2 * SESSIONS_MAX {
            let until = at(1_000 + i64::try_from(n).unwrap());
            let opened = access.open("vic", hash(n), until, at(2)).unwrap();
            fold(&mut access, &opened, 2);
        }
        assert!(access.session_of(&Hash::of(b"ada"), at(3)).is_ok());
        let last = 2 * SESSIONS_MAX - 1;
        assert!(access.session_of(&hash(last - TOKEN_SESSIONS_MAX + 1), at(3)).is_ok());
        assert!(access.session_of(&hash(last - TOKEN_SESSIONS_MAX), at(3)).is_err());
    }

    #[test]
    fn the_stored_bytes_stay() {
        let hash = Hash([7; 32]);
        let created = AccessEvent::TokenCreated(TokenCreated {
            name: "ci".into(),
            role: Role::Operator,
            approves: vec!["product".into()],
            hash,
            expires_at: Some(Timestamp(5)),
        });
        let revoked =
            AccessEvent::TokenRevoked(TokenRevoked { name: "ci".into(), reason: Some("lost".into()) });
        let opened =
            AccessEvent::SessionOpened(SessionOpened { hash, token: "ci".into(), expires_at: Timestamp(6) });
        let closed = AccessEvent::SessionClosed(SessionClosed { hash });
        let route = "POST /api/v1/runs".to_owned();
        let refused = AccessEvent::CallRefused(CallRefused { route, needed: Role::Admin, times: 2 });
        let stored = [
            stored_text::<Access>(&created),
            stored_text::<Access>(&revoked),
            stored_text::<Access>(&opened),
            stored_text::<Access>(&closed),
            stored_text::<Access>(&refused),
        ];
        assert_eq!(
            stored,
            [
                "30/1/02000000000000006369020000000100000000000000070000000000000070726f647563740707070707070707070707070707070707070707070707070707070707070707010500000000000000",
                "31/1/020000000000000063690104000000000000006c6f7374",
                "32/1/0707070707070707070707070707070707070707070707070707070707070707020000000000000063690600000000000000",
                "33/1/0707070707070707070707070707070707070707070707070707070707070707",
                "34/1/1100000000000000504f5354202f6170692f76312f72756e730400000002000000",
            ]
        );
    }
}

//! Access control: authenticates callers, makes and revokes tokens, sessions and login links, and records refusals.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::aggregate_store::{AggregateError, AggregateStore, Change};
use everfold_engine::clock::{self, Clock};
use everfold_engine::id::Position;
use everfold_engine::json::Hash;
use everfold_engine::store::{Dedup, EventStore};
use everfold_engine::time::Timestamp;
use everfold_engine::tokens::{
    AccessEvent, AccessRefusal, AccessRegistry, CallRefused, NotLetIn, Role, Token, TokenCreated,
};

use super::caller::Caller;
use super::secret::Credential;

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a login link works.
const LINK: Duration = Duration::from_secs(15 * 60);
/// The time until the next look where tokens cannot be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Unused login links at once.
const LINKS_MAX: usize = 100;
/// Refusals of one caller on one route are recorded at most so often; the rest is counted.
const REFUSAL_EVERY: Duration = Duration::from_secs(60);
/// Callers and routes whose refusals are counted.
const REFUSALS_MAX: usize = 1_000;

/// Why access could not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// It makes no sense.
    #[error(transparent)]
    Refused(#[from] AccessRefusal),
    /// It was made when this was asked first.
    #[error(
        "the token “{0}” was made when this was asked first; its text was told then, and is kept nowhere"
    )]
    MadeBefore(String),
    /// The caller is not let in.
    #[error(transparent)]
    NotLetIn(#[from] NotLetIn),
    /// The token that it is about is not good any more.
    #[error("{0}: no session can be opened with it")]
    TokenOver(NotLetIn),
    /// The login link was used, or its time is over.
    #[error("the login link was used already, or its time is over")]
    LinkOver,
    /// The stream could not be read or added to.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
}

/// A token to make.
#[derive(Debug, Clone)]
pub struct TokenWish {
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The approval roles it decides in.
    pub approves: Vec<String>,
    /// How long it is good for; for ever where nothing is said.
    pub lasts: Option<Duration>,
}

/// A token that was made: the only moment at which its text is known.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The text.
    pub secret: Credential,
    /// Until when it is good.
    pub expires_at: Option<Timestamp>,
    /// The place of the fact.
    pub position: Position,
}

/// A login link that was made.
#[derive(Debug, Clone)]
pub struct MadeLink {
    /// What the link holds.
    pub code: Credential,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// A session that was opened.
#[derive(Debug, Clone)]
pub struct MadeSession {
    /// What the cookie holds.
    pub secret: Credential,
    /// Whose it is.
    pub caller: Caller,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The place of the fact.
    pub position: Position,
}

#[derive(Debug, Clone)]
struct Link {
    token: String,
    expires_at: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Refusals {
    recorded_at: Timestamp,
    since: u32,
}

/// Tokens, sessions and login links of a folder.
pub struct AccessControl {
    aggregate: AggregateStore<AccessRegistry>,
    clock: Clock,
    links: Mutex<HashMap<Hash, Link>>,
    refusals: Mutex<HashMap<(String, String), Refusals>>,
}

impl AccessControl {
    /// The access control over the store of a folder.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        let clock = clock::system();
        Self {
            aggregate: AggregateStore::new(store, Arc::clone(&clock), everfold_engine::clock::chance()),
            clock,
            links: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    /// Tokens and sessions as they are now.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub async fn access(&self) -> Result<Arc<AccessRegistry>, AccessError> {
        Ok(self.aggregate.current().await?)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`AccessError`]: the name was given before, this was asked before, or the store does not take it.
    pub async fn create(
        &self,
        wish: TokenWish,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<NewToken, AccessError> {
        let secret = Credential::draw();
        let hash = secret.hash();
        let (name, mut expires_at) = (wish.name.clone(), None);
        let change = self
            .aggregate
            .change(actor, dedup, |access, now| {
                expires_at = wish.lasts.map(|lasts| now.plus(lasts));
                let TokenWish { name, role, approves, .. } = wish;
                let created = TokenCreated { name, role, approves, hash, expires_at };
                Ok::<_, AccessError>(Some(access.create(created, now)?))
            })
            .await?;
        if change.repeated {
            return Err(AccessError::MadeBefore(name));
        }
        Ok(NewToken { secret, expires_at, position: change.position })
    }

    /// Revokes a token; the next request with it, or with a session of it, is refused.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn revoke(
        &self,
        name: &str,
        reason: Option<String>,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<Change, AccessError> {
        let revoke = |access: &AccessRegistry, _| Ok::<_, AccessError>(access.revoke(name, reason)?);
        self.aggregate.change(actor, dedup, revoke).await
    }

    /// Resolves with the reason when a caller's token or session has ended; never for callers without a token.
    pub async fn wait_until_ended(&self, caller: &Caller, session: Option<&Credential>) -> String {
        let (Actor::Token(name) | Actor::Worker(name)) = &caller.actor else {
            return std::future::pending().await;
        };
        let mut changes = self.aggregate.subscribe();
        loop {
            changes.borrow_and_update();
            let now = (self.clock)();
            let until = match self.access().await {
                Ok(access) => match good_until(&access, name, session, now) {
                    Ok(until) => until,
                    Err(why) => return why.to_string(),
                },
                // Tokens cannot be read at this moment; requests are refused for the same reason.
                Err(_unreadable) => Some(now.plus(LOOK_AGAIN)),
            };
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep(until.since(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return "the server ends".to_owned() },
                () = over => {}
            }
        }
    }

    /// Why the token or session of a caller has ended; `None`: it goes on, or cannot be read at this moment.
    pub async fn end_of(&self, caller: &Caller, session: Option<&Credential>) -> Option<String> {
        let (Actor::Token(name) | Actor::Worker(name)) = &caller.actor else { return None };
        let access = self.access().await.ok()?;
        good_until(&access, name, session, (self.clock)()).err().map(|why| why.to_string())
    }

    /// The caller who holds this token, and until when it is good.
    ///
    /// # Errors
    /// [`AccessError::NotLetIn`].
    pub async fn caller_by_token(
        &self,
        secret: &Credential,
    ) -> Result<(Caller, Option<Timestamp>), AccessError> {
        let access = self.access().await?;
        let token = access.token_of(&secret.hash(), (self.clock)())?;
        Ok((caller(token), token.expires_at))
    }

    /// Whose session it is, and when it ends.
    ///
    /// # Errors
    /// [`AccessError::NotLetIn`].
    pub async fn caller_by_session(&self, secret: &Credential) -> Result<(Caller, Timestamp), AccessError> {
        let access = self.access().await?;
        let (token, expires_at) = access.session_of(&secret.hash(), (self.clock)())?;
        Ok((caller(token), expires_at))
    }

    /// Makes a link that opens one session with the rights of a token.
    ///
    /// # Errors
    /// [`AccessError`]: there is no such token, or it is not good any more.
    pub async fn link(&self, token: &str) -> Result<MadeLink, AccessError> {
        let (access, now) = (self.access().await?, (self.clock)());
        // Decided as for a session, which it becomes.
        access.open(token, Hash::ZERO, now.plus(LINK), now).map_err(|why| match why {
            // It is the named token that is unknown, not the caller.
            NotLetIn::Unknown => AccessRefusal::NoToken(token.to_owned()).into(),
            over => AccessError::TokenOver(over),
        })?;
        let (code, expires_at) = (Credential::draw(), now.plus(LINK));
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, link| link.expires_at > now);
        if links.len() >= LINKS_MAX
            && let Some(first) = links.iter().min_by_key(|(_, link)| link.expires_at).map(|(hash, _)| *hash)
        {
            links.remove(&first);
        }
        links.insert(code.hash(), Link { token: token.to_owned(), expires_at });
        Ok(MadeLink { code, expires_at })
    }

    /// Opens a session with a token, or with the code of a login link, which works once.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn open(&self, key: &Credential) -> Result<MadeSession, AccessError> {
        let now = (self.clock)();
        let link = self.links.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.hash());
        let name = match link {
            Some(link) if link.expires_at > now => link.token,
            Some(_) => return Err(AccessError::LinkOver),
            None => self.access().await?.token_of(&key.hash(), now)?.name.clone(),
        };
        let secret = Credential::draw();
        let hash = secret.hash();
        let actor = Actor::Token(name.clone());
        let change = self
            .aggregate
            .change(actor, None, |access, now| {
                Ok::<_, AccessError>(Some(access.open(&name, hash, now.plus(SESSION), now)?))
            })
            .await?;
        let (caller, expires_at) = self.caller_by_session(&secret).await?;
        Ok(MadeSession { secret, caller, expires_at, position: change.position })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn close(&self, secret: &Credential, actor: Actor) -> Result<Position, AccessError> {
        let hash = secret.hash();
        let change =
            self.aggregate.change(actor, None, |access, _| Ok::<_, AccessError>(access.close(hash))).await?;
        Ok(change.position)
    }

    /// Records that a caller was refused; repeats of a short time are only counted.
    pub async fn record_refusal(&self, caller: &Caller, route: String, needed: Role) {
        let now = (self.clock)();
        let who = (caller.actor.to_string(), route.clone());
        let times = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let is_recent = |refusals: &Refusals| now.since(refusals.recorded_at) < REFUSAL_EVERY;
            if let Some(known) = refusals.get_mut(&who).filter(|known| is_recent(known)) {
                known.since = known.since.saturating_add(1);
                return;
            }
            if refusals.len() >= REFUSALS_MAX {
                refusals.retain(|_, known| is_recent(known));
            }
            if refusals.len() >= REFUSALS_MAX {
                return;
            }
            refusals.insert(who, Refusals { recorded_at: now, since: 0 }).map_or(0, |former| former.since) + 1
        };
        let event = AccessEvent::CallRefused(CallRefused { route, needed, times });
        let recorded = self
            .aggregate
            .change(caller.actor.clone(), None, |_, _| Ok::<_, AggregateError>(Some(event)))
            .await;
        if let Err(error) = recorded {
            tracing::warn!(%error, actor = %caller.actor, "a refused call could not be recorded");
        }
    }
}

/// Until when a token is good, or the session by which its holder came; `None`: for ever.
fn good_until(
    access: &AccessRegistry,
    name: &str,
    session: Option<&Credential>,
    now: Timestamp,
) -> Result<Option<Timestamp>, NotLetIn> {
    let of_session = session.map(|secret| access.session_of(&secret.hash(), now)).transpose()?;
    let token = access.valid(name, now)?;
    Ok(token.expires_at.into_iter().chain(of_session.map(|(_, expires_at)| expires_at)).min())
}

/// The caller that a token stands for.
fn caller(token: &Token) -> Caller {
    let actor = match token.role {
        Role::Worker => Actor::Worker(token.name.clone()),
        _person_or_program => Actor::Token(token.name.clone()),
    };
    let roles = (token.role != Role::Admin).then(|| token.approves.clone());
    Caller { actor, role: Some(token.role), roles, local: false }
}

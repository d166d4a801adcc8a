//! The caller of a request.
//!
//! Law: the listener of a connection (the socket, the command itself, the TCP server with its tokens) authenticates the
//! caller and puts a [`Caller`] into the request; the routes only read it.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use everfold_engine::actor::Actor;
use everfold_engine::id::RunId;
use everfold_engine::tokens::Role;

use crate::fault::{Code, Fault};

/// The header in which the command line names its user, on a connection of the same system user.
pub const USER_HEADER: &str = "everfold-user";

/// The caller of a request, and its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The actor that events name.
    pub actor: Actor,
    /// What they may do; `None`: they are unknown, and may do what needs no role.
    pub role: Option<Role>,
    /// Their approval roles; `None`: the owner of the data folder, who has every role.
    pub roles: Option<Vec<String>>,
    /// Whether the caller is at this machine: then commands run in its own folder.
    pub local: bool,
}

impl Caller {
    /// A user of this machine who may do everything.
    #[must_use]
    pub fn local(name: &str) -> Self {
        Self { actor: Actor::User(name.to_owned()), role: Some(Role::Admin), roles: None, local: true }
    }

    /// The process of a step, which may do what the step's `api` says; `None`: nothing.
    #[must_use]
    pub fn of_step(run: RunId, step: &str, role: Option<Role>) -> Self {
        let name = if step.is_empty() { run.to_string() } else { format!("{run}/{step}") };
        Self { actor: Actor::Run(name), role, roles: Some(Vec::new()), local: role.is_some() }
    }

    /// A process whose actor cannot be found out; it has no rights.
    #[must_use]
    pub fn of_unknown() -> Self {
        Self { actor: Actor::Run("unknown".to_owned()), ..Self::anonymous() }
    }

    /// A caller over TCP without a token or a session.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { actor: Actor::User("anonymous".to_owned()), role: None, roles: Some(Vec::new()), local: false }
    }

    /// The caller on a connection of the system user `uid`.
    #[must_use]
    pub fn on_socket(uid: u32, headers: &HeaderMap) -> Self {
        let is_own = uid == rustix::process::geteuid().as_raw() || uid == 0;
        let named = headers.get(USER_HEADER).and_then(|value| value.to_str().ok());
        match named.filter(|name| is_own && is_name(name)) {
            Some(name) => Self::local(name),
            None => Self::local(&login_name(uid)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Fault::new(Code::Internal, "the request comes from nobody"))
    }
}

/// The name of the user who runs this process: `EVERFOLD_USER`, else the login name.
#[must_use]
pub fn own_name() -> String {
    match std::env::var("EVERFOLD_USER") {
        Ok(name) if is_name(&name) => name,
        _ => login_name(rustix::process::geteuid().as_raw()),
    }
}

/// The login name of a system user, or `uid-N` where the system knows none.
#[must_use]
pub fn login_name(uid: u32) -> String {
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid-{uid}"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || "._-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_on_the_socket_is_its_system_user_unless_it_is_the_owner_itself() {
        let own = rustix::process::geteuid().as_raw();
        let mut headers = HeaderMap::new();
        assert_eq!(Caller::on_socket(own, &headers).actor, Actor::User(login_name(own)));
        headers.insert(USER_HEADER, "grace".parse().unwrap());
        assert_eq!(Caller::on_socket(own, &headers).actor, Actor::User("grace".into()));
        let stranger = own + 70_000;
        assert_eq!(Caller::on_socket(stranger, &headers).actor, Actor::User(format!("uid-{stranger}")));
    }
}

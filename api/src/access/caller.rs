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
use crate::text::cut;

/// The header in which the command line names its user, on a connection of the same system user.
pub const USER_HEADER: &str = "everfold-user";

/// The variable in which a person says under which name they act.
const USER_VARIABLE: &str = "EVERFOLD_USER";

/// The longest name.
const NAME_BYTES_MAX: usize = 64;

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
    ///
    /// # Errors
    /// The folder's own user names itself by a text that is no name.
    pub fn on_socket(uid: u32, headers: &HeaderMap) -> Result<Self, Fault> {
        let is_own = uid == rustix::process::geteuid().as_raw() || uid == 0;
        let name = match headers.get(USER_HEADER).filter(|_| is_own) {
            Some(value) => name_in(USER_HEADER, value.as_bytes())?,
            None => login_name(uid),
        };
        Ok(Self::local(&name))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Fault::new(Code::Internal, "the request comes from nobody"))
    }
}

/// The name of the user who runs this process: `EVERFOLD_USER`, where it holds a text, else the login name.
///
/// # Errors
/// `EVERFOLD_USER` holds a text that is no name: the engine would record what this process does as done by somebody else.
pub fn own_name() -> Result<String, Fault> {
    match std::env::var_os(USER_VARIABLE).filter(|name| !name.is_empty()) {
        Some(name) => name_in(USER_VARIABLE, name.as_encoded_bytes()),
        None => Ok(own_login_name()),
    }
}

/// The login name of the user who runs this process.
pub(crate) fn own_login_name() -> String {
    login_name(rustix::process::geteuid().as_raw())
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

/// A name under which something can be recorded, said at a place.
///
/// # Errors
/// The text is none.
pub(crate) fn name_in(place: &str, text: &[u8]) -> Result<String, Fault> {
    let name = std::str::from_utf8(text).ok().filter(|name| is_name(name));
    name.map(str::to_owned).ok_or_else(|| {
        let shown = cut(&String::from_utf8_lossy(text), NAME_BYTES_MAX);
        Fault::new(Code::Invalid, format!("{place} is “{shown}”, under which nothing can be recorded")).hint(
            format!("a name has letters, digits and . _ - @, at most {NAME_BYTES_MAX} bytes: ada, ada.lovelace, ada@example.org"),
        )
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.chars().all(|c| c.is_alphanumeric() || "._-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_on_the_socket_is_its_system_user_unless_it_is_the_owner_itself() {
        let own = rustix::process::geteuid().as_raw();
        let mut headers = HeaderMap::new();
        assert_eq!(Caller::on_socket(own, &headers).unwrap().actor, Actor::User(login_name(own)));
        headers.insert(USER_HEADER, "grace".parse().unwrap());
        assert_eq!(Caller::on_socket(own, &headers).unwrap().actor, Actor::User("grace".into()));
        headers.insert(USER_HEADER, "Jürgen".parse().unwrap());
        assert_eq!(Caller::on_socket(own, &headers).unwrap().actor, Actor::User("Jürgen".into()));
        for no_name in ["Ada Lovelace", "DOMAIN\\\\ada", "", "user:ada", &"x".repeat(65)] {
            headers.insert(USER_HEADER, no_name.parse().unwrap());
            let refused = Caller::on_socket(own, &headers).unwrap_err();
            assert_eq!(refused.code, Code::Invalid, "{no_name}");
        }
        let stranger = own + 70_000;
        assert_eq!(
            Caller::on_socket(stranger, &headers).unwrap().actor,
            Actor::User(format!("uid-{stranger}"))
        );
    }
}

//! Secrets with a source per role: which one is taken.
//!
//! Law: what chooses is a role that the pipeline lists, and nothing else that work says. The values of all roles are
//! masked wherever one of them is given.

use everfold_base::failure::Failure;
use everfold_language::definition::{RoleSources, SecretSource};

use super::failure::failure;

/// The most of a role that is no listed one that a message shows.
const SHOWN_CHARS: usize = 64;

/// The source for a role: its own, else the one for the rest. That is also taken where the variable of the role is not
/// set, or empty; a file or a program of a role that gives nothing is a failure.
pub(super) fn choose<'s>(
    name: &str,
    sources: &'s RoleSources,
    role: Option<&str>,
) -> Result<&'s SecretSource, Failure> {
    let role = role.filter(|role| !role.is_empty());
    let own = role.and_then(|role| sources.roles.get(role));
    match (own, sources.otherwise.as_deref()) {
        (Some(SecretSource::Env(variable)), Some(otherwise)) if !is_set(variable) => Ok(otherwise),
        (Some(own), _) => Ok(own),
        (None, Some(otherwise)) => Ok(otherwise),
        (None, None) => {
            let listed = sources.roles.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let what = match role {
                Some(role) => {
                    let shown: String = role.chars().take(SHOWN_CHARS).collect();
                    format!("it has no source for the role “{shown}”, only for {listed}")
                }
                None => format!("it has a source for each of {listed}, and this work has no role"),
            };
            Err(failure(name, &what, "name one of these roles in `as`, or give the secret an `else`"))
        }
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

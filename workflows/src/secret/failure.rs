//! The failure of work whose secret cannot be had.

use everfold_base::failure::{Failure, FailureKind, SECRET_CODE};

/// A failure that names the secret and what to do, and never its value.
pub(super) fn failure(name: &str, what: &str, hint: &str) -> Failure {
    let mut failure =
        Failure::new(FailureKind::Spawn, format!("the secret {name} cannot be had: {what}")).with_hint(hint);
    failure.code = Some(SECRET_CODE.to_owned());
    failure
}

//! What an agent may lack before it begins, and the failure that says so.

use everfold_base::failure::{Failure, FailureKind};

/// The code where a place of the network does not answer.
pub(super) const UNREACHABLE: &str = "UNREACHABLE";
/// The code where no credentials are there, or the program refuses them.
pub(super) const UNAUTHORISED: &str = "UNAUTHORISED";
/// The code where a program is not there, or cannot be started.
pub(super) const NO_PROGRAM: &str = "NO_PROGRAM";
/// The code where the command of a preflight does not say anything in its time.
pub(super) const NO_ANSWER: &str = "NO_ANSWER";

/// The failure with this code, and what to do.
pub(super) fn failure(code: &str, message: String, hint: String) -> Failure {
    Failure { code: Some(code.to_owned()), ..Failure::new(FailureKind::Spawn, message).with_hint(hint) }
}

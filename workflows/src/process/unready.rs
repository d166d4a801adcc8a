//! Why an attempt did not come as far as it should.

use everfold_base::failure::{Failure, FailureKind};
use everfold_ports::AttemptResult;

use super::attach_error::{AttachError, Says};
use everfold_system::os_error::is_shortage;

/// Why an attempt did not come as far as it should.
#[derive(Debug)]
pub(super) enum Unready {
    Failed(Failure),
    /// The system lacks room, memory or handles now; a later try may succeed.
    NoRoom(String),
    /// The folder cannot be read, so it is unknown how far the attempt came.
    Unseen(String),
}

impl Unready {
    /// An error of the system: [`Self::NoRoom`] where it is a shortage, else the given failure.
    pub(super) fn of(error: &std::io::Error, what: &str, failure: impl FnOnce() -> Failure) -> Self {
        if is_shortage(error) { Self::NoRoom(format!("{what}: {error}")) } else { Self::Failed(failure()) }
    }

    /// A file of the attempt's folder that could not be read or moved, of an attempt that may have begun.
    pub(super) fn unseen(what: &str, error: &std::io::Error) -> Self {
        let reason = format!("{what}: {error}");
        if is_shortage(error) { Self::NoRoom(reason) } else { Self::Unseen(reason) }
    }
}

impl From<AttachError> for Unready {
    fn from(error: AttachError) -> Self {
        match error.says() {
            Says::NotNow => Self::NoRoom(error.explained()),
            Says::Unknown => Self::Unseen(error.explained()),
            Says::NotBegun => Self::Failed(unattached(&error)),
        }
    }
}

impl From<Failure> for Unready {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unready> for AttemptResult {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Failed(failure) => Self::Failed(failure),
            Unready::NoRoom(reason) => Self::NoRoom { reason },
            Unready::Unseen(reason) => Self::Unreadable { reason },
        }
    }
}

fn unattached(error: &AttachError) -> Failure {
    let failure = Failure::new(FailureKind::Spawn, error.explained());
    if matches!(error, AttachError::Spawn { source, .. } if source.kind() == std::io::ErrorKind::NotFound) {
        return failure.with_hint(
            "a program that embeds Everfold calls `supervisor()` first in `main`, or names one with `Opening::supervised_by`",
        );
    }
    failure
        .with_hint("look at the space and the permissions of the data folder; `everfold doctor` checks both")
}

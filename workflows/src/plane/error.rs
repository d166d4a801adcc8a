//! What can go wrong between here and Plane.

use std::time::Duration;

use everfold_base::duration;
use everfold_base::failure::{Failure, FailureKind};

use crate::function::Call;
use crate::http::HttpError;

/// Why Plane gave nothing. No message holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaneError {
    /// The token is not taken, or may not do that.
    #[error("Plane does not take the token ({status}): {message}")]
    Unauthorised { status: u16, message: String },
    /// There is no such thing, or it is hidden from this token.
    #[error("Plane has no {what}")]
    NotFound { what: String },
    /// It asks to be asked less often.
    #[error("Plane limits requests{}", .after.map(|after| format!("; again in {}", duration::format(after))).unwrap_or_default())]
    Limited { after: Option<Duration> },
    /// It will not do that, however often it is asked.
    #[error("Plane answered {status}: {message}")]
    Refused {
        status: u16,
        message: String,
        /// What is there in its place.
        id: Option<String>,
    },
    /// It has a fault of its own.
    #[error("Plane answered {status}: {message}")]
    Broken { status: u16, message: String },
    /// It answers something else than Plane does.
    #[error("this is not what Plane answers: {0}")]
    Foreign(String),
    /// There is no answer.
    #[error("Plane: {0}")]
    Http(#[source] HttpError),
}

impl PlaneError {
    /// A stable word for `retry: {only: …}` and for readers.
    fn code(&self) -> &'static str {
        match self {
            Self::Unauthorised { .. } => "UNAUTHORISED",
            Self::NotFound { .. } => "NOT_FOUND",
            Self::Limited { .. } => "RATE_LIMITED",
            Self::Refused { .. } => "REFUSED",
            Self::Broken { .. } => "PROVIDER_BROKEN",
            Self::Foreign(_) => "PROVIDER_FOREIGN",
            Self::Http(error) if error.may_have_arrived() => "NO_ANSWER",
            Self::Http(HttpError::Invalid(_)) => "BAD_ADDRESS",
            Self::Http(_) => "UNREACHABLE",
        }
    }

    /// The same request would fail again before a person changes it.
    fn is_permanent(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Refused { .. } | Self::Http(HttpError::Invalid(_)) => true,
            Self::Unauthorised { .. }
            | Self::Limited { .. }
            | Self::Broken { .. }
            | Self::Foreign(_)
            | Self::Http(_) => false,
        }
    }

    /// It passes by itself: a limit, a fault of Plane's, no answer.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Limited { .. } | Self::Broken { .. } => true,
            Self::Http(error) => !matches!(error, HttpError::Invalid(_)),
            Self::Unauthorised { .. } | Self::NotFound { .. } | Self::Refused { .. } | Self::Foreign(_) => {
                false
            }
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Unauthorised { .. } => {
                "look at the secret that `with.token` names: the token must be valid, and its user a member of the project"
            }
            Self::NotFound { .. } => {
                "look at `with.project` and `with.issue`, and whether the token's user sees them"
            }
            Self::Refused { .. } => "look at what Plane says of it",
            Self::Foreign(_) | Self::Http(HttpError::Invalid(_)) => {
                "look at `with.url`: it is the address of Plane itself, without /api"
            }
            Self::Limited { .. } | Self::Broken { .. } | Self::Http(_) => {
                "`retry` in the step makes the engine try again by itself; a repeat does no harm"
            }
        }
    }

    /// The failure of a call; a pause that Plane asks for is kept.
    pub(super) fn of(self, call: &Call) -> Failure {
        if let Self::Limited { after: Some(after) } = &self {
            call.ask_later(*after);
        }
        let kind = if self.is_permanent() { FailureKind::Validation } else { FailureKind::Error };
        let mut failure = Failure::new(kind, self.to_string()).with_hint(self.hint());
        failure.code = Some(self.code().to_owned());
        failure
    }
}

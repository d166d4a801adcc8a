//! What can go wrong between here and a provider.

use std::time::Duration;

use everfold_base::duration;
use everfold_base::failure::{Failure, FailureKind};
use everfold_ports::ProbeFailure;

use super::settings::TokenError;
use crate::http::HttpError;

/// Why a provider gave nothing. No message holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The settings or the step name something that there is not.
    #[error("{message}")]
    Settings {
        /// What.
        message: String,
    },
    /// The token is not there, or is not taken.
    #[error("{provider} refused: {message}")]
    Unauthorised {
        /// The provider's name.
        provider: String,
        /// What it said, or why there is no token.
        message: String,
    },
    /// There is no such thing, or it is hidden from this token.
    #[error("{provider} has no {what}")]
    NotFound {
        /// The provider's name.
        provider: String,
        /// What was asked for.
        what: String,
    },
    /// It asks to be asked less often.
    #[error("{provider} limits requests{}", .after.map(|after| format!("; again in {}", duration::format(after))).unwrap_or_default())]
    Limited {
        /// The provider's name.
        provider: String,
        /// When it may be asked again.
        after: Option<Duration>,
    },
    /// It cannot do that now, in the state that things are in.
    #[error("{provider} answered {status}: {message}")]
    Conflict {
        /// The provider's name.
        provider: String,
        /// The status, such as 405, 409 or 422.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It has a fault of its own.
    #[error("{provider} answered {status}: {message}")]
    Broken {
        /// The provider's name.
        provider: String,
        /// Its status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It answers something else than a provider of its kind.
    #[error("{provider} does not answer as {kind} does: {message}")]
    Foreign {
        /// The provider's name.
        provider: String,
        /// The kind that the settings name.
        kind: &'static str,
        /// What is wrong.
        message: String,
    },
    /// There is no answer.
    #[error("{provider}: {source}")]
    Http {
        /// The provider's name.
        provider: String,
        /// Why.
        #[source]
        source: HttpError,
    },
}

impl ProviderError {
    /// The token of a provider cannot be read.
    pub(super) fn without_token(provider: &str, error: &TokenError) -> Self {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        let message = format!("{error}{}", cause.unwrap_or_default());
        Self::Unauthorised { provider: provider.to_owned(), message }
    }

    /// A stable word for `retry: {only: …}` and for readers.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "PROVIDER_SETTINGS",
            Self::Unauthorised { .. } => "UNAUTHORISED",
            Self::NotFound { .. } => "NOT_FOUND",
            Self::Limited { .. } => "RATE_LIMITED",
            Self::Conflict { .. } => "REFUSED",
            Self::Broken { .. } => "PROVIDER_BROKEN",
            Self::Foreign { .. } => "PROVIDER_FOREIGN",
            Self::Http { source, .. } if source.may_have_arrived() => "NO_ANSWER",
            Self::Http { .. } => "UNREACHABLE",
        }
    }

    /// Asking again cannot help before a person changes something.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Settings { .. } | Self::Unauthorised { .. } | Self::NotFound { .. } => true,
            Self::Http { source, .. } => matches!(source, HttpError::Invalid(_)),
            Self::Limited { .. } | Self::Conflict { .. } | Self::Broken { .. } | Self::Foreign { .. } => {
                false
            }
        }
    }

    /// What a prober answers.
    pub(crate) fn no_evidence(self) -> ProbeFailure {
        let is_outage = match &self {
            Self::Limited { .. } | Self::Broken { .. } => true,
            Self::Http { source, .. } => !matches!(source, HttpError::Invalid(_)),
            Self::Settings { .. }
            | Self::Unauthorised { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Foreign { .. } => false,
        };
        let again_after = match &self {
            Self::Limited { after, .. } => *after,
            _says_nothing => None,
        };
        ProbeFailure { message: self.to_string(), permanent: self.is_permanent(), is_outage, again_after }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Settings { .. } => {
                "`[providers.NAME]` in everfold.toml says what there is; `everfold doctor` lists it"
            }
            Self::Unauthorised { .. } => "look at the token's rights and at `token` in everfold.toml",
            Self::NotFound { .. } => "look at the name, and whether the token may see it",
            Self::Limited { .. } => "`retry` in the step makes the engine try again by itself",
            Self::Conflict { .. } => "look at the pull request; what it needs is done there",
            Self::Broken { .. } | Self::Http { .. } => {
                "`retry` in the step makes the engine try again by itself; a repeat does no harm"
            }
            Self::Foreign { .. } => "look at `kind` and `url` of the provider in everfold.toml",
        }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let kind = match &error {
            ProviderError::Conflict { .. } => FailureKind::Conflict,
            ProviderError::Settings { .. } => FailureKind::Validation,
            _other => FailureKind::Error,
        };
        let mut failure = Self::new(kind, error.to_string()).with_hint(error.hint());
        failure.code = Some(error.code().to_owned());
        failure
    }
}

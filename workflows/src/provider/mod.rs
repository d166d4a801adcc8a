//! Services that host repositories: their checks and pull requests, behind one trait.
//!
//! Law: a provider says what there is and does what it is asked; it judges nothing. What it says of a
//! check or of a pull request is read into the words here, and the service's own word is kept beside.
//!
//! Used by the probers `ci` and `mergeable`, and by the functions `git.*` and `gitea.*`.

mod api;
mod check;
mod error;
mod gitea;
mod github;
mod gitlab;
mod pull;
mod registry;
pub(crate) mod remote;
mod review;
mod service;
pub(crate) mod settings;

pub use check::{Check, CheckState};
pub use error::ProviderError;
pub(crate) use pull::pull_number;
pub use pull::{MergeMethod, MergeOrder, NewPull, Pull, PullState};
pub(crate) use registry::token_for;
pub use registry::{HostedRepository, Providers};
pub(crate) use remote::Remote;
pub use review::{Review, ReviewState};
pub use service::{Provider, ProviderFuture};
pub use settings::{ProviderKind, ProviderSettings, TokenError, TokenSource};

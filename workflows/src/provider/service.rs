//! The trait that all services that host repositories implement.

use futures::future::BoxFuture;

use super::check::Check;
use super::error::ProviderError;
use super::pull::{MergeOrder, NewPull, Pull};
use super::review::Review;

/// What a provider's answer comes as.
pub type ProviderFuture<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// A service that hosts repositories. A repository is named by its path there: `OWNER/NAME`.
pub trait Provider: Send + Sync + 'static {
    /// The checks of a commit, the newest of each name.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]: it knows no such commit.
    fn checks<'a>(&'a self, repository: &'a str, commit: &'a str) -> ProviderFuture<'a, Vec<Check>>;

    /// A pull request.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]: there is none of that number.
    fn pull<'a>(&'a self, repository: &'a str, number: u64) -> ProviderFuture<'a, Pull>;

    /// The pull requests of a branch, whatever their state, the newest first.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn pulls_of<'a>(&'a self, repository: &'a str, head: &'a str) -> ProviderFuture<'a, Vec<Pull>>;

    /// The commit at which a merged pull request was merged, whatever was pushed to its branch since.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn merged_at<'a>(&'a self, _repository: &'a str, pull: &'a Pull) -> ProviderFuture<'a, String> {
        Box::pin(std::future::ready(Ok(pull.sha.clone())))
    }

    /// Opens a pull request.
    ///
    /// # Errors
    /// [`ProviderError::Conflict`]: there is one already, or nothing to merge.
    fn open<'a>(&'a self, repository: &'a str, new: &'a NewPull) -> ProviderFuture<'a, Pull>;

    /// Merges a pull request. What came of it, a later [`Provider::pull`] says.
    ///
    /// # Errors
    /// [`ProviderError::Conflict`]: it cannot be merged as it is.
    fn merge<'a>(&'a self, repository: &'a str, number: u64, order: &'a MergeOrder)
    -> ProviderFuture<'a, ()>;

    /// The reviews of a pull request, the oldest first.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]: there is none of that number. [`ProviderError::Settings`]: services of this kind are
    /// not asked for reviews.
    fn reviews<'a>(&'a self, repository: &'a str, _number: u64) -> ProviderFuture<'a, Vec<Review>> {
        let message =
            format!("only Gitea and Forgejo are asked for reviews, and {repository} lies elsewhere");
        Box::pin(std::future::ready(Err(ProviderError::Settings { message })))
    }

    /// The branch that the repository calls its default.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn default_branch<'a>(&'a self, repository: &'a str) -> ProviderFuture<'a, String>;
}

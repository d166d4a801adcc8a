//! Where a worktree stands: its head, and what a merge left open.

use super::call::Git;
use super::error::GitError;

/// Bytes of the names of files that a failure tells.
const NAMES_BYTES_MAX: u64 = 2_000;
/// What is saved and merged runs no hook of the repository.
pub(super) const NO_HOOKS: [&str; 2] = ["-c", "core.hooksPath=/dev/null"];

/// The commit that is checked out.
pub(super) async fn head_of(git: &Git) -> Result<String, GitError> {
    git.text(&["rev-parse", "--verify", "HEAD^{commit}"]).await
}

/// The files with conflicts, some of them.
pub(super) async fn unmerged(git: &Git) -> Result<Option<String>, GitError> {
    let asked = ["diff", "--name-only", "--diff-filter=U", "-z", "--no-ext-diff", "--no-renames"];
    let (names, is_all) = git.beginning(&asked, NAMES_BYTES_MAX).await?;
    Ok(some_names(&names, is_all))
}

/// The first of names that end with a zero byte, and how many more there are.
pub(super) fn some_names(names: &[u8], is_all: bool) -> Option<String> {
    let names = String::from_utf8_lossy(names);
    let names: Vec<&str> = names.split('\0').filter(|name| !name.is_empty()).collect();
    let (first, more) = names.split_first()?;
    Some(match (more.len(), is_all) {
        (0, true) => (*first).to_owned(),
        (more, true) => format!("{first} and {more} more"),
        (_, false) => format!("{first} and many more"),
    })
}

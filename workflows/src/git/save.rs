//! Commits what an attempt left uncommitted.
//!
//! Law: doing it again changes nothing: a clean worktree makes no commit and gives the same head.

use std::path::Path;

use super::{Git, GitError, locks};

/// What to commit, and as whom.
pub(crate) struct SaveRequest<'a> {
    pub(crate) worktree: &'a Path,
    pub(crate) message: &'a str,
    /// `NAME <EMAIL>`.
    pub(crate) author: &'a str,
    pub(crate) push: bool,
}

/// Commits everything uncommitted in the worktree; gives its head.
pub(crate) async fn save(request: SaveRequest<'_>) -> Result<String, GitError> {
    let (name, email) = identity(request.author);
    let mut git = Git::at(request.worktree);
    for who in ["AUTHOR", "COMMITTER"] {
        git = git.with_env(&format!("GIT_{who}_NAME"), name).with_env(&format!("GIT_{who}_EMAIL"), email);
    }
    let mut tries = 0;
    loop {
        match commit(&git, request.message).await {
            Ok(()) => break,
            Err(error) if tries < locks::TRIES && locks::is_locked(&error) => {
                locks::free(request.worktree).await?;
                tokio::time::sleep(locks::PAUSE).await;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
    if request.push {
        // Doing it again pushes nothing; what somebody else pushed there meanwhile is not overwritten.
        git.text(&["push", "--quiet", "origin", "HEAD"]).await?;
    }
    head(request.worktree).await
}

/// Brings a worktree back to a commit: what was committed since, what was not, and files that are new go;
/// files that git ignores stay, because they are caches. Where commits were pushed already the history
/// stays, and what they did is taken back by the next commit.
pub(crate) async fn reset(worktree: &Path, commit: &str, is_pushed: bool) -> Result<(), GitError> {
    locks::free(worktree).await?;
    let git = Git::at(worktree);
    if is_pushed {
        // Ends a merge in progress; the tree alone is another one afterwards.
        git.text(&["reset", "--hard", "--quiet", "HEAD"]).await?;
        git.text(&["read-tree", "--reset", "-u", commit]).await?;
    } else {
        git.text(&["reset", "--hard", "--quiet", commit]).await?;
    }
    // Twice: also repositories that the work cloned there.
    git.text(&["clean", "-f", "-f", "-d", "--quiet"]).await.map(|_| ())
}

/// The commit that the worktree stands on.
pub(crate) async fn head(worktree: &Path) -> Result<String, GitError> {
    Git::at(worktree).text(&["rev-parse", "--verify", "HEAD^{commit}"]).await
}

async fn commit(git: &Git, message: &str) -> Result<(), GitError> {
    git.text(&["add", "--all"]).await?;
    // Asked of the index: `commit` itself fails when there is nothing to commit.
    if git.text(&["diff", "--cached", "--name-only", "-z", "--no-ext-diff", "--no-renames"]).await?.is_empty()
        && !is_merging(git).await?
    {
        return Ok(());
    }
    let arguments = ["-c", "commit.gpgSign=false", "-c", "gc.auto=0", "commit", "--quiet", "--no-verify"];
    git.text(&[&arguments[..], &["--allow-empty-message", "-m", message]].concat()).await?;
    Ok(())
}

pub(super) async fn is_merging(git: &Git) -> Result<bool, GitError> {
    let path = git.text(&["rev-parse", "--git-path", "MERGE_HEAD"]).await?;
    Ok(git.folder.join(path).exists())
}

pub(super) fn identity(author: &str) -> (&str, &str) {
    match author.split_once('<') {
        Some((name, email)) => (name.trim(), email.trim_end().trim_end_matches('>').trim()),
        None => (author.trim(), "everfold@localhost"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_author_has_a_name_and_an_address() {
        assert_eq!(identity("Ada L <ada@example.org>"), ("Ada L", "ada@example.org"));
        assert_eq!(identity("Ada"), ("Ada", "everfold@localhost"));
    }

    #[tokio::test]
    async fn leftovers_are_committed_once_and_no_lock_of_a_killed_git_is_an_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::at(folder.path());
        git.text(&["init", "--quiet", "--initial-branch=delivery/1"]).await.unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let request = || SaveRequest {
            worktree: folder.path(),
            message: "leftovers",
            author: "Ada <ada@example.org>",
            push: false,
        };
        let mut head = save(request()).await.unwrap();
        assert_eq!(save(request()).await.unwrap(), head);
        assert_eq!(git.text(&["log", "--format=%an %ce %s"]).await.unwrap(), "Ada ada@example.org leftovers");
        for name in ["index.lock", "HEAD.lock", "refs/heads/delivery/1.lock"] {
            std::fs::write(folder.path().join("b"), name).unwrap();
            let place = folder.path().join(".git").join(name);
            let lock = std::fs::File::create(&place).unwrap();
            lock.set_modified(SystemTime::now() - locks::AGE * 2).unwrap();
            let saved = save(request()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_ne!(saved, head, "{name}");
            head = saved;
            // One that is young becomes old.
            std::fs::File::create(&place).unwrap();
            locks::free(folder.path()).await.unwrap();
            assert!(!place.exists(), "{name}");
        }
        assert_eq!(super::head(folder.path()).await.unwrap(), head);
    }

    #[tokio::test]
    async fn what_is_saved_is_pushed_to_origin_and_a_missing_origin_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (remote, worktree) = (folder.path().join("remote.git"), folder.path().join("worktree"));
        std::fs::create_dir(&worktree).unwrap();
        let git = Git::at(&worktree);
        git.text(&["init", "--quiet", "--initial-branch=delivery/1"]).await.unwrap();
        std::fs::write(worktree.join("a"), "1").unwrap();
        let request = || SaveRequest {
            worktree: &worktree,
            message: "leftovers",
            author: "Ada <ada@example.org>",
            push: true,
        };
        assert!(save(request()).await.is_err(), "there is no origin");
        let place = remote.to_str().unwrap();
        git.text(&["init", "--quiet", "--bare", place]).await.unwrap();
        git.text(&["remote", "add", "origin", place]).await.unwrap();
        let saved = save(request()).await.unwrap();
        assert_eq!(save(request()).await.unwrap(), saved, "again changes nothing");
        let there = Git::at(&remote).text(&["rev-parse", "refs/heads/delivery/1"]).await.unwrap();
        assert_eq!(there, saved);
    }
}

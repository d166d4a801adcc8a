//! Commits what an attempt left uncommitted.
//!
//! Law: doing it again changes nothing: a clean worktree makes no commit and gives the same head. What is
//! reported as saved stands on a branch; what cannot be saved so is refused, and kept under a reference of its
//! own where it is a commit already.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_ports::Workdir;

use super::authorise::authorised;
use super::branch_moved;
use super::call::Git;
use super::error::GitError;
use super::error::TIME_LIMIT;
use super::locks;
use super::nested;
use super::save_error::SaveError;
use super::standing::{NO_HOOKS, head_of, unmerged};
use super::turn::FolderLocks;
use crate::provider::{ProviderSettings, Remote, token_for};

/// Saving gets this much time where the step has less: what was worked for is to be kept.
const TIME_MIN: Duration = Duration::from_secs(120);
/// How often what others push meanwhile is merged.
const MERGES_MAX: u32 = 3;
/// How often a push is tried again whose remote is away; the pauses before it double, and are 31 s in all.
const AWAY_TRIES: u32 = 5;
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// One save of a worktree at a time.
static TURNS: LazyLock<FolderLocks> = LazyLock::new(FolderLocks::default);

/// What to commit, and with which author.
pub(crate) struct SaveRequest<'a> {
    pub(crate) run: RunId,
    pub(crate) workdir: &'a Workdir,
    pub(crate) message: &'a str,
    /// `NAME <EMAIL>`.
    pub(crate) author: &'a str,
    /// Pushes as the settings' providers say.
    pub(crate) push: Option<&'a BTreeMap<String, ProviderSettings>>,
    /// How long the step may take.
    pub(crate) limit: Option<Duration>,
}

fn refused(code: &str, message: String, hint: &str) -> SaveError {
    let mut failure = Failure::new(FailureKind::Error, message).with_hint(hint);
    failure.code = Some(code.to_owned());
    SaveError::Refused(Box::new(failure))
}

/// Commits everything uncommitted in the worktree; gives its head.
pub(crate) async fn save(request: SaveRequest<'_>) -> Result<String, SaveError> {
    let limit = request.limit.unwrap_or(TIME_LIMIT).clamp(TIME_MIN, TIME_LIMIT);
    match tokio::time::timeout(limit, saved(request)).await {
        Ok(saved) => saved,
        Err(_) => Err(SaveError::TimedOut(limit)),
    }
}

async fn saved(request: SaveRequest<'_>) -> Result<String, SaveError> {
    let (name, email) = identity(request.author);
    let mut git = Git::within(request.workdir)?;
    for who in ["AUTHOR", "COMMITTER"] {
        git = git.with_env(&format!("GIT_{who}_NAME"), name).with_env(&format!("GIT_{who}_EMAIL"), email);
    }
    let branch = request.workdir.git.as_ref().and_then(|git| git.branch.as_deref());
    // Attempts that work in one worktree at once would take each other's files between `add` and `commit`.
    let turn = TURNS.lock(&request.workdir.path).lock_owned().await;
    settled(&git, request.run).await?;
    let mut tries = 0;
    loop {
        match commit(&git, request.message).await {
            Ok(()) => break,
            Err(SaveError::Git(error)) if tries < locks::TRIES && locks::is_locked(&error) => {
                locks::free(&git).await?;
                tokio::time::sleep(locks::PAUSE).await;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
    on_branch(&git, branch, request.run).await?;
    drop(turn);
    if let Some(providers) = request.push {
        push(&git, request.run, providers).await?;
    }
    Ok(head_of(&git).await?)
}

/// Refuses to save what git itself would not go on from: conflicts, and a rebase in its middle.
async fn settled(git: &Git, run: RunId) -> Result<(), SaveError> {
    if let Some(names) = unmerged(git).await? {
        return Err(refused(
            "UNMERGED",
            format!("{names} has conflicts of a merge that nobody resolved"),
            "resolve them and `git add` the files, or `git merge --abort`, in the step itself",
        ));
    }
    if rebase_in(git).await?.is_some() {
        let kept = keep(git, run).await?;
        return Err(refused(
            "REBASE_UNFINISHED",
            format!("a rebase is not finished; its commits are kept as {kept}"),
            "`git rebase --continue` or `--abort` in the step itself",
        ));
    }
    Ok(())
}

/// The folder of a rebase that has begun and not ended.
async fn rebase_in(git: &Git) -> Result<Option<PathBuf>, GitError> {
    for name in ["rebase-merge", "rebase-apply"] {
        let path = git.text(&["rev-parse", "--git-path", name]).await?;
        let path = git.folder.join(path);
        if path.is_dir() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Sees to it that the head stands on the run's own branch, from which others go on: commits that no branch holds are
/// collected one day, and those of another branch are delivered nowhere. A head that only goes on from the run's branch
/// takes that along. Where the run has no branch of its own, any will do.
async fn on_branch(git: &Git, own: Option<&str>, run: RunId) -> Result<(), SaveError> {
    // Empty: on none.
    let stands_on = git.text(&["branch", "--show-current"]).await?;
    if !stands_on.is_empty() && own.is_none_or(|own| stands_on == own) {
        return Ok(());
    }
    let head = head_of(git).await?;
    let mut went = String::new();
    if let Some(branch) = own {
        let reference = format!("refs/heads/{branch}");
        let tip = git.text(&["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")]).await;
        went = match tip {
            Ok(tip) if git.says(&["merge-base", "--is-ancestor", &tip, &head]).await? => {
                let why = "everfold: the run's branch takes along what was committed beside it";
                git.text(&["update-ref", "-m", why, &reference, &head, &tip]).await?;
                git.text(&["symbolic-ref", "-m", why, "HEAD", &reference]).await?;
                return Ok(());
            }
            Ok(_tip) => format!(", and {branch} went another way"),
            Err(_gone) => format!(", and {branch} is not there any more"),
        };
    }
    let kept = keep(git, run).await?;
    let (code, on) = match stands_on.as_str() {
        "" => ("DETACHED_HEAD", "no branch".to_owned()),
        other => ("OTHER_BRANCH", format!("the branch {other}")),
    };
    Err(refused(
        code,
        format!("the work stands on {on}{went}; it is kept as {kept}"),
        "commit on the run's branch in the step itself: `git switch BRANCH`",
    ))
}

/// Keeps the head under a reference of its own, so that it is not collected; gives its name.
pub(super) async fn keep(git: &Git, run: RunId) -> Result<String, GitError> {
    let head = head_of(git).await?;
    let reference = format!("refs/everfold/{run}/{}", &head[..head.len().min(12)]);
    git.text(&["update-ref", &reference, &head]).await?;
    Ok(reference)
}

/// Doing it again pushes nothing; what others pushed there meanwhile is merged and never overwritten, and what they removed
/// is not brought back.
async fn push(
    git: &Git,
    run: RunId,
    providers: &BTreeMap<String, ProviderSettings>,
) -> Result<(), SaveError> {
    let Some(remote) = Remote::of(git, "origin").await? else {
        let message = "there is no remote `origin` to push to".to_owned();
        return Err(refused("NO_REMOTE", message, "`git remote add origin URL` in the repository adds one"));
    };
    let token = token_for(providers, &remote).map_err(|error| {
        let mut failure = Failure::from(error);
        failure.code.get_or_insert_with(|| "UNAUTHORISED".to_owned());
        SaveError::Refused(Box::new(failure))
    })?;
    let with_token = authorised(git.clone(), token, &remote);
    let branch = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await?;
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(&branch);
    let push = [&NO_HOOKS[..], &["push", "--quiet", "--porcelain", "--no-verify"]].concat();
    let (mut merges, mut tries) = (0, 0);
    loop {
        let (head, lease) = (head_of(git).await?, branch_moved::lease(git, run, branch).await?);
        let refspec = format!("{head}:refs/heads/{branch}");
        let arguments = lease.iter().map(String::as_str).chain(["origin", &refspec]);
        match with_token.text(&push.iter().copied().chain(arguments).collect::<Vec<_>>()).await {
            Ok(_) => return Ok(branch_moved::note_seen(git, run, branch, &head).await?),
            // Work that is done is not done again because a service is started anew.
            Err(error) if tries < AWAY_TRIES && (is_away(&error) || is_contended(&error)) => {
                tracing::debug!(%run, %error, "the push is tried again");
                tokio::time::sleep(AWAY_PAUSE * 2_u32.pow(tries)).await;
                tries += 1;
            }
            Err(error) if merges < MERGES_MAX && branch_moved::is_behind(&error) => {
                branch_moved::merge(git, &with_token, run, branch).await?;
                merges += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a remote was not reached, or is about to start or to end: by the words of git, curl and ssh.
fn is_away(error: &GitError) -> bool {
    const WORDS: [&str; 11] = [
        "Could not resolve host",
        "unable to connect",
        "Failed to connect",
        "Couldn't connect",
        "Connection refused",
        "Connection reset",
        "Connection timed out",
        "The requested URL returned error: 429",
        "The requested URL returned error: 502",
        "The requested URL returned error: 503",
        "The requested URL returned error: 504",
    ];
    matches!(error, GitError::Failed { message, .. } if WORDS.iter().any(|words| message.contains(words)))
}

/// Whether another push wrote the branch in the same moment: the next one finds what that has left there.
fn is_contended(error: &GitError) -> bool {
    matches!(error, GitError::Failed { message, .. } if message.contains("cannot lock ref"))
}

/// Brings a run's worktree back to a commit, on the run's own branch: what was committed there since, what was
/// not, and files that are new go; files that git ignores stay, because they are caches. Another branch that the
/// work checked out is left as it is. Where commits were pushed already the history stays, and what they did is
/// taken back by the next commit.
pub(crate) async fn reset(workdir: &Workdir, commit: &str, is_pushed: bool) -> Result<(), GitError> {
    let git = Git::within(workdir)?;
    locks::free(&git).await?;
    if let Some(folder) = rebase_in(&git).await? {
        let apply = folder.file_name().is_some_and(|name| name == "rebase-apply");
        let _of_the_other_kind = git.text(&[if apply { "am" } else { "rebase" }, "--quit"]).await;
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(GitError::Io(error)),
            Ok(()) | Err(_) => {}
        }
    }
    if let Some(branch) = workdir.git.as_ref().and_then(|git| git.branch.as_deref()) {
        // Of the head alone: what another branch holds stays there.
        let why = "everfold: back to the run's own branch";
        git.text(&["symbolic-ref", "-m", why, "HEAD", &format!("refs/heads/{branch}")]).await?;
    }
    if is_pushed {
        // Ends a merge in progress; the tree alone is another one afterwards.
        git.text(&[&NO_HOOKS[..], &["reset", "--hard", "--quiet", "HEAD"]].concat()).await?;
        git.text(&[&NO_HOOKS[..], &["read-tree", "--reset", "-u", commit]].concat()).await?;
    } else {
        git.text(&[&NO_HOOKS[..], &["reset", "--hard", "--quiet", commit]].concat()).await?;
    }
    // Twice: also repositories that the work cloned there.
    git.text(&["clean", "-f", "-f", "-d", "--quiet"]).await.map(|_| ())
}

/// Brings a worktree forward to a commit that goes on from its head; one that its head goes on from is there already.
pub(crate) async fn advance(workdir: &Workdir, commit: &str) -> Result<(), GitError> {
    let git = Git::within(workdir)?;
    locks::free(&git).await?;
    git.text(&[&NO_HOOKS[..], &["merge", "--ff-only", "--quiet", commit]].concat()).await.map(|_| ())
}

/// The commit that the working folder stands on.
pub(crate) async fn head(workdir: &Workdir) -> Result<String, GitError> {
    head_of(&Git::within(workdir)?).await
}

async fn commit(git: &Git, message: &str) -> Result<(), SaveError> {
    git.text(&["add", "--all"]).await.map_err(nested::of_add)?;
    nested::checked(git).await?;
    // Asked of the index: `commit` itself fails when there is nothing to commit.
    if !is_changed(git).await? && !is_merging(git).await? {
        return Ok(());
    }
    let arguments = ["-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify"];
    let message = ["--allow-empty-message", "-m", message];
    git.text(&[&NO_HOOKS[..], &arguments[..], &message[..]].concat()).await?;
    Ok(())
}

/// Whether the index differs from the head.
pub(super) async fn is_changed(git: &Git) -> Result<bool, GitError> {
    let is_same = git.says(&["diff", "--cached", "--quiet", "--no-ext-diff", "--no-renames"]).await?;
    Ok(!is_same)
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
    use std::path::Path;
    use std::time::SystemTime;

    use everfold_language::definition::Save;
    use everfold_ports::GitWorkdir;

    use super::*;

    #[test]
    fn an_author_has_a_name_and_an_address() {
        assert_eq!(identity("Ada L <ada@example.org>"), ("Ada L", "ada@example.org"));
        assert_eq!(identity("Ada"), ("Ada", "everfold@localhost"));
    }

    fn workdir(path: &Path) -> Workdir {
        let git = GitWorkdir {
            save: Save::Commit,
            message: None,
            author: None,
            base_commit: String::new(),
            is_copy: false,
            repository: path.to_owned(),
            branch: Some("delivery/1".to_owned()),
        };
        Workdir { path: path.to_owned(), git: Some(git) }
    }

    fn request<'a>(
        workdir: &'a Workdir,
        push: Option<&'a BTreeMap<String, ProviderSettings>>,
    ) -> SaveRequest<'a> {
        let author = "Ada <ada@example.org>";
        let run: RunId = "00000000-0000-0000-0000-000000000007".parse().unwrap();
        SaveRequest { run, workdir, message: "leftovers", author, push, limit: None }
    }

    #[tokio::test]
    async fn leftovers_are_committed_once_and_no_lock_of_a_killed_git_is_an_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::at(folder.path());
        git.text(&["init", "--quiet", "--initial-branch=delivery/1"]).await.unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let workdir = workdir(folder.path());
        let mut head = save(request(&workdir, None)).await.unwrap();
        assert_eq!(save(request(&workdir, None)).await.unwrap(), head);
        assert_eq!(git.text(&["log", "--format=%an %ce %s"]).await.unwrap(), "Ada ada@example.org leftovers");
        for name in ["index.lock", "HEAD.lock", "refs/heads/delivery/1.lock"] {
            std::fs::write(folder.path().join("b"), name).unwrap();
            let place = folder.path().join(".git").join(name);
            let lock = std::fs::File::create(&place).unwrap();
            lock.set_modified(SystemTime::now() - locks::AGE * 2).unwrap();
            let saved = save(request(&workdir, None)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_ne!(saved, head, "{name}");
            head = saved;
            // One that is young becomes old.
            std::fs::File::create(&place).unwrap();
            locks::free(&Git::within(&workdir).unwrap()).await.unwrap();
            assert!(!place.exists(), "{name}");
        }
        assert_eq!(super::head(&workdir).await.unwrap(), head);
    }

    #[tokio::test]
    async fn attempts_that_end_in_one_worktree_at_once_are_saved_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::at(folder.path());
        git.text(&["init", "--quiet", "--initial-branch=delivery/1"]).await.unwrap();
        let workdir = workdir(folder.path());
        for round in 0..4 {
            let ended = |item: usize| {
                std::fs::write(folder.path().join(format!("{round}.{item}")), "done").unwrap();
                save(request(&workdir, None))
            };
            let (one, two, three, four) = tokio::join!(ended(1), ended(2), ended(3), ended(4));
            assert!(
                [&one, &two, &three, &four].iter().all(|saved| saved.is_ok()),
                "{one:?} {two:?} {three:?} {four:?}"
            );
        }
        assert_eq!(git.text(&["ls-files"]).await.unwrap().lines().count(), 16);
    }

    #[tokio::test]
    async fn a_push_waits_for_a_remote_that_is_away_for_a_moment_and_for_none_that_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let (remote, worktree) = (folder.path().join("remote.git"), folder.path().join("worktree"));
        std::fs::create_dir(&worktree).unwrap();
        let git = Git::at(&worktree);
        git.text(&["init", "--quiet", "--initial-branch=delivery/1"]).await.unwrap();
        git.text(&["init", "--quiet", "--bare", remote.to_str().unwrap()]).await.unwrap();
        let origin = format!("ssh://forge.example.org{}", remote.display());
        git.text(&["remote", "add", "origin", &origin]).await.unwrap();
        // This script stands for ssh: it refuses the first call, and runs what later ones ask for on this machine.
        let called = folder.path().join("called");
        let ssh = format!(
            "f() {{ echo call >> {0}; if [ $(wc -l < {0}) -lt 2 ]; then \
             echo 'ssh: connect to host forge.example.org port 22: Connection refused' >&2; exit 255; fi; \
             for last; do :; done; sh -c \"$last\"; }}; f",
            called.display()
        );
        git.text(&["config", "core.sshCommand", &ssh]).await.unwrap();
        git.text(&["config", "ssh.variant", "ssh"]).await.unwrap();
        std::fs::write(worktree.join("a"), "1").unwrap();
        let (workdir, providers) = (workdir(&worktree), BTreeMap::new());
        let saved = save(request(&workdir, Some(&providers))).await.unwrap();
        let there = Git::at(&remote).text(&["rev-parse", "delivery/1"]).await.unwrap();
        assert_eq!((there, std::fs::read_to_string(&called).unwrap().lines().count()), (saved, 2));
        let refusing = format!(
            "f() {{ echo call >> {}; echo 'Permission denied' >&2; exit 255; }}; f",
            called.display()
        );
        git.text(&["config", "core.sshCommand", &refusing]).await.unwrap();
        std::fs::write(worktree.join("a"), "2").unwrap();
        save(request(&workdir, Some(&providers))).await.unwrap_err();
        assert_eq!(std::fs::read_to_string(&called).unwrap().lines().count(), 3, "once");
    }

    /// It failed the step, whose work was done.
    #[tokio::test]
    async fn a_push_that_another_one_meets_in_the_same_moment_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (remote, worktree) = (folder.path().join("remote.git"), folder.path().join("worktree"));
        std::fs::create_dir(&worktree).unwrap();
        let git = Git::at(&worktree);
        git.text(&["init", "--quiet", "--initial-branch=delivery/1"]).await.unwrap();
        git.text(&["init", "--quiet", "--bare", remote.to_str().unwrap()]).await.unwrap();
        git.text(&["remote", "add", "origin", remote.to_str().unwrap()]).await.unwrap();
        // Another push takes the lock of the branch while this one is received, and is done when the hook runs again.
        let hook = remote.join("hooks/pre-receive");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        let lock = remote.join("refs/heads/delivery/1.lock");
        let script = format!(
            "#!/bin/sh\nif [ -e '{0}' ]; then rm '{0}'; else mkdir -p \"$(dirname '{0}')\" && touch '{0}'; fi\n",
            lock.display()
        );
        std::fs::write(&hook, script).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(worktree.join("a"), "1").unwrap();
        let (workdir, providers) = (workdir(&worktree), BTreeMap::new());
        let saved = save(request(&workdir, Some(&providers))).await.unwrap();
        let there = Git::at(&remote).text(&["rev-parse", "refs/heads/delivery/1"]).await.unwrap();
        assert_eq!(there, saved);
    }

    #[tokio::test]
    async fn what_is_saved_is_pushed_to_origin_and_a_missing_origin_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (remote, worktree) = (folder.path().join("remote.git"), folder.path().join("worktree"));
        std::fs::create_dir(&worktree).unwrap();
        let git = Git::at(&worktree);
        git.text(&["init", "--quiet", "--initial-branch=delivery/1"]).await.unwrap();
        std::fs::write(worktree.join("a"), "1").unwrap();
        let (workdir, providers) = (workdir(&worktree), BTreeMap::new());
        let failure = save(request(&workdir, Some(&providers))).await.unwrap_err().failure();
        assert_eq!(failure.code.as_deref(), Some("NO_REMOTE"), "there is no origin");
        let place = remote.to_str().unwrap();
        git.text(&["init", "--quiet", "--bare", place]).await.unwrap();
        git.text(&["remote", "add", "origin", place]).await.unwrap();
        let saved = save(request(&workdir, Some(&providers))).await.unwrap();
        assert_eq!(save(request(&workdir, Some(&providers))).await.unwrap(), saved, "again changes nothing");
        let there = Git::at(&remote).text(&["rev-parse", "refs/heads/delivery/1"]).await.unwrap();
        assert_eq!(there, saved);
    }
}

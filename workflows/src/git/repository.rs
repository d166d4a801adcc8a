//! Questions to a repository before a worktree is made of it, and the failures where that cannot be.
//!
//! Law: nothing here changes the repository; every failure names the place and what to do.

use std::path::{Path, PathBuf};

use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_language::definition::similar;

use super::call::Git;
use super::error::GitError;

/// The code of a worktree that is not there any more, or is not the run's.
pub(crate) const WORKTREE_GONE: &str = "WORKTREE_GONE";

/// The repository's top folder, if this is one.
pub(super) async fn checked_repository(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |message: String, hint: &str| Err(Failure::new(FailureKind::Spawn, message).with_hint(hint));
    let shown = path.display();
    let Ok(folder) = path.canonicalize() else {
        return failed(
            format!("the repository {shown} does not exist"),
            "check `workspace.git`, or clone it there",
        );
    };
    if !folder.is_dir() {
        return failed(format!("{shown} is no folder"), "`workspace.git` names the folder of a repository");
    }
    let git = Git::at(&folder);
    match git.text(&["rev-parse", "--is-bare-repository", "--is-inside-work-tree"]).await {
        Err(GitError::Failed { message, .. }) if message.contains("dubious ownership") => failed(
            format!("{shown} belongs to another user, so git does not read it"),
            "`git config --global --add safe.directory FOLDER` allows it",
        ),
        Err(GitError::Failed { .. }) => {
            failed(format!("{shown} is not a git repository"), "run `git init` there and make a first commit")
        }
        Err(error) => Err(unable(&error)),
        Ok(answer) if answer.starts_with("true") => Ok(folder),
        Ok(_) => match git.text(&["rev-parse", "--show-toplevel"]).await {
            Ok(top) if Path::new(&top) == folder => Ok(folder),
            Ok(top) => failed(
                format!("{shown} is a folder inside the repository {top}"),
                "name the repository itself in `workspace.git`",
            ),
            Err(error) => Err(unable(&error)),
        },
    }
}

/// The branch to start from where none is named: what `origin` calls its default, if there is a
/// local branch of that name, else the branch that is checked out.
pub(super) async fn default_base(git: &Git) -> Result<String, Failure> {
    let repository = git.folder.display();
    match git.text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await {
        Ok(_) => {}
        // A name that leads to a commit which is not there is damage; without a commit there is none.
        Err(GitError::Failed { .. })
            if git.text(&["rev-parse", "--verify", "--quiet", "HEAD"]).await.is_ok() =>
        {
            return Err(Failure::new(
                FailureKind::Spawn,
                format!("the commit that is checked out in {repository} cannot be read"),
            )
            .with_hint("look with `git fsck`; name a branch that is whole in `workspace.base`"));
        }
        Err(GitError::Failed { .. }) => {
            return Err(Failure::new(
                FailureKind::Spawn,
                format!("the repository {repository} has no commit yet"),
            )
            .with_hint("make a first commit, or name a branch that has one in `workspace.base`"));
        }
        Err(error) => return Err(unable(&error)),
    }
    if let Ok(remote) = git.text(&["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]).await {
        let name = remote.strip_prefix("origin/").unwrap_or(&remote).to_owned();
        if is_branch(git, &name).await.map_err(|error| unable(&error))? {
            return Ok(name);
        }
    }
    match git.text(&["symbolic-ref", "--quiet", "HEAD"]).await {
        Ok(branch) => Ok(branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned()),
        Err(GitError::Failed { .. }) => Err(Failure::new(
            FailureKind::Spawn,
            format!("no branch is checked out in {repository}, so there is no default to start from"),
        )
        .with_hint("name a branch in `workspace.base`")),
        Err(error) => Err(unable(&error)),
    }
}

/// Whether there is a branch of that name.
pub(super) async fn is_branch(git: &Git, name: &str) -> Result<bool, GitError> {
    git.says(&["show-ref", "--verify", "--quiet", &format!("refs/heads/{name}")]).await
}

/// A branch beside which one of this name cannot be: `a` and `a/b` cannot both be branches.
pub(super) async fn in_the_way(git: &Git, name: &str) -> Result<Option<String>, GitError> {
    for (at, _) in name.match_indices('/') {
        if is_branch(git, &name[..at]).await? {
            return Ok(Some(name[..at].to_owned()));
        }
    }
    let below = format!("refs/heads/{name}/");
    let found = git.text(&["for-each-ref", "--count=1", "--format=%(refname)", &below]).await?;
    Ok(found.strip_prefix("refs/heads/").map(str::to_owned))
}

/// The commit that a base names. A branch comes first: a tag of the same name is not what a run starts from.
pub(super) async fn commit_of(git: &Git, base: &str) -> Result<Option<String>, GitError> {
    for name in [format!("refs/heads/{base}"), format!("refs/remotes/{base}"), base.to_owned()] {
        let commit = format!("{name}^{{commit}}");
        match git.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).await {
            Ok(commit) => return Ok(Some(commit)),
            Err(GitError::Failed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The names of the first branches below a folder of references.
async fn some_branches(git: &Git, below: &str) -> Vec<String> {
    let asked = ["for-each-ref", "--count=1000", "--format=%(refname)", below];
    let list = git.text(&asked).await.unwrap_or_default();
    let short = |name: &str| name.strip_prefix(below)?.strip_prefix('/').map(str::to_owned);
    list.lines().filter_map(short).collect()
}

/// The failure of a base branch that is not there; names some that are.
pub(super) async fn missing_base(git: &Git, repository: &str, base: &str) -> Failure {
    let mut known = some_branches(git, "refs/heads").await;
    known.extend(some_branches(git, "refs/remotes").await);
    let near = similar(base, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    let some: Vec<&str> = known.iter().take(8).map(String::as_str).collect();
    let hint = match some.as_slice() {
        [] => "the repository has no branches with commits".to_owned(),
        some => format!("there are {}", some.join(", ")),
    };
    Failure::new(FailureKind::Spawn, format!("there is no branch {base} in {repository}{near}"))
        .with_hint(hint)
}

/// The failure of a branch that is there before the run; says where it is checked out.
pub(super) async fn taken(git: &Git, repository: &str, branch: &str) -> Failure {
    let list = git.text(&["worktree", "list", "--porcelain"]).await.unwrap_or_default();
    let wanted = format!("branch refs/heads/{branch}");
    let place = list
        .split("\n\n")
        .find(|entry| entry.lines().any(|line| line == wanted))
        .and_then(|entry| entry.lines().find_map(|line| line.strip_prefix("worktree ")));
    let message = match place {
        Some(place) => format!("the branch {branch} of {repository} is checked out in {place}"),
        None => format!("the branch {branch} exists already in {repository}"),
    };
    Failure::new(FailureKind::Conflict, message)
        .with_hint("choose another `workspace.branch` (it may use ${run.short_id}), or remove the branch")
}

/// Whether git can keep a branch of this name as a file: each part of the name is a file name, with `.lock` behind it for a moment.
pub(super) fn is_storable(branch: &str) -> bool {
    const PART_BYTES_MAX: usize = 250;
    const NAME_BYTES_MAX: usize = 1_000;
    branch.len() <= NAME_BYTES_MAX && branch.split('/').all(|part| part.len() <= PART_BYTES_MAX)
}

/// The failure of a branch that git does not take, or could not keep.
pub(super) fn no_branch_name(branch: &str) -> Failure {
    const SHOWN_CHARS_MAX: usize = 100;
    let mut shown: String = branch.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < branch.len() {
        shown.push('…');
    }
    Failure::new(FailureKind::Validation, format!("“{shown}” is no name for a branch")).with_hint(
        "name it in `workspace.branch` as git takes it: letters, digits, `-`, `_`, `.` and `/`, no space, no `..`, no `-` \
         first, at most 250 bytes between two `/`",
    )
}

/// The failure of a call of git that nothing better is known of.
pub(crate) fn unable(error: &GitError) -> Failure {
    let mut message = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        message.push_str(&format!(": {cause}"));
    }
    let mut failure = Failure::new(FailureKind::Spawn, message);
    if error.is_full() {
        failure.code = Some(NO_ROOM_CODE.to_owned());
    }
    match error {
        GitError::Missing => failure.with_hint("install git; `everfold doctor` checks it"),
        GitError::Gone { repository, .. } => {
            failure.code = Some(WORKTREE_GONE.to_owned());
            let repository = repository.display();
            failure.with_hint(format!(
                "nothing was done there; `git -C '{repository}' worktree repair` puts a missing .git back"
            ))
        }
        _ => failure,
    }
}

/// The commit, branch or path as git can take it from another's hand: no option.
pub(crate) fn is_plain(reference: &str) -> bool {
    !reference.is_empty() && !reference.starts_with('-') && !reference.contains(|c: char| c.is_control())
}

/// The branch that is checked out.
pub(crate) async fn branch_of(git: &Git) -> Option<String> {
    // Not its short name: where a tag has the same one, git puts `heads/` before it.
    let branch = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await.ok()?;
    branch.strip_prefix("refs/heads/").map(str::to_owned)
}

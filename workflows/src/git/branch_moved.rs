//! Takes over what others pushed to a run's branch: a person who corrects a document, a button of the forge.
//!
//! Law: nothing is lost, neither here nor there. The branch only goes on from where it stands; what was committed on both
//! sides is merged, and a merge with conflicts is taken back and said. What others removed from the branch is not brought
//! back: where the branch stood at `origin` last is noted, and must still be in it. Which commits are those of others is
//! noted too, so that they are not held against the work of the round.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_language::definition::Save;
use everfold_ports::Workdir;

use super::authorise::authorised;
use super::call::Git;
use super::error::GitError;
use super::save_error::SaveError;
use super::standing::{NO_HOOKS, head_of, unmerged};
use crate::provider::{ProviderSettings, Remote, token_for};

/// How long the remote may take before work begins.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Notes that are followed from one commit.
const NOTES_MAX: usize = 100;

/// Brings a run's worktree to where its branch stands at `origin`, if others went on from here. Where that cannot be, the
/// worktree stays as it is: saving merges, or says what is in the way.
pub(crate) async fn take_over(run: RunId, workdir: &Workdir, providers: &BTreeMap<String, ProviderSettings>) {
    let Some(branch) = workdir
        .git
        .as_ref()
        .filter(|git| git.save == Save::Push && !git.is_copy)
        .and_then(|git| git.branch.as_deref())
    else {
        return;
    };
    match tokio::time::timeout(TIME_LIMIT, taken(run, workdir, branch, providers)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%run, branch, %error, "the branch at origin was not taken over"),
        Err(_late) => {
            tracing::debug!(%run, branch, "origin did not answer, so its branch was not taken over")
        }
    }
}

async fn taken(
    run: RunId,
    workdir: &Workdir,
    branch: &str,
    providers: &BTreeMap<String, ProviderSettings>,
) -> Result<(), GitError> {
    let git = Git::within(workdir)?;
    let on = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await?;
    let Some(remote) = Remote::of(&git, "origin").await? else { return Ok(()) };
    let Ok(token) = token_for(providers, &remote) else { return Ok(()) };
    if on != format!("refs/heads/{branch}") {
        return Ok(());
    }
    let tip = fetched(&authorised(git.clone(), token, &remote), branch).await?;
    let head = head_of(&git).await?;
    if tip == head {
        return note_seen(&git, run, branch, &tip).await;
    }
    if !git.says(&["merge-base", "--is-ancestor", &head, &tip]).await? {
        return Ok(());
    }
    // What is not committed stays; where it is in the way, git changes nothing.
    git.text(&[&NO_HOOKS[..], &["merge", "--ff-only", "--quiet", &tip]].concat()).await?;
    note_seen(&git, run, branch, &tip).await?;
    note(&git, run, &head, &tip).await
}

/// Where a branch stands at `origin`.
async fn fetched(git: &Git, branch: &str) -> Result<String, GitError> {
    let refspec = format!("+refs/heads/{branch}:refs/remotes/origin/{branch}");
    let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", &refspec];
    git.text(&[&NO_HOOKS[..], &fetch].concat()).await?;
    let tracked = format!("refs/remotes/origin/{branch}^{{commit}}");
    git.text(&["rev-parse", "--verify", "--quiet", &tracked]).await
}

/// Whether a push was refused because the branch at the other side holds what is not here.
pub(super) fn is_behind(error: &GitError) -> bool {
    matches!(error, GitError::Failed { message, .. } if message.contains("[rejected]"))
}

/// The commit that a branch of a remote stands on.
pub(super) async fn there(git: &Git, remote: &str, reference: &str) -> Result<Option<String>, GitError> {
    let listed = git.text(&["ls-remote", "--quiet", "--", remote, reference]).await?;
    let line = listed.lines().find(|line| line.split_whitespace().nth(1) == Some(reference));
    Ok(line.and_then(|line| line.split_whitespace().next()).map(str::to_owned))
}

/// The option of a push by which `origin` refuses it where the branch is not as it was last seen there; `None`: it was not
/// seen yet, or the work here gave up what was seen, so that no push can bring it back.
pub(super) async fn lease(git: &Git, run: RunId, branch: &str) -> Result<Option<String>, GitError> {
    let Some(seen) = seen(git, run, branch).await? else { return Ok(None) };
    let is_held = git.says(&["merge-base", "--is-ancestor", &seen, "HEAD"]).await?;
    Ok(is_held.then(|| format!("--force-with-lease=refs/heads/{branch}:{seen}")))
}

/// Merges what others pushed to the branch that is checked out. Merging may start programs of the work, which see no token.
pub(super) async fn merge(git: &Git, with_token: &Git, run: RunId, branch: &str) -> Result<(), SaveError> {
    if there(with_token, "origin", &format!("refs/heads/{branch}")).await?.is_none() {
        // Forges remove a branch when it is merged: the next push makes it anew.
        return Ok(git.text(&["update-ref", "-d", &seen_place(run, branch)]).await.map(|_| ())?);
    }
    let tip = fetched(with_token, branch).await?;
    if let Some(seen) = seen(git, run, branch).await?
        && git.says(&["merge-base", "--is-ancestor", &seen, "HEAD"]).await?
        && !git.says(&["merge-base", "--is-ancestor", &seen, &tip]).await?
    {
        return Err(SaveError::Refused(Box::new(removed(git, branch, &seen))));
    }
    let Some(ours) = common(git, &tip).await? else {
        let folder = git.folder.display();
        return Err(SaveError::Refused(Box::new(moved(
            format!("{branch} at origin has no commit in common with the work"),
            format!(
                "the work is committed in {folder}: `git push --force origin {branch}` there puts it in the place of what \
                 stands at origin, then retry the step; or choose another `workspace.branch`"
            ),
        ))));
    };
    let message = format!("{branch}: what was pushed meanwhile");
    let merge =
        ["-c", "commit.gpgSign=false", "merge", "--quiet", "--no-verify", "--no-edit", "-m", &message];
    let merged = git.text(&[&NO_HOOKS[..], &merge, &[tip.as_str()]].concat()).await;
    if let Err(error) = merged {
        let names = unmerged(git).await?;
        git.text(&[&NO_HOOKS[..], &["merge", "--abort"]].concat()).await?;
        let Some(names) = names else { return Err(error.into()) };
        let folder = git.folder.display();
        return Err(SaveError::Refused(Box::new(moved(
            format!("{branch} was pushed to by others meanwhile, and {names} has conflicts with the work"),
            format!(
                "the work is committed in {folder}: `git merge origin/{branch}` and `git push origin {branch}` there, \
                 then retry the step"
            ),
        ))));
    }
    note_seen(git, run, branch, &tip).await?;
    Ok(note(git, run, &ours, &tip).await?)
}

/// The last commit that the work and a commit both go on from; `None`: their histories are unrelated.
async fn common(git: &Git, tip: &str) -> Result<Option<String>, GitError> {
    match git.text(&["merge-base", "HEAD", tip]).await {
        Ok(commit) => Ok(Some(commit)),
        Err(GitError::Failed { status: Some(1), .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Others removed commits from the branch that the work goes on from.
fn removed(git: &Git, branch: &str, seen: &str) -> Failure {
    let (folder, commit) = (git.folder.display(), seen.get(..12).unwrap_or(seen));
    moved(
        format!(
            "others removed commits from {branch} at origin: it does not hold {commit} any more, which this run saw there last"
        ),
        format!(
            "the work is committed in {folder}, on top of what was removed. There `git rebase --onto origin/{branch} {commit}` \
             takes it to where the branch stands now, or `git push --force origin {branch}` puts back what was removed; \
             then retry the step"
        ),
    )
}

/// The branch is not what the work goes on from, and both could not be joined.
fn moved(message: String, hint: String) -> Failure {
    let mut failure = Failure::new(FailureKind::Conflict, message).with_hint(hint);
    failure.code = Some("BRANCH_MOVED".to_owned());
    failure
}

/// Where a branch stood at `origin` when this run pushed it or looked at it last.
async fn seen(git: &Git, run: RunId, branch: &str) -> Result<Option<String>, GitError> {
    let noted = format!("{}^{{commit}}", seen_place(run, branch));
    match git.text(&["rev-parse", "--verify", "--quiet", &noted]).await {
        Ok(seen) => Ok(Some(seen)),
        Err(GitError::Failed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Notes where a branch stands at `origin`.
pub(super) async fn note_seen(git: &Git, run: RunId, branch: &str, commit: &str) -> Result<(), GitError> {
    git.text(&["update-ref", &seen_place(run, branch), commit]).await.map(|_| ())
}

fn seen_place(run: RunId, branch: &str) -> String {
    format!("refs/everfold/{run}/seen/{branch}")
}

fn place(run: RunId, from: &str) -> String {
    format!("refs/everfold/{run}/taken/{from}")
}

/// Notes that what lies between two commits is the work of others.
async fn note(git: &Git, run: RunId, from: &str, to: &str) -> Result<(), GitError> {
    git.text(&["update-ref", &place(run, from), to]).await.map(|_| ())
}

/// The commit from which on a round's changes are its own: where nothing but the work of others follows upon the one at
/// which it began, what they left; at most up to `until`.
pub(crate) async fn own_base(git: &Git, run: RunId, began: &str, until: &str) -> Result<String, GitError> {
    let mut base = began.to_owned();
    for _ in 0..NOTES_MAX {
        let noted = format!("{}^{{commit}}", place(run, &base));
        let Ok(tip) = git.text(&["rev-parse", "--verify", "--quiet", &noted]).await else { break };
        if tip == base || !git.says(&["merge-base", "--is-ancestor", &tip, until]).await? {
            break;
        }
        base = tip;
    }
    Ok(base)
}

//! `git.open_pr` and `git.merge_pr`.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::failures::{broken, failed};
use super::push::{PushParameters, push};
use super::references::current_branch;
use crate::function::Call;
use crate::git::Git;
use crate::git::authorise::authorised;
use crate::git::standing::head_of;
use crate::provider::{
    HostedRepository, MergeMethod, MergeOrder, NewPull, ProviderError, Pull, PullState, Remote, pull_number,
};

/// A merge that was ordered may show late: how often it is looked at again, and after which pause.
const LATE_LOOKS: u32 = 10;
const LATE_PAUSE: Duration = Duration::from_millis(500);

/// What `git.open_pr` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct OpenPullParameters {
    #[schemars(length(min = 1))]
    title: String,
    #[serde(default)]
    body: String,
    /// default: the branch that is checked out
    #[serde(default)]
    #[schemars(length(min = 1))]
    head: Option<String>,
    /// default: the repository's default branch
    #[serde(default)]
    #[schemars(length(min = 1))]
    base: Option<String>,
    #[serde(default)]
    draft: bool,
    /// push the branch before, where no request is found
    #[serde(default)]
    push: bool,
    /// default: the one that `origin` lies at
    #[serde(default)]
    provider: Option<String>,
    /// OWNER/NAME; default: the provider's, else of `origin`
    #[serde(default)]
    repository: Option<String>,
}

/// What both give of the pull request, whatever the service calls it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct PullOutput {
    #[schemars(with = "Value", extend("type" = "integer"))]
    number: u64,
    url: String,
    title: String,
    // The schema names the states and no type.
    #[schemars(with = "Value", extend("enum" = [PullState::Open, PullState::Closed, PullState::Merged]))]
    state: PullState,
    head: String,
    base: String,
    sha: String,
    mergeable: Option<bool>,
    mergeable_state: Option<String>,
    merge_sha: Option<String>,
    draft: bool,
    provider: String,
    repository: String,
}

impl PullOutput {
    fn of(target: &HostedRepository, pull: &Pull) -> Self {
        let Pull {
            number,
            url,
            title,
            state,
            head,
            base,
            sha,
            mergeable,
            mergeable_state,
            merge_sha,
            draft,
            check: _,
        } = pull.clone();
        let (provider, repository) = (target.name.clone(), target.repository.clone());
        Self {
            number,
            url,
            title,
            state,
            head,
            base,
            sha,
            mergeable,
            mergeable_state,
            merge_sha,
            draft,
            provider,
            repository,
        }
    }
}

/// Opens a pull request, or finds the one that a former attempt or a person opened.
pub(super) async fn open(
    context: Context,
    call: Call,
    wanted: OpenPullParameters,
) -> Result<PullOutput, Failure> {
    let git = Git::within(call.workdir()).map_err(broken)?;
    let (provider, repository) = (wanted.provider.as_deref(), wanted.repository.as_deref());
    let target = context.providers.target(provider, repository, call.workdir()).await?;
    let branch = match wanted.head {
        Some(branch) => branch,
        None => current_branch(&git).await?,
    };
    let base = match wanted.base {
        Some(base) => base,
        None => forward_pause(&call, target.provider.default_branch(&target.repository).await)?,
    };
    if branch == base {
        return Err(failed(
            FailureKind::Validation,
            "SAME_BRANCH",
            format!("{branch} cannot be merged into itself"),
            "work on a branch of its own: `workspace.branch`, or `git.branch`",
        ));
    }
    if let Some(pull) = found(&target, &branch, &base, &call).await? {
        return Ok(PullOutput::of(&target, &pull));
    }
    if wanted.push {
        push(context, call.clone(), PushParameters::of_branch(&branch)).await?;
    }
    let new = NewPull {
        head: branch.clone(),
        base: base.clone(),
        title: wanted.title,
        body: wanted.body,
        draft: wanted.draft,
    };
    match forward_pause(&call, target.provider.open(&target.repository, &new).await) {
        Ok(pull) => Ok(PullOutput::of(&target, &pull)),
        // It was opened meanwhile, or an answer got lost on its way.
        Err(error @ ProviderError::Conflict { .. }) => match found(&target, &branch, &base, &call).await? {
            Some(pull) => Ok(PullOutput::of(&target, &pull)),
            None => Err(Failure { code: Some("PR_REFUSED".to_owned()), ..error.into() }),
        },
        Err(error) => Err(error.into()),
    }
}

/// Passes on the pause that a provider asks for.
fn forward_pause<T>(call: &Call, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
    if let Err(ProviderError::Limited { after: Some(pause), .. }) = &answer {
        call.ask_later(*pause);
    }
    answer
}

/// The open request of a branch; else one that was merged with the commit that is checked out.
async fn found(
    target: &HostedRepository,
    branch: &str,
    base: &str,
    call: &Call,
) -> Result<Option<Pull>, Failure> {
    let pulls = forward_pause(call, target.provider.pulls_of(&target.repository, branch).await)?;
    let of_base = || pulls.iter().filter(|pull| pull.base == base);
    if let Some(pull) = of_base().find(|pull| pull.state == PullState::Open) {
        return Ok(Some(pull.clone()));
    }
    let git = Git::within(call.workdir()).map_err(broken)?;
    let local = git.text(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")]).await.ok();
    let local = match local {
        Some(sha) => Some(sha),
        None => head_of(&git).await.ok(),
    };
    for pull in of_base().filter(|pull| pull.state == PullState::Merged && Some(&pull.sha) == local.as_ref())
    {
        let merged_at = forward_pause(call, target.provider.merged_at(&target.repository, pull).await)?;
        if Some(&merged_at) == local.as_ref() {
            return Ok(Some(pull.clone()));
        }
    }
    Ok(None)
}

/// What `git.merge_pr` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct MergePullParameters {
    /// number, address, or branch; default: the branch that is checked out
    // A list of types is not derived from alternatives.
    #[serde(default)]
    #[schemars(extend("type" = ["integer", "string"]))]
    pr: Value,
    #[serde(default)]
    #[schemars(description = "")]
    method: MergeMethod,
    /// merge only if this is still its newest commit
    #[serde(default)]
    sha: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    delete_branch: bool,
    /// default: the one that `origin` lies at
    #[serde(default)]
    provider: Option<String>,
    /// OWNER/NAME; default: the provider's, else of `origin`
    #[serde(default)]
    repository: Option<String>,
}

/// Merges a pull request. What came of it is asked for, never taken from the answer alone.
pub(super) async fn merge(
    context: Context,
    call: Call,
    wanted: MergePullParameters,
) -> Result<PullOutput, Failure> {
    let git = Git::within(call.workdir()).map_err(broken)?;
    let (provider, repository) = (wanted.provider.as_deref(), wanted.repository.as_deref());
    let target = context.providers.target(provider, repository, call.workdir()).await?;
    let (provider, repository) = (&target.provider, target.repository.as_str());
    let pull = match pull_number(&wanted.pr) {
        Some(number) => forward_pause(&call, provider.pull(repository, number).await)?,
        None => {
            let branch = match wanted.pr.as_str().filter(|branch| !branch.is_empty()) {
                Some(branch) => branch.to_owned(),
                None => current_branch(&git).await?,
            };
            let pulls = forward_pause(&call, provider.pulls_of(repository, &branch).await)?;
            let newest = |state| pulls.iter().find(|pull| pull.state == state).map(|pull| pull.number);
            let Some(number) = newest(PullState::Open).or_else(|| newest(PullState::Merged)) else {
                return Err(failed(
                    FailureKind::Validation,
                    "NO_PR",
                    format!("{branch} has no pull request in {repository}"),
                    "`git.open_pr` opens one",
                ));
            };
            forward_pause(&call, provider.pull(repository, number).await)?
        }
    };
    match pull.state {
        PullState::Merged => return Ok(PullOutput::of(&target, &pull)),
        PullState::Closed => return Err(closed(&pull)),
        PullState::Open => {}
    }
    if let Some(sha) =
        wanted.sha.as_ref().filter(|sha| !sha.is_empty() && !pull.sha.starts_with(sha.as_str()))
    {
        return Err(moved(&pull, sha));
    }
    let order = MergeOrder {
        method: wanted.method,
        // Also where the step names none: what was looked at is what is merged.
        sha: Some(pull.sha.clone()).filter(|sha| !sha.is_empty()),
        title: wanted.title,
        message: wanted.message,
        delete_branch: wanted.delete_branch,
    };
    let merged = forward_pause(&call, provider.merge(repository, pull.number, &order).await);
    let mut now = forward_pause(&call, provider.pull(repository, pull.number).await);
    for _ in 0..LATE_LOOKS {
        let is_late = merged.is_ok() && matches!(&now, Ok(now) if now.state == PullState::Open);
        if !is_late {
            break;
        }
        tokio::time::sleep(LATE_PAUSE).await;
        now = forward_pause(&call, provider.pull(repository, pull.number).await);
    }
    match (merged, now) {
        (_, Ok(now)) if now.state == PullState::Merged => Ok(PullOutput::of(&target, &now)),
        (Err(ProviderError::Conflict { .. }), Ok(now)) if now.sha != pull.sha => Err(moved(&now, &pull.sha)),
        (Err(error @ ProviderError::Conflict { .. }), Ok(now))
            if now.mergeable == Some(false) && !now.draft =>
        {
            bring_base(&context, &git, &now.base).await;
            Err(Failure {
                code: Some("MERGE_CONFLICT".to_owned()),
                ..Failure::from(error).with_hint(format!(
                    "{} and {} change the same lines: merge {} into the branch",
                    now.head, now.base, now.base
                ))
            })
        }
        (Err(error @ ProviderError::Conflict { .. }), _) => Err(Failure {
            code: Some("NOT_MERGEABLE".to_owned()),
            ..Failure::from(error)
                .with_hint("a gate `mergeable` before this step waits until it can be merged")
        }),
        (Err(error), _) | (Ok(()), Err(error)) => Err(error.into()),
        (Ok(()), Ok(now)) => Err(failed(
            FailureKind::Conflict,
            "MERGE_WAITS",
            format!("{} took the order, but has not merged {} yet", target.name, now.url),
            "it merges by itself when its conditions are met; retry this step then",
        )),
    }
}

/// Fetches the newest commit of a base into the repository, for who resolves a conflict with it and has no token. Where that
/// fails the former one stands, and the conflict is told all the same.
async fn bring_base(context: &Context, git: &Git, base: &str) {
    let Ok(Some(remote)) = Remote::of(git, "origin").await else { return };
    let Ok(token) = context.providers.token_for(&remote) else { return };
    let refspec = format!("+refs/heads/{base}:refs/remotes/origin/{base}");
    let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", refspec.as_str()];
    let _as_it_was = authorised(git.clone(), token, &remote).text(&fetch).await;
}

fn closed(pull: &Pull) -> Failure {
    let message = format!("{} was closed without a merge", pull.url);
    failed(FailureKind::Conflict, "PR_CLOSED", message, "open it again, or open another one")
}

fn moved(pull: &Pull, sha: &str) -> Failure {
    failed(
        FailureKind::Conflict,
        "HEAD_MOVED",
        format!("{} stands at {}, not at {sha}", pull.url, pull.sha),
        "somebody pushed to its branch: let the gates judge the newest commit first",
    )
}

//! A worktree per run.
//!
//! Law: what is made for a run is found again after a crash, complete, or made anew. A record beside
//! the worktree says what is to be made, and whether it is to be kept, before anything is made; it starts out
//! incomplete. Nothing is removed unless it is certain that it is not wanted.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_language::definition::Keep;
use everfold_ports::{Fate, Released, Workdir, Workspace, WorkspaceRequest, Workspaces};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::call::Git;
use super::copies::{COPIES, noted_repository};
use super::discard::discard;
use super::error::GitError;
use super::locks;
use super::own_worktree::own;
use super::repository::{
    checked_repository, commit_of, default_base, in_the_way, is_branch, is_storable, missing_base,
    no_branch_name, taken, unable,
};
use super::save::{advance, keep as keep_commit};
use super::standing::head_of;
use super::unwritable::unwritable;
use super::workspaces::GitWorkspaces;
use crate::private_file::{make_private, write_private};
use crate::process::make_absolute;

/// The code of a workspace that cannot be made, where nothing better is known: no work has begun.
const WORKSPACE_CODE: &str = "WORKSPACE";

/// The worktree that a run asked for, as the record beside it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WorktreeRecord {
    workspace: Workspace,
    /// Everything stands.
    complete: bool,
    /// The run has ended and this stays on purpose.
    kept: bool,
    /// When it stays; `None`: an older version made it, and did not say.
    #[serde(default)]
    keep: Option<Keep>,
    /// Whether its branch stays.
    #[serde(default)]
    keep_branch: Option<bool>,
}

/// What a run's pipeline says of its worktree.
struct WantedWorktree {
    base: Option<String>,
    from: Option<String>,
    branch: String,
    keep: Keep,
    keep_branch: bool,
}

impl GitWorkspaces {
    fn path(&self, run: RunId) -> PathBuf {
        self.root.join(run.to_string())
    }

    /// Whether a path of a record is that of a folder here: the data folder may be a copy of another one, whose
    /// worktrees its records name.
    fn is_path_of(&self, run: RunId, path: &Path) -> bool {
        let here = || Some(path.parent()?.canonicalize().ok()? == self.root.canonicalize().ok()?);
        path == self.path(run)
            || (path.file_name() == self.path(run).file_name() && here().unwrap_or_default())
    }

    fn record_path(&self, run: RunId) -> PathBuf {
        self.root.join(format!("{run}.json"))
    }

    fn record(&self, run: RunId) -> Option<WorktreeRecord> {
        serde_json::from_slice(&std::fs::read(self.record_path(run)).ok()?).ok()
    }

    fn write(&self, run: RunId, record: &WorktreeRecord) -> Result<(), Failure> {
        let failed = |error: std::io::Error| unwritable(&self.root, &error);
        make_private(&self.root).map_err(failed)?;
        let text = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        write_private(&self.record_path(run), &text).map_err(failed)
    }

    async fn prepare_git(
        &self,
        run: RunId,
        repository: &Path,
        wanted: WantedWorktree,
    ) -> Result<Workspace, Failure> {
        let repository = checked_repository(repository).await?;
        let (common_dir, _turn) = self.turn(&repository).await.map_err(|error| unable(&error))?;
        let git = Git::of(&repository);
        let record = match self.record(run) {
            Some(record) if record.complete && stands(&record.workspace).await => return Ok(record.workspace),
            Some(record) => record,
            None => {
                let (keep, keep_branch) = (Some(wanted.keep), Some(wanted.keep_branch));
                let workspace = self.plan(run, &git, wanted).await?;
                let record = WorktreeRecord { workspace, complete: false, kept: false, keep, keep_branch };
                self.write(run, &record)?;
                record
            }
        };
        self.make(&git, &common_dir, &record.workspace).await?;
        self.write(run, &WorktreeRecord { complete: true, ..record.clone() })?;
        Ok(record.workspace)
    }

    /// Finds out what to make; nothing is changed before all of it is known to be possible.
    async fn plan(&self, run: RunId, git: &Git, wanted: WantedWorktree) -> Result<Workspace, Failure> {
        let WantedWorktree { base, from, branch, .. } = wanted;
        let repository = git.folder.display().to_string();
        if !is_storable(&branch) || git.text(&["check-ref-format", "--branch", &branch]).await.is_err() {
            return Err(no_branch_name(&branch));
        }
        let base = match base {
            Some(base) => base,
            None => default_base(git).await?,
        };
        let start = from.as_ref().unwrap_or(&base);
        let failed = |error: GitError| unable(&error);
        let Some(commit) = commit_of(git, start).await.map_err(failed)? else {
            return Err(missing_base(git, &repository, start).await);
        };
        if is_branch(git, &branch).await.map_err(failed)? {
            return Err(taken(git, &repository, &branch).await);
        }
        if let Some(other) = in_the_way(git, &branch).await.map_err(failed)? {
            return Err(Failure::new(
                FailureKind::Conflict,
                format!("the branch {branch} cannot be made beside the branch {other} in {repository}"),
            )
            .with_hint("choose another `workspace.branch`, or rename the other branch"));
        }
        let status = git.beginning(&["status", "--porcelain", "--untracked-files=no"], 1).await;
        if status.is_ok_and(|(changes, _)| !changes.is_empty()) {
            tracing::warn!(%run, repository, "uncommitted changes of the repository are not part of the run");
        }
        Ok(Workspace {
            path: self.path(run).display().to_string(),
            repository: Some(repository),
            branch: Some(branch),
            base: Some(base),
            commit: Some(commit),
        })
    }

    /// Makes the worktree, over whatever a crash left of it.
    async fn make(&self, git: &Git, common_dir: &Path, workspace: &Workspace) -> Result<(), Failure> {
        let path = Path::new(&workspace.path);
        discard(common_dir, path).await.map_err(|error| unable(&error))?;
        let (branch, commit) = (workspace.branch.as_deref().unwrap_or_default(), workspace.commit.as_deref());
        locks::free_branch(git, branch).await.map_err(|error| unable(&error))?;
        let mut arguments = vec!["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet"];
        if is_branch(git, branch).await.map_err(|error| unable(&error))? {
            arguments.extend([workspace.path.as_str(), branch]);
        } else {
            arguments.extend(["--no-track", "-b", branch, &workspace.path]);
            arguments.extend(commit);
        }
        match git.text(&arguments).await {
            Ok(_) => {
                if path.join(".gitmodules").is_file() {
                    tracing::warn!(
                        worktree = workspace.path,
                        "the folders of submodules are empty: `git submodule update --init` in a first step fills them"
                    );
                }
                Ok(())
            }
            Err(GitError::Failed { message, .. }) if message.contains("already") => {
                let repository = workspace.repository.as_deref().unwrap_or_default();
                Err(taken(git, repository, branch).await)
            }
            Err(error) => Err(unable(&error)),
        }
    }

    /// Takes a run's worktree away, and what is to become of its branch.
    async fn remove(&self, run: RunId, workspace: &Workspace, branch: Branch) -> Released {
        let path = self.path(run);
        let repository = workspace.repository.as_ref().map(PathBuf::from).filter(|path| path.is_dir());
        let removed = match &repository {
            Some(repository) => self.remove_from(repository, run, workspace, branch).await,
            // Its repository is gone, or away: git forgets the worktree there when it is pruned.
            None => match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitError::Io(error)),
                Ok(()) | Err(_) => Ok(()),
            },
        };
        match removed {
            Ok(()) => {
                let _gone = std::fs::remove_file(self.record_path(run));
                Released::Removed
            }
            Err(error) => {
                tracing::warn!(%run, %error, "could not remove a worktree");
                Released::Failed
            }
        }
    }

    async fn remove_from(
        &self,
        repository: &Path,
        run: RunId,
        workspace: &Workspace,
        branch: Branch,
    ) -> Result<(), GitError> {
        let (common_dir, _turn) = self.turn(repository).await?;
        if branch == Branch::Stays
            && let Err(error) = keep_stray(workspace, repository, run).await
        {
            tracing::warn!(%run, %error, "whether every commit stands on a branch could not be seen");
        }
        discard(&common_dir, &self.path(run)).await?;
        let git = Git::of(repository);
        let Some(name) = workspace.branch.as_deref().filter(|_| branch != Branch::Stays) else {
            return Ok(());
        };
        if branch == Branch::GoesIfUnused {
            let tip = git.text(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{name}")]).await;
            if tip.ok() != workspace.commit {
                return Ok(());
            }
        }
        if is_branch(&git, name).await?
            && let Err(error) = git.text(&["branch", "--quiet", "-D", "--", name]).await
        {
            tracing::warn!(%run, %error, "could not remove the run's branch");
        }
        Ok(())
    }

    /// Removes what a run left behind, as far as it is not to be kept.
    async fn swept(&self, run: RunId, fate: Fate) -> Released {
        let record = self.record(run);
        let repository = record.as_ref().and_then(|record| record.workspace.repository.as_ref());
        let repository = repository.map(PathBuf::from).or_else(|| noted_repository(&self.copies(run)));
        self.discard_copies(run, repository.as_deref(), None).await;
        let Some(record) = record else {
            // What lies there is not known; only an empty folder is certainly nothing.
            return match std::fs::remove_dir(self.path(run)) {
                Ok(()) => Released::Removed,
                Err(_) => Released::Kept,
            };
        };
        if record.kept {
            return Released::Kept;
        }
        if !self.is_path_of(run, Path::new(&record.workspace.path)) {
            tracing::warn!(%run, path = record.workspace.path, "a worktree of another data folder is left alone");
            return Released::Kept;
        }
        let (stays, branch) = match fate {
            Fate::Ended { began: false, .. } => (false, Branch::GoesIfUnused),
            Fate::Ended { succeeded, .. } => {
                let goes = record.keep_branch == Some(false);
                // An older version did not note it.
                (record.keep.is_none_or(|keep| stays(keep, succeeded)), Branch::of(!goes))
            }
            // The branch stays: it may hold the only copy of a person's work.
            Fate::Unknown => (record.keep != Some(Keep::Never) || has_work(&record).await, Branch::Stays),
        };
        if !stays {
            return self.remove(run, &record.workspace, branch).await;
        }
        if let Err(failure) = self.write(run, &WorktreeRecord { kept: true, ..record }) {
            tracing::warn!(%run, failure = failure.message, "could not mark a worktree as kept");
        }
        Released::Kept
    }
}

/// What becomes of a run's branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Stays,
    Goes,
    /// Where nothing was committed on it.
    GoesIfUnused,
}

impl Branch {
    fn of(keep: bool) -> Self {
        if keep { Self::Stays } else { Self::Goes }
    }
}

fn stays(keep: Keep, succeeded: bool) -> bool {
    match keep {
        Keep::Always => true,
        Keep::Failed => !succeeded,
        Keep::Never => false,
    }
}

/// Whether a worktree holds what is nowhere else. In doubt it does.
async fn has_work(record: &WorktreeRecord) -> bool {
    if !record.complete {
        return false;
    }
    match within(&record.workspace) {
        Ok(git) => {
            let status = git.beginning(&["status", "--porcelain"], 1).await;
            status.map_or(true, |(changes, _)| !changes.is_empty())
        }
        Err(_) => Path::new(&record.workspace.path).exists(),
    }
}

/// Commits that no branch holds go with the worktree: they are kept under a reference of their own.
async fn keep_stray(workspace: &Workspace, repository: &Path, run: RunId) -> Result<(), GitError> {
    if own(Path::new(&workspace.path), repository).is_err() {
        return Ok(());
    }
    let git = within(workspace)?;
    if git.says(&["symbolic-ref", "--quiet", "HEAD"]).await? {
        return Ok(());
    }
    let head = head_of(&git).await?;
    let held = git.text(&["for-each-ref", "--count=1", "--contains", &head, "--format=%(refname)"]).await?;
    if held.is_empty() {
        let kept = keep_commit(&git, run).await?;
        tracing::warn!(%run, kept, "commits that stand on no branch are kept");
    }
    Ok(())
}

fn within(workspace: &Workspace) -> Result<Git, GitError> {
    let repository = workspace.repository.as_deref().unwrap_or_default();
    Git::in_worktree(Path::new(&workspace.path), Path::new(repository))
}

impl Workspaces for GitWorkspaces {
    fn prepare(
        &self,
        run: RunId,
        request: WorkspaceRequest,
    ) -> BoxFuture<'static, Result<Workspace, Failure>> {
        let this = self.clone();
        async move {
            let prepared = match request {
                WorkspaceRequest::Git { repository, base, from, branch, keep, keep_branch } => {
                    let wanted = WantedWorktree { base, from, branch, keep, keep_branch };
                    this.prepare_git(run, &repository, wanted).await
                }
                WorkspaceRequest::Dir(path) if path.is_dir() => Ok(Workspace {
                    path: path.display().to_string(),
                    repository: None,
                    branch: None,
                    base: None,
                    commit: None,
                }),
                WorkspaceRequest::Dir(path) => Err(Failure::new(
                    FailureKind::Spawn,
                    format!("the folder {} of the workspace does not exist", path.display()),
                )),
            };
            prepared.map_err(|mut failure| {
                failure.code.get_or_insert_with(|| WORKSPACE_CODE.to_owned());
                failure
            })
        }
        .boxed()
    }

    fn release(
        &self,
        run: RunId,
        workspace: Workspace,
        keep: Keep,
        keep_branch: bool,
        succeeded: bool,
    ) -> BoxFuture<'static, Released> {
        let this = self.clone();
        async move {
            let repository = workspace.repository.as_ref().map(PathBuf::from);
            this.discard_copies(run, repository.as_deref(), None).await;
            // A folder that was there before is not ours to remove.
            if workspace.repository.is_none() || !this.is_path_of(run, Path::new(&workspace.path)) {
                return Released::Kept;
            }
            if !stays(keep, succeeded) {
                return this.remove(run, &workspace, Branch::of(keep_branch)).await;
            }
            let (keep, keep_branch) = (Some(keep), Some(keep_branch));
            let record = WorktreeRecord { workspace, complete: true, kept: true, keep, keep_branch };
            if let Err(failure) = this.write(run, &record) {
                tracing::warn!(%run, failure = failure.message, "could not mark a worktree as kept");
            }
            Released::Kept
        }
        .boxed()
    }

    fn copy(
        &self,
        _run: RunId,
        workspace: Workspace,
        commit: String,
        mut path: PathBuf,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        let this = self.clone();
        make_absolute(&mut path);
        async move { this.make_copy(&workspace, &commit, &path).await }.boxed()
    }

    fn advance(&self, mut workdir: Workdir, commit: String) -> BoxFuture<'static, Result<(), Failure>> {
        make_absolute(&mut workdir.path);
        async move {
            let advanced = advance(&workdir, &commit).await;
            advanced.map_err(|error| Failure::new(FailureKind::Conflict, error.to_string()))
        }
        .boxed()
    }

    fn discard(&self, run: RunId, workspace: Workspace, copies: HashSet<PathBuf>) -> BoxFuture<'static, ()> {
        let this = self.clone();
        let absolute = |mut path| {
            make_absolute(&mut path);
            path
        };
        let copies: HashSet<PathBuf> = copies.into_iter().map(absolute).collect();
        async move {
            let repository = workspace.repository.map(PathBuf::from);
            this.discard_copies(run, repository.as_deref(), Some(copies)).await;
        }
        .boxed()
    }

    fn left(&self) -> BoxFuture<'static, HashSet<RunId>> {
        let this = self.clone();
        async move {
            let entries = std::fs::read_dir(&this.root).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let run_of = |name: String| {
                let bare = name.strip_suffix(".json").or(name.strip_suffix(COPIES)).unwrap_or(&name);
                bare.parse::<RunId>().ok()
            };
            let runs: HashSet<RunId> = names.filter_map(run_of).collect();
            let is_kept = |run: &RunId| {
                !this.copies(*run).exists() && this.record(*run).is_some_and(|record| record.kept)
            };
            runs.into_iter().filter(|run| !is_kept(run)).collect()
        }
        .boxed()
    }

    fn sweep(&self, fates: BTreeMap<RunId, Fate>) -> BoxFuture<'static, BTreeMap<RunId, String>> {
        let this = self.clone();
        async move {
            let mut removed = BTreeMap::new();
            for (run, fate) in fates {
                if this.swept(run, fate).await == Released::Removed {
                    removed.insert(run, this.path(run).display().to_string());
                }
            }
            removed
        }
        .boxed()
    }
}

/// Whether a worktree is there, and whole.
async fn stands(workspace: &Workspace) -> bool {
    match within(workspace) {
        // Another branch checked out there by a step is that step's business.
        Ok(git) => git.text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await.is_ok(),
        Err(_) => false,
    }
}

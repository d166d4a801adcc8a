//! A worktree per run.
//!
//! Law: what is made for a run is found again after a crash, complete, or made anew. A record beside
//! the worktree says what was meant, before anything is made; it starts out incomplete. Calls that
//! change one repository happen one after the other.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use everfold_engine::definition::Keep;
use everfold_engine::execution::{Workspace, WorkspaceRequest, Workspaces};
use everfold_engine::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_engine::id::RunId;
use everfold_engine::store::is_shortage;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::repository::{branches, checked_repository, default_base, missing_base, taken, unable};
use super::{Git, GitError, locks};
use crate::process::{make_absolute, make_private, write_private};

/// The end of the name of the folder in which a run's copies lie.
const COPIES: &str = ".own";
/// The end of the name of the mark of a copy that is whole.
const MADE: &str = "made";
/// Repositories whose locks are remembered before unused ones are forgotten.
const LOCKS_MAX: usize = 64;

/// What was meant to be made for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    workspace: Workspace,
    /// Everything stands.
    complete: bool,
    /// The run has ended and this stays on purpose.
    kept: bool,
}

/// Makes worktrees under one folder.
#[derive(Clone)]
pub struct GitWorkspaces {
    root: PathBuf,
    locks: Arc<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>>,
}

impl GitWorkspaces {
    /// Worktrees go below `root`, one folder per run.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let mut root = root.to_owned();
        make_absolute(&mut root);
        Self { root, locks: Arc::default() }
    }

    fn path(&self, run: RunId) -> PathBuf {
        self.root.join(run.to_string())
    }

    fn record_path(&self, run: RunId) -> PathBuf {
        self.root.join(format!("{run}.json"))
    }

    fn record(&self, run: RunId) -> Option<Record> {
        serde_json::from_slice(&std::fs::read(self.record_path(run)).ok()?).ok()
    }

    fn write(&self, run: RunId, record: &Record) -> Result<(), Failure> {
        let failed = |error: std::io::Error| unwritable(&self.root, &error);
        make_private(&self.root).map_err(failed)?;
        let text = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        write_private(&self.record_path(run), &text).map_err(failed)
    }

    fn lock(&self, repository: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() >= LOCKS_MAX {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        locks.entry(repository.to_owned()).or_default().clone()
    }

    async fn prepare_git(
        &self,
        run: RunId,
        repository: &Path,
        (base, from): (Option<String>, Option<String>),
        branch: String,
    ) -> Result<Workspace, Failure> {
        let repository = checked_repository(repository).await?;
        let lock = self.lock(&repository);
        let _one_at_a_time = lock.lock().await;
        let git = Git::at(&repository);
        let record = match self.record(run) {
            Some(record) if record.complete && stands(&record.workspace).await => return Ok(record.workspace),
            Some(record) => record,
            None => {
                let workspace = self.plan(run, &git, (base, from), branch).await?;
                let record = Record { workspace, complete: false, kept: false };
                self.write(run, &record)?;
                record
            }
        };
        self.make(&git, &record.workspace).await?;
        self.write(run, &Record { complete: true, ..record.clone() })?;
        Ok(record.workspace)
    }

    /// Finds out what to make; nothing is changed before all of it is known to be possible.
    async fn plan(
        &self,
        run: RunId,
        git: &Git,
        (base, from): (Option<String>, Option<String>),
        branch: String,
    ) -> Result<Workspace, Failure> {
        let repository = git.folder.display().to_string();
        if git.text(&["check-ref-format", "--branch", &branch]).await.is_err() {
            return Err(Failure::new(FailureKind::Validation, format!("“{branch}” is no name for a branch")));
        }
        let base = match base {
            Some(base) => base,
            None => default_base(git).await?,
        };
        let start = from.as_ref().unwrap_or(&base);
        let commit = match git
            .text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{start}^{{commit}}")])
            .await
        {
            Ok(commit) => commit,
            Err(GitError::Failed { .. }) => return Err(missing_base(git, &repository, start).await),
            Err(error) => return Err(unable(&error)),
        };
        let branches = branches(git, "refs/heads").await.map_err(|error| unable(&error))?;
        if branches.contains(&branch) {
            return Err(taken(git, &repository, &branch).await);
        }
        // `a` and `a/b` cannot both be branches.
        let clash = branches.iter().find(|other| {
            other
                .strip_prefix(&branch)
                .or(branch.strip_prefix(other.as_str()))
                .is_some_and(|rest| rest.starts_with('/'))
        });
        if let Some(other) = clash {
            return Err(Failure::new(
                FailureKind::Conflict,
                format!("the branch {branch} cannot be made beside the branch {other} in {repository}"),
            )
            .with_hint("choose another `workspace.branch`, or rename the other branch"));
        }
        let status = git.text(&["status", "--porcelain", "--untracked-files=no"]).await;
        if status.is_ok_and(|changes| !changes.is_empty()) {
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
    async fn make(&self, git: &Git, workspace: &Workspace) -> Result<(), Failure> {
        let path = Path::new(&workspace.path);
        discard(git, path).await.map_err(|error| unable(&error))?;
        let (branch, commit) = (workspace.branch.as_deref().unwrap_or_default(), workspace.commit.as_deref());
        locks::free_branch(git, branch).await.map_err(|error| unable(&error))?;
        let made =
            branches(git, "refs/heads").await.map_err(|error| unable(&error))?.iter().any(|it| it == branch);
        let mut arguments =
            vec!["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--no-track"];
        if made {
            arguments.retain(|argument| *argument != "--no-track");
            arguments.extend([workspace.path.as_str(), branch]);
        } else {
            arguments.extend(["-b", branch, &workspace.path]);
            arguments.extend(commit);
        }
        match git.text(&arguments).await {
            Ok(_) => Ok(()),
            Err(GitError::Failed { message, .. }) if message.contains("already") => {
                let repository = workspace.repository.as_deref().unwrap_or_default();
                Err(taken(git, repository, branch).await)
            }
            Err(error) => Err(unable(&error)),
        }
    }

    /// Makes a copy of a worktree, over whatever a crash left of it.
    async fn make_copy(&self, workspace: &Workspace, commit: &str, path: &Path) -> Result<(), Failure> {
        let Some(repository) = workspace.repository.as_deref().map(Path::new) else {
            return Err(Failure::new(FailureKind::Spawn, "the run's workspace is no worktree of git"));
        };
        let lock = self.lock(repository);
        let _one_at_a_time = lock.lock().await;
        if is_whole(path) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.root);
        make_private(folder).map_err(|error| unwritable(folder, &error))?;
        let git = Git::at(repository);
        discard(&git, path).await.map_err(|error| unable(&error))?;
        let shown = path.display().to_string();
        let arguments = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach"];
        git.text(&[&arguments[..], &[&shown, commit]].concat()).await.map_err(|error| unable(&error))?;
        write_private(&mark_of(path), b"").map_err(|error| unwritable(folder, &error))
    }

    /// Takes away copies of a run: these, or all.
    async fn discard_copies(&self, run: RunId, repository: Option<&Path>, only: Option<HashSet<PathBuf>>) {
        let folder = self.copies(run);
        let is_all = only.is_none();
        let all = || std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let unwanted = only.unwrap_or_else(|| all().filter(|path| path.is_dir()).collect());
        for path in unwanted.iter().filter(|path| path.starts_with(&folder)) {
            let _gone = std::fs::remove_file(mark_of(path));
            match repository.filter(|repository| repository.is_dir()) {
                Some(repository) => {
                    let lock = self.lock(repository);
                    let _one_at_a_time = lock.lock().await;
                    if let Err(error) = discard(&Git::at(repository), path).await {
                        tracing::warn!(%run, %error, "could not remove a copy of a worktree");
                    }
                }
                None => drop(std::fs::remove_dir_all(path)),
            }
        }
        if is_all {
            let _marks = std::fs::remove_dir_all(&folder);
        } else {
            let _others_are_there = std::fs::remove_dir(&folder);
        }
    }

    fn copies(&self, run: RunId) -> PathBuf {
        self.root.join(format!("{run}{COPIES}"))
    }

    async fn remove(&self, run: RunId, workspace: &Workspace, keep_branch: bool) {
        let path = PathBuf::from(&workspace.path);
        let repository = workspace.repository.as_ref().map(PathBuf::from).filter(|path| path.is_dir());
        if let Some(repository) = &repository {
            let lock = self.lock(repository);
            let _one_at_a_time = lock.lock().await;
            let git = Git::at(repository);
            if let Err(error) = discard(&git, &path).await {
                tracing::warn!(%run, %error, "could not remove a worktree");
                return;
            }
            if let Some(branch) = workspace.branch.as_deref().filter(|_| !keep_branch)
                && let Err(error) = git.text(&["branch", "--quiet", "-D", branch]).await
            {
                tracing::warn!(%run, %error, "could not remove the run's branch");
            }
        } else if path.starts_with(&self.root) {
            let _gone = std::fs::remove_dir_all(&path);
        }
        let _gone = std::fs::remove_file(self.record_path(run));
    }
}

impl Workspaces for GitWorkspaces {
    fn prepare(
        &self,
        run: RunId,
        request: WorkspaceRequest,
    ) -> BoxFuture<'static, Result<Workspace, Failure>> {
        let this = self.clone();
        async move {
            match request {
                WorkspaceRequest::Git { repository, base, from, branch } => {
                    this.prepare_git(run, &repository, (base, from), branch).await
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
            }
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
    ) -> BoxFuture<'static, ()> {
        let this = self.clone();
        async move {
            let stays = match keep {
                Keep::Always => true,
                Keep::Failed => !succeeded,
                Keep::Never => false,
            };
            let repository = workspace.repository.as_ref().map(PathBuf::from);
            this.discard_copies(run, repository.as_deref(), None).await;
            // A folder that was there before is not ours to remove.
            if workspace.repository.is_none() || !Path::new(&workspace.path).starts_with(&this.root) {
                return;
            }
            if stays {
                let record = Record { workspace, complete: true, kept: true };
                if let Err(failure) = this.write(run, &record) {
                    tracing::warn!(%run, failure = failure.message, "could not mark a worktree as kept");
                }
            } else {
                this.remove(run, &workspace, keep_branch).await;
            }
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

    fn sweep(&self, unended: HashSet<RunId>) -> BoxFuture<'static, ()> {
        let this = self.clone();
        async move {
            let Ok(entries) = std::fs::read_dir(&this.root) else { return };
            let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            let run_of = |name: String| {
                let bare = name.strip_suffix(".json").or(name.strip_suffix(COPIES)).unwrap_or(&name);
                bare.parse::<RunId>().ok()
            };
            let runs: HashSet<RunId> = names.filter_map(run_of).collect();
            for run in runs.difference(&unended).copied() {
                let record = this.record(run);
                let repository = repository_of(record.as_ref(), &this.copies(run));
                this.discard_copies(run, repository.as_deref(), None).await;
                if record.as_ref().is_some_and(|record| record.kept) {
                    continue;
                }
                let unknown = Workspace {
                    path: this.path(run).display().to_string(),
                    repository: None,
                    branch: None,
                    base: None,
                    commit: None,
                };
                // The branch stays: it may hold the only copy of somebody's work.
                this.remove(run, &record.map_or(unknown, |record| record.workspace), true).await;
            }
        }
        .boxed()
    }
}

/// The repository of a run's copies: as its record says, else as git notes it in one of them.
fn repository_of(record: Option<&Record>, copies: &Path) -> Option<PathBuf> {
    if let Some(repository) = record.and_then(|record| record.workspace.repository.as_ref()) {
        return Some(PathBuf::from(repository));
    }
    let entries = std::fs::read_dir(copies).into_iter().flatten().flatten();
    let noted = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join(".git")).ok());
    // `gitdir: REPOSITORY/.git/worktrees/NAME`, or without `.git` where the repository is bare.
    noted
        .filter_map(|text| {
            let place = PathBuf::from(text.strip_prefix("gitdir:")?.trim());
            let common = place.parent()?.parent()?;
            let inner = common.file_name().is_some_and(|name| name == ".git");
            Some(if inner { common.parent()?.to_owned() } else { common.to_owned() })
        })
        .next()
}

/// Beside a copy: it was made to its end.
fn mark_of(copy: &Path) -> PathBuf {
    let mut name = copy.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{MADE}"));
    copy.with_file_name(name)
}

fn is_whole(copy: &Path) -> bool {
    mark_of(copy).exists() && copy.join(".git").is_file()
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    let mut failure =
        Failure::new(FailureKind::Spawn, format!("could not write to {}: {error}", folder.display()))
            .with_hint("look at the space and the permissions of the data folder");
    if is_shortage(error) {
        failure.code = Some(NO_ROOM_CODE.to_owned());
    }
    failure
}

/// Whether a worktree is there, whole, and on its branch.
async fn stands(workspace: &Workspace) -> bool {
    let path = Path::new(&workspace.path);
    if !path.join(".git").is_file() {
        return false;
    }
    let git = Git::at(path);
    // Another branch checked out there by a step is that step's business.
    git.text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await.is_ok()
}

/// Takes a worktree away, whatever state it is in.
async fn discard(git: &Git, path: &Path) -> Result<(), GitError> {
    let shown = path.display().to_string();
    // Twice --force: also one that a killed `worktree add` left locked.
    let _unknown = git.text(&["worktree", "remove", "--force", "--force", &shown]).await;
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(GitError::Io(error)),
        _ => {}
    }
    remove_records(git, path).await?;
    let _unlocked = git.text(&["worktree", "unlock", &shown]).await;
    git.text(&["worktree", "prune"]).await.map(|_| ())
}

/// Removes git's own record of a worktree, and unfinished ones of its neighbours: a `worktree add`
/// that was killed can leave an empty file there, with which git refuses every call about worktrees.
async fn remove_records(git: &Git, path: &Path) -> Result<(), GitError> {
    let common = git.folder.join(git.text(&["rev-parse", "--git-common-dir"]).await?);
    let (Some(name), Some(neighbours)) = (path.file_name(), path.parent()) else { return Ok(()) };
    for record in std::fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten() {
        let folder = record.path();
        let place = std::fs::read_to_string(folder.join("gitdir")).unwrap_or_default();
        let is_ours = record.file_name() == name || Path::new(place.trim()).starts_with(neighbours);
        let is_whole = ["HEAD", "commondir"]
            .iter()
            .all(|file| std::fs::metadata(folder.join(file)).is_ok_and(|found| found.len() > 0));
        if is_ours && (record.file_name() == name || !is_whole) {
            std::fs::remove_dir_all(folder).map_err(GitError::Io)?;
        }
    }
    Ok(())
}

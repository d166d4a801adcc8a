//! Worktrees of runs in real repositories.

use std::collections::HashSet;
use std::path::Path;

use crate::fixtures::home::{Home, git, repository};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_language::definition::Keep;
use everfold_ports::{Fate, Released, Workspace, WorkspaceRequest, Workspaces};
use everfold_workflows::git::GitWorkspaces;

const ENDED: Fate = Fate::Ended { succeeded: true, began: true };

fn wanted(repository: &Path, base: Option<&str>, branch: &str) -> WorkspaceRequest {
    WorkspaceRequest::Git {
        repository: repository.to_owned(),
        base: base.map(str::to_owned),
        from: None,
        branch: branch.to_owned(),
        keep: Keep::Never,
        keep_branch: true,
    }
}

struct Place {
    home: Home,
    workspaces: GitWorkspaces,
}

impl Place {
    fn new() -> Self {
        let home = Home::new();
        repository(&home.path("repo"));
        let workspaces = GitWorkspaces::new(&home.path("worktrees"));
        Self { home, workspaces }
    }

    async fn prepare(&self, base: Option<&str>, branch: &str) -> Result<Workspace, Failure> {
        let request = wanted(&self.home.path("repo"), base, branch);
        self.workspaces.prepare(self.home.run, request).await
    }
}

#[tokio::test]
async fn a_run_gets_its_branch_in_its_own_folder_and_finds_it_again() {
    let place = Place::new();
    std::fs::write(place.home.path("repo/readme"), "uncommitted\n").unwrap();
    let workspace = place.prepare(None, "everfold/1").await.unwrap();
    assert_eq!(workspace.base.as_deref(), Some("main"));
    let path = Path::new(&workspace.path);
    assert_eq!(std::fs::read_to_string(path.join("readme")).unwrap(), "one\n");
    assert_eq!(git(path, &["symbolic-ref", "--short", "HEAD"]), "everfold/1");
    std::fs::write(path.join("work"), "in progress").unwrap();
    git(path, &["commit", "--quiet", "--allow-empty", "-m", "step"]);
    let again = GitWorkspaces::new(&place.home.path("worktrees"));
    let request = wanted(&place.home.path("repo"), None, "everfold/1");
    assert_eq!(again.prepare(place.home.run, request).await.unwrap(), workspace, "its base commit stays");
    assert!(path.join("work").exists());
}

#[tokio::test]
async fn a_half_made_worktree_is_made_anew() {
    let place = Place::new();
    let workspace = place.prepare(Some("main"), "b").await.unwrap();
    let record = place.home.path(&format!("worktrees/{}.json", place.home.run));
    let incomplete =
        std::fs::read_to_string(&record).unwrap().replace("\"complete\":true", "\"complete\":false");
    for damage in ["readme", ".git"] {
        std::fs::write(&record, &incomplete).unwrap();
        std::fs::remove_file(Path::new(&workspace.path).join(damage)).unwrap();
        assert_eq!(place.prepare(Some("main"), "b").await.unwrap(), workspace);
        assert!(Path::new(&workspace.path).join("readme").exists());
    }
    std::fs::write(&record, &incomplete).unwrap();
    std::fs::remove_dir_all(&workspace.path).unwrap();
    assert_eq!(place.prepare(Some("main"), "b").await.unwrap(), workspace);
}

#[tokio::test]
async fn what_cannot_be_is_said_with_a_hint() {
    let place = Place::new();
    let repo = place.home.path("repo");
    git(&repo, &["branch", "taken"]);
    git(&repo, &["branch", "feature"]);
    git(&repo, &["worktree", "add", "--quiet", "-b", "elsewhere", "../elsewhere"]);
    for (base, branch, kind, part) in [
        (Some("mian"), "b", FailureKind::Spawn, "did you mean main?"),
        (None, "taken", FailureKind::Conflict, "exists already"),
        (None, "elsewhere", FailureKind::Conflict, "is checked out in"),
        (None, "main", FailureKind::Conflict, "is checked out in"),
        (None, "feature/x", FailureKind::Conflict, "beside the branch feature"),
        (None, "a..b", FailureKind::Validation, "no name for a branch"),
        (None, "-dash", FailureKind::Validation, "no name for a branch"),
        (None, "with spaces", FailureKind::Validation, "no name for a branch"),
        (None, &"long".repeat(64), FailureKind::Validation, "no name for a branch"),
        (None, &"long/".repeat(250), FailureKind::Validation, "no name for a branch"),
    ] {
        let failure = place.prepare(base, branch).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.message.contains(part), "{}", failure.message);
        if kind == FailureKind::Validation {
            assert!(failure.hint.is_some_and(|hint| hint.contains("`workspace.branch`")), "{branch}");
        }
    }
    assert!(place.prepare(None, &"n".repeat(250)).await.is_ok(), "as long as git can keep it");
    place
        .workspaces
        .release(place.home.run, place.prepare(None, "any").await.unwrap(), Keep::Never, false, false)
        .await;
    std::fs::remove_dir_all(place.home.path("worktrees")).unwrap();
    std::fs::create_dir(place.home.path("empty")).unwrap();
    std::fs::create_dir(repo.join("inner")).unwrap();
    for (repository, part) in [
        (place.home.path("none"), "does not exist"),
        (place.home.path("work"), "is not a git repository"),
        (repo.join("readme"), "is no folder"),
        (repo.join("inner"), "is a folder inside the repository"),
    ] {
        let failure =
            place.workspaces.prepare(place.home.run, wanted(&repository, None, "b")).await.unwrap_err();
        assert!(failure.message.contains(part) && failure.hint.is_some(), "{failure:?}");
    }
    let empty = place.home.path("empty");
    git(&empty, &["init", "--quiet"]);
    let failure = place.workspaces.prepare(place.home.run, wanted(&empty, None, "b")).await.unwrap_err();
    assert!(failure.message.contains("has no commit yet"), "{}", failure.message);
    git(&repo, &["checkout", "--quiet", "--detach"]);
    let failure = place.prepare(None, "b").await.unwrap_err();
    assert!(failure.message.contains("no branch is checked out"), "{}", failure.message);
    assert!(!place.home.path("worktrees").exists(), "a refused workspace leaves nothing behind");
}

#[tokio::test]
async fn the_default_is_what_origin_calls_its_default() {
    let place = Place::new();
    git(&place.home.path("work"), &["clone", "--quiet", "../repo", "clone"]);
    let clone = place.home.work("clone");
    git(&clone, &["checkout", "--quiet", "-b", "topic"]);
    let workspace = place.workspaces.prepare(place.home.run, wanted(&clone, None, "b")).await.unwrap();
    assert_eq!(workspace.base.as_deref(), Some("main"));
}

#[tokio::test]
async fn release_and_sweep_keep_what_is_to_be_kept() {
    let place = Place::new();
    let repo = place.home.path("repo");
    let worktrees = || git(&repo, &["worktree", "list"]).lines().count() - 1;
    for (keep, succeeded, stays) in [
        (Keep::Never, false, false),
        (Keep::Failed, true, false),
        (Keep::Failed, false, true),
        (Keep::Always, true, true),
    ] {
        let workspace = place.prepare(None, "b").await.unwrap();
        let released =
            place.workspaces.release(place.home.run, workspace.clone(), keep, false, succeeded).await;
        assert_eq!(released, if stays { Released::Kept } else { Released::Removed });
        assert_eq!(Path::new(&workspace.path).exists(), stays, "{keep:?} {succeeded}");
        place.workspaces.sweep([(place.home.run, ENDED)].into()).await;
        assert_eq!(worktrees(), usize::from(stays), "{keep:?} {succeeded}");
        place.workspaces.release(place.home.run, workspace.clone(), Keep::Never, false, true).await;
        place.workspaces.release(place.home.run, workspace, Keep::Never, false, true).await;
        assert_eq!(git(&repo, &["branch", "--list", "b"]), "");
    }
}

#[tokio::test]
async fn orphans_are_swept_and_their_branches_stay() {
    let place = Place::new();
    let workspace = place.prepare(None, "b").await.unwrap();
    let other: RunId = "0198c1f0-0000-7000-8000-00000000beef".parse().unwrap();
    let request = wanted(&place.home.path("repo"), None, "c");
    let orphan = place.workspaces.prepare(other, request).await.unwrap();
    let stray = place.home.path("worktrees/0198c1f0-0000-7000-8000-00000000cafe");
    std::fs::create_dir(&stray).unwrap();
    let left = place.workspaces.left().await;
    assert_eq!(left.len(), 3, "{left:?}");
    let stranger: RunId = "0198c1f0-0000-7000-8000-00000000cafe".parse().unwrap();
    place.workspaces.sweep([(other, Fate::Unknown), (stranger, Fate::Unknown)].into()).await;
    assert!(Path::new(&workspace.path).exists() && !Path::new(&orphan.path).exists() && !stray.exists());
    assert_eq!(
        git(&place.home.path("repo"), &["branch", "--list", "--format=%(refname:short)"]),
        "b\nc\nmain"
    );
}

#[tokio::test]
async fn many_runs_at_once_each_get_their_own() {
    let place = Place::new();
    let runs = (0..12u32).map(|n| {
        let run: RunId = format!("0198c1f0-0000-7000-8000-{n:012}").parse().unwrap();
        place.workspaces.prepare(run, wanted(&place.home.path("repo"), None, &format!("r/{n}")))
    });
    let made = futures::future::join_all(runs).await;
    let paths: HashSet<String> = made.into_iter().map(|workspace| workspace.unwrap().path).collect();
    assert_eq!(paths.len(), 12);
}

#[tokio::test]
async fn a_folder_is_taken_as_it_is_and_never_removed() {
    let place = Place::new();
    let folder = place.home.path("work");
    let workspace =
        place.workspaces.prepare(place.home.run, WorkspaceRequest::Dir(folder.clone())).await.unwrap();
    assert_eq!((workspace.path.as_str(), workspace.commit.as_deref()), (folder.to_str().unwrap(), None));
    place.workspaces.release(place.home.run, workspace, Keep::Never, false, true).await;
    assert!(folder.is_dir());
    let missing = WorkspaceRequest::Dir(place.home.path("none"));
    assert!(place.workspaces.prepare(place.home.run, missing).await.is_err());
}

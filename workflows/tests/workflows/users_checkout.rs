//! People's work in the repository in which the data folder lies: a run never touches it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::checkout::{Around, code, run_id, wanted};
use crate::fixtures::home::{Home, failure, git, output, repository};
use everfold_base::data_folder::Layout;
use everfold_base::failure::FailureKind;
use everfold_language::definition::{Keep, Save};
use everfold_ports::{AttemptResult, Fate, Workdir, Workspaces as _};
use everfold_workflows::git::GitWorkspaces;
use serde_json::json;

/// `rm -f .git` was enough: git found the checkout around the data folder, and its edits were committed to `main`.
#[tokio::test]
async fn row_60_a_worktree_that_lost_its_git_file_fails_the_attempt_and_the_checkout_stays() {
    for script in [
        "echo work > mine; rm -f .git",
        "rm -f .git; ln -s ../../../.git .git",
        "rm -f .git; cp -r ../../../.git .git",
        "rm -f .git; echo 'gitdir: ../../../.git' > .git",
        "rm -f .git; git init --quiet",
        "here=$PWD; cd ..; rm -rf $here; ln -s ../.. $here",
        // Git in the process itself finds nothing, either.
        "rm -f .git; git add --all || git commit --quiet --all -m mine || git reset --quiet --hard || true",
    ] {
        for save in [Save::Commit, Save::None] {
            let around = Around::new().await;
            let before = around.checkout();
            let end = around.run(around.request(script, save)).await;
            assert_eq!(around.checkout(), before, "{script} {save:?}");
            assert_eq!(code(&end), "WORKTREE_GONE", "{script} {save:?}: {end:?}");
            // The work ran: `retry: {only: [spawn]}` is not to do it again.
            assert_eq!(failure(&end).kind, FailureKind::Error, "{script} {save:?}: {end:?}");
            let hint = failure(&end).hint.as_ref().unwrap();
            assert!(hint.contains("the work ran to its end") && hint.contains("worktree repair"), "{hint}");
        }
    }
}

/// `clean: true` did `reset --hard` and `clean` on the checkout.
#[tokio::test]
async fn row_60_a_clean_retry_without_its_worktree_begins_nothing_and_the_checkout_stays() {
    for is_gone_whole in [false, true] {
        let around = Around::new().await;
        let before = around.checkout();
        match is_gone_whole {
            true => std::fs::remove_dir_all(around.worktree()).unwrap(),
            false => std::fs::remove_file(around.worktree().join(".git")).unwrap(),
        }
        let ran = around.home.path("ran");
        let mut request = around.request(&format!("touch {}", ran.display()), Save::Commit);
        request.reset_to = around.workspace.commit.clone();
        let end = around.run(request).await;
        assert_eq!(around.checkout(), before);
        assert_eq!(code(&end), "WORKTREE_GONE", "{end:?}");
        assert_eq!(failure(&end).kind, FailureKind::Spawn, "{end:?}");
        assert!(matches!(end.result, AttemptResult::Failed(_)) && !ran.exists(), "{end:?}");
    }
}

#[tokio::test]
async fn row_60_functions_and_what_removes_worktrees_leave_the_checkout_alone() {
    let around = Around::new().await;
    let before = around.checkout();
    std::fs::remove_file(around.worktree().join(".git")).unwrap();
    for (name, with) in [
        ("git.commit", json!({"message": "m"})),
        ("git.branch", json!({"name": "topic"})),
        ("git.push", json!({})),
        ("git.ready", json!({})),
    ] {
        let end = around.call(name, with).await;
        assert_eq!(code(&end), "WORKTREE_GONE", "{name}: {end:?}");
        assert_eq!(end.commit, None, "{name}");
    }
    let workspaces = GitWorkspaces::new(&around.repo().join(".everfold/worktrees"));
    workspaces.release(around.home.run, around.workspace.clone(), Keep::Never, false, false).await;
    assert!(!around.worktree().exists());
    assert_eq!(around.checkout(), before);
    assert_eq!(git(&around.repo(), &["worktree", "list"]).lines().count(), 1);
    assert_eq!(git(&around.repo(), &["branch", "--list", "everfold/1"]), "");
}

/// Steps without a workspace work in the data folder when no user's folder is known.
#[tokio::test]
async fn row_60_a_scratch_folder_belongs_to_no_repository() {
    let around = Around::new().await;
    let before = around.checkout();
    let path = around.repo().join(".everfold/scratch").join(around.home.run.to_string());
    std::fs::create_dir_all(&path).unwrap();
    let seen = around.home.path("seen");
    let script =
        "git rev-parse --show-toplevel > SEEN || echo none > SEEN; git add --all || git reset --hard || true";
    let mut request = around.request(&script.replace("SEEN", seen.to_str().unwrap()), Save::None);
    request.workdir = Workdir { path: path.clone(), git: None };
    output(&around.run(request).await);
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "none\n");
    assert_eq!(around.checkout(), before);
}

#[tokio::test]
async fn a_worktree_in_order_is_saved_with_the_data_folder_inside_of_the_repository() {
    let around = Around::new().await;
    let before = around.checkout();
    let end = around.run(around.request("echo work > mine", Save::Commit)).await;
    output(&end);
    assert_eq!(end.commit.as_deref(), Some(git(&around.repo(), &["rev-parse", "everfold/1"]).as_str()));
    assert_eq!(git(&around.repo(), &["show", "everfold/1:mine"]), "work");
    assert_eq!(around.checkout(), before);
}

/// `git worktree prune` took the records of worktrees on disks that were away.
#[tokio::test]
async fn row_62_worktrees_of_people_whose_disk_is_away_keep_their_records() {
    let around = Around::new().await;
    let repo = around.repo();
    let (disk, away) = (around.home.path("disk"), around.home.path("away"));
    std::fs::create_dir(&disk).unwrap();
    git(&repo, &["worktree", "add", "--quiet", "-b", "theirs", disk.join("tree").to_str().unwrap()]);
    std::fs::rename(&disk, &away).unwrap();
    let workspaces = GitWorkspaces::new(&repo.join(".everfold/worktrees"));
    let run = run_id(1);
    let workspace = workspaces.prepare(run, wanted(&repo, "everfold/2", Keep::Never)).await.unwrap();
    let commit = workspace.commit.clone().unwrap();
    let copy = repo.join(format!(".everfold/worktrees/{run}.own/{run}-review-r1-a1"));
    workspaces.copy(run, workspace.clone(), commit, copy.clone()).await.unwrap();
    workspaces.discard(run, workspace.clone(), HashSet::from([copy])).await;
    workspaces.release(run, workspace, Keep::Never, false, true).await;
    std::fs::rename(&away, &disk).unwrap();
    assert_eq!(git(&disk.join("tree"), &["symbolic-ref", "--short", "HEAD"]), "theirs");
}

/// Copies of two runs had the same name in git's records, and one run removed the other's.
#[tokio::test]
async fn row_63_copies_of_many_runs_and_two_data_folders_do_not_meet() {
    let home = Home::new();
    let repo = home.path("repo");
    repository(&repo);
    let one = async |folder: &str, number: u32| {
        let workspaces = GitWorkspaces::new(&home.path(folder).join("worktrees"));
        let run = run_id(number);
        let request = wanted(&repo, &format!("r/{number}"), Keep::Never);
        let workspace = workspaces.prepare(run, request).await.unwrap();
        let commit = workspace.commit.clone().unwrap();
        let layout = Layout::new(home.path(folder));
        for round in 0..2 {
            let copies: Vec<PathBuf> = ["review", "audit"]
                .map(|step| {
                    let mut id = home.id(step);
                    id.run = run;
                    layout.copy(&id)
                })
                .into();
            for path in &copies {
                workspaces.copy(run, workspace.clone(), commit.clone(), path.clone()).await.unwrap();
            }
            for path in &copies {
                assert_eq!(git(path, &["rev-parse", "HEAD"]), commit, "{folder} {number} {round}");
            }
            workspaces.discard(run, workspace.clone(), copies.into_iter().collect()).await;
        }
        assert_eq!(git(Path::new(&workspace.path), &["rev-parse", "HEAD"]), commit);
    };
    let all = (0..8).map(|number| one(if number % 2 == 0 { "a" } else { "b" }, number));
    futures::future::join_all(all).await;
    assert_eq!(git(&repo, &["worktree", "list"]).lines().count(), 1 + 8);
    // The same step of two runs at once, in one data folder.
    let workspaces = GitWorkspaces::new(&home.path("a/worktrees"));
    let copy = async |number: u32| {
        let workspace = workspaces.prepare(run_id(number), wanted(&repo, "none", Keep::Never)).await.unwrap();
        let mut id = home.id("review");
        id.run = run_id(number);
        let path = Layout::new(home.path("a")).copy(&id);
        let commit = workspace.commit.clone().unwrap();
        workspaces.copy(run_id(number), workspace.clone(), commit.clone(), path.clone()).await.unwrap();
        (workspace, path, commit)
    };
    let (first, second) = (copy(0).await, copy(2).await);
    workspaces.discard(run_id(0), first.0, HashSet::from([first.1])).await;
    assert_eq!(git(&second.1, &["rev-parse", "HEAD"]), second.2, "the other run's copy stands");
}

/// What was to be kept stood in no record until the worktree was given back.
#[tokio::test]
async fn row_64_a_kill_after_the_end_of_a_run_loses_nothing_that_was_to_be_kept() {
    let ended = |succeeded| Fate::Ended { succeeded, began: true };
    for (keep, fate, has_edits, stays) in [
        (Keep::Always, Some(ended(true)), false, true),
        (Keep::Failed, Some(ended(false)), false, true),
        (Keep::Failed, Some(ended(true)), true, false),
        (Keep::Never, Some(ended(false)), true, false),
        (Keep::Never, Some(Fate::Unknown), false, false),
        (Keep::Never, Some(Fate::Unknown), true, true),
        (Keep::Always, Some(Fate::Unknown), false, true),
        // The store cannot say how it ended.
        (Keep::Never, None, false, true),
    ] {
        let home = Home::new();
        let repo = home.path("repo");
        repository(&repo);
        let root = home.path("worktrees");
        let workspaces = GitWorkspaces::new(&root);
        let workspace = workspaces.prepare(home.run, wanted(&repo, "b", keep)).await.unwrap();
        if has_edits {
            std::fs::write(Path::new(&workspace.path).join("work"), "w").unwrap();
        }
        let next = GitWorkspaces::new(&root);
        assert_eq!(next.left().await, HashSet::from([home.run]));
        next.sweep(fate.map(|fate| (home.run, fate)).into_iter().collect()).await;
        let is_there = Path::new(&workspace.path).exists();
        assert_eq!(is_there, stays, "{keep:?} {fate:?} {has_edits}");
        assert_eq!(git(&repo, &["branch", "--list", "--format=%(refname:short)", "b"]), "b");
        assert_eq!(next.left().await.is_empty(), fate.is_some(), "{keep:?} {fate:?}");
    }
}

#[tokio::test]
async fn row_64_a_worktree_that_an_older_version_made_is_kept_in_doubt_and_another_folders_is_left_alone() {
    let home = Home::new();
    let repo = home.path("repo");
    repository(&repo);
    let root = home.path("worktrees");
    let workspaces = GitWorkspaces::new(&root);
    let workspace = workspaces.prepare(home.run, wanted(&repo, "b", Keep::Never)).await.unwrap();
    // A copy of the data folder names the worktrees of the one that it was copied from.
    let copied = home.path("copy");
    std::fs::create_dir(&copied).unwrap();
    let record = format!("{}.json", home.run);
    std::fs::copy(root.join(&record), copied.join(&record)).unwrap();
    let ended = Fate::Ended { succeeded: true, began: true };
    GitWorkspaces::new(&copied).sweep([(home.run, ended)].into()).await;
    assert!(Path::new(&workspace.path).join(".git").exists());
    let old = std::fs::read_to_string(root.join(&record)).unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&old).unwrap();
    for key in ["keep", "keep_branch"] {
        old.as_object_mut().unwrap().remove(key).unwrap();
    }
    std::fs::write(root.join(&record), old.to_string()).unwrap();
    workspaces.sweep([(home.run, ended)].into()).await;
    assert!(Path::new(&workspace.path).join(".git").exists());
}

/// A worktree that came after the end of its run, and whose engine was killed before it was undone.
#[tokio::test]
async fn row_13_a_worktree_that_no_run_ever_had_goes_with_its_branch() {
    for is_used in [false, true] {
        let home = Home::new();
        let repo = home.path("repo");
        repository(&repo);
        let workspaces = GitWorkspaces::new(&home.path("worktrees"));
        let workspace = workspaces.prepare(home.run, wanted(&repo, "b", Keep::Never)).await.unwrap();
        if is_used {
            git(Path::new(&workspace.path), &["commit", "--quiet", "--allow-empty", "-m", "work"]);
        }
        let never = Fate::Ended { succeeded: false, began: false };
        let removed = workspaces.sweep([(home.run, never)].into()).await;
        assert_eq!(removed, [(home.run, workspace.path.clone())].into());
        assert!(!Path::new(&workspace.path).exists());
        assert_eq!(git(&repo, &["branch", "--list", "b"]).is_empty(), !is_used);
    }
}

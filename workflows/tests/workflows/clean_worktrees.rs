//! Clean retries in worktrees, and copies of worktrees, over real git.

use std::collections::HashSet;
use std::path::Path;

use crate::fixtures::home::{Home, failure, git, observer, output, repository};
use everfold_language::definition::{Keep, Save};
use everfold_ports::{AttemptRequest, Executor as _, Fate, GitWorkdir, WorkspaceRequest, Workspaces as _};
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::git::GitWorkspaces;

fn in_worktree(home: &Home, script: &str, save: Save) -> AttemptRequest {
    let mut request = home.shell(script);
    let base_commit = git(&home.path("work"), &["rev-parse", "HEAD"]);
    request.workdir.git = Some(GitWorkdir {
        save,
        message: None,
        author: None,
        base_commit,
        is_copy: false,
        repository: home.path("work"),
        branch: Some("main".to_owned()),
    });
    request
}

#[tokio::test]
async fn l33_a_clean_retry_finds_the_worktree_as_it_was_and_ignored_caches_still_there() {
    let home = Home::new();
    let work = home.path("work");
    repository(&work);
    std::fs::write(work.join(".gitignore"), "cache/\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "ignore"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    let script = "echo two > readme; mkdir -p cache new; echo c > cache/c; echo n > new/n; exit 1";
    let end = CommandExecutor::new(home.processes())
        .start(in_worktree(&home, script, Save::Commit), observer())
        .await;
    assert_eq!(failure(&end).exit_code, Some(1));
    assert_ne!(end.commit.as_deref(), Some(first.as_str()), "leftovers of a failed attempt are saved, too");
    std::fs::write(work.join("stray"), "x").unwrap();
    let mut request = in_worktree(&home, "cat readme; ls; cat cache/c; git status --porcelain", Save::Commit);
    request.folder = home.path("second");
    request.reset_to = Some(first.clone());
    let end = CommandExecutor::new(home.processes()).start(request.clone(), observer()).await;
    assert_eq!(output(&end)["stdout"], "one\ncache\nreadme\nc\n");
    assert_eq!(end.commit, Some(first.clone()));
    // Once begun it is never reset again.
    std::fs::write(work.join("later"), "x").unwrap();
    CommandExecutor::new(home.processes()).reattach(request, observer()).await;
    assert!(work.join("later").exists());
}

#[tokio::test]
async fn l33_where_commits_were_pushed_a_clean_retry_takes_back_what_they_did_and_not_the_history() {
    let home = Home::new();
    let (work, remote) = (home.path("work"), home.path("remote.git"));
    repository(&work);
    git(&work, &["init", "--quiet", "--bare", remote.to_str().unwrap()]);
    git(&work, &["remote", "add", "origin", remote.to_str().unwrap()]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    let executor = CommandExecutor::new(home.processes());
    let wrong = in_worktree(&home, "echo wrong > readme; echo w > wrong; exit 1", Save::Push);
    executor.start(wrong, observer()).await;
    let mut request = in_worktree(&home, "test ! -e wrong; echo right > right", Save::Push);
    (request.folder, request.reset_to) = (home.path("second"), Some(first));
    let end = executor.start(request, observer()).await;
    assert_eq!(output(&end)["exit_code"], 0);
    assert_eq!(git(&remote, &["rev-list", "--count", "main"]), "3", "nothing that was pushed is rewritten");
    assert_eq!(git(&remote, &["ls-tree", "--name-only", "main"]), "readme\nright");
    assert_eq!(git(&remote, &["show", "main:readme"]), "one");
}

#[tokio::test]
async fn l33_copies_are_made_once_found_again_discarded_and_swept() {
    let home = Home::new();
    repository(&home.path("repo"));
    let workspaces = GitWorkspaces::new(&home.path("worktrees"));
    let request = WorkspaceRequest::Git {
        repository: home.path("repo"),
        base: None,
        from: None,
        branch: "everfold/1".to_owned(),
        keep: Keep::Never,
        keep_branch: true,
    };
    let workspace = workspaces.prepare(home.run, request).await.unwrap();
    let commit = workspace.commit.clone().unwrap();
    let copies = home.path("worktrees").join(format!("{}.own", home.run));
    let (one, two) = (copies.join("review-r1-a1"), copies.join("review-r1-a2"));
    for path in [&one, &two, &one] {
        workspaces.copy(home.run, workspace.clone(), commit.clone(), path.clone()).await.unwrap();
        std::fs::write(path.join("mine"), "x").unwrap();
    }
    assert_eq!(git(&one, &["rev-parse", "HEAD"]), commit);
    assert!(one.join("mine").exists(), "one that is there is not made again");
    assert!(!Path::new(&workspace.path).join("mine").exists());
    // A crash in the middle of making one leaves no mark: it is made anew.
    std::fs::remove_file(copies.join("review-r1-a2.made")).unwrap();
    workspaces.copy(home.run, workspace.clone(), commit.clone(), two.clone()).await.unwrap();
    assert!(!two.join("mine").exists());
    workspaces.discard(home.run, workspace.clone(), HashSet::from([one.clone()])).await;
    assert!(!one.exists() && two.exists());
    GitWorkspaces::new(&home.path("worktrees")).sweep([].into()).await;
    assert!(two.exists(), "the run has not ended");
    workspaces.release(home.run, workspace, Keep::Always, true, true).await;
    assert!(!copies.exists());
    assert_eq!(git(&home.path("repo"), &["worktree", "list"]).lines().count(), 2);
    let path = copies.join("left-r1-a1");
    let kept = Path::new(&home.path("worktrees")).join(home.run.to_string());
    let workspace = everfold_ports::Workspace {
        path: kept.display().to_string(),
        repository: Some(home.path("repo").display().to_string()),
        branch: None,
        base: None,
        commit: Some(commit.clone()),
    };
    workspaces.copy(home.run, workspace, commit, path.clone()).await.unwrap();
    let ended = Fate::Ended { succeeded: true, began: true };
    GitWorkspaces::new(&home.path("worktrees")).sweep([(home.run, ended)].into()).await;
    assert!(!path.exists() && !copies.exists(), "what a crash left goes with the next start");
    assert_eq!(git(&home.path("repo"), &["worktree", "list"]).lines().count(), 2, "and git forgets it");
}

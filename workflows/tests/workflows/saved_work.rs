//! What is saved of a worktree, and what a clean retry finds: commits, branches, conflicts, hooks.

use std::path::Path;

use super::checkout::{Around, code, run_id, wanted};
use crate::fixtures::home::{Home, failure, git, observer, output, repository};
use crate::fixtures::program::write_program;
use everfold_language::definition::{Keep, Save};
use everfold_ports::{Executor as _, GitWorkdir, Workdir, WorkspaceRequest, Workspaces as _};
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::git::GitWorkspaces;
use serde_json::json;

#[tokio::test]
async fn row_66_commits_beside_the_branch_take_it_along_or_are_kept_and_said() {
    let detach = "git checkout --quiet --detach; echo 1 > a; git add a; git commit --quiet -m mine";
    let around = Around::new().await;
    let end = around.run(around.request(&format!("{detach}; echo 2 > b"), Save::Commit)).await;
    output(&end);
    let worktree = around.worktree();
    assert_eq!(git(&worktree, &["symbolic-ref", "--short", "HEAD"]), "everfold/1");
    assert_eq!(end.commit.as_deref(), Some(git(&around.repo(), &["rev-parse", "everfold/1"]).as_str()));
    assert_eq!(git(&worktree, &["log", "-2", "--format=%s"]), "build: round 1, attempt 1\nmine");

    let elsewhere = "git update-ref refs/heads/everfold/1 $(git commit-tree -m other HEAD^{tree})";
    let rebase = "for n in 1 2; do echo $n > a; git add a; git commit --quiet -m $n; done; \
                  GIT_SEQUENCE_EDITOR='sed -i s/^pick/edit/' git rebase --quiet -i HEAD~2; echo 3 > b";
    for (script, expected) in
        [(format!("{detach}; {elsewhere}"), "DETACHED_HEAD"), (rebase.to_owned(), "REBASE_UNFINISHED")]
    {
        let around = Around::new().await;
        let end = around.run(around.request(&script, Save::Commit)).await;
        assert_eq!(code(&end), expected, "{end:?}");
        let head = git(&around.worktree(), &["rev-parse", "HEAD"]);
        let kept =
            git(&around.repo(), &["for-each-ref", "--format=%(objectname) %(refname)", "refs/everfold"]);
        assert!(kept.starts_with(&head), "{kept}");
        assert!(failure(&end).message.contains(kept.split(' ').nth(1).unwrap()), "{end:?}");
    }
}

/// Merges and gates go on from the run's branch: what an agent commits to a branch of its own would be delivered nowhere.
#[tokio::test]
async fn work_on_a_branch_of_its_own_takes_the_runs_branch_along_or_is_kept_and_said() {
    let topic = "git switch --quiet --create topic; echo 1 > a; git add a; git commit --quiet -m mine";
    let around = Around::new().await;
    let end = around.run(around.request(&format!("{topic}; echo 2 > b"), Save::Commit)).await;
    output(&end);
    let worktree = around.worktree();
    assert_eq!(git(&worktree, &["symbolic-ref", "--short", "HEAD"]), "everfold/1");
    assert_eq!(end.commit.as_deref(), Some(git(&around.repo(), &["rev-parse", "everfold/1"]).as_str()));
    assert_eq!(git(&worktree, &["log", "-2", "--format=%s"]), "build: round 1, attempt 1\nmine");

    let elsewhere = "git update-ref refs/heads/everfold/1 $(git commit-tree -m other HEAD^{tree})";
    for (script, said) in [
        (format!("{topic}; {elsewhere}"), "the branch topic, and everfold/1 went another way"),
        ("git branch --move topic".to_owned(), "the branch topic, and everfold/1 is not there any more"),
    ] {
        let around = Around::new().await;
        let end = around.run(around.request(&script, Save::Commit)).await;
        assert_eq!(code(&end), "OTHER_BRANCH", "{end:?}");
        let message = &failure(&end).message;
        assert!(message.contains(said), "{message}");
        let kept = git(&around.repo(), &["for-each-ref", "--format=%(objectname)", "refs/everfold"]);
        assert_eq!(kept, git(&around.worktree(), &["rev-parse", "HEAD"]));
    }
}

/// With `save: none` the engine does not look at where the head stands: what no branch holds is kept when the worktree goes.
#[tokio::test]
async fn row_66_commits_that_no_branch_holds_outlive_the_worktree() {
    let around = Around::new().await;
    let worktree = around.worktree();
    git(&worktree, &["checkout", "--quiet", "--detach"]);
    git(&worktree, &["commit", "--quiet", "--allow-empty", "-m", "stray"]);
    let stray = git(&worktree, &["rev-parse", "HEAD"]);
    let workspaces = GitWorkspaces::new(&around.repo().join(".everfold/worktrees"));
    workspaces.release(around.home.run, around.workspace.clone(), Keep::Never, true, true).await;
    assert!(!worktree.exists());
    assert_eq!(git(&around.repo(), &["for-each-ref", "--format=%(objectname)", "refs/everfold"]), stray);
}

#[tokio::test]
async fn row_67_a_clean_retry_goes_back_to_the_runs_own_branch_and_leaves_others() {
    let around = Around::new().await;
    let worktree = around.worktree();
    git(&worktree, &["switch", "--quiet", "-c", "topic"]);
    std::fs::write(worktree.join("t"), "t").unwrap();
    git(&worktree, &["add", "t"]);
    git(&worktree, &["commit", "--quiet", "-m", "topic"]);
    let topic = git(&worktree, &["rev-parse", "topic"]);
    std::fs::write(worktree.join("left"), "l").unwrap();
    let mut request = around.request("test ! -e t; test ! -e left", Save::None);
    request.reset_to = around.workspace.commit.clone();
    let end = around.run(request).await;
    output(&end);
    assert_eq!(git(&worktree, &["symbolic-ref", "--short", "HEAD"]), "everfold/1");
    assert_eq!(git(&worktree, &["rev-parse", "HEAD", "topic"]), format!("{}\n{topic}", end.commit.unwrap()));
    assert_eq!(git(&worktree, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn row_67_a_clean_retry_out_of_the_middle_of_a_rebase_stands_on_the_branch() {
    let around = Around::new().await;
    let script = "for n in 1 2; do echo $n > a; git add a; git commit --quiet -m $n; done; \
                  GIT_SEQUENCE_EDITOR='sed -i s/^pick/edit/' git rebase --quiet -i HEAD~2; exit 1";
    let end = around.run(around.request(script, Save::Commit)).await;
    failure(&end);
    let mut again = around.request("git status", Save::Commit);
    again.folder.set_file_name("build-r1-a2");
    again.reset_to = around.workspace.commit.clone();
    let end = around.run(again).await;
    output(&end);
    assert_eq!(end.commit, around.workspace.commit);
    assert_eq!(git(&around.worktree(), &["symbolic-ref", "--short", "HEAD"]), "everfold/1");
}

#[tokio::test]
async fn row_68_unresolved_conflicts_are_no_success() {
    let around = Around::new().await;
    let script = "git switch --quiet -c other; echo theirs > readme; git commit --quiet --all -m theirs; \
                  git switch --quiet everfold/1; echo ours > readme; git commit --quiet --all -m ours; \
                  git merge --quiet other || true";
    let end = around.run(around.request(script, Save::Commit)).await;
    assert_eq!(code(&end), "UNMERGED", "{end:?}");
    assert!(failure(&end).message.contains("readme"));
    assert_eq!(git(&around.worktree(), &["log", "-1", "--format=%s"]), "ours");
    let end = around.call("git.commit", json!({"message": "m"})).await;
    assert_eq!(code(&end), "UNMERGED", "{end:?}");
}

#[tokio::test]
async fn row_69_more_branches_and_files_than_a_list_holds_are_no_obstacle() {
    let home = Home::new();
    let repo = home.path("repo");
    repository(&repo);
    let head = git(&repo, &["rev-parse", "HEAD"]);
    // 85,000 branches, written down as git packs them.
    let lines =
        (0..85_000).map(|n| format!("{head} refs/heads/team/some-quite-ordinary-name-of-a-branch-{n:08}\n"));
    let packed: String =
        std::iter::once("# pack-refs with: peeled fully-peeled sorted \n".to_owned()).chain(lines).collect();
    std::fs::write(repo.join(".git/packed-refs"), packed).unwrap();
    let workspaces = GitWorkspaces::new(&home.path("worktrees"));
    let workspace = workspaces.prepare(home.run, wanted(&repo, "everfold/1", Keep::Never)).await.unwrap();
    let clash = wanted(&repo, "team", Keep::Never);
    let refused = workspaces.prepare(run_id(3), clash).await.unwrap_err();
    assert!(refused.message.contains("beside the branch team/some"), "{}", refused.message);
    assert_eq!(refused.code.as_deref(), Some("WORKSPACE"), "a step knows it from a failure of its work");
    let wrong = WorkspaceRequest::Git {
        repository: repo.clone(),
        base: Some("nowhere".to_owned()),
        from: None,
        branch: "x".to_owned(),
        keep: Keep::Never,
        keep_branch: true,
    };
    assert!(workspaces.prepare(run_id(4), wrong).await.unwrap_err().message.contains("no branch nowhere"));
    // Names of more than 8 MiB.
    let script = "d=$(printf 'd%.0s' $(seq 200)); p=.; for n in 1 2 3 4 5 6 7 8 9 10 11 12; do p=$p/$d; done; \
                  mkdir -p $p; cd $p; for n in $(seq 4000); do echo $n > $n; done";
    let mut request = home.shell(script);
    let git_workdir = GitWorkdir {
        save: Save::Commit,
        message: None,
        author: None,
        base_commit: head,
        is_copy: false,
        repository: repo.clone(),
        branch: workspace.branch.clone(),
    };
    request.workdir = Workdir { path: workspace.path.clone().into(), git: Some(git_workdir) };
    // So many files take their time on a slow machine.
    request.timeout = None;
    let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
    output(&end);
    assert_eq!(git(Path::new(&workspace.path), &["log", "-1", "--format=%s"]), "build: round 1, attempt 1");
}

#[tokio::test]
async fn row_69_what_stands_in_another_repository_is_said_and_not_lost() {
    let around = Around::new().await;
    let identity = "git config user.name A; git config user.email a@b";
    let nested =
        format!("git init --quiet lib; cd lib; {identity}; echo 1 > a; git add a; git commit --quiet -m a");
    let end = around.run(around.request(&nested, Save::Commit)).await;
    assert_eq!(code(&end), "NESTED_REPOSITORY", "{end:?}");
    assert!(around.worktree().join("lib/a").exists());
    assert_eq!(git(&around.worktree(), &["log", "-1", "--format=%s"]), "ignore");
    let around = Around::new().await;
    let end = around.run(around.request("git init --quiet lib; echo 1 > lib/a", Save::Commit)).await;
    assert_eq!(code(&end), "NESTED_REPOSITORY", "one without a commit: {end:?}");

    let around = Around::new().await;
    let library = around.home.path("library");
    repository(&library);
    let add = format!(
        "git -c protocol.file.allow=always submodule --quiet add {} lib; git commit --quiet -m lib",
        library.display()
    );
    let end = around.run(around.request(&add, Save::Commit)).await;
    output(&end);
    let mut request = around.request(
        &format!("cd lib; {identity}; echo 2 > a; git add a; git commit --quiet -m b"),
        Save::Commit,
    );
    request.folder.set_file_name("build-r1-a2");
    let end = around.run(request).await;
    assert_eq!(code(&end), "SUBMODULE_UNPUSHED", "{end:?}");
    let mut request =
        around.request("cd lib; git push --quiet origin HEAD:refs/heads/b; git fetch --quiet", Save::Commit);
    request.folder.set_file_name("build-r1-a3");
    output(&around.run(request).await);
    assert_eq!(git(&around.worktree(), &["status", "--porcelain"]), "");
}

/// A worktree of git has the folders of its submodules, and nothing in them: a first step fills them.
#[tokio::test]
async fn submodules_are_filled_by_a_step_and_go_with_the_worktree() {
    let home = Home::new();
    let (repo, library) = (home.path("repo"), home.path("library"));
    repository(&repo);
    repository(&library);
    let local = "protocol.file.allow=always";
    git(&repo, &["-c", local, "submodule", "--quiet", "add", library.to_str().unwrap(), "lib"]);
    git(&repo, &["commit", "--quiet", "-m", "lib"]);
    let workspaces = GitWorkspaces::new(&home.path("worktrees"));
    let workspace = workspaces.prepare(home.run, wanted(&repo, "everfold/1", Keep::Never)).await.unwrap();
    let worktree = Path::new(&workspace.path).to_owned();
    assert!(!worktree.join("lib/readme").exists());
    let script = format!("git -c {local} submodule --quiet update --init; cat lib/readme; echo mine > mine");
    let mut request = home.shell(&script);
    let git_workdir = GitWorkdir {
        save: Save::Commit,
        message: None,
        author: None,
        base_commit: workspace.commit.clone().unwrap(),
        is_copy: false,
        repository: repo.clone(),
        branch: workspace.branch.clone(),
    };
    request.workdir = Workdir { path: worktree.clone(), git: Some(git_workdir) };
    let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
    assert_eq!(output(&end)["stdout"], "one\n");
    assert_eq!(git(&worktree, &["status", "--porcelain"]), "");
    assert_eq!(
        git(&worktree, &["show", "--stat", "--format=", "HEAD"]).lines().count(),
        2,
        "only its own file"
    );
    workspaces.release(home.run, workspace, Keep::Never, true, true).await;
    assert!(!worktree.exists());
    assert_eq!(git(&repo, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn row_69_no_hook_has_a_say_in_what_is_saved() {
    let around = Around::new().await;
    for hook in ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction"] {
        let path = around.repo().join(".git/hooks").join(hook);
        let ran = around.home.path("hooks-ran");
        write_program(&path, &format!("#!/bin/sh\necho {hook} >> {}\n", ran.display()));
    }
    output(&around.run(around.request("echo work > mine", Save::Commit)).await);
    assert_eq!(git(&around.repo(), &["show", "everfold/1:mine"]), "work");
    let ran = std::fs::read_to_string(around.home.path("hooks-ran")).unwrap_or_default();
    assert_eq!(ran, "");
}

#[tokio::test]
async fn row_69_a_tag_named_like_the_base_is_not_what_a_run_starts_from() {
    let home = Home::new();
    let repo = home.path("repo");
    repository(&repo);
    git(&repo, &["tag", "main"]);
    git(&repo, &["commit", "--quiet", "--allow-empty", "-m", "second"]);
    let head = git(&repo, &["rev-parse", "HEAD"]);
    let workspaces = GitWorkspaces::new(&home.path("worktrees"));
    let named = WorkspaceRequest::Git {
        repository: repo.clone(),
        base: Some("main".to_owned()),
        from: None,
        branch: "b".to_owned(),
        keep: Keep::Never,
        keep_branch: true,
    };
    let workspace = workspaces.prepare(home.run, named).await.unwrap();
    assert_eq!(workspace.commit.as_deref(), Some(head.as_str()));
    let workspace = workspaces.prepare(run_id(2), wanted(&repo, "c", Keep::Never)).await.unwrap();
    assert_eq!((workspace.base.as_deref(), workspace.commit.as_deref()), (Some("main"), Some(head.as_str())));
}

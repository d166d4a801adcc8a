//! People's work in the repository in which the data folder lies: a run never touches it.

use everfold_base::data_folder::Layout;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fixtures::home::{Home, failure, git, nobody, output, repository};
use everfold_base::id::RunId;
use everfold_language::definition::{Keep, Save};
use everfold_ports::{
    AttemptEnd, AttemptRequest, AttemptResult, Executor, Fate, GitWorkdir, Workdir, Workspace,
    WorkspaceRequest, Workspaces as _,
};
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::function::Functions;
use everfold_workflows::git::GitWorkspaces;
use serde_json::json;

/// A checkout with edits, a staged file and a commit that is newer than the run, around a data folder.
struct Around {
    home: Home,
    workspace: Workspace,
}

impl Around {
    async fn new() -> Self {
        let home = Home::new();
        let repo = home.path("repo");
        repository(&repo);
        std::fs::write(repo.join(".gitignore"), ".everfold/\n").unwrap();
        git(&repo, &["add", "."]);
        git(&repo, &["commit", "--quiet", "-m", "ignore"]);
        let workspaces = GitWorkspaces::new(&home.path("repo/.everfold/worktrees"));
        let workspace = workspaces.prepare(home.run, wanted(&repo, "everfold/1", Keep::Never)).await.unwrap();
        std::fs::write(repo.join("newer"), "committed after the run began\n").unwrap();
        git(&repo, &["add", "newer"]);
        git(&repo, &["commit", "--quiet", "-m", "newer"]);
        std::fs::write(repo.join("staged"), "staged\n").unwrap();
        git(&repo, &["add", "staged"]);
        std::fs::write(repo.join("readme"), "an edit of mine\n").unwrap();
        Self { home, workspace }
    }

    fn repo(&self) -> PathBuf {
        self.home.path("repo")
    }

    fn worktree(&self) -> PathBuf {
        PathBuf::from(&self.workspace.path)
    }

    fn workdir(&self, save: Save) -> Workdir {
        let git = GitWorkdir {
            save,
            message: None,
            author: None,
            base_commit: self.workspace.commit.clone().unwrap(),
            is_copy: false,
            repository: self.repo(),
            branch: self.workspace.branch.clone(),
        };
        Workdir { path: self.worktree(), git: Some(git) }
    }

    fn request(&self, script: &str, save: Save) -> AttemptRequest {
        let folder =
            self.repo().join(".everfold/attempts").join(self.home.run.to_string()).join("build-r1-a1");
        AttemptRequest { workdir: self.workdir(save), folder, ..self.home.shell(script) }
    }

    async fn run(&self, request: AttemptRequest) -> AttemptEnd {
        CommandExecutor::new(self.home.processes()).start(request, nobody()).await
    }

    async fn call(&self, name: &str, with: serde_json::Value) -> AttemptEnd {
        let layout = Layout::new(self.repo().join(".everfold"));
        let edge = everfold_workflows::edge(&layout, &self.home.processes(), Functions::built_in(), None);
        let executor: Arc<dyn Executor> = edge.executors["function"].clone();
        let request = self.home.request(json!({"name": name, "with": with}));
        executor.start(AttemptRequest { workdir: self.workdir(Save::None), ..request }, nobody()).await
    }

    /// All that a person would miss.
    fn checkout(&self) -> (String, String, String, String) {
        let repo = self.repo();
        (
            git(&repo, &["rev-parse", "HEAD", "main"]),
            git(&repo, &["symbolic-ref", "HEAD"]),
            git(&repo, &["status", "--porcelain"]),
            std::fs::read_to_string(repo.join("readme")).unwrap(),
        )
    }
}

fn wanted(repository: &Path, branch: &str, keep: Keep) -> WorkspaceRequest {
    WorkspaceRequest::Git {
        repository: repository.to_owned(),
        base: None,
        from: None,
        branch: branch.to_owned(),
        keep,
        keep_branch: true,
    }
}

fn run_id(number: u32) -> RunId {
    format!("0198c1f0-0000-7000-8000-{number:012}").parse().unwrap()
}

fn code(end: &AttemptEnd) -> &str {
    failure(end).code.as_deref().unwrap_or_default()
}

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
            assert!(failure(&end).hint.as_ref().unwrap().contains("worktree repair"));
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
        if !is_gone_whole {
            assert_eq!(code(&end), "WORKTREE_GONE", "{end:?}");
        }
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

/// Steps without a workspace work in the data folder when nobody's folder is known.
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

/// With `save: none` nobody looks at where the head stands: what no branch holds is kept when the worktree goes.
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
async fn row_68_conflicts_that_nobody_resolved_are_no_success() {
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
    let end = CommandExecutor::new(home.processes()).start(request, nobody()).await;
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

#[tokio::test]
async fn row_69_no_hook_has_a_say_in_what_is_saved() {
    let around = Around::new().await;
    for hook in ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction"] {
        let path = around.repo().join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let ran = around.home.path("hooks-ran");
        std::fs::write(&path, format!("#!/bin/sh\necho {hook} >> {}\n", ran.display())).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
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

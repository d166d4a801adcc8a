//! Others push to a run's branch while it is worked on: what they did counts, what was done here counts, and nothing is lost.

use std::path::{Path, PathBuf};

use super::checkout::{Around, code};
use crate::fixtures::home::{failure, git, output, probe_request};
use everfold_base::data_folder::Layout;
use everfold_base::time::Timestamp;
use everfold_language::definition::Save;
use everfold_ports::{AttemptEnd, Fresh, ProbeRequest};
use everfold_workflows::function::Functions;
use serde_json::{Value, json};

const BRANCH: &str = "everfold/1";

/// A checkout with a bare `origin`, and the clone of another person.
struct SharedBranch {
    around: Around,
    theirs: PathBuf,
}

impl SharedBranch {
    async fn new() -> Self {
        let around = Around::new().await;
        let (origin, theirs) = (around.home.path("origin.git"), around.home.path("theirs"));
        let (origin, folder) = (origin.to_str().unwrap(), around.home.path("."));
        git(&folder, &["init", "--quiet", "--bare", origin]);
        git(&around.repo(), &["remote", "add", "origin", origin]);
        let shared = Self { around, theirs };
        output(&shared.work("echo one > one", 1).await);
        git(&folder, &["clone", "--quiet", "--branch", BRANCH, origin, shared.theirs.to_str().unwrap()]);
        git(&shared.theirs, &["config", "user.name", "Person"]);
        git(&shared.theirs, &["config", "user.email", "person@example.org"]);
        shared
    }

    async fn work(&self, script: &str, number: u32) -> AttemptEnd {
        let mut request = self.around.request(script, Save::Push);
        request.folder.set_file_name(format!("build-r1-a{number}"));
        self.around.run(request).await
    }

    /// Another person commits a file and pushes it.
    fn push(&self, file: &str, text: &str) {
        git(&self.theirs, &["pull", "--quiet", "--no-rebase"]);
        std::fs::write(self.theirs.join(file), text).unwrap();
        git(&self.theirs, &["add", "."]);
        git(&self.theirs, &["commit", "--quiet", "-m", &format!("a person writes {file}")]);
        git(&self.theirs, &["push", "--quiet", "origin", BRANCH]);
    }

    fn at_origin(&self, asked: &[&str]) -> String {
        git(&self.around.home.path("origin.git"), asked)
    }

    fn worktree(&self) -> PathBuf {
        self.around.worktree()
    }

    /// What a gate sees, judged for the first time or once more.
    async fn probed(&self, kind: &str, spec: Value, probe_no: u32) -> Value {
        let layout = Layout::new(self.around.repo().join(".everfold"));
        let edge =
            everfold_workflows::edge(&layout, &self.around.home.processes(), Functions::built_in(), None);
        let workdir = self.around.workdir(Save::Push);
        let request = ProbeRequest { probe_no, workdir, ..probe_request(&self.around.home, spec) };
        edge.probers[kind].probe(request).await.unwrap()
    }
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap_or_default()
}

#[tokio::test]
async fn work_begins_with_what_others_pushed_to_the_branch() {
    let shared = SharedBranch::new().await;
    let began = git(&shared.worktree(), &["rev-parse", "HEAD"]);
    shared.push("brd.md", "corrected");
    let end = shared.work("cat brd.md > copy", 2).await;
    output(&end);
    assert_eq!(read(&shared.worktree(), "copy"), "corrected");
    assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), end.commit.unwrap());
    // What is judged is the work of the round, not that of others.
    let spec = |since: &str| json!({"since": since, "base": began, "allow": ["copy"]});
    let own = shared.probed("diff", spec("round"), 1).await;
    assert_eq!(own["names"], json!(["copy"]), "{own}");
    let all = shared.probed("diff", spec("test"), 1).await;
    assert_eq!(all["names"], json!(["brd.md", "copy"]), "{all}");
}

#[tokio::test]
async fn what_others_push_while_work_is_done_is_merged_when_that_is_saved() {
    let shared = SharedBranch::new().await;
    let began = git(&shared.worktree(), &["rev-parse", "HEAD"]);
    let push = "cd ../../../../theirs && echo theirs > human && git add human && git commit --quiet -m human && git push --quiet";
    let end = shared.work(&format!("echo mine > mine; ({push})"), 2).await;
    output(&end);
    assert_eq!(
        (read(&shared.worktree(), "human"), read(&shared.worktree(), "mine")),
        ("theirs\n".into(), "mine\n".into())
    );
    assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), end.commit.unwrap());
    assert_eq!(shared.at_origin(&["show", &format!("{BRANCH}:human")]), "theirs");
    let own = shared.probed("diff", json!({"since": "round", "base": began}), 1).await;
    assert_eq!(own["names"], json!(["mine"]), "{own}");
}

#[tokio::test]
async fn work_that_conflicts_with_what_others_pushed_is_kept_and_the_failure_says_what_to_do() {
    let shared = SharedBranch::new().await;
    let push = "cd ../../../../theirs && echo theirs > one && git commit --quiet --all -m theirs && git push --quiet";
    let end = shared.work(&format!("echo mine > one; ({push})"), 2).await;
    assert_eq!(code(&end), "BRANCH_MOVED", "{end:?}");
    let told = failure(&end);
    assert!(
        told.message.contains("everfold/1 was pushed to by others meanwhile, and one has conflicts"),
        "{told:?}"
    );
    assert!(told.hint().contains("git merge origin/everfold/1"), "{told:?}");
    assert_eq!(read(&shared.worktree(), "one"), "mine\n", "the work is there");
    assert_eq!(
        git(&shared.worktree(), &["status", "--porcelain"]),
        "",
        "and committed, without a merge in its middle"
    );
    assert_eq!(shared.at_origin(&["show", &format!("{BRANCH}:one")]), "theirs");
}

/// A force push took commits out of the branch, and the next save merged and pushed them back without a word.
#[tokio::test]
async fn what_others_removed_from_the_branch_is_not_brought_back() {
    let there = "cd ../../../../theirs && git config advice.setUpstreamFailure false";
    for removal in [
        "git reset --quiet --hard HEAD~1",
        "git commit --quiet --amend -m amended",
        "git checkout --quiet --orphan other && git commit --quiet -m other",
    ] {
        let shared = SharedBranch::new().await;
        let push = format!("{there} && {removal} && git push --quiet --force origin HEAD:{BRANCH}");
        let end = shared.work(&format!("echo mine > mine; ({push})"), 2).await;
        assert_eq!(code(&end), "BRANCH_MOVED", "{removal}: {end:?}");
        let told = failure(&end);
        assert!(told.message.contains("others removed commits from everfold/1 at origin"), "{told:?}");
        assert!(told.hint().contains("git rebase --onto origin/everfold/1"), "{told:?}");
        let theirs = git(&shared.theirs, &["rev-parse", "HEAD"]);
        assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), theirs, "{removal}");
        assert_eq!(git(&shared.worktree(), &["status", "--porcelain"]), "", "the work is committed");
        // Nor does a later attempt bring it back, until a person says what is to count.
        let end = shared.work("echo more > more", 3).await;
        assert_eq!(code(&end), "BRANCH_MOVED", "{removal}: {end:?}");
        assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), theirs, "{removal}");
        git(&shared.worktree(), &["push", "--quiet", "--force", "origin", BRANCH]);
        let end = shared.work("echo last > last", 4).await;
        output(&end);
        assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), end.commit.unwrap());
    }
}

#[tokio::test]
async fn work_that_is_taken_to_where_others_left_the_branch_goes_on_there() {
    let shared = SharedBranch::new().await;
    let seen = git(&shared.worktree(), &["rev-parse", "HEAD"]);
    let push = "cd ../../../../theirs && git reset --quiet --hard HEAD~1 && git push --quiet --force";
    let end = shared.work(&format!("echo mine > mine; ({push})"), 2).await;
    assert_eq!(code(&end), "BRANCH_MOVED", "{end:?}");
    let onto = format!("origin/{BRANCH}");
    git(
        &shared.worktree(),
        &["-c", "user.name=P", "-c", "user.email=p@example.org", "rebase", "--quiet", "--onto", &onto, &seen],
    );
    let end = shared.work("echo more > more", 3).await;
    output(&end);
    assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), end.commit.unwrap());
    let subjects = shared.at_origin(&["log", "--format=%s", BRANCH]);
    assert_eq!(subjects.lines().count(), 4, "two of the repository, two of the work: {subjects}");
}

/// An agent may rebase its branch and push it itself: nobody else removed anything.
#[tokio::test]
async fn work_that_rewrites_its_own_branch_and_pushes_it_is_saved() {
    let shared = SharedBranch::new().await;
    let amend = "git commit --quiet --amend -m amended && git push --quiet --force origin HEAD";
    let end = shared.work(&format!("{amend}; echo mine > mine"), 2).await;
    output(&end);
    assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), end.commit.unwrap());
    let subjects = shared.at_origin(&["log", "--format=%s", "-2", BRANCH]);
    assert_eq!(subjects, "build: round 1, attempt 1\namended", "{subjects}");
}

/// Forges remove a branch when its request is merged.
#[tokio::test]
async fn a_branch_that_is_gone_at_origin_is_pushed_anew() {
    let shared = SharedBranch::new().await;
    git(&shared.theirs, &["push", "--quiet", "origin", "--delete", BRANCH]);
    let end = shared.work("echo mine > mine", 2).await;
    output(&end);
    assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), end.commit.unwrap());
}

#[tokio::test]
async fn a_branch_of_another_history_is_not_merged_and_the_failure_says_so() {
    let around = Around::new().await;
    let (origin, other) = (around.home.path("origin.git"), around.home.path("other"));
    crate::fixtures::home::repository(&other);
    // In the same second its first commit would be that of the run's repository.
    git(&other, &["commit", "--quiet", "--amend", "-m", "another first"]);
    git(&around.home.path("."), &["init", "--quiet", "--bare", origin.to_str().unwrap()]);
    git(&other, &["push", "--quiet", origin.to_str().unwrap(), &format!("HEAD:refs/heads/{BRANCH}")]);
    git(&around.repo(), &["remote", "add", "origin", origin.to_str().unwrap()]);
    let end = around.run(around.request("echo mine > mine", Save::Push)).await;
    assert_eq!(code(&end), "BRANCH_MOVED", "{end:?}");
    let told = failure(&end);
    assert!(told.message.contains("everfold/1 at origin has no commit in common with the work"), "{told:?}");
    assert_eq!(git(&origin, &["rev-parse", BRANCH]), git(&other, &["rev-parse", "HEAD"]));
}

#[tokio::test]
async fn a_gate_that_is_judged_again_finds_what_was_pushed_since() {
    let shared = SharedBranch::new().await;
    shared.push("12-review.md", "---\nverdict: APPROVED\n---\n");
    let spec = json!({"file": "12-review.md", "fields": ["verdict"], "pass": ["APPROVED"]});
    let first = shared.probed("frontmatter", spec.clone(), 1).await;
    assert_eq!(first["from"], Value::Null, "the first time it is the work that is judged: {first}");
    let again = shared.probed("frontmatter", spec, 2).await;
    assert_eq!(again["value"], "APPROVED", "{again}");
    let commit = git(&shared.worktree(), &["rev-parse", "HEAD"]);
    assert_eq!(again["source"]["commit"], commit);
    assert_eq!(shared.at_origin(&["rev-parse", BRANCH]), commit);
}

/// A log that a former round brought to main by a request of its own stands on no branch of the run: its commit says when it
/// was written.
#[tokio::test]
async fn a_report_that_a_former_round_brought_to_main_is_not_fresh() {
    let shared = SharedBranch::new().await;
    let repo = shared.around.repo();
    let first = git(&shared.worktree(), &["rev-parse", "HEAD"]);
    git(&repo, &["branch", "logs", "main"]);
    let spec =
        json!({"file": "15-staging-log.md", "fields": ["staging_status"], "from": ["worktree", "logs"]});
    let began = Timestamp(1_700_000_000_500);
    for (status, at, stale) in [("SUCCESS", 1_699_000_000, true), ("FAILED", 1_700_000_000, false)] {
        let tree = shared.around.home.path("logs");
        git(&repo, &["worktree", "add", "--quiet", "--force", tree.to_str().unwrap(), "logs"]);
        std::fs::write(tree.join("15-staging-log.md"), format!("---\nstaging_status: {status}\n---\n"))
            .unwrap();
        git(&tree, &["add", "."]);
        let date = format!("@{at} +0000");
        let done = std::process::Command::new("git")
            .args([
                "-c",
                "user.name=Bot",
                "-c",
                "user.email=bot@example.org",
                "commit",
                "--quiet",
                "-m",
                status,
            ])
            .env("GIT_COMMITTER_DATE", &date)
            .current_dir(&tree)
            .status()
            .unwrap();
        assert!(done.success());
        git(&repo, &["worktree", "remove", tree.to_str().unwrap()]);
        let layout = Layout::new(repo.join(".everfold"));
        let edge =
            everfold_workflows::edge(&layout, &shared.around.home.processes(), Functions::built_in(), None);
        let request = ProbeRequest {
            workdir: shared.around.workdir(Save::Push),
            fresh: Some(Fresh { commit: Some(first.clone()), at: began }),
            ..probe_request(&shared.around.home, spec.clone())
        };
        let evidence = edge.probers["frontmatter"].probe(request).await.unwrap();
        assert_eq!(evidence["from"], "logs", "{evidence}");
        let expected = if stale { json!(["15-staging-log.md"]) } else { json!([]) };
        assert_eq!(evidence["unchanged"], expected, "{evidence}");
    }
}

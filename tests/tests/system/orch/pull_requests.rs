//! Pull requests of the Gitea that tests play: opened of branches that were pushed, and merged in the real repositories.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::host_clone::git;
use super::services::Services;
use crate::workflow_fixtures::fake_server::{Answer, Asked};

#[derive(Debug, Clone)]
pub(super) struct Pull {
    pub(super) repository: String,
    pub(super) head: String,
    pub(super) title: String,
    /// The commit of the branch at which it was merged, and the one that the merge made.
    pub(super) merged: Option<(String, String)>,
}

impl Services {
    /// What stands below `pulls` of a repository.
    pub(super) fn pull_requests(&mut self, asked: &Asked, repository: &str, rest: &[&str]) -> Answer {
        let is_first = asked.parameter("page").is_none_or(|page| page == "1");
        match (asked.method.as_str(), rest) {
            ("GET", []) => {
                let wanted = asked.parameter("state").unwrap_or("open");
                let is_wanted = |pull: &Pull| match wanted {
                    "all" => true,
                    "closed" => pull.merged.is_some(),
                    _ => pull.merged.is_none(),
                };
                let of_it = (0..self.pulls.len()).filter(|at| self.pulls[*at].repository == repository);
                let list = of_it.filter(|at| is_wanted(&self.pulls[*at])).map(|at| self.pulled(at));
                Answer::ok(list.filter(|_| is_first).collect())
            }
            ("POST", []) => self.open_request(repository, &asked.body),
            (method, [number, below @ ..]) => {
                let Some(at) = number.parse::<usize>().ok().filter(|number| *number <= self.pulls.len())
                else {
                    return Answer::status(404, json!({ "message": "not found" }));
                };
                match (method, below) {
                    ("GET", []) => Answer::ok(self.pulled(at - 1)),
                    ("GET", ["commits"]) => Answer::ok(json!([{ "sha": self.newest(at - 1) }])),
                    ("GET", ["reviews"]) => {
                        Answer::ok(self.reviews.iter().filter(|_| is_first).cloned().collect())
                    }
                    ("POST", ["merge"]) => self.merge_request(at - 1, &asked.body),
                    _ => Answer::status(404, json!({ "message": format!("no such route: {method}") })),
                }
            }
            (method, _) => Answer::status(404, json!({ "message": format!("no such route: {method}") })),
        }
    }

    fn open_request(&mut self, repository: &str, body: &Value) -> Answer {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let head = text("head");
        let is_it = |pull: &Pull| pull.repository == repository && pull.head == head && pull.merged.is_none();
        if self.pulls.iter().any(is_it) {
            let why = "pull request already exists for these targets";
            return Answer::status(409, json!({ "message": why }));
        }
        let origin = self.origins.join(format!("{repository}.git"));
        let pushed = ["for-each-ref", "--format=%(refname)", &format!("refs/heads/{head}")];
        if git(&origin, &pushed).trim().is_empty() {
            return Answer::status(404, json!({ "message": "The target couldn't be found." }));
        }
        let repository = repository.to_owned();
        self.pulls.push(Pull { repository, head, title: text("title"), merged: None });
        Answer::status(201, self.pulled(self.pulls.len() - 1))
    }

    /// Merges as the service does, with a commit of its own, and tells of it as of a write by ourselves.
    fn merge_request(&mut self, at: usize, body: &Value) -> Answer {
        let pull = self.pulls[at].clone();
        let head = self.newest(at);
        if pull.merged.is_some() {
            return Answer::status(405, json!({ "message": "The PR is already merged" }));
        }
        if body["head_commit_id"].as_str().is_some_and(|wanted| !wanted.is_empty() && wanted != head) {
            return Answer::status(409, json!({ "message": "head out of date" }));
        }
        let origin = self.origins.join(format!("{}.git", pull.repository));
        let Some(merge) = merged(&origin, &head, &pull.title) else {
            return Answer::status(409, json!({ "message": "merge conflict in the files" }));
        };
        self.pulls[at].merged = Some((head, merge));
        let closed = json!({
            "action": "closed", "number": at + 1, "pull_request": self.pulled(at),
            "repository": { "name": pull.repository, "full_name": format!("admin/{}", pull.repository) },
            "sender": { "login": "orch" },
        });
        self.send("gitea", "pull_request", closed);
        Answer::ok(Value::Null)
    }

    /// The newest commit of its branch; of a merged one that at which it was merged.
    fn newest(&self, at: usize) -> String {
        let pull = &self.pulls[at];
        let origin = self.origins.join(format!("{}.git", pull.repository));
        let pushed = || git(&origin, &["rev-parse", &format!("refs/heads/{}", pull.head)]);
        pull.merged.as_ref().map_or_else(pushed, |(head, _)| head.clone())
    }

    fn pulled(&self, at: usize) -> Value {
        let (number, pull) = (at + 1, &self.pulls[at]);
        let is_merged = pull.merged.is_some();
        let origin = self.origins.join(format!("{}.git", pull.repository));
        let mergeable = !is_merged && merged_tree(&origin, &self.newest(at)).is_some();
        json!({
            "id": 100 + number, "number": number, "title": pull.title, "body": "", "draft": false,
            "html_url": format!("https://git.example.org/admin/{}/pulls/{number}", pull.repository),
            "state": if is_merged { "closed" } else { "open" }, "merged": is_merged, "mergeable": mergeable,
            "merge_commit_sha": pull.merged.as_ref().map(|(_, merge)| merge), "updated_at": "2026-11-20T09:00:00Z",
            "head": { "ref": pull.head, "label": pull.head, "sha": self.newest(at), "repo_id": 1 },
            "base": { "ref": "main", "label": "main", "repo_id": 1 },
        })
    }
}

/// The tree that main of a bare repository has with a commit merged into it, or `None` where they conflict. A line that each
/// adds to the changelog is no conflict, as where a repository says so in `.gitattributes`.
fn merged_tree(origin: &Path, head: &str) -> Option<String> {
    std::fs::write(origin.join("info/attributes"), "CHANGELOG.md merge=union\n").unwrap();
    let mut merge = Command::new("git");
    let merged =
        merge.args(["merge-tree", "--write-tree", "main", head]).current_dir(origin).output().unwrap();
    merged.status.success().then(|| String::from_utf8(merged.stdout).unwrap().trim().to_owned())
}

/// Merges a commit into main; the new commit of main, or `None` where they conflict.
fn merged(origin: &Path, head: &str, title: &str) -> Option<String> {
    let tree = merged_tree(origin, head)?;
    let commit = git(origin, &["commit-tree", &tree, "-p", "main", "-p", head, "-m", title]);
    git(origin, &["update-ref", "refs/heads/main", &commit]);
    Some(commit)
}

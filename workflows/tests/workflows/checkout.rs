//! The checkout of a person, around a data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fixtures::home::{Home, failure, git, observer, repository};
use everfold_base::data_folder::Layout;
use everfold_base::id::RunId;
use everfold_language::definition::{Keep, Save};
use everfold_ports::{
    AttemptEnd, AttemptRequest, Executor, GitWorkdir, Workdir, Workspace, WorkspaceRequest, Workspaces as _,
};
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::function::Functions;
use everfold_workflows::git::GitWorkspaces;
use serde_json::json;

/// A checkout with edits, a staged file and a commit that is newer than the run, around a data folder.
pub struct Around {
    pub home: Home,
    pub workspace: Workspace,
}

impl Around {
    pub async fn new() -> Self {
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

    pub fn repo(&self) -> PathBuf {
        self.home.path("repo")
    }

    pub fn worktree(&self) -> PathBuf {
        PathBuf::from(&self.workspace.path)
    }

    pub fn workdir(&self, save: Save) -> Workdir {
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

    pub fn request(&self, script: &str, save: Save) -> AttemptRequest {
        let folder =
            self.repo().join(".everfold/attempts").join(self.home.run.to_string()).join("build-r1-a1");
        AttemptRequest { workdir: self.workdir(save), folder, ..self.home.shell(script) }
    }

    pub async fn run(&self, request: AttemptRequest) -> AttemptEnd {
        CommandExecutor::new(self.home.processes()).start(request, observer()).await
    }

    pub async fn call(&self, name: &str, with: serde_json::Value) -> AttemptEnd {
        let layout = Layout::new(self.repo().join(".everfold"));
        let edge = everfold_workflows::edge(&layout, &self.home.processes(), Functions::built_in(), None);
        let executor: Arc<dyn Executor> = edge.executors["function"].clone();
        let request = self.home.request(json!({"name": name, "with": with}));
        executor.start(AttemptRequest { workdir: self.workdir(Save::None), ..request }, observer()).await
    }

    /// All that a person would miss.
    pub fn checkout(&self) -> (String, String, String, String) {
        let repo = self.repo();
        (
            git(&repo, &["rev-parse", "HEAD", "main"]),
            git(&repo, &["symbolic-ref", "HEAD"]),
            git(&repo, &["status", "--porcelain"]),
            std::fs::read_to_string(repo.join("readme")).unwrap(),
        )
    }
}

pub fn wanted(repository: &Path, branch: &str, keep: Keep) -> WorkspaceRequest {
    WorkspaceRequest::Git {
        repository: repository.to_owned(),
        base: None,
        from: None,
        branch: branch.to_owned(),
        keep,
        keep_branch: true,
    }
}

pub fn run_id(number: u32) -> RunId {
    format!("0198c1f0-0000-7000-8000-{number:012}").parse().unwrap()
}

pub fn code(end: &AttemptEnd) -> &str {
    failure(end).code.as_deref().unwrap_or_default()
}

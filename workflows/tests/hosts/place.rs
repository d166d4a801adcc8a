//! A home with a repository, its remote, and a provider in the settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_engine::definition::Save;
use everfold_engine::execution::{
    AttemptEnd, AttemptResult, Edge, Executor, GitWorkdir, ProbeFailure, ProbeRequest, Prober, Workdir,
};
use everfold_engine::failure::Failure;
use everfold_engine::layout::Layout;
use everfold_engine::policy::{Verdict, judge_default};
use everfold_workflows::function::Functions;
use everfold_workflows::process::Processes;
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::services::{Kind, TOKEN};
use crate::support::{Home, PATIENCE, git, nobody, repository};

pub struct Place {
    pub home: Home,
    edge: Edge,
    settings: String,
}

impl Place {
    /// A repository in `work` on branch `feature/a`, with a bare remote `origin`.
    pub fn new(settings: &str) -> Self {
        let home = Home::new();
        repository(&home.path("work"));
        let remote = home.path("team").join("app.git");
        std::fs::create_dir_all(&remote).unwrap();
        git(&remote, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        let work = home.path("work");
        git(&work, &["remote", "add", "origin", remote.to_str().unwrap()]);
        git(&work, &["push", "--quiet", "origin", "main"]);
        git(&work, &["remote", "set-head", "origin", "main"]);
        git(&work, &["switch", "--quiet", "-c", "feature/a"]);
        let edge = Self::edge_of(&home, settings);
        Self { home, edge, settings: settings.to_owned() }
    }

    /// The same with a service of that kind as the provider `host`.
    pub fn at(kind: Kind, fake: &Fake) -> Self {
        let place = Self::new("");
        let token = place.home.path("token");
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        let settings = format!(
            "[providers.host]\nkind = \"{}\"\nurl = \"{}\"\ntoken = {{ file = \"{}\" }}\nowner = \"team\"\n",
            kind.name(),
            fake.url,
            token.display(),
        );
        let edge = Self::edge_of(&place.home, &settings);
        Self { edge, settings, ..place }
    }

    fn edge_of(home: &Home, settings: &str) -> Edge {
        let layout = Layout::new(home.path("data"));
        everfold_workflows::edge(&layout, &home.processes_with(settings), Functions::built_in(), None)
    }

    pub fn processes(&self) -> Processes {
        self.home.processes_with(&self.settings)
    }

    pub fn work(&self) -> PathBuf {
        self.home.path("work")
    }

    pub fn remote(&self) -> PathBuf {
        self.home.path("team").join("app.git")
    }

    pub fn executor(&self, kind: &str) -> Arc<dyn Executor> {
        self.edge.executors[kind].clone()
    }

    pub fn workdir(&self) -> Workdir {
        let git = GitWorkdir {
            save: Save::None,
            message: None,
            author: None,
            base_commit: String::new(),
            is_copy: false,
            repository: self.work(),
            branch: None,
        };
        Workdir { path: self.work(), git: Some(git) }
    }

    /// Calls a function as a step with this id does.
    pub async fn call_as(&self, step: &str, name: &str, with: Value) -> AttemptEnd {
        let mut request = self.home.request(json!({"name": name, "with": with}));
        request.id = self.home.id(step);
        request.workdir = self.workdir();
        self.executor("function").start(request, nobody()).await
    }

    pub async fn call(&self, name: &str, with: Value) -> Value {
        match self.call_as("step", name, with).await.result {
            AttemptResult::Succeeded(output) => output,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub async fn fails(&self, name: &str, with: Value) -> Failure {
        match self.call_as("step", name, with).await.result {
            AttemptResult::Failed(failure) => failure,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub async fn probe(&self, kind: &str, spec: Value) -> Result<Value, ProbeFailure> {
        let prober: Arc<dyn Prober> = self.edge.probers[kind].clone();
        prober
            .probe(ProbeRequest {
                id: self.home.id("build"),
                gate: "g".to_owned(),
                secrets: Default::default(),
                probe_no: 1,
                spec,
                env: Default::default(),
                timeout: PATIENCE,
                folder: self.home.path("probe"),
                workdir: self.workdir(),
                fresh: None,
            })
            .await
    }

    /// Evidence, and what its default policy says.
    pub async fn judged(&self, kind: &str, spec: Value) -> (Value, Verdict, String) {
        let evidence = self.probe(kind, spec).await.unwrap();
        let judgement = judge_default(kind, &evidence).unwrap();
        (evidence, judgement.verdict, judgement.reason)
    }
}

pub fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

//! Plane, Gitea and a staging service as the staging suite meets them, on one free port.
//!
//! The service is ORCH's: it answers by project, makes a branch for an issue that is started, and queues an analyst's job.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::workflow_fixtures::fake_server::{Answer, Asked, Fake};

pub(super) const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/orch/staging_check.py");
pub(super) const SANDBOX: &str = "8c5a3025-4f9d-4190-b79f-fa06276bb27e";
pub(super) const PRODUCTION: &str = "8da6aa25-a60e-44d6-a1e2-d8ae59aa7d6a";
const ISSUE: &str = "1b2c3d4e-0000-4000-8000-000000000001";

/// What the services hold, and how they misbehave.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Of the sandbox's repository.
    pub(super) branches: Vec<String>,
    pub(super) issues: Vec<Value>,
    jobs: Vec<Value>,
    /// Projects in the registry of the service.
    pub(super) registry: Vec<String>,
    /// Requests that are answered with 500: method and the end of the path.
    pub(super) broken: Vec<(&'static str, &'static str)>,
    /// The service takes the webhook and does nothing.
    pub(super) asleep: bool,
    /// An issue is made, but its answer is not one.
    pub(super) answer_is_lost: bool,
}

/// The services, and a store of ORCH beside them.
pub(super) struct World {
    folder: TempDir,
    fake: Fake,
    pub(super) services: Arc<Mutex<Services>>,
    variables: Vec<(&'static str, String)>,
}

impl World {
    pub(super) async fn new() -> Self {
        let services = Arc::new(Mutex::new(Services {
            registry: vec![SANDBOX.to_owned()],
            branches: vec!["main".to_owned(), "feature/SANDBOX-001-stgcheck-0ld0ld00-of-the-orch".to_owned()],
            ..Services::default()
        }));
        let state = services.clone();
        let fake = Fake::serve(move |asked| state.lock().unwrap().answer(asked)).await;
        let world = Self { folder: tempfile::tempdir().unwrap(), fake, services, variables: Vec::new() };
        world.sql(&format!(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, plane_id TEXT UNIQUE);
             CREATE TABLE jobs (id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL REFERENCES tasks (id));
             CREATE TABLE events (id INTEGER PRIMARY KEY, delivery_id TEXT);
             INSERT INTO tasks VALUES (1, '{ISSUE}'), (2, 'of another');
             INSERT INTO jobs VALUES (11, 1), (12, 1), (21, 2);
             INSERT INTO events (delivery_id) VALUES ('of another');
             CREATE TRIGGER jobs_first BEFORE DELETE ON tasks WHEN EXISTS (SELECT 1 FROM jobs WHERE task_id = OLD.id)
             BEGIN SELECT RAISE(ABORT, 'a task is removed before its jobs'); END;"
        ));
        world
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(super) fn store(&self) -> PathBuf {
        self.folder.path().join("orch.sqlite")
    }

    /// Runs statements on the store of ORCH; what a query says, in lines.
    pub(super) fn sql(&self, statements: &str) -> String {
        let program = "import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
if sys.argv[2].startswith('SELECT'):
    print('\\n'.join('|'.join(map(str, row)) for row in store.execute(sys.argv[2])))
else:
    store.executescript(sys.argv[2])
store.commit()";
        let output = Command::new("python3").args(["-c", program]).arg(self.store()).arg(statements).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.fake.asked()
    }

    /// Whether a request came: method and the end of the path.
    pub(super) fn saw(&self, method: &str, end: &str) -> bool {
        self.asked().iter().any(|asked| asked.method == method && asked.path.ends_with(end))
    }

    pub(super) fn report(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.path().join("report.json")).unwrap()).unwrap()
    }

    /// Runs the suite with a stub of the agent: exit code and what it said.
    pub(super) async fn check(&self) -> (i32, String) {
        self.check_in("stub").await
    }

    pub(super) async fn check_in(&self, mode: &str) -> (i32, String) {
        let mut command = tokio::process::Command::new("python3");
        command.arg(SUITE).args(["--service", "orch", "--mode", mode, "--base-url", &self.fake.url]);
        command.arg("--report").arg(self.folder.path().join("report.json"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command
            .env("ORCH_STAGING", "true")
            .env("ORCH_PLANE_API_URL", &self.fake.url)
            .env("ORCH_GITEA_URL", &self.fake.url);
        command.env("ORCH_PLANE_API_TOKEN", "of-plane").env("ORCH_GITEA_TOKEN", "of-gitea");
        command.env("ORCH_PLANE_WEBHOOK_SECRET", "s3cret").env("ORCH_DB_PATH", self.store());
        command.env("CANDIDATE_COMMIT", "c0ffee");
        for (name, every) in [("STAGING_BRANCH", "0.05"), ("STAGING_JOB", "0.05")] {
            command.env(format!("{name}_EVERY"), every).env(format!("{name}_LIMIT"), "0.3");
        }
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        (status.code().expect("no signal ended it"), said)
    }
}

impl Services {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let (method, path) = (asked.method.as_str(), asked.path.as_str());
        if self.broken.iter().any(|(broken, end)| *broken == method && path.ends_with(end)) {
            return Answer::status(500, json!({ "error": "it is broken" }));
        }
        if let Some(rest) = path.strip_prefix("/api/v1/workspaces/orch/projects/") {
            assert_eq!(asked.header("x-api-key"), "of-plane");
            return self.plane(
                method,
                rest.strip_prefix(SANDBOX).expect("only the sandbox is asked for"),
                asked,
            );
        }
        if let Some(rest) = path.strip_prefix("/api/v1/repos/admin/orchestrator-sandbox") {
            assert_eq!(asked.header("authorization"), "token of-gitea");
            return self.gitea(method, rest);
        }
        match (method, path) {
            ("GET", "/health") => Answer::ok(json!({ "status": "ok", "service": "orchestrator" })),
            ("GET", "/queue") => Answer::ok(json!({
                "counts": { "queued": self.jobs.len() }, "max_concurrency": 1, "poll_interval": 2.0,
                "resilience": { "breaker": "closed", "preflight": "ok" }, "recent": self.jobs,
            })),
            ("POST", "/webhook/plane") => self.webhook(asked),
            _ => panic!("no such route: {method} {path}"),
        }
    }

    fn plane(&mut self, method: &str, rest: &str, asked: &Asked) -> Answer {
        match (method, rest) {
            ("GET", "/") => Answer::ok(json!({ "id": SANDBOX })),
            ("GET", "/states/") => Answer::ok(json!({ "results": [{ "id": "s-1", "name": "In Progress" }] })),
            ("GET", "/issues/") => Answer::ok(json!({ "results": self.issues })),
            ("POST", "/issues/") => {
                self.issues.push(json!({ "id": ISSUE, "name": asked.body["name"] }));
                match self.answer_is_lost {
                    true => Answer::status(502, Value::Null),
                    false => Answer::status(201, self.issues.last().unwrap().clone()),
                }
            }
            ("DELETE", _) => {
                let before = self.issues.len();
                self.issues.retain(|issue| rest != format!("/issues/{}/", issue["id"].as_str().unwrap()));
                Answer::status(if self.issues.len() < before { 204 } else { 404 }, Value::Null)
            }
            _ => panic!("no such route of Plane: {method} {rest}"),
        }
    }

    fn gitea(&mut self, method: &str, rest: &str) -> Answer {
        match (method, rest) {
            ("GET", "") => Answer::ok(json!({ "permissions": { "push": true, "pull": true } })),
            ("GET", "/branches") => {
                Answer::ok(self.branches.iter().map(|name| json!({ "name": name })).collect::<Value>())
            }
            ("DELETE", _) => {
                let name = rest.strip_prefix("/branches/").unwrap().replace("%2F", "/");
                self.branches.retain(|branch| *branch != name);
                Answer::status(204, Value::Null)
            }
            _ => panic!("no such route of Gitea: {method} {rest}"),
        }
    }

    fn webhook(&mut self, asked: &Asked) -> Answer {
        assert_eq!(asked.header("x-plane-signature").len(), 64, "it is signed");
        let data = &asked.body["data"];
        if !self.registry.iter().any(|project| data["project"] == **project) {
            return Answer::ok(json!({ "status": "ignored", "reason": "unknown project" }));
        }
        if asked.body["action"] == "updated" && !self.asleep {
            let name = data["name"].as_str().unwrap();
            let slug: String = name.replace(' ', "-").chars().take(30).collect();
            self.branches.push(format!("feature/SANDBOX-002-{}", slug.trim_end_matches('-')));
            self.jobs.push(json!({
                "id": 11, "status": "queued", "agent": "analyst", "repo": "orchestrator-sandbox",
                "task_content": format!("Work item: SANDBOX-002\nTitle: {name}"),
            }));
        }
        Answer::ok(json!({ "status": "accepted" }))
    }
}

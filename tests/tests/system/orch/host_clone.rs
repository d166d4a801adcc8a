//! A host as the deploy hook finds it: a real clone of a real origin, a docker that is played, a service on a free port.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::workflow_fixtures::fake_server::{Answer, Fake};
use crate::workflow_fixtures::program::write_program;

const HOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/orch/orchestrator-deploy-hook.sh");
const DOCKER: &str = include_str!("fake_docker.sh");

/// What the service answers to a look at its health, by the image that runs.
type Health = Arc<Mutex<Box<dyn Fn(&str) -> Answer + Send>>>;

/// A host with a clone that is one commit behind its origin.
pub(super) struct Host {
    folder: TempDir,
    service: Fake,
    health: Health,
    /// Of the hook, beside what each test has; `None`: not even that.
    variables: Vec<(&'static str, Option<String>)>,
}

pub(crate) fn git(at: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]);
    let output = command.args(arguments).current_dir(at).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits a file of this name; gives the commit.
pub(super) fn commit(at: &Path, name: &str) -> String {
    std::fs::write(at.join(name), name).unwrap();
    git(at, &["add", "."]);
    git(at, &["commit", "--quiet", "-m", name]);
    git(at, &["rev-parse", "HEAD"])
}

impl Host {
    /// The image `sha256:old` runs, and everything will go well.
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        std::fs::create_dir_all(&origin).unwrap();
        git(&origin, &["init", "--quiet", "--initial-branch=main"]);
        commit(&origin, "first");
        git(folder.path(), &["clone", "--quiet", "origin", "clone"]);
        commit(&origin, "second");
        let docker = folder.path().join("docker");
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::create_dir_all(&docker).unwrap();
        let health: Health =
            Arc::new(Mutex::new(Box::new(|_: &str| Answer::ok(serde_json::json!({ "status": "ok" })))));
        let (asked, image) = (health.clone(), docker.join("image"));
        let service = Fake::serve(move |request| {
            assert_eq!(request.path, "/health");
            let image = std::fs::read_to_string(&image).unwrap_or_default();
            (asked.lock().unwrap())(image.trim())
        })
        .await;
        let host = Self { folder, service, health, variables: Vec::new() };
        host.program("docker", DOCKER);
        host.play("image", "sha256:old\n");
        host.play("container", "container-of-sha256:old\n");
        host.play("queue", "running\n");
        host
    }

    /// A program that is found before the machine's.
    pub(super) fn program(&self, name: &str, text: &str) {
        write_program(&self.folder.path().join("bin").join(name), text);
    }

    /// Sets a file of the docker that is played.
    pub(super) fn play(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("docker").join(name), text).unwrap();
    }

    /// Takes such a file away.
    pub(super) fn no_longer(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join("docker").join(name)).unwrap();
    }

    pub(super) fn played(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("docker").join(name)).unwrap_or_default()
    }

    /// Nothing runs on this host yet.
    pub(super) fn runs_nothing(&self) {
        for name in ["image", "container"] {
            self.no_longer(name);
        }
    }

    pub(super) fn answers(&self, health: impl Fn(&str) -> Answer + Send + 'static) {
        *self.health.lock().unwrap() = Box::new(health);
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, Some(value.into())));
        self
    }

    pub(super) fn without(mut self, names: &[&'static str]) -> Self {
        self.variables.extend(names.iter().map(|name| (*name, None)));
        self
    }

    pub(super) fn clone(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    pub(super) fn head(&self) -> String {
        git(&self.clone(), &["rev-parse", "HEAD"])
    }

    pub(super) fn looks(&self) -> usize {
        self.service.asked().len()
    }

    /// What was asked of docker, without looks at what runs.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = self.played("calls");
        calls.lines().filter(|call| !call.contains(" ps -q ")).map(str::to_owned).collect()
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("hook.log")).unwrap()
    }

    /// Runs the hook; its exit code. Waits are short, counts are the hook's own.
    pub(super) async fn hook(&self, arguments: &[&str]) -> i32 {
        let output = self.output(arguments).await;
        output.status.code().expect("no signal ended it")
    }

    pub(super) async fn output(&self, arguments: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let port = self.service.url.rsplit(':').next().unwrap();
        let mut command = tokio::process::Command::new(HOOK);
        command.args(arguments).env_clear().stdin(Stdio::null()).current_dir("/");
        command.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        command.env("HOME", self.folder.path()).env("FAKE_DOCKER", self.folder.path().join("docker"));
        command.env("REPO", self.clone()).env("LOG", self.folder.path().join("hook.log"));
        command.env("TARGET_PORT", port).env("HEALTH_INTERVAL", "0").env("ROLLBACK_INTERVAL", "0");
        // Of nobody here: tests may run as root.
        command.env("FOREIGN_UID", "4294967294");
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.output().await.unwrap()
    }
}

/// A document of a health that is not there yet.
pub(super) fn starting() -> Answer {
    Answer::ok(Value::from("{\"status\":\"starting\"}"))
}

//! `everfold serve` with the built-in pipeline `orch`, amid services and repositories that are played.
//!
//! Law: what happens is caused by signed webhooks alone, as in an installation; waits are for what is seen, never for time.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use super::host_clone::git;
use super::services::{Delivery, Services, state_id};
use crate::service::rest_client::{Client, PATIENCE};
use crate::workflow_fixtures::fake_server::Fake;
use crate::workflow_fixtures::program::write_program;

/// Projects: their id in Plane, repository and prefix.
pub(super) const SHOP: &str = "0000a001-0000-4000-8000-000000000001";
pub(super) const MAP: &str = "0000a002-0000-4000-8000-000000000002";
pub(super) const ORCHESTRATOR: &str = "0000a003-0000-4000-8000-000000000003";
pub(super) const PROJECTS: [(&str, &str, &str); 3] =
    [(SHOP, "shop", "ET"), (MAP, "map", "MAP"), (ORCHESTRATOR, "orchestrator", "ORCH")];

const SETTINGS: &str = r#"
[hooks.plane]
reader = "plane"
secret = { env = "ORCH_PLANE_WEBHOOK_SECRET" }
[hooks.gitea]
reader = "gitea"
secret = { env = "ORCH_GITEA_WEBHOOK_SECRET" }
[providers.gitea]
kind = "gitea"
url = "URL/gitea"
owner = "admin"
token = { env = "ORCH_GITEA_TOKEN" }
"#;
pub(super) const SECRET: &str = "hook-secret";
/// Is set where the walk is under the trap.
pub(super) const TRAPPED: &str = "EVERFOLD_TEST_TRAPPED";
/// Credentials of services that are no part of this world, as the machine of a developer has them.
pub(super) const LIVE: [&str; 4] =
    ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "GITHUB_TOKEN", "GITEA_TOKEN"];
const CLAUDE: &str = include_str!("fake_claude.sh");

/// The world of a test.
pub(super) struct World {
    home: TempDir,
    services: Arc<Mutex<Services>>,
    pub(super) fake: Fake,
    server: Option<Server>,
}

/// The program that serves.
struct Server {
    child: Child,
    address: String,
    admin: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl World {
    /// Serves, with the pipeline saved and three projects whose repositories have one commit.
    pub(super) async fn new() -> Self {
        let mut world = Self::unserved().await;
        world.serve(None);
        world
    }

    /// The same before the first server.
    pub(super) async fn unserved() -> Self {
        let services: Arc<Mutex<Services>> = Arc::default();
        let state = services.clone();
        let fake = Fake::serve(move |asked| state.lock().unwrap().answer(asked)).await;
        let world = Self { home: tempfile::tempdir().unwrap(), services, fake, server: None };
        world.services().origins = world.path("origin/admin");
        write_program(&world.path("bin/claude"), CLAUDE);
        world.write(".everfold/everfold.toml", &SETTINGS.replace("URL", &world.fake.url));
        world.write(".orch/projects.yaml", &projects(&world.fake.url, &world.path("repos")).to_string());
        for (_, repository, _) in PROJECTS {
            world.repository(repository);
        }
        for arguments in [&["init", "--pipeline", "orch"], &["pipeline", "save", "orch.yaml"]] {
            let done = world.command(arguments).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        world
    }

    /// A bare origin with one commit, and its clone in `repos`.
    pub(super) fn repository(&self, name: &str) {
        let first = self.path(&format!("first/{name}"));
        std::fs::create_dir_all(&first).unwrap();
        git(&first, &["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(first.join("CHANGELOG.md"), "# Changelog\n").unwrap();
        git(&first, &["add", "."]);
        git(&first, &["commit", "--quiet", "-m", "first"]);
        let origin = self.origin(name);
        std::fs::create_dir_all(origin.parent().unwrap()).unwrap();
        std::fs::create_dir_all(self.path("repos")).unwrap();
        git(
            self.home.path(),
            &["clone", "--quiet", "--bare", first.to_str().unwrap(), origin.to_str().unwrap()],
        );
        git(&self.path("repos"), &["clone", "--quiet", origin.to_str().unwrap(), name]);
    }

    pub(super) fn origin(&self, name: &str) -> PathBuf {
        self.path(&format!("origin/admin/{name}.git"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// What the agents left in a file of the home.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What an agent does in a round instead of what it does by default: a piece of a shell script.
    pub(super) fn plan(&self, item: &str, step: &str, round: u32, script: &str) {
        self.write(&format!("plan/{item}-{step}-{round}"), script);
    }

    pub(super) fn services(&self) -> MutexGuard<'_, Services> {
        self.services.lock().unwrap()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(env!("CARGO_BIN_EXE_everfold-under-test"));
        command.args(arguments).current_dir(self.home.path()).env_clear();
        command.env("PATH", format!("{}:{path}", self.path("bin").display())).env("HOME", self.home.path());
        command.env("NO_COLOR", "1").env("EVERFOLD_USER", "ada");
        for name in ["ORCH_PLANE_WEBHOOK_SECRET", "ORCH_GITEA_WEBHOOK_SECRET"] {
            command.env(name, SECRET);
        }
        command.env("ORCH_PLANE_API_TOKEN", "plane-token").env("ORCH_GITEA_TOKEN", "gitea-token");
        command.env("ORCH_TELEGRAM_BOT_TOKEN", "telegram-token").env("ORCH_PLANE_BOT_TESTER", "tester-token");
        // A role whose variable is empty has no bot of its own.
        command.env("ORCH_PLANE_BOT_REVIEWER", "");
        if Self::is_walked_under_the_trap() {
            for name in LIVE {
                command.env(name, std::env::var_os(name).expect("the trap sets it"));
            }
        }
        command.stdin(Stdio::null());
        command
    }

    /// Whether this is the walk that has credentials which look alive, and nothing but loopback (O198).
    pub(super) fn is_walked_under_the_trap() -> bool {
        std::env::var_os(TRAPPED).is_some()
    }

    /// Begins to serve; it kills itself behind the first event of this type.
    pub(super) fn serve(&mut self, crash_after: Option<&str>) {
        // Not where it listened before: another test may have that port by now.
        let mut arguments = vec!["serve", "--json", "--listen", "127.0.0.1:0"];
        let before = self.server.take();
        let listened = before.as_ref().map_or("127.0.0.1:0", |server| &server.address).to_owned();
        let admin = before.as_ref().map(|server| server.admin.clone());
        drop(before);
        arguments.extend(crash_after.iter().flat_map(|event| ["--crash-after", event]));
        let log = std::fs::File::options().create(true).append(true).open(self.path("serve.log")).unwrap();
        let mut child = self.command(&arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let said = serde_json::Deserializer::from_reader(child.stdout.as_mut().unwrap()).into_iter().next();
        // One that kills itself at once, behind what it does as it begins, says nothing.
        let said: Value = said.transpose().unwrap().unwrap_or_default();
        let address =
            said["url"].as_str().map_or(&*listened, |url| url.trim_start_matches("http://")).to_owned();
        let admin = said["token"].as_str().map(str::to_owned).or(admin).expect("a token");
        self.server = Some(Server { child, address, admin });
    }

    /// Whether the server has ended.
    pub(super) fn is_dead(&mut self) -> bool {
        self.server.as_mut().unwrap().child.try_wait().unwrap().is_some()
    }

    pub(super) fn address(&self) -> &str {
        &self.server.as_ref().unwrap().address
    }

    pub(super) fn token(&self) -> &str {
        &self.server.as_ref().unwrap().admin
    }

    /// A command that knows where everything is, as the staging suite wants to be told.
    pub(super) fn staging_check(&self, suite: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("python3");
        let base = format!("http://{}", self.address());
        command.args([suite, "--service", "everfold", "--mode", "stub", "--base-url", &base]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("CANDIDATE_COMMIT", "c0ffee").stdin(Stdio::null());
        for (name, value) in [
            ("STAGING", "true".to_owned()),
            ("PLANE_API_URL", format!("{}/plane", self.fake.url)),
            ("GITEA_URL", format!("{}/gitea", self.fake.url)),
            ("PLANE_API_TOKEN", "plane-token".to_owned()),
            ("GITEA_TOKEN", "gitea-token".to_owned()),
            ("PLANE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("TOKEN", self.token().to_owned()),
            ("SANDBOX_PROJECT", SHOP.to_owned()),
            ("SANDBOX_REPO", "shop".to_owned()),
        ] {
            command.env(format!("ORCH_{name}"), value);
        }
        for (name, limit) in [("BRANCH", "60"), ("JOB", "60"), ("OUTCOME", "60")] {
            command.env(format!("STAGING_{name}_EVERY"), "0.1").env(format!("STAGING_{name}_LIMIT"), limit);
        }
        command
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.address(), self.token())
    }

    /// Sends on what the services have to tell; gives whether there was anything.
    async fn deliver_all(&self) -> bool {
        let mut sent = false;
        loop {
            let Some(delivery) = self.services().outbox.front().cloned() else { return sent };
            let answer = self.deliver(&delivery).await;
            let Some(status) = answer else { return sent };
            assert!(status == 202 || status == 200, "{status} to {delivery:?}");
            self.services().outbox.pop_front();
            sent = true;
        }
    }

    /// The status of the answer to a delivery; `None`: nobody answered, and it is sent once more later.
    pub(super) async fn deliver(&self, delivery: &Delivery) -> Option<u16> {
        let body = delivery.body.clone();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.to_string().as_bytes());
        let signature: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let head: [(&str, &str); 3] = match delivery.source {
            "plane" => [
                ("x-plane-signature", &signature),
                ("x-plane-delivery", &delivery.id),
                ("x-plane-event", &delivery.event),
            ],
            _ => [
                ("x-gitea-signature", &signature),
                ("x-gitea-delivery", &delivery.id),
                ("x-gitea-event", &delivery.event),
            ],
        };
        let path = format!("/api/v1/hooks/{}", delivery.source);
        self.client().once("POST", &path, &head, Some(&body)).await.ok().map(|answer| answer.status)
    }

    /// Sends deliveries on until something holds.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Services) -> bool) {
        let since = Instant::now();
        loop {
            self.deliver_all().await;
            if holds(&self.services()) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{what} does not come: {}", self.story());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The same with a server that kills itself behind the first kind of a plan, and is begun anew for the next.
    pub(super) async fn until_over_crashes(
        &mut self,
        what: &str,
        plan: &mut VecDeque<String>,
        holds: impl Fn(&Services) -> bool,
    ) {
        let mut since = Instant::now();
        loop {
            if self.is_dead() {
                let killed = plan.pop_front();
                assert!(killed.is_some(), "the server died by itself: {}", self.story());
                self.serve(plan.front().map(String::as_str));
                since = Instant::now();
            }
            self.deliver_all().await;
            if holds(&self.services()) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{what} does not come before {plan:?}: {}", self.story());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The events of the newest run, in order.
    pub(super) fn events(&self) -> Vec<Value> {
        let done = self.command(&["events", "@", "--json"]).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
    }

    /// The kinds of events of the newest run, in order.
    pub(super) fn event_kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| event["event"]["type"].as_str().unwrap().to_owned()).collect()
    }

    /// Whether the newest state that the tracker is to be told is recorded as sent.
    pub(super) fn is_state_told(&self) -> bool {
        self.is_sent("state")
    }

    /// Whether the newest notice of this id is recorded as sent.
    pub(super) fn is_sent(&self, notice: &str) -> bool {
        let events = self.events();
        let newest = |kind: &str| {
            let is_it = |event: &&Value| event["event"]["type"] == kind && event["event"]["notice"] == notice;
            events.iter().rev().find(is_it).map(|event| event["event"]["version"].clone())
        };
        newest("NoticeQueued").is_some_and(|queued| newest("NoticeSent") == Some(queued))
    }

    /// Sends deliveries on until the newest notice of this id is recorded as sent.
    pub(super) async fn until_sent(&self, notice: &str) {
        let since = Instant::now();
        while !self.is_sent(notice) {
            assert!(since.elapsed() < PATIENCE, "{notice} is not sent: {}", self.story());
            self.until("what is to be delivered", |_| true).await;
        }
    }

    /// How many appends led to the end of the newest run: each has a moment of its own where the server died in between.
    pub(super) fn appends_to_the_end(&self) -> usize {
        let events = self.events();
        let end = events.iter().position(|event| event["event"]["type"] == "RunSucceeded").unwrap();
        let moments: BTreeSet<_> =
            events[..=end].iter().map(|event| event["committed_at"].as_str()).collect();
        moments.len()
    }

    /// Ends the server, and gives the data folder.
    pub(super) fn left(&mut self) -> PathBuf {
        self.server = None;
        self.path(".everfold")
    }

    /// Where everything stands, for a test that fails.
    pub(super) fn story(&self) -> String {
        let services = self.services();
        let issues: Vec<_> = services.issues.values().map(|issue| (&issue.name, &issue.states)).collect();
        let comments: Vec<_> = services.comments.iter().map(|comment| &comment.html).collect();
        let asked = self.fake.asked();
        let last: Vec<_> =
            asked.iter().rev().take(12).map(|asked| format!("{} {}", asked.method, asked.path)).collect();
        let runs = self
            .command(&["show", "@"])
            .output()
            .map(|done| String::from_utf8_lossy(&done.stdout).into_owned());
        format!(
            "\nissues {issues:#?}\ncomments {comments:#?}\nagents {:?}\nlast requests {last:#?}\n{}\n{}",
            self.lines("agents"),
            runs.unwrap_or_default(),
            std::fs::read_to_string(self.path("serve.log"))
                .unwrap_or_default()
                .lines()
                .rev()
                .take(20)
                .collect::<Vec<_>>()
                .join("\n")
        )
    }
}

/// Whether an issue stands in a state.
pub(super) fn stands(id: &'static str, state: &'static str) -> impl Fn(&Services) -> bool {
    move |services| services.issues[id].state == state
}

/// The settings of the pipeline.
pub(super) fn projects(url: &str, repos: &Path) -> Value {
    let projects: serde_json::Map<String, Value> = PROJECTS
        .iter()
        .map(|(id, repo, prefix)| {
            let states = ["In Progress", "Approved", "Rejected"];
            let states: serde_json::Map<String, Value> = states
                .iter()
                .map(|name| (name.to_lowercase().replace(' ', "_"), json!(state_id(id, name))))
                .collect();
            ((*id).to_owned(), json!({ "repo": repo, "prefix": prefix, "states": states }))
        })
        .collect();
    json!({
        "plane": { "url": format!("{url}/plane"), "web": "https://plane.example.org", "workspace": "orch" },
        "gitea": { "url": format!("{url}/gitea"), "public": "https://git.example.org", "owner": "admin" },
        "telegram": { "url": format!("{url}/telegram"), "chat": "-100" },
        "repos": repos, "projects": projects,
        "models": { "default": "claude-opus-4-8" }, "efforts": { "default": "high", "tester": "medium", "deployer": "medium" },
        "agent_models": { ORCHESTRATOR: { "architect": "claude-sonnet-4-6" } },
        "agent_efforts": { SHOP: { "architect": "gigantic" } },
    })
}

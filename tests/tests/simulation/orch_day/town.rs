//! The services and agents of a day, behind the ports of the engine.
//!
//! Laws: Plane and Telegram are asked by the real functions, over small servers on loopback; virtual time stands
//! meanwhile. Agents, CI and git do what the plan says. What fails, and how, follows from the seed and from what is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use everfold_engine::data_folder::Layout;
use everfold_engine::driver::Engine;
use everfold_engine::execution::Edge;
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::json::Value;
use everfold_engine::store::BlobStore;
use everfold_workflows::fakes::{FakePlane, FakeServer, FakeTelegram, ServiceFault};
use everfold_workflows::function::Functions;
use everfold_workflows::process::{Processes, ShimProgram};
use everfold_workflows::settings::WorkflowSettings;
use serde_json::json;
use tokio::sync::watch;

use super::super::luck::Luck;
use super::plan::{AgentRound, PROJECTS, Task};

/// Who speaks in the tracker, each with a token of its own; the developer has none, and uses that of all.
pub const ROLES: [&str; 6] = ["analyst", "architect", "reviewer", "tester", "deployer", "stream"];
/// The user of the token of all.
pub const SHARED: &str = "orch";
pub const OWNER: &str = "owner";
/// The most tries of one request that fail.
const FAILURES_MAX: u32 = 3;
/// How often Plane does not give an issue that it hides at first.
const HIDDEN_TIMES: u32 = 5;

pub fn token(role: &str) -> String {
    format!("token-of-{role}-1f7b2c9d")
}

/// The id of a project in Plane.
pub fn project_id(number: usize) -> String {
    format!("0000a00{number}-0000-4000-8000-00000000000{number}")
}

/// What the day has seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// The task of each run.
    pub runs: BTreeMap<RunId, usize>,
    /// How often the tracker of a task was given a state, by the words of the pipeline.
    pub states: BTreeMap<(usize, String), usize>,
    /// How often Plane did not give an issue, by task.
    hidden: BTreeMap<usize, u32>,
    /// Notices of states that have arrived.
    arrived: BTreeSet<String>,
    /// Attempts of agents that were begun.
    begun: BTreeSet<EffectId>,
    /// Agents at work, by task.
    pub at_work: BTreeMap<usize, EffectId>,
    /// Pull requests, by task.
    pub pulls: BTreeMap<usize, PullRequests>,
    /// Tasks and rounds of the developer of which CI has told that they are green.
    pub green: BTreeSet<(usize, u32)>,
    /// Pings that rang while their answer was lost, with their task.
    pub rung_again: Vec<(usize, String)>,
    /// Tasks whose live message was sent.
    pub live: BTreeSet<RunId>,
    /// Laws that did not hold.
    pub violations: Vec<String>,
}

/// The pull requests of a task: after a merge the next one is another.
#[derive(Debug, Default)]
pub struct PullRequests {
    pub numbers: Vec<u64>,
    /// The last of them is open.
    pub is_open: bool,
}

impl PullRequests {
    pub fn open(&self) -> Option<u64> {
        self.numbers.last().copied().filter(|_| self.is_open)
    }
}

impl Seen {
    /// The pull request that is open.
    pub fn pull_request(&self, number: usize) -> Option<u64> {
        self.pulls.get(&number)?.open()
    }

    /// Opens one, unless one is open.
    pub fn open_pull_request(&mut self, number: usize) -> u64 {
        let next = self.pulls.values().map(|pulls| pulls.numbers.len() as u64).sum::<u64>() + 1;
        let pulls = self.pulls.entry(number).or_default();
        if let Some(open) = pulls.open() {
            return open;
        }
        pulls.is_open = true;
        pulls.numbers.push(next);
        next
    }

    /// Merges the one that is open.
    pub fn merge_pull_request(&mut self, number: usize) -> Option<u64> {
        let merged = self.pull_request(number);
        self.pulls.entry(number).or_default().is_open = false;
        merged
    }
}

/// All that is outside of the engine.
pub struct Town {
    pub seed: u64,
    pub tasks: Vec<Task>,
    /// The issues, in the order of the tasks.
    pub issues: Vec<String>,
    pub plane: FakePlane,
    pub telegram: FakeServer<FakeTelegram>,
    pub blobs: Arc<BlobStore>,
    pub real: Edge,
    /// Set as soon as it is open.
    pub engine: OnceLock<Engine>,
    pub faults: AtomicU64,
    seen: Mutex<Seen>,
    /// Told whenever something was seen.
    pub changed: watch::Sender<u64>,
    /// One request at a time: failures are those of the request that they are drawn for.
    asking: tokio::sync::Mutex<()>,
}

impl Town {
    /// Servers and ports for the tasks of a day; `servers` is the runtime whose time is real.
    pub fn new(seed: u64, tasks: Vec<Task>, folder: &Path, servers: &tokio::runtime::Runtime) -> Arc<Self> {
        let (plane, telegram) = servers.block_on(async {
            let telegram = FakeServer::serve(FakeTelegram::new(&token("telegram"))).await.unwrap();
            (FakePlane::start("team").await.unwrap(), telegram)
        });
        for role in ROLES.into_iter().chain([SHARED]) {
            plane.add_user(&token(role), role);
        }
        for (number, (_, prefix)) in PROJECTS.iter().enumerate() {
            plane.add_project(&project_id(number), prefix);
        }
        let issue = |task: &Task| {
            let (project, html) = (project_id(task.project), format!("<p>{}</p>", task.text));
            plane.add_issue(&project, task.sequence, &task.title, &html, "Backlog", OWNER)
        };
        let issues = tasks.iter().map(issue).collect();
        let layout = Layout::new(folder);
        let blobs = Arc::new(BlobStore::new(layout.root()));
        let processes = Processes::new(
            ShimProgram::at(Path::new("everfold")),
            blobs.clone(),
            Arc::new(WorkflowSettings::default()),
        );
        let real = everfold_workflows::edge(&layout, &processes, Functions::built_in(), None);
        Arc::new(Self {
            seed,
            tasks,
            issues,
            plane,
            telegram,
            blobs,
            real,
            engine: OnceLock::new(),
            faults: AtomicU64::new(0),
            seen: Mutex::default(),
            changed: watch::Sender::new(0),
            asking: tokio::sync::Mutex::new(()),
        })
    }

    pub fn luck(&self, name: &str) -> Luck {
        Luck::of(self.seed, name)
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub fn violated(&self, what: String) {
        self.seen().violations.push(what);
    }

    /// The task of a run.
    pub fn task_of(&self, run: RunId) -> Option<(usize, &Task)> {
        let number = self.seen().runs.get(&run).copied()?;
        Some((number, &self.tasks[number]))
    }

    /// Notes which issue a run is about.
    pub fn note_run(&self, run: RunId, issue: &str) {
        let Some(number) = self.issues.iter().position(|known| known == issue) else {
            return self.violated(format!("a run is about an issue that there is not: {issue}"));
        };
        let former = self.seen().runs.insert(run, number);
        let others =
            self.seen().runs.iter().filter(|(other, task)| **task == number && **other != run).count();
        if former.is_some_and(|former| former != number) || others > 0 {
            self.violated(format!("task {number} has {} runs", others + 1));
        }
    }

    /// What was drawn for the round of an agent.
    pub fn agent_round(&self, id: &EffectId) -> Option<(usize, &AgentRound)> {
        let (number, task) = self.task_of(id.run)?;
        let step = id.attempt.path.step.as_str();
        let found = task.rounds.iter().find(|((of, round), _)| *of == step && *round == id.attempt.round.0);
        Some((number, found?.1))
    }

    /// An agent begins.
    pub fn begins(&self, number: usize, id: &EffectId) {
        let mut seen = self.seen();
        if !seen.begun.insert(id.clone()) {
            seen.violations.push(format!("task {number}: {id} began twice"));
        }
        if let Some(other) = seen.at_work.insert(number, id.clone()) {
            seen.violations.push(format!("task {number}: {id} began while {other} was at work"));
        }
    }

    /// An agent has ended.
    pub fn ended(&self, number: usize) {
        self.seen().at_work.remove(&number);
    }

    /// The tracker of a task was given a state, by a notice that may come again.
    pub fn given(&self, number: usize, state: &str, dedup: String) {
        let mut seen = self.seen();
        if seen.arrived.insert(dedup) {
            *seen.states.entry((number, state.to_owned())).or_default() += 1;
        }
        drop(seen);
        self.changed.send_modify(|times| *times += 1);
    }

    /// Asks a service, with a failure of Plane before it is well: `fault` by the method that it is about.
    pub async fn asked<T>(
        &self,
        plane: Option<(&str, ServiceFault)>,
        telegram: Option<ServiceFault>,
        asking: impl Future<Output = T>,
    ) -> T {
        let _alone = self.asking.lock().await;
        if let Some((method, fault)) = plane {
            self.plane.fail(method, fault, 1);
        }
        self.telegram.fail_next(telegram.map(Some));
        self.faults.fetch_add(u64::from(plane.is_some() || telegram.is_some()), Ordering::Relaxed);
        let answer = while_time_stands(asking).await;
        self.plane.mend();
        self.telegram.mend();
        answer
    }

    /// Whether Plane does not give the issue of a task that is to be judged now.
    pub fn hides(&self, number: usize) -> bool {
        let mut seen = self.seen();
        let times = seen.hidden.entry(number).or_default();
        *times += 1;
        self.tasks[number].is_hidden && *times <= HIDDEN_TIMES
    }

    /// How a try to reach Plane fails, if it does.
    pub fn plane_fault(
        &self,
        about: &str,
        attempt: u32,
        method: &'static str,
    ) -> Option<(&'static str, ServiceFault)> {
        let mut luck = self.luck(&format!("plane {about} {attempt}"));
        let fails = attempt <= FAILURES_MAX && luck.is_one_of(6);
        let fault = match luck.below(5) {
            0 => ServiceFault::Status(502),
            1 => ServiceFault::Status(500),
            2 => ServiceFault::Limited(5 + luck.below(60)),
            3 => ServiceFault::Garbled,
            _ => ServiceFault::LostAnswer,
        };
        fails.then_some((method, fault))
    }

    /// Whether a try ends with nothing but the time limit of the caller.
    pub fn is_unheard(&self, about: &str, attempt: u32) -> bool {
        let is = attempt <= FAILURES_MAX && self.luck(&format!("silence {about} {attempt}")).is_one_of(14);
        self.faults.fetch_add(u64::from(is), Ordering::Relaxed);
        is
    }

    /// The settings of the pipeline.
    pub fn settings(&self) -> Value {
        let project = |number: usize| {
            let (repo, prefix) = PROJECTS[number];
            let state = |name: &str| self.plane.state_id(&project_id(number), name);
            let states = json!({ "in_progress": state("In Progress"), "approved": state("Approved"), "rejected": state("Rejected") });
            (project_id(number), json!({ "repo": repo, "prefix": prefix, "states": states }))
        };
        let projects: serde_json::Map<String, Value> = (0..PROJECTS.len()).map(project).collect();
        let bots: Vec<&str> = ROLES.into_iter().chain([SHARED]).collect();
        json!({
            "plane": { "url": self.plane.url(), "web": "https://plane.example.org", "workspace": "team" },
            "gitea": { "url": "http://localhost:3000", "public": "https://git.example.org", "owner": "admin" },
            "telegram": { "url": self.telegram.url(), "chat": "-100" },
            "repos": "/repos", "bots": bots, "projects": projects,
        })
    }
}

/// Has something done that needs the real world: virtual time goes on when it is done.
async fn while_time_stands<T>(doing: impl Future<Output = T>) -> T {
    let (release, held) = std::sync::mpsc::channel::<()>();
    // The paused runtime advances no clock while blocking work is at it.
    let holding = tokio::task::spawn_blocking(move || held.recv().is_err());
    let done = doing.await;
    drop(release);
    holding.await.unwrap();
    done
}

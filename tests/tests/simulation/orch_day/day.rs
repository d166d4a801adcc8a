//! Plays a day: people and services act on what they see, until nothing but people is awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::{ConfigSource, Definition};
use everfold_engine::driver::{Blocking, Engine, EngineConfig, Which};
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Value;
use everfold_engine::state::{RunState, effects};
use everfold_engine::store::{EventStore as _, MemoryStore};
use everfold_engine::time::Timestamp;
use everfold_workflows::builtin;
use everfold_workflows::hook::{self, Headers, HookSettings};
use serde_json::json;
use tokio::task::JoinSet;

use super::super::luck::Luck;
use super::plan::{Deed, PROJECTS, Task};
use super::ports::{self, Now};
use super::town::{OWNER, ROLES, SHARED, Town, token};

/// Monday morning.
const MORNING: Timestamp = Timestamp(1_790_000_000_000);
/// No person and no service waits for longer than this.
const PATIENCE: Duration = Duration::from_secs(14 * 24 * 3_600);
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// A pull request that a person opened.
const OF_A_PERSON: u64 = 900;

/// A day while it is played.
pub struct Day {
    pub town: Arc<Town>,
    pub engine: Engine,
    store: Arc<MemoryStore>,
    begun: tokio::time::Instant,
    deliveries: AtomicU64,
}

impl Day {
    /// An engine that knows the pipeline, and nothing else.
    pub async fn begin(town: Arc<Town>, folder: &std::path::Path) -> Result<Arc<Self>, String> {
        let begun = tokio::time::Instant::now();
        let now: Now = Arc::new(move || MORNING.plus(begun.elapsed()));
        let drawn = std::sync::Mutex::new(Luck::of(town.seed, "chance"));
        let config = EngineConfig {
            shards: 1,
            clock: now.clone(),
            sleep_max: Duration::from_secs(30 * 24 * 3_600),
            chance: Arc::new(move || {
                let mut drawn = drawn.lock().unwrap();
                u128::from(drawn.below(u64::MAX)) << 64 | u128::from(drawn.below(u64::MAX))
            }),
            blocking: Blocking::Inline,
            ..EngineConfig::default()
        };
        let store = Arc::new(MemoryStore::new(now.clone()));
        let layout = Layout::new(folder);
        let engine = Engine::open(
            config,
            store.clone(),
            town.blobs.clone(),
            layout.clone(),
            ports::edge(&town, &now, &layout),
        );
        town.engine.set(engine.clone()).ok().unwrap();
        engine.recover(Which::All).await.map_err(|error| error.to_string())?;
        let pipeline = Arc::new(pipeline(&town, folder));
        let by = Actor::User("ada".into());
        engine.save_pipeline(&pipeline, None, by).await.map_err(|error| error.to_string())?;
        Ok(Arc::new(Self { town, engine, store, begun, deliveries: AtomicU64::new(0) }))
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// What was waited for and did not come.
    pub async fn play(self: &Arc<Self>) -> Result<(), String> {
        let mut people = JoinSet::new();
        for number in 0..self.town.tasks.len() {
            let day = self.clone();
            people.spawn(async move { day.accompany(number).await });
        }
        while let Some(done) = people.join_next().await {
            done.map_err(|error| error.to_string())??;
        }
        let since = tokio::time::Instant::now();
        while let Some(busy) = self.busy().await? {
            if since.elapsed() > PATIENCE {
                return Err(format!("{busy} goes on for ever"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The people and services around a task.
    async fn accompany(self: Arc<Self>, number: usize) -> Result<(), String> {
        let task = &self.town.tasks[number];
        tokio::time::sleep(task.begins).await;
        self.set_state(number, "In Progress").await?;
        for act in &task.acts {
            let (state, times) = act.awaits;
            self.see(number, state, times).await?;
            tokio::time::sleep(act.after).await;
            self.chatter(number).await?;
            self.does(number, &act.does).await?;
        }
        Ok(())
    }

    /// Waits until the tracker of a task has been given a state so often.
    async fn see(&self, number: usize, state: &'static str, times: usize) -> Result<(), String> {
        let key = (number, state.to_owned());
        let mut changed = self.town.changed.subscribe();
        let is_seen = |_: &u64| self.town.seen().states.get(&key).copied().unwrap_or_default() >= times;
        match tokio::time::timeout(PATIENCE, changed.wait_for(is_seen)).await {
            Ok(_seen) => Ok(()),
            Err(_late) => Err(format!("task {number} never stands in {state} for the {times}. time")),
        }
    }

    async fn does(&self, number: usize, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::Approve => self.set_state(number, "Approved").await,
            Deed::Continue => self.set_state(number, "In Progress").await,
            Deed::Reject(reason) => {
                if let Some(reason) = reason {
                    self.town.plane.say(&self.town.issues[number], &format!("<p>{reason}</p>"), OWNER);
                }
                self.set_state(number, "Rejected").await
            }
            Deed::Merge => {
                // Where none is open, a person has opened one.
                let pull = self.town.seen().merge_pull_request(number).unwrap_or(OF_A_PERSON);
                let merged_at = MORNING.plus(self.begun.elapsed()).to_string();
                let head = json!({ "ref": self.branch(number).await?, "sha": "1f" });
                let request = json!({ "number": pull, "merged": true, "merged_at": merged_at, "title": "t", "head": head });
                let body = json!({ "action": "closed", "number": pull, "pull_request": request, "sender": { "login": "ada" } });
                self.deliver("gitea", "pull_request", &body).await
            }
            Deed::CiTells => {
                let round = self.round_of(number, "developer").await?;
                self.town.seen().green.insert((number, round));
                let (repository, _) = PROJECTS[number % PROJECTS.len()];
                let commit = self.state(number).await?.commit().map(str::to_owned);
                let repository = json!({ "name": repository, "full_name": format!("admin/{repository}") });
                let body = json!({ "sha": commit, "state": "success", "context": "ci", "repository": repository, "sender": { "login": "ci" } });
                self.deliver("gitea", "status", &body).await
            }
        }
    }

    /// The owner moves the issue in Plane, which tells of it.
    async fn set_state(&self, number: usize, state: &str) -> Result<(), String> {
        let issue = &self.town.issues[number];
        self.town.plane.move_issue(issue, state, OWNER);
        let body = self.town.plane.delivery(issue, OWNER).ok_or("no such issue")?;
        self.deliver("plane", "issue", &body).await
    }

    /// What also comes, and must lead to nothing: our own writes, comments, the words of other repositories.
    async fn chatter(&self, number: usize) -> Result<(), String> {
        let issue = &self.town.issues[number];
        let body = self.town.plane.delivery(issue, SHARED).ok_or("no such issue")?;
        self.deliver("plane", "issue", &body).await?;
        let comment = json!({ "id": "c", "issue": issue, "project": body["data"]["project"], "comment_html": "<p>:approved:</p>" });
        let actor = json!({ "actor": { "id": "id-of-owner", "display_name": OWNER } });
        let said =
            json!({ "event": "issue_comment", "action": "created", "data": comment, "activity": actor });
        self.deliver("plane", "issue_comment", &said).await?;
        let other = json!({ "name": "another", "full_name": "admin/another" });
        let status =
            json!({ "sha": "2e", "state": "failure", "repository": other, "sender": { "login": "ci" } });
        self.deliver("gitea", "status", &status).await
    }

    /// A delivery comes, and every third one twice.
    async fn deliver(&self, source: &str, event: &str, body: &Value) -> Result<(), String> {
        let nth = self.deliveries.fetch_add(1, Ordering::Relaxed);
        let headers = Headers::from([
            (format!("x-{source}-event"), event.to_owned()),
            (format!("x-{source}-delivery"), format!("{source}-{nth}")),
        ]);
        let settings: HookSettings = toml::from_str(&format!("reader = \"{source}\"")).unwrap();
        let raw = body.to_string();
        for _ in 0..1 + u64::from(nth.is_multiple_of(3)) {
            let read =
                hook::read(&settings, &headers, raw.as_bytes(), None).map_err(|error| error.to_string())?;
            self.engine.deliver(source, read).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The run of a task.
    pub fn run_of(&self, number: usize) -> Option<RunId> {
        self.town.seen().runs.iter().find(|(_, task)| **task == number).map(|(run, _)| *run)
    }

    /// What is known of the run of a task.
    pub async fn state(&self, number: usize) -> Result<RunState, String> {
        let run = self.run_of(number).ok_or_else(|| format!("task {number} has no run"))?;
        self.engine.state(run).await.map_err(|error| error.to_string())
    }

    /// The round of a step; 0: it was never begun.
    pub async fn round_of(&self, number: usize, step: &str) -> Result<u32, String> {
        let state = self.state(number).await?;
        let found = state.steps().find(|(known, _)| known.id.as_str() == step);
        Ok(found.map_or(0, |(_, facts)| facts.round.0))
    }

    async fn branch(&self, number: usize) -> Result<String, String> {
        let state = self.state(number).await?;
        state.labels().get("branch").cloned().ok_or_else(|| format!("task {number} has no branch"))
    }

    /// What happened to a task, and the notices that were given up.
    pub async fn history(&self, number: usize) -> Result<Vec<RunEvent>, String> {
        let run = self.run_of(number).ok_or_else(|| format!("task {number} has no run"))?;
        let read = self.store.read(&StreamId::run(run), Version::FIRST, usize::MAX).await;
        let decoded = |envelope: &Envelope| {
            event::decode(envelope.header.kind, envelope.header.schema, &envelope.payload)
        };
        let events = read.map_err(|error| error.to_string())?;
        events.iter().map(decoded).collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    /// A run in which more than people is awaited, or of which something is still to be said.
    async fn busy(&self) -> Result<Option<RunId>, String> {
        let runs: Vec<RunId> = self.town.seen().runs.keys().copied().collect();
        for run in runs {
            let is_busy = |state: &RunState| !effects(state).is_empty();
            if self.engine.with_state(run, is_busy).await.map_err(|error| error.to_string())? {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }
}

/// The built-in pipeline, with the settings of the day and tokens that stand in files.
fn pipeline(town: &Town, folder: &std::path::Path) -> Definition {
    let found = builtin::find("orch").unwrap();
    let mut pipeline = everfold_engine::definition::parse(found.text, found.name, found).unwrap().definition;
    pipeline.config.insert("orch".into(), vec![ConfigSource::Values(town.settings())]);
    let kept = |role: &str| {
        let path = folder.join(format!("{role}.token"));
        std::fs::write(&path, token(role)).unwrap();
        json!({ "file": path })
    };
    let mut document: Value = serde_json::from_str(&pipeline.document()).unwrap();
    let roles: serde_json::Map<String, Value> =
        ROLES.iter().map(|role| ((*role).to_owned(), kept(role))).collect();
    document["secrets"]["PLANE"] = json!({ "of": { "roles": roles, "else": kept(SHARED) } });
    document["secrets"]["TRACKER"] = kept(SHARED);
    document["secrets"]["TELEGRAM"] = kept("telegram");
    serde_json::from_value(document).unwrap()
}

/// In words, for a story.
pub fn said(task: &Task) -> String {
    format!("{} of {}, begins {:?}, {:?}", task.title, PROJECTS[task.project].0, task.begins, task.fate)
}

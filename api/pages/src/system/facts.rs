//! What REST tells of the engine, its store and its callers.

use axum::body::Body;
use axum::http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::frame::{CallerRole, Visit};
use crate::pipelines::RestList;
use crate::problem::Problem;

/// The answer of `GET /healthz`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Health {
    pub(crate) version: String,
    pub(crate) pid: u32,
}

/// Why a read model stands still.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ModelStop {
    pub(crate) what: String,
}

/// A read model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReadModel {
    pub(crate) name: String,
    pub(crate) schema: u64,
    pub(crate) position: u64,
    pub(crate) lag: u64,
    pub(crate) checkpoint: u64,
    pub(crate) stopped: Option<ModelStop>,
    pub(crate) rebuilding: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReadModels {
    pub(crate) head: u64,
    pub(crate) ready: bool,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) items: Vec<ReadModel>,
}

/// Places, or a resource of the settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) in_use: u64,
    pub(crate) waiting: u64,
}

impl Pool {
    /// How full it is, in percent.
    pub(crate) fn width(&self) -> u64 {
        (self.in_use.saturating_mul(100)).div_ceil(self.size.max(1)).min(100)
    }

    /// Whether all of it is in use, and work waits. Where some is free, work waits for something else.
    pub(crate) fn is_short(&self) -> bool {
        self.waiting > 0 && self.in_use >= self.size
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rate {
    pub(crate) service: String,
    pub(crate) starts: u64,
    pub(crate) per: String,
    pub(crate) left: u64,
    pub(crate) next: Option<String>,
    pub(crate) waiting: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Breaker {
    pub(crate) service: String,
    pub(crate) state: String,
    pub(crate) failures: u64,
    pub(crate) failures_max: u64,
    pub(crate) since: Option<String>,
    pub(crate) next: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) waiting: u64,
}

impl Breaker {
    pub(crate) fn is_closed(&self) -> bool {
        self.state == "closed"
    }

    /// Its state in words and its colour.
    pub(crate) fn word(&self) -> &'static str {
        match self.state.as_str() {
            "open" => "open: nothing starts",
            "half_open" => "half open: one tries",
            _ => "closed: all starts",
        }
    }

    pub(crate) fn tone(&self) -> &'static str {
        if self.is_closed() { "tone-good" } else { "tone-bad" }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reset {
    pub(crate) service: String,
    pub(crate) at: String,
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    pub(crate) fair_by: String,
    pub(crate) places: Vec<Pool>,
    pub(crate) resources: Vec<Pool>,
    pub(crate) rates: Vec<Rate>,
    pub(crate) breakers: Vec<Breaker>,
    pub(crate) resets: Vec<Reset>,
}

/// An attempt that a worker holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) function: String,
    pub(crate) since: String,
    pub(crate) lease_until: String,
    pub(crate) stopping: Option<String>,
}

impl Held {
    /// The address of the step that it works for.
    pub(crate) fn run_path(&self) -> String {
        format!("/runs/{}", crate::words::short(&self.run))
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) instance: Option<String>,
    pub(crate) functions: Vec<String>,
    pub(crate) polls: u64,
    pub(crate) seen_at: String,
    pub(crate) holds: Vec<Held>,
}

impl Worker {
    /// Whether it does a function, or holds an attempt of it.
    pub(crate) fn does(&self, function: &str) -> bool {
        self.functions.iter().any(|name| name == function)
            || self.holds.iter().any(|held| held.function == function)
    }
}

/// A function that workers do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RemoteFunction {
    pub(crate) name: String,
    pub(crate) waiting: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Workers {
    pub(crate) items: Vec<Worker>,
    pub(crate) functions: Vec<RemoteFunction>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Notice {
    pub(crate) id: String,
    pub(crate) run: String,
    pub(crate) notice: String,
    pub(crate) subscription: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) status: String,
    pub(crate) tries: u64,
    pub(crate) message: String,
    pub(crate) at: String,
}

impl Notice {
    /// The address of the run that it tells of.
    pub(crate) fn run_path(&self) -> String {
        format!("/runs/{}", crate::words::short(&self.run))
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.status == "dead"
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Subscription {
    pub(crate) name: String,
    pub(crate) function: String,
    pub(crate) state: String,
    #[serde(rename = "told")]
    pub(crate) sent: u64,
    pub(crate) given_up: u64,
    #[serde(rename = "last_told_at")]
    pub(crate) last_sent_at: Option<String>,
    pub(crate) next_try_at: Option<String>,
    pub(crate) failing: Option<String>,
}

/// A pause of the engine or of a pipeline.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Halt {
    pub(crate) pipeline: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) by: String,
    pub(crate) since: String,
}

impl Halt {
    /// The address of its pipeline.
    pub(crate) fn pipeline_path(&self) -> String {
        format!("/pipelines/{}", crate::words::encoded(self.pipeline.as_deref().unwrap_or_default()))
    }

    /// The address of what lifts it.
    pub(crate) fn lift_path(&self) -> String {
        match &self.pipeline {
            Some(name) => crate::frame::with_query("/system/resume", "name", name),
            None => "/system/resume".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Engine {
    paused: Vec<Halt>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StoreFiles {
    pub(crate) segments: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) index_bytes: u64,
    pub(crate) blobs_bytes: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Store {
    pub(crate) folder: String,
    pub(crate) store: Option<String>,
    pub(crate) epoch: String,
    pub(crate) adopted: bool,
    pub(crate) position: u64,
    pub(crate) runs: u64,
    pub(crate) unreadable_events: u64,
    pub(crate) writability: Value,
    pub(crate) warnings: Vec<String>,
    pub(crate) set_aside: Vec<Value>,
    pub(crate) files: Option<StoreFiles>,
}

impl Store {
    /// Why it takes no writes.
    pub(crate) fn refuses(&self) -> Option<String> {
        match &self.writability {
            Value::String(word) if word == "writable" => None,
            Value::Null => None,
            Value::String(word) if word == "full" => Some("the disk is full".to_owned()),
            Value::Object(why) => why.values().next().and_then(Value::as_str).map(str::to_owned),
            other => Some(crate::words::json(other)),
        }
    }

    /// All bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.as_ref().map_or(0, |files| files.journal_bytes + files.index_bytes + files.blobs_bytes)
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TokenFacts {
    pub(crate) name: String,
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) approves: Vec<String>,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) expires_at: Option<String>,
    pub(crate) revoked_at: Option<String>,
}

impl TokenFacts {
    /// Whether its time is over.
    pub(crate) fn is_expired(&self) -> bool {
        let end = self.expires_at.as_deref().and_then(crate::words::millis);
        end.is_some_and(|end| end <= crate::words::now_millis())
    }

    /// Whether it lets its holder in.
    pub(crate) fn is_good(&self) -> bool {
        self.revoked_at.is_none() && !self.is_expired()
    }

    /// The address of what can be done with it.
    pub(crate) fn act(&self, act: &str) -> String {
        crate::frame::with_query(&format!("/system/{act}"), "name", &self.name)
    }
}

/// All that the page shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct SystemFacts {
    pub(crate) health: Health,
    pub(crate) models: ReadModels,
    pub(crate) limits: Limits,
    pub(crate) workers: Workers,
    pub(crate) notices: Vec<Notice>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) paused: Vec<Halt>,
    pub(crate) store: Store,
    /// None: the caller may not see them.
    pub(crate) tokens: Option<Vec<TokenFacts>>,
}

/// Failed notices that the page lists.
const NOTICES_MAX: usize = 50;

impl SystemFacts {
    pub(crate) async fn load(visit: &Visit) -> Result<Self, Problem> {
        let rest = &visit.rest;
        let notices = format!("/notices?limit={NOTICES_MAX}");
        let (models, limits, workers, notices, subscriptions, engine, store, health) = futures::join!(
            rest.get::<ReadModels>("/projections"),
            rest.get::<Limits>("/engine/limits"),
            rest.get::<Workers>("/workers"),
            rest.get::<RestList<Notice>>(&notices),
            rest.get::<RestList<Subscription>>("/subscriptions"),
            rest.get::<Engine>("/engine"),
            rest.get::<Store>("/store"),
            health(visit),
        );
        let tokens = match visit.who.role {
            Some(CallerRole::Admin) => Some(tokens(visit).await?),
            _ => None,
        };
        Ok(Self {
            health: health.unwrap_or_default(),
            models: models?,
            limits: limits?,
            workers: workers?,
            notices: notices?.items,
            subscriptions: subscriptions?.items,
            paused: engine?.paused,
            store: store?,
            tokens,
        })
    }

    /// Whether the whole engine is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.iter().any(|halt| halt.pipeline.is_none())
    }
}

/// All tokens: good ones first, the newest first.
async fn tokens(visit: &Visit) -> Result<Vec<TokenFacts>, Problem> {
    let mut tokens: Vec<TokenFacts> = visit.rest.get::<RestList<TokenFacts>>("/tokens").await?.items;
    tokens.sort_by(|one, other| {
        other.is_good().cmp(&one.is_good()).then_with(|| other.created_at.cmp(&one.created_at))
    });
    Ok(tokens)
}

/// How the process is, which is not asked below `/api/v1`.
async fn health(visit: &Visit) -> Option<Health> {
    let mut asked = visit.rest.request(Method::GET, "/session", Body::empty()).ok()?;
    *asked.uri_mut() = axum::http::Uri::from_static("/healthz");
    let bytes = crate::rest::taken_in(visit.rest.send(asked).await).await.ok()?;
    serde_json::from_slice(&bytes).ok()
}

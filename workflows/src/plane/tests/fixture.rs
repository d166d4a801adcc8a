//! A project in the fake, the functions over it, and names that are given as the engine gives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_base::failure::Failure;
use everfold_base::id::{Attempt, AttemptId, EffectId, Round, RunId};
use everfold_base::json::Value;
use everfold_core::unique_names::UniqueNames;
use everfold_ports::{AttemptObserver, NameFailure, NameRequest, NameWish, Workdir};
use futures::future::BoxFuture;
use serde_json::json;

use crate::fakes::{FakePlane, ServiceFault};
use crate::function::{Call, CallParts, Functions};
use crate::plane::client::PlaneClient;
use crate::plane::declare::functions_over;

/// The token of all, and that of a role.
pub(super) const TOKEN: &str = "plane_api_shared";
pub(super) const ROLE_TOKEN: &str = "plane_api_reviewer";
pub(super) const PROJECT: &str = "8da6aa25-a60e-44d6-a1e2-d8ae59aa7d6a";
/// Of a request; what hangs is given up after it.
const TIME_LIMIT: Duration = Duration::from_millis(400);

/// Issue 18 of the project `ORCH`, in Todo.
pub(super) struct Tracker {
    pub(super) plane: FakePlane,
    pub(super) issue: String,
    pub(super) names: Arc<Mutex<Scopes>>,
    functions: Arc<Functions>,
    client: PlaneClient,
}

type Scopes = BTreeMap<String, UniqueNames>;

impl Tracker {
    pub(super) async fn new() -> Self {
        Self::of(&PlaneClient::within(TIME_LIMIT)).await
    }

    /// With the time limit of an engine.
    pub(super) async fn as_it_is_served() -> Self {
        Self::of(&PlaneClient::default()).await
    }

    /// The same just after the engine has started: what one before it has sent lands within this time.
    pub(super) async fn settling(settled: Duration) -> Self {
        Self::of(&PlaneClient::within(TIME_LIMIT).settling(settled)).await
    }

    async fn of(client: &PlaneClient) -> Self {
        let plane = FakePlane::start("team").await.unwrap();
        plane.add_user(TOKEN, "orch");
        plane.add_user(ROLE_TOKEN, "reviewer");
        plane.add_project(PROJECT, "ORCH");
        let html = "<p>The pages need a <b>dark</b> theme for the night.</p>";
        let issue = plane.add_issue(PROJECT, 18, "Dark mode", html, "Todo", "owner");
        let mut functions = Functions::default();
        for function in functions_over(client) {
            functions.register(function).unwrap();
        }
        let client = client.clone();
        Self { plane, issue, names: Arc::default(), functions: Arc::new(functions), client }
    }

    /// Waits until no issue is to be looked at again.
    pub(super) async fn looked_again(&self) {
        while self.client.late.is_looking() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Calls a function from a step of a run, with the parameters that all of them take.
    pub(super) async fn call(&self, function: &str, with: Value) -> Result<Value, Failure> {
        self.call_as(&call(1, "step", Some(&self.names), Value::Null), function, with).await
    }

    pub(super) async fn call_as(&self, call: &Call, function: &str, with: Value) -> Result<Value, Failure> {
        let mut all =
            json!({"url": self.plane.url(), "workspace": "team", "token": TOKEN, "project": PROJECT});
        if function != "plane.states" {
            all["issue"] = json!(self.issue);
        }
        let fields = all.as_object_mut().unwrap();
        fields.extend(with.as_object().unwrap().clone());
        self.functions.call(function, all, || call.clone())?.await
    }

    /// Calls a function that must succeed.
    pub(super) async fn done(&self, function: &str, with: Value) -> Value {
        self.call(function, with).await.unwrap()
    }

    pub(super) fn fail(&self, method: &str, fault: ServiceFault) {
        self.plane.fail(method, fault, 1);
    }

    /// How many requests there were.
    pub(super) fn asked(&self) -> usize {
        self.plane.requests().len()
    }
}

/// The call of a step of the nth run, or of a notice where the context says in whose name.
pub(super) fn call(run: u128, step: &str, names: Option<&Arc<Mutex<Scopes>>>, context: Value) -> Call {
    let attempt = AttemptId { path: step.parse().unwrap(), round: Round(1), attempt: Attempt(1) };
    let run: RunId = format!("00000000-0000-0000-0000-{run:012}").parse().unwrap();
    let id = EffectId { run, attempt };
    let key = id.idempotency_key();
    let workdir = Workdir { path: "/".into(), git: None };
    let mut parts = CallParts::silent(id.clone(), key, context, workdir);
    parts.observer =
        names.map(|names| Arc::new(NameGiver(id, Arc::clone(names))) as Arc<dyn AttemptObserver>);
    Call::new(parts)
}

/// Gives names as the engine does: by the fold of each scope, one wish after the other.
struct NameGiver(EffectId, Arc<Mutex<Scopes>>);

impl AttemptObserver for NameGiver {
    fn started(&self) {}

    fn line(&self, _line: &str) {}

    fn unique_name(&self, request: NameRequest) -> BoxFuture<'static, Result<String, NameFailure>> {
        let (run, path) = (self.0.run, self.0.attempt.path.clone());
        let mut scopes = self.1.lock().unwrap();
        let names = scopes.entry(request.scope).or_default();
        let given = names.take(run, &path, &request.wanted).map(|event| {
            event.iter().for_each(|event| names.apply(event));
            names.given(run, &path, request.wanted.wish()).unwrap().to_owned()
        });
        Box::pin(std::future::ready(given.map_err(NameFailure::from)))
    }

    fn held_name(&self, wish: NameWish) -> BoxFuture<'static, Result<Option<String>, NameFailure>> {
        let scopes = self.1.lock().unwrap();
        let names = scopes.get(&wish.scope);
        let held = names.and_then(|names| names.given(self.0.run, &self.0.attempt.path, &wish.wish));
        Box::pin(std::future::ready(Ok(held.map(str::to_owned))))
    }
}

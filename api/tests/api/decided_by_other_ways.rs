//! Nobody decides by another way what they may not decide themselves.

use everfold_engine::tokens::Role;
use serde_json::{Value, json};

use super::fixtures::server::Served;

/// An approval of other people than who started the run, which a webhook, a run and a schedule would give.
const RELEASE: &str = "name: release
key: release
triggers:
  - { hook: chat, signal: yes, to: { key: release } }
steps:
  - id: sign
    approval: { title: Release it?, self_approval: false }
    on_signal: { yes: approve }
";

const SENDS: &str = "name: sends
triggers: [{ schedule: { cron: '0 0 1 1 *' }, signal: yes, to: { key: release } }]
steps:
  - { id: send, signal: { name: yes, to: { key: release } } }
";

const BLOCKED: &str = "name: blocked
steps:
  - id: sign
    approval: { title: Release it?, roles: [security], on_reject: block }
";

struct Callers {
    served: Served,
    root: String,
    op: String,
    eve: String,
}

impl Callers {
    async fn new() -> Self {
        let served = Served::new(|_| {}).await;
        let root = served.token_of_role("root", Role::Admin).await;
        let op = served.token_of_role("op", Role::Operator).await;
        let eve = served.token_of_role("eve", Role::Operator).await;
        let people = Self { served, root, op, eve };
        for (name, text) in [("release", RELEASE), ("sends", SENDS), ("blocked", BLOCKED)] {
            let (status, saved) = people
                .ask(&people.op, "PUT", &format!("pipelines/{name}"), json!({ "definition": text }))
                .await;
            assert_eq!(status, 201, "{saved}");
        }
        people
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.served.ask_as(method, &format!("/api/v1/{path}"), token, &body.to_string()).await
    }

    async fn start(&self, token: &str, pipeline: &str, until: &str) -> String {
        let (status, run) = self.ask(token, "POST", "runs", json!({ "pipeline": pipeline })).await;
        assert_eq!(status, 201, "{run}");
        let run = run["id"].as_str().unwrap().to_owned();
        self.until(&run, until).await;
        run
    }

    async fn until(&self, run: &str, status: &str) {
        let seen = tokio::time::timeout(std::time::Duration::from_secs(30), async {
            while self.status(run).await != status {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        if seen.await.is_err() {
            panic!("run {run} is {}, not {status}", self.status(run).await);
        }
    }

    async fn status(&self, run: &str) -> String {
        let (_, view) = self.ask(&self.root, "GET", &format!("runs/{run}"), Value::Null).await;
        view["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The events of a kind in a run's history.
    async fn recorded(&self, run: &str, kind: &str) -> usize {
        let (_, page) = self.ask(&self.root, "GET", &format!("runs/{run}/events"), Value::Null).await;
        page["items"].as_array().unwrap().iter().filter(|event| event.to_string().contains(kind)).count()
    }

    async fn release(self) {
        self.served.server.stop().await;
        self.served.held.release().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_by_hand_decides_nothing_in_the_name_of_whom_it_names() {
    let people = Callers::new().await;
    let run = people.start(&people.op, "release", "waiting").await;
    for (id, token) in [("d1", &people.op), ("d2", &people.eve)] {
        let delivery = json!({ "body": "{\"from\": 42}", "id": id });
        let (status, made) = people.ask(token, "POST", "hooks/chat/deliveries", delivery).await;
        assert!(status == 200 || status == 201, "{made}");
        let handled = made.to_string();
        let said = handled.contains("decided by no delivery that token:");
        let later = people.ask(&people.root, "GET", "hooks/chat/deliveries", Value::Null).await.1.to_string();
        assert!(said || later.contains("decided by no delivery that token:"), "{handled}\n{later}");
    }
    assert_eq!((people.status(&run).await, people.recorded(&run, "VoteCast").await), ("waiting".into(), 0));
    people.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_started_a_run_has_no_other_run_or_schedule_decide_it() {
    let people = Callers::new().await;
    let run = people.start(&people.op, "release", "waiting").await;
    let sends = people.start(&people.op, "sends", "failed").await;
    let (_, view) = people.ask(&people.root, "GET", &format!("runs/{sends}"), Value::Null).await;
    assert!(view["failure"].to_string().contains("is not decided by who started it"), "{view}");
    let (_, schedules) = people.ask(&people.root, "GET", "schedules", Value::Null).await;
    let name = schedules["items"][0]["name"].as_str().unwrap().to_owned();
    let (status, triggered) =
        people.ask(&people.op, "POST", &format!("schedules/{name}/trigger"), json!({})).await;
    assert!(status < 300, "{triggered}");
    // What came of the moment stands in the schedule's history.
    let refused = async {
        loop {
            let (_, shown) = people.ask(&people.root, "GET", &format!("schedules/{name}"), Value::Null).await;
            if shown.to_string().contains("is not decided by who started it") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), refused).await.expect("the moment is refused");
    assert_eq!((people.status(&run).await, people.recorded(&run, "VoteCast").await), ("waiting".into(), 0));
    // Another person's run decides it.
    people.start(&people.eve, "sends", "succeeded").await;
    people.until(&run, "succeeded").await;
    people.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_over_an_approval_asks_for_its_roles_unless_an_admin_does() {
    let people = Callers::new().await;
    let run = people.start(&people.op, "blocked", "waiting").await;
    let body = json!({ "decision": "reject", "comment": "no" });
    let task = format!("inbox/{run}:sign:1");
    let (status, refused) = people.ask(&people.op, "POST", &task, body.clone()).await;
    assert_eq!((status, &refused["code"]), (403, &json!("EF0305")), "{refused}");
    assert!(refused["hint"].as_str().unwrap().contains("token create NAME --approves security"), "{refused}");
    let (status, voted) = people.ask(&people.root, "POST", &task, body).await;
    assert_eq!(status, 200, "{voted}");
    people.until(&run, "blocked").await;
    let pass = json!({ "step": "sign", "decision": "proceed", "reason": "in a hurry" });
    let (status, refused) =
        people.ask(&people.op, "POST", &format!("runs/{run}/unblock"), pass.clone()).await;
    assert_eq!((status, &refused["code"]), (403, &json!("EF0305")), "{refused}");
    let order = json!({ "order": { "unblock": pass }, "filter": format!("id == '{run}'") });
    let (_, given) = people.ask(&people.op, "POST", "runs:bulk", order).await;
    assert_eq!(given["items"][0]["problem"]["code"], "EF0305", "{given}");
    let (status, passed) = people.ask(&people.root, "POST", &format!("runs/{run}/unblock"), pass).await;
    assert_eq!(status, 200, "{passed}");
    people.until(&run, "succeeded").await;
    people.release().await;
}

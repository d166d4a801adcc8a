//! Writes that come again under their key: answered as they were, and the answer says so in a header.

use std::collections::BTreeSet;

use axum::body::Body;
use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, STEPS, read};

/// A token's text is shown once, so the repeat of its making is refused; the others need what a run loses after days,
/// or a history that cannot be folded.
const ELSEWHERE: [(&str, &str); 4] = [
    ("post", "/api/v1/tokens"),
    ("post", "/api/v1/notices/{notice}/retry"),
    ("post", "/api/v1/notices/{notice}/drop"),
    ("post", "/api/v1/runs/{run}/abandon"),
];

const BLOCKED: &str = "\
name: blocked
steps:
  - { id: a, function: everfold.echo, with: { n: 1 }, gates: [{ id: g, expression: 'false', on_fail: block }] }
";
const SPENDS: &str =
    "name: spends\nbudget: { id: own, cost: \"1 USD\" }\nsteps: [{ id: ok, approval: { title: Right? } }]\n";
const HEARS: &str = "\
name: hears
labels: { team: a }
key: only
triggers: [{ hook: forge, signal: hello, to: { key: only } }]
steps:
  - { id: first, wait: { signal: hello } }
  - { id: second, wait: { signal: hello } }
  - { id: third, wait: { signal: hello } }
";

/// What of an answer is the same both times.
#[derive(Clone, Copy, PartialEq)]
enum Same {
    /// All of it.
    All,
    /// Which run it is: it goes on meanwhile.
    Run,
}

/// Sends writes twice, each under a key of its own.
struct Twice<'a> {
    api: &'a Api,
    sent: std::cell::RefCell<BTreeSet<(String, String)>>,
    keys: std::cell::Cell<u32>,
}

impl Twice<'_> {
    async fn once(&self, method: &str, path: &str, body: &Value, key: &str) -> (u16, Option<String>, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.api.send(method, path, &[("idempotency-key", key)], body).await;
        let replayed = answer.headers().get("idempotency-replayed").map(|it| it.to_str().unwrap().to_owned());
        let (status, body) = read(answer).await;
        (status, replayed, body)
    }

    /// The second answer is the first, and says so. `route` is the path as the document has it, `names` what stands in it.
    async fn send(&self, same: Same, method: &str, route: &str, names: &[&str], body: Value) -> Value {
        let mut path = route.to_owned();
        for name in names {
            let (open, close) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(open..=close, name);
        }
        let key = format!("key-{}", self.keys.replace(self.keys.get() + 1));
        let (status, replayed, first) = self.once(method, &path, &body, &key).await;
        assert!(status < 300 && replayed.is_none(), "{method} {path}: {status} {replayed:?} {first}");
        let (again, replayed, second) = self.once(method, &path, &body, &key).await;
        assert_eq!((again, replayed.as_deref()), (status, Some("true")), "{method} {path}: {second}");
        match same {
            Same::All => assert_eq!(second, first, "{method} {path}"),
            Same::Run => assert_eq!(second["id"], first["id"], "{method} {path}"),
        }
        self.sent.borrow_mut().insert((method.to_lowercase(), route.to_owned()));
        first
    }

    async fn start(&self, definition: &str, status: &str) -> String {
        let body = json!({ "definition": definition });
        let run = self.send(Same::Run, "POST", "/api/v1/runs", &[], body).await;
        let run = run["id"].as_str().unwrap().to_owned();
        self.api.until(&run, status).await;
        run
    }
}

/// Every write that lists a key in the document, as method and path.
fn documented() -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(everfold_api::http::document()).unwrap();
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            if parameters.clone().any(|parameter| parameter["name"] == "Idempotency-Key") {
                found.insert((method.clone(), path.clone()));
                let answers = operation["responses"].as_object().unwrap();
                let good = answers.iter().filter(|(status, _)| status.starts_with('2'));
                for (status, answer) in good {
                    let header = &answer["headers"]["Idempotency-Replayed"];
                    assert!(header.is_object(), "{method} {path} {status} does not tell of the header");
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn row_58_every_write_with_a_key_says_when_it_is_answered_from_its_first_time() {
    use Same::{All, Run};
    let api = Api::new();
    let twice = Twice { api: &api, sent: Default::default(), keys: Default::default() };

    let run = twice.start(STEPS, "waiting").await;
    let of = [run.as_str()];
    twice.send(All, "POST", "/api/v1/runs/{run}/notes", &of, json!({ "text": "seen" })).await;
    twice.send(All, "POST", "/api/v1/runs/{run}/pause", &of, json!({ "reason": "lunch" })).await;
    twice.send(All, "POST", "/api/v1/runs/{run}/resume", &of, json!({})).await;
    twice.send(All, "POST", "/api/v1/runs/{run}/interrupt", &of, json!({ "reason": "astray" })).await;
    twice.send(All, "POST", "/api/v1/runs/{run}/resume", &of, json!({})).await;
    twice.send(All, "PUT", "/api/v1/runs/{run}/breakpoints", &of, json!({ "steps": ["b"] })).await;
    let fork = json!({ "version": 2, "until_step": "ok" });
    twice.send(Run, "POST", "/api/v1/runs/{run}/fork", &of, fork).await;
    let task = format!("{run}:ok:1");
    let (_, view) = api.get(&format!("/api/v1/runs/{run}")).await;
    let seen = view["awaits"][0]["seen"]["digest"].as_str().unwrap();
    let vote = json!({ "decision": "approve", "seen": &seen[..8] });
    twice.send(Run, "POST", "/api/v1/inbox/{task}", &[&task], vote).await;
    twice.send(Run, "POST", "/api/v1/runs/{run}/cancel", &of, json!({ "reason": "enough" })).await;
    api.until(&run, "cancelled").await;
    twice.send(Run, "POST", "/api/v1/runs/{run}/restart", &of, json!({ "from_step": "ok" })).await;

    let blocked = twice.start(BLOCKED, "blocked").await;
    let of = [blocked.as_str()];
    let step = json!({ "step": "a" });
    twice.send(Run, "POST", "/api/v1/runs/{run}/recheck", &of, step.clone()).await;
    api.until(&blocked, "blocked").await;
    twice.send(Run, "POST", "/api/v1/runs/{run}/retry", &of, step).await;
    api.until(&blocked, "blocked").await;
    let proceed = json!({ "decision": "proceed", "output": { "n": 2 }, "reason": "by hand" });
    twice.send(Run, "POST", "/api/v1/runs/{run}/unblock", &of, proceed).await;

    let spends = twice.start(SPENDS, "waiting").await;
    let raise = json!({ "add": "1.00" });
    let raised = twice.send(Run, "POST", "/api/v1/runs/{run}/budget", &[&spends], raise).await;
    assert_eq!(raised["budget"][0]["raised"]["cost_usd"], "1.000000", "once");

    // Pipelines, and what reaches their runs.
    let hears = json!({ "definition": HEARS });
    twice.send(All, "PUT", "/api/v1/pipelines/{name}", &["hears"], hears).await;
    let run = twice.start(HEARS, "waiting").await;
    let answer =
        twice.send(Run, "POST", "/api/v1/runs/{run}/signals/{name}", &[&run, "hello"], json!({})).await;
    assert_eq!(answer["taken"][0]["how"], "now", "{answer}");
    for to in [json!({ "key": "only" }), json!({ "labels": { "team": "a" } })] {
        let answer = twice.send(All, "POST", "/api/v1/signals/{name}", &["bye"], to).await;
        assert_eq!(
            (answer["items"][0]["run"].as_str(), &answer["items"][0]["repeated"]),
            (Some(&*run), &json!(false))
        );
    }
    let order = json!({ "order": { "note": { "text": "seen" } }, "filter": "true" });
    let mut look = order.clone();
    look["dry_run"] = true.into();
    let (_, shown) = api.post("/api/v1/runs:bulk", look).await;
    let order = json!({ "order": order["order"], "filter": "true", "at": shown["at"] });
    let answer = twice.send(All, "POST", "/api/v1/runs:bulk", &[], order).await;
    assert_eq!(answer["items"][0]["outcome"], "ordered", "{answer}");
    // A repeat would go to the runs of its own moment.
    let of_now = json!({ "order": { "note": { "text": "seen" } }, "filter": "true" });
    let keyed = [("idempotency-key", "of-now")];
    let refused = api.send("POST", "/api/v1/runs:bulk", &keyed, of_now.to_string()).await;
    assert_eq!(refused.status(), 409);
    assert_eq!(api.post("/api/v1/runs:bulk", of_now).await.0, 200);
    let (status, delivered) =
        api.post("/api/v1/hooks/forge/deliveries", json!({ "body": "{}", "id": "d1" })).await;
    assert_eq!(status, 201, "{delivered}");
    let route = "/api/v1/hooks/{source}/deliveries/{id}/redeliver";
    twice.send(All, "POST", route, &["forge", "d1"], Value::Null).await;

    let nightly = json!({ "name": "nightly", "pipeline": "hears", "schedule": "0 3 * * *" });
    twice.send(All, "POST", "/api/v1/schedules", &[], nightly).await;
    let of = ["nightly"];
    twice.send(All, "POST", "/api/v1/schedules/{name}/pause", &of, json!({ "reason": "holidays" })).await;
    twice.send(All, "POST", "/api/v1/schedules/{name}/resume", &of, json!({})).await;
    let hours = json!({ "schedule": { "hours": "2..6" } });
    twice.send(All, "PATCH", "/api/v1/schedules/{name}", &of, hours).await;
    twice.send(All, "POST", "/api/v1/schedules/{name}/trigger", &of, Value::Null).await;
    twice.send(All, "DELETE", "/api/v1/schedules/{name}", &of, Value::Null).await;

    let limit = json!({ "cost": "5.00", "reason": "the plan" });
    twice.send(All, "PUT", "/api/v1/budgets/{scope}", &["team"], limit).await;
    twice.send(All, "DELETE", "/api/v1/budgets/{scope}", &["team"], Value::Null).await;

    // The whole engine.
    twice.send(All, "POST", "/api/v1/engine/pause", &[], json!({ "reason": "freeze" })).await;
    twice.send(All, "POST", "/api/v1/engine/resume", &[], json!({})).await;
    let (status, made) = api.post("/api/v1/tokens", json!({ "name": "ci", "role": "viewer" })).await;
    assert_eq!(status, 201, "{made}");
    twice.send(All, "DELETE", "/api/v1/tokens/{name}", &["ci"], Value::Null).await;

    let elsewhere = ELSEWHERE.map(|(method, path)| (method.to_owned(), path.to_owned()));
    let missing: Vec<_> = documented()
        .into_iter()
        .filter(|it| !twice.sent.borrow().contains(it) && !elsewhere.contains(it))
        .collect();
    assert_eq!(missing, [], "these are not looked at here");
}

/// What is recognised by what it holds has no key, and says so, too.
#[tokio::test]
async fn row_58_a_delivery_that_came_before_says_so() {
    let api = Api::new();
    let body = json!({ "body": "{}", "id": "d1" }).to_string();
    for replayed in [None, Some("true")] {
        let answer = api.send("POST", "/api/v1/hooks/forge/deliveries", &[], body.clone()).await;
        let header = answer.headers().get("idempotency-replayed").map(|it| it.to_str().unwrap().to_owned());
        assert_eq!(header.as_deref(), replayed);
    }
}

/// A start that meets a run with its key records nothing, so there is no first time that answers.
#[tokio::test]
async fn row_58_a_start_whose_key_is_taken_is_answered_anew() {
    let api = Api::new();
    let held = HEARS.replace("\nkey: only", "\nkey: { value: only, on_taken: return }");
    let start = json!({ "definition": held }).to_string();
    for (status, is_held) in [(201, false), (200, true), (200, true)] {
        let key = [("idempotency-key", if is_held { "other" } else { "first" })];
        let answer = api.send("POST", "/api/v1/runs", &key, start.clone()).await;
        assert!(!answer.headers().contains_key("idempotency-replayed"));
        let (seen, view) = read(answer).await;
        assert_eq!((seen, view["held"] == true), (status, is_held), "{view}");
    }
}

/// It was answered as if nothing had followed while another moment waited.
#[tokio::test]
async fn row_75_a_trigger_that_comes_again_tells_what_it_led_to_while_another_moment_waits() {
    let api = Api::new();
    let body = json!({ "definition": STEPS }).to_string();
    assert_eq!(api.send("PUT", "/api/v1/pipelines/steps", &[], body).await.status(), 201);
    // Each moment waits for the run of the one before.
    let schedule = json!({ "every": "1s", "overlap": "queue" });
    let nightly = json!({ "name": "nightly", "pipeline": "steps", "schedule": schedule });
    assert_eq!(api.post("/api/v1/schedules", nightly).await.0, 201);
    let trigger = async || {
        let key = [("idempotency-key", "k")];
        read(api.send("POST", "/api/v1/schedules/nightly/trigger", &key, Body::empty()).await).await
    };
    let (status, first) = trigger().await;
    assert_eq!((status, &first["triggered"]["outcome"]), (200, &json!("started")), "{first}");
    // Moments come and wait while the run that was triggered asks.
    let mut waiting = json!(0);
    while waiting == 0 {
        api.held.node().engine().look_at_clock().await;
        waiting = api.get("/api/v1/schedules/nightly").await.1["waiting"].clone();
    }
    for _ in 0..2 {
        let (status, again) = trigger().await;
        assert_eq!((status, &again["triggered"]), (200, &first["triggered"]), "{again}");
    }
}

#[tokio::test]
async fn row_58_an_order_about_a_schedule_under_a_key_of_another_is_refused() {
    let api = Api::new();
    let body = json!({ "definition": STEPS }).to_string();
    assert_eq!(api.send("PUT", "/api/v1/pipelines/steps", &[], body).await.status(), 201);
    let key = [("idempotency-key", "k")];
    let add = |cron: &str| json!({ "name": "nightly", "pipeline": "steps", "schedule": cron }).to_string();
    let (status, _) = read(api.send("POST", "/api/v1/schedules", &key, add("0 3 * * *")).await).await;
    assert_eq!(status, 201);
    let (status, problem) = read(api.send("POST", "/api/v1/schedules", &key, add("0 4 * * *")).await).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0214")), "{problem}");
}

#[tokio::test]
async fn a_request_with_two_keys_is_refused() {
    let api = Api::new();
    let keys = [("idempotency-key", "one"), ("idempotency-key", "two")];
    let (status, problem) =
        read(api.send("POST", "/api/v1/runs", &keys, json!({ "definition": STEPS }).to_string()).await).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("several Idempotency-Key"), "{problem}");
}

const LISTENS: &str = "\
name: listens
labels: { team: b }
key: sole
steps: [{ id: first, wait: { signal: go } }]
";

/// A repeat reached runs that had started since, and knew nothing of those that had ended.
#[tokio::test]
async fn a_signal_to_several_runs_that_comes_again_is_that_of_the_runs_of_the_first_time() {
    let api = Api::new();
    let twice = Twice { api: &api, sent: Default::default(), keys: Default::default() };
    let listens = LISTENS.replace("key: sole\n", "");
    let send = async |body: Value, key: &str| twice.once("POST", "/api/v1/signals/go", &body, key).await;
    let runs = |answer: &Value| -> Vec<String> {
        answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["run"].as_str().unwrap().to_owned())
            .collect()
    };
    let (one, two) = (twice.start(&listens, "waiting").await, twice.start(&listens, "waiting").await);
    let to = json!({ "labels": { "team": "b" }, "payload": 1 });
    let (status, replayed, first) = send(to.clone(), "many").await;
    assert_eq!(
        (status, replayed, runs(&first)),
        (200, None, vec![two.clone(), one.clone()]),
        "the newest first"
    );
    let later = twice.start(&listens, "waiting").await;
    for run in [&one, &two] {
        api.until(run, "succeeded").await;
    }
    let (status, replayed, again) = send(to, "many").await;
    assert_eq!((status, replayed.as_deref(), runs(&again)), (200, Some("true"), vec![two, one]), "{again}");
    assert_eq!(api.get(&format!("/api/v1/runs/{later}")).await.1["status"], "waiting");
    let (status, _, refused) = send(json!({ "labels": { "team": "b" }, "payload": 2 }), "many").await;
    assert_eq!((status, &refused["code"]), (422, &json!("EF0214")));
    let (_, _, other) = send(json!({ "labels": { "team": "b" } }), "another key").await;
    assert_eq!(runs(&other), [later], "and nobody else");
}

/// It was refused as of no run, and was that of another run when one had the key.
#[tokio::test]
async fn a_signal_to_a_key_that_comes_again_is_that_of_the_run_of_the_first_time() {
    let api = Api::new();
    let twice = Twice { api: &api, sent: Default::default(), keys: Default::default() };
    let to = json!({ "key": "sole", "payload": 1 });
    let one = twice.start(LISTENS, "waiting").await;
    let (status, replayed, first) = twice.once("POST", "/api/v1/signals/go", &to, "k").await;
    assert_eq!((status, replayed, first["items"][0]["run"].as_str()), (200, None, Some(&*one)));
    api.until(&one, "succeeded").await;
    for _ in 0..2 {
        let (status, replayed, again) = twice.once("POST", "/api/v1/signals/go", &to, "k").await;
        assert_eq!((status, replayed.as_deref()), (200, Some("true")), "{again}");
        assert_eq!(again["items"][0]["run"].as_str(), Some(&*one), "{again}");
        api.post("/api/v1/runs", json!({ "definition": LISTENS })).await;
    }
}

//! A decision by a button of a chat: asked by a notice, given by a webhook, answered in the webhook's own answer.

use axum::body::Body;
use axum::http::Request;
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::data_folder::Layout;
use everfold_engine::id::Position;
use everfold_workflows::fakes::{FakeServer, FakeTelegram};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fixtures::in_memory::read;

const SECRET: &str = "secret-of-the-webhook";
const OWNER: i64 = 42;
const STRANGER: i64 = 7;

struct Place {
    held: NodeGuard,
    telegram: FakeServer<FakeTelegram>,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("hook-secret"), SECRET).unwrap();
        let settings = "[hooks.telegram]\nreader = \"telegram\"\nsecret = { file = \"hook-secret\" }\n";
        std::fs::write(data.join("everfold.toml"), settings).unwrap();
        let held = serve::imagine(Layout::new(data)).unwrap();
        let telegram = FakeServer::serve(FakeTelegram::new("1:bot")).await.unwrap();
        Self { held, telegram, _folder: folder }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> (u16, Value) {
        let caller = everfold_api::access::Caller::local("ada");
        let mut request = Request::builder().method(method).uri(path).extension(caller);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        read(self.held.routes().oneshot(request.body(body).unwrap()).await.unwrap()).await
    }

    /// Telegram delivers an update.
    async fn update(&self, update: &Value, secret: &str) -> (u16, Value) {
        let headers = [("x-telegram-bot-api-secret-token", secret), ("content-type", "application/json")];
        self.send("POST", "/api/v1/hooks/telegram", &headers, update.clone()).await
    }

    fn press(&self, data: &str, person: i64) -> Value {
        self.telegram.service(|telegram| telegram.press(data, person)).unwrap()
    }

    /// Waits until something of the run, as its view shows it, holds.
    async fn until(&self, run: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut events = self.held.node().store().subscribe(Position::FIRST);
        loop {
            let (_, view) = self.send("GET", &format!("/api/v1/runs/{run}"), &[], Value::Null).await;
            if holds(&view) {
                return view;
            }
            let _more = tokio::time::timeout(std::time::Duration::from_millis(50), events.next()).await;
        }
    }

    /// Starts the pipeline, and waits until people were called.
    async fn asking(&self) -> String {
        let definition = format!(
            "
name: gate
triggers:
  - hook: telegram
    when: \"event.?verb.orValue('') == 'approve' && event.sender == '{OWNER}'\"
    otherwise: \"${{event.?verb.orValue('') == 'approve' ? 'only the owner approves' : 'another button'}}\"
    signal: approve
    to: {{ run: '${{event.target}}' }}
  - {{ hook: telegram, when: \"event.?verb.orValue('') == 'never'\", signal: never, to: {{ run: '${{event.target}}' }} }}
notify:
  - id: call
    events: [ApprovalRequested]
    function: telegram.ping
    with:
      token: '1:bot'
      chat: -1001
      url: '{}'
      text: '<b>${{html(run.title)}}</b> is ready'
      buttons: [{{ text: Approve, data: 'approve:${{run.id}}' }}]
steps:
  - {{ id: ready, approval: {{ title: Is it good? }}, on_signal: {{ approve: approve }} }}
",
            self.telegram.url(),
        );
        let (status, saved) =
            self.send("PUT", "/api/v1/pipelines/gate", &[], json!({ "definition": definition })).await;
        assert_eq!(status, 201, "{saved}");
        let (status, run) =
            self.send("POST", "/api/v1/runs", &[], json!({"pipeline": "gate", "title": "a & b"})).await;
        assert_eq!(status, 201, "{run}");
        let run = run["id"].as_str().unwrap().to_owned();
        self.until(&run, |_view| !self.telegram.service(|telegram| telegram.messages().is_empty())).await;
        run
    }
}

#[tokio::test]
async fn ov14_the_right_person_approves_by_a_button_and_another_is_told_why_not() {
    let place = Place::new().await;
    let run = place.asking().await;
    let message = place.telegram.service(|telegram| telegram.messages()[0].clone());
    assert_eq!((message.text.as_str(), message.is_silent), ("<b>a &amp; b</b> is ready", false));

    let pressed = place.press("approve", STRANGER);
    let (status, refused) = place.update(&pressed, SECRET).await;
    let expected = json!({
        "method": "answerCallbackQuery", "callback_query_id": "query-1", "text": "only the owner approves",
        "show_alert": true,
    });
    assert_eq!((status, &refused), (200, &expected));
    assert_eq!(place.update(&pressed, SECRET).await, (200, expected), "the same update again");
    let view = place.until(&run, |_view| true).await;
    assert_eq!(view["status"], "waiting", "{view}");

    let (status, approved) = place.update(&place.press("approve", OWNER), SECRET).await;
    assert_eq!(
        (status, &approved["text"], &approved["show_alert"]),
        (200, &json!("✓ approve"), &json!(false)),
        "{approved}"
    );
    place.until(&run, |view| view["status"] == "succeeded").await;
    let (_, audit) = place.send("GET", &format!("/api/v1/runs/{run}/events"), &[], Value::Null).await;
    assert!(
        audit.to_string().contains(&format!("hook:telegram/{OWNER}")),
        "the person stands in the history"
    );

    let (status, late) = place.update(&place.press("approve", OWNER), SECRET).await;
    assert_eq!((status, &late["show_alert"]), (200, &json!(true)), "{late}");
    assert!(late["text"].as_str().is_some_and(|text| !text.starts_with('✓') && !text.is_empty()), "{late}");
}

#[tokio::test]
async fn ov14_an_update_without_the_secret_decides_nothing() {
    let place = Place::new().await;
    let run = place.asking().await;
    let pressed = place.press("approve", OWNER);
    for wrong in ["", "secret-of-the-webhoo", "secret-of-the-webhook2"] {
        assert_eq!(place.update(&pressed, wrong).await.0, 401, "{wrong}");
    }
    let (_, page) = place.send("GET", "/api/v1/hooks", &[], Value::Null).await;
    assert_eq!(page["items"], json!([]), "nothing is recorded");
    let view = place.until(&run, |_view| true).await;
    assert_eq!(view["status"], "waiting", "{view}");
    let said = json!({"update_id": 5, "message": {"message_id": 9, "from": {"id": 1}, "chat": {"id": 1}, "text": "hi"}});
    let (status, kept) = place.update(&said, SECRET).await;
    assert_eq!((status, &kept["id"]), (202, &json!("5")), "words are no button: {kept}");
}

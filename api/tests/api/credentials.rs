//! Credentials of a request over TCP: asked for with 428 before anything is touched, sealed, and in no answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use everfold_api::access::TokenWish;
use everfold_api::node::HoldOptions;
use everfold_api::serve::{self, NodeGuard, Server};
use everfold_api::settings::ServeSettings;
use everfold_engine::actor::Actor;
use everfold_engine::builder::{Gate, Pipeline, Secret, Step};
use everfold_engine::data_folder::Layout;
use everfold_engine::tokens::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const RIGHT: &str = "sk-right-71c0ffee";
const WRONG: &str = "sk-wrong-71c0ffee";

/// A server over a data folder, and a service that knows one password.
struct Place {
    folder: tempfile::TempDir,
    held: NodeGuard,
    server: Server,
    token: String,
    service: String,
}

async fn check(headers: HeaderMap) -> StatusCode {
    match headers.get("authorization").is_some_and(|it| it == &format!("Bearer {RIGHT}")) {
        true => StatusCode::OK,
        false => StatusCode::UNAUTHORIZED,
    }
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let key = folder.path().join("keys/credentials.key");
        std::fs::write(data.join("everfold.toml"), format!("[credentials]\nkey = \"{}\"\n", key.display()))
            .unwrap();
        let held = serve::hold(Layout::new(&data), HoldOptions::default()).await.unwrap();
        held.node().drive_all().await.unwrap();
        let settings = ServeSettings { listen: "127.0.0.1:0".to_owned(), ..ServeSettings::default() };
        let server = Server::start(held.node().clone(), held.routes(), &settings).await.unwrap();
        let wish = TokenWish { name: "ada".into(), role: Role::Operator, approves: Vec::new(), lasts: None };
        let made = held.node().access().create(wish, Actor::Engine, None).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("http://{}/check", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/check", get(check))).await });
        Self { folder, held, server, token: made.secret.reveal().to_owned(), service }
    }

    /// A pipeline that asks for a credential, checks it, and works with it until a signal comes.
    fn pipeline(&self) -> String {
        json!({
            "name": "personal",
            "secrets": {"TOKEN": {"credential": "claude"}},
            "admit": [
                {"id": "login", "credentials": ["claude"]},
                {"id": "password", "http": {"url": self.service, "headers": {"authorization": "Bearer ${secrets.TOKEN}"}}},
            ],
            "steps": [
                {"id": "show", "function": "everfold.echo", "with": {"said": "${secrets.TOKEN}"}},
                {"id": "go", "wait": {"signal": "go"}},
                {"id": "again", "function": "everfold.echo", "with": {"said": "Bearer ${secrets.TOKEN}"}},
            ],
            "output": ["${steps.show.output}", "${steps.again.output}"],
        })
        .to_string()
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> (u16, Value, String) {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let address = self.server.address.to_string();
        let mut head = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.token,
            body.len()
        );
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let answered = async {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).await.unwrap();
            all
        };
        let all = tokio::time::timeout(Duration::from_secs(30), answered).await.expect("an answer comes");
        assert!(!all.contains(RIGHT) && !all.contains(WRONG), "an answer holds a value: {all}");
        let status = all.split(' ').nth(1).unwrap().parse().unwrap();
        let body = all.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null), all)
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: Value) -> (u16, Value) {
        let (status, body, _) = self.ask("POST", path, headers, body).await;
        (status, body)
    }

    async fn until(&self, run: &str, status: &str) -> Value {
        let there = async {
            loop {
                let (_, view, _) = self.ask("GET", &format!("runs/{run}"), &[], Value::Null).await;
                if view["status"] == status {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), there)
            .await
            .unwrap_or_else(|_| panic!("{run} is {status}"))
    }

    fn sealed(&self) -> Vec<String> {
        let folder = self.folder.path().join("data/credentials");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until nothing is kept for a run.
    async fn until_gone(&self, run: &str) {
        let gone = async {
            while self.sealed().iter().any(|kept| kept == run) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it is removed");
    }

    fn position(&self) -> u64 {
        self.held.node().store().last_position().0
    }
}

/// The files below a folder that hold one of the values.
fn leaks(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(leaks(&path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let holds = |value: &str| bytes.windows(value.len()).any(|window| window == value.as_bytes());
            found.extend((holds(RIGHT) || holds(WRONG)).then_some(path));
        }
    }
    found
}

const HEADER: &str = "Everfold-Credential-Claude";

#[tokio::test(flavor = "multi_thread")]
async fn a_start_asks_for_its_credential_by_header_and_stores_nothing_until_it_is_right() {
    let place = Place::new().await;
    let body = json!({ "definition": place.pipeline() });
    let before = place.position();
    let (status, missing) = place.post("runs", &[], body.clone()).await;
    assert_eq!((status, &missing["code"]), (428, &json!("EF0316")), "{missing}");
    let named = &missing["errors"][0];
    assert_eq!((&named["code"], &named["credential"]), (&json!("credential_required"), &json!("claude")));
    assert_eq!(named["header"], "Everfold-Credential-claude", "{missing}");
    assert!(missing["hint"].as_str().unwrap().contains("--credential claude"), "{missing}");
    let (status, wrong) = place.post("runs", &[(HEADER, WRONG)], body.clone()).await;
    assert_eq!((status, &wrong["code"]), (428, &json!("EF0317")), "{wrong}");
    assert_eq!(wrong["errors"][0]["code"], "credential_refused");
    let (status, short) = place.post("runs", &[(HEADER, "abc")], body.clone()).await;
    assert_eq!((status, &short["code"]), (422, &json!("EF0211")), "{short}");
    assert_eq!((place.position(), place.sealed()), (before, Vec::<String>::new()));
    let keyed = [(HEADER, RIGHT), ("idempotency-key", "once")];
    let (status, run) = place.post("runs", &keyed, body.clone()).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap().to_owned();
    place.until(&run, "waiting").await;
    assert_eq!(place.sealed(), [run.as_str()]);
    // The same request again, with another value: its answer is there, and its credential stays.
    let other = [(HEADER, WRONG), ("idempotency-key", "once")];
    let (status, same) = place.post("runs", &other, body).await;
    assert!((200..300).contains(&status) && same["id"] == *run, "{same}");
    assert_eq!(place.sealed(), [run.as_str()]);
    assert_eq!(leaks(place.folder.path()), Vec::<PathBuf>::new());
    let (status, _) = place.post(&format!("runs/{run}/signals/go"), &[], json!({})).await;
    assert_eq!(status, 200);
    let done = place.until(&run, "succeeded").await;
    assert_eq!(done["output"], json!([{"said": "***"}, {"said": "Bearer ***"}]), "{done}");
    place.until_gone(&run).await;
    assert_eq!(leaks(place.folder.path()), Vec::<PathBuf>::new());
    let (_, events, text) = place.ask("GET", &format!("runs/{run}/events"), &[], Value::Null).await;
    assert!(events["items"].is_array() || text.contains("RunStarted"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_retry_leave_their_origin_as_it_is_until_the_credential_is_right() {
    let place = Place::new().await;
    let (_, live) = place.post("runs", &[(HEADER, RIGHT)], json!({ "definition": place.pipeline() })).await;
    let live = live["id"].as_str().unwrap().to_owned();
    place.until(&live, "waiting").await;
    let before = place.position();
    let restart = format!("runs/{live}/restart");
    for (headers, code) in [(&[][..], "EF0316"), (&[(HEADER, WRONG)][..], "EF0317")] {
        let (status, refused) = place.post(&restart, headers, json!({ "from_step": "go" })).await;
        assert_eq!((status, &refused["code"]), (428, &json!(code)), "{refused}");
        let (status, refused) =
            place.post(&format!("runs/{live}/fork"), headers, json!({ "version": 2 })).await;
        assert_eq!((status, &refused["code"]), (428, &json!(code)), "{refused}");
    }
    assert_eq!((place.position(), place.sealed()), (before, vec![live.clone()]));
    place.until(&live, "waiting").await;
    // Nothing blocks the run: what comes with a retry that is refused replaces nothing.
    let file = place.folder.path().join(format!("data/credentials/{live}/claude.sealed"));
    let sealed = std::fs::read(&file).unwrap();
    let (status, refused) = place.post(&format!("runs/{live}/retry"), &[(HEADER, WRONG)], json!({})).await;
    assert_eq!(status, 409, "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), sealed);
    let (status, next) = place.post(&restart, &[(HEADER, RIGHT)], json!({ "from_step": "go" })).await;
    assert_eq!(status, 201, "{next}");
    let next = next["id"].as_str().unwrap().to_owned();
    place.until(&live, "cancelled").await;
    place.until_gone(&live).await;
    assert_eq!(place.sealed(), [next.as_str()]);
    // Cancelled, it is retried with the same question.
    let (status, _) = place.post(&format!("runs/{next}/cancel"), &[], json!({})).await;
    assert_eq!(status, 200);
    place.until(&next, "cancelled").await;
    place.until_gone(&next).await;
    let again = format!("runs/{next}/restart");
    let (status, refused) = place.post(&again, &[], json!({ "from_step": "go" })).await;
    assert_eq!((status, &refused["code"]), (428, &json!("EF0316")), "{refused}");
    let (status, last) = place.post(&again, &[(HEADER, RIGHT)], json!({ "from_step": "go" })).await;
    assert_eq!(status, 201, "{last}");
    let last = last["id"].as_str().unwrap().to_owned();
    let (status, _) = place.post(&format!("runs/{last}/signals/go"), &[], json!({})).await;
    assert_eq!(status, 200);
    place.until(&last, "succeeded").await;
    place.until_gone(&last).await;
    assert_eq!((place.sealed(), leaks(place.folder.path())), (Vec::new(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_embeds_brings_a_credential_too() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, "[credentials]\nkey = \"own.key\"\n").unwrap();
    let engine = everfold_api::embed::Everfold::at(folder.path().join("data")).settings(&settings);
    let engine = engine.open().await.unwrap();
    let pipeline = Pipeline::new("personal")
        .secret("TOKEN", Secret::credential("claude"))
        .admit(Gate::credentials("login", ["claude"]))
        .step(Step::function("show", "everfold.echo").with(json!({"said": "${secrets.TOKEN}"})))
        .output(json!("${steps.show.output}"))
        .build()
        .unwrap();
    let refused = engine.start(&pipeline, json!({})).await.err().unwrap();
    assert_eq!(refused.code.as_str(), "EF0316", "{refused}");
    let named = engine.start(&pipeline, json!({})).credential("No Name", RIGHT).await.err().unwrap();
    assert!(!named.to_string().contains(RIGHT), "{named}");
    let run = engine.start(&pipeline, json!({})).credential("claude", RIGHT).await.unwrap();
    let ended = run.ended().await.unwrap();
    assert_eq!(ended.output, json!({"said": "***"}));
    engine.close().await;
    assert_eq!(leaks(folder.path()), Vec::<PathBuf>::new());
}

//! The functions that tell, before fakes that speak what the services speak.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;
use everfold_base::id::Version;
use everfold_base::json::Value;
use everfold_ports::{NoticeFailure, NoticeRequest, Notifier as _};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::functions::declare;
use super::notifier::FunctionNotifier;
use super::settings::MailSettings;
use crate::function::Functions;
use crate::settings::WorkflowSettings;

pub(super) fn request(function: &str, with: Value) -> NoticeRequest {
    NoticeRequest {
        run: "00000000-0000-0000-0000-000000000007".parse().unwrap(),
        version: Version(12),
        notice: "failures".to_owned(),
        function: function.to_owned(),
        with,
        secrets: Default::default(),
        sender: Some("bot".to_owned()),
        event: json!({
            "type": "StepBlocked", "version": 12, "path": {"step": "build", "item": null}, "message": "3 of 3 <tries> & no end",
        }),
        of_run: json!({"pipeline": "delivery", "short_id": "00000007", "title": "Add login"}),
        attempt: 1,
    }
}

const TEXT: &str = "delivery 00000007 “Add login”: is blocked at build\n3 of 3 <tries> & no end\n\
                    next: everfold show 00000007\n\
                    https://e.example.org/runs/00000000-0000-0000-0000-000000000007";

pub(super) async fn notify(
    function: &str,
    with: Value,
    mail: Option<MailSettings>,
) -> Result<(), NoticeFailure> {
    let mut functions = Functions::built_in();
    declare(&mut functions, mail);
    let url = Some("https://e.example.org/".to_owned());
    FunctionNotifier::new(Arc::new(functions), url).notify(request(function, with)).await.map(drop)
}

/// A receiver that gives the answers that a test sets, and keeps the requests.
#[derive(Clone, Default)]
struct FakeReceiver {
    answers: Arc<Mutex<VecDeque<(u16, HeaderMap, String)>>>,
    got: Arc<Mutex<Vec<(String, Value)>>>,
}

impl FakeReceiver {
    async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}", listener.local_addr().unwrap());
        let answer = |State(service): State<Self>, uri: Uri, body: Bytes| async move {
            service.got.lock().unwrap().push((uri.path().to_owned(), serde_json::from_slice(&body).unwrap()));
            let (status, headers, text) = service.answers.lock().unwrap().pop_front().unwrap();
            (StatusCode::from_u16(status).unwrap(), headers, text).into_response()
        };
        let routes = Router::new().fallback(answer).with_state(self);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        place
    }

    fn answers(&self, status: u16, headers: &[(&'static str, &str)], text: impl ToString) {
        let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        self.answers.lock().unwrap().push_back((status, headers.collect(), text.to_string()));
    }

    fn got(&self) -> Vec<(String, Value)> {
        self.got.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn l32_a_notice_reaches_a_chat_by_its_incoming_webhook_and_its_refusals_are_understood() {
    let slack = FakeReceiver::default();
    let url = slack.clone().start().await + "/services/T0/B0/secret";
    slack.answers(200, &[], "ok");
    notify("notify.slack", json!({"url": url}), None).await.unwrap();
    let escaped = TEXT.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    assert_eq!(slack.got(), [("/services/T0/B0/secret".to_owned(), json!({"text": escaped}))]);

    slack.answers(429, &[("retry-after", "30")], "rate_limited");
    let limited = notify("notify.slack", json!({"url": url}), None).await.unwrap_err();
    assert_eq!((limited.permanent, limited.after), (false, Some(Duration::from_secs(30))), "{limited}");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(10);
    let date = later.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    slack.answers(429, &[("retry-after", &date)], "rate_limited");
    let after = notify("notify.slack", json!({"url": url}), None).await.unwrap_err().after.unwrap();
    assert!((Duration::from_mins(9)..=Duration::from_mins(10)).contains(&after), "{after:?}");
    slack.answers(404, &[], "no_service");
    let gone = notify("notify.slack", json!({"url": url}), None).await.unwrap_err();
    assert!(gone.permanent && gone.message.contains("404: no_service"), "{gone}");
    assert!(!gone.message.contains("secret"), "the address is in no message: {gone}");
    slack.answers(500, &[], "");
    assert!(!notify("notify.slack", json!({"url": url, "text": "x"}), None).await.unwrap_err().permanent);
    let mistyped = notify("notify.slack", json!({"ulr": url}), None).await.unwrap_err();
    assert!(mistyped.permanent && mistyped.message.contains("did you mean `url`?"), "{mistyped}");
}

#[tokio::test]
async fn l32_a_telegram_bot_writes_and_waits_as_long_as_telegram_asks() {
    let telegram = FakeReceiver::default();
    let api = telegram.clone().start().await;
    let with = json!({"token": "123:AbC-x_y", "chat": -100_123, "silent": true, "api": api});
    telegram.answers(200, &[], json!({"ok": true, "result": {"message_id": 7}}));
    notify("notify.telegram", with.clone(), None).await.unwrap();
    let wanted = json!({"chat_id": -100_123, "text": TEXT, "disable_notification": true});
    assert_eq!(telegram.got(), [("/bot123:AbC-x_y/sendMessage".to_owned(), wanted)]);

    let limited = json!({
        "ok": false, "error_code": 429, "description": "Too Many Requests: retry after 17",
        "parameters": {"retry_after": 17},
    });
    telegram.answers(429, &[], limited);
    let failure = notify("notify.telegram", with.clone(), None).await.unwrap_err();
    assert_eq!((failure.permanent, failure.after), (false, Some(Duration::from_secs(17))));
    for (code, description, permanent) in [
        (400, "Bad Request: chat not found", true),
        (403, "Forbidden: bot was blocked by the user", true),
        (401, "Unauthorized", false),
        (502, "Bad Gateway", false),
    ] {
        telegram.answers(code, &[], json!({"ok": false, "error_code": code, "description": description}));
        let failure = notify("notify.telegram", with.clone(), None).await.unwrap_err();
        assert_eq!(failure.permanent, permanent, "{failure}");
        assert!(failure.message.contains(description) && !failure.message.contains("AbC"), "{failure}");
    }
    let moved = json!({
        "ok": false, "error_code": 400, "description": "Bad Request: group chat was upgraded",
        "parameters": {"migrate_to_chat_id": -100_999},
    });
    telegram.answers(400, &[], moved);
    let failure = notify("notify.telegram", with.clone(), None).await.unwrap_err();
    assert!(failure.message.contains("-100999"), "{failure}");
    telegram.answers(200, &[], json!({"ok": true, "result": {"message_id": 8}}));
    let long = json!({"token": "1:a", "chat": "@ops", "text": "€𝄞".repeat(3_000), "api": with["api"]});
    notify("notify.telegram", long, None).await.unwrap();
    let sent = telegram.got().last().unwrap().1["text"].as_str().unwrap().to_owned();
    assert!(sent.encode_utf16().count() <= 4_096 && sent.ends_with('…'));
}

/// A mail server for one connection: the dialogue of RFC 5321, with `AUTH PLAIN`. `refuse` answers in place
/// of the usual word: `(how the line begins, answer)`.
async fn mail_server(stream: TcpStream, refuse: Option<(&'static str, &'static str)>) -> Vec<String> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut said = Vec::new();
    write.write_all(b"220 fake.example.org ESMTP\r\n").await.unwrap();
    let mut in_data = false;
    while let Ok(Some(line)) = lines.next_line().await {
        said.push(line.clone());
        if in_data {
            if line == "." {
                in_data = false;
                write.write_all(b"250 2.0.0 queued as 7F\r\n").await.unwrap();
            }
            continue;
        }
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match (verb.as_str(), refuse) {
            (_, Some((refused, answer))) if line.starts_with(refused) => answer,
            ("EHLO", _) => "250-fake.example.org\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
            ("AUTH", _) => "235 2.7.0 welcome",
            ("MAIL" | "RCPT" | "RSET" | "NOOP", _) => "250 2.1.0 ok",
            ("DATA", _) => {
                in_data = true;
                "354 go ahead"
            }
            ("QUIT", _) => "221 2.0.0 bye",
            _other => "502 5.5.1 no such command",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        if verb == "QUIT" {
            break;
        }
    }
    said
}

/// The section `[mail]` of a text, whose relative files lie in `folder`.
pub(super) fn mail_settings(text: &str, folder: &std::path::Path) -> Result<MailSettings, String> {
    let settings: WorkflowSettings = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let mut mail = settings.mail.unwrap();
    mail.check(folder).map(|()| mail)
}

async fn mailed(
    with: Value,
    refuse: Option<(&'static str, &'static str)>,
) -> (Result<(), NoticeFailure>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "open sesame\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "[mail]\nserver = \"{}\"\ntls = \"none\"\nfrom = \"Everfold <everfold@example.org>\"\n\
         user = \"everfold\"\npassword = {{ file = \"password\" }}\n",
        listener.local_addr().unwrap()
    );
    let mail = mail_settings(&text, folder.path()).unwrap();
    let serving = tokio::spawn(async move { mail_server(listener.accept().await.unwrap().0, refuse).await });
    let sent = notify("notify.email", with, Some(mail)).await;
    (sent, serving.await.unwrap())
}

#[tokio::test]
async fn l32_a_mail_goes_through_the_server_of_the_settings_under_an_id_of_its_own() {
    let with = json!({"to": ["Ada <ada@example.org>", "ops@example.org"]});
    let (sent, said) = mailed(with.clone(), None).await;
    sent.unwrap();
    let at = |part: &str| {
        said.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {said:#?}"))
    };
    use base64::Engine as _;
    let login = base64::engine::general_purpose::STANDARD.encode("\0everfold\0open sesame");
    assert_eq!(said[at("AUTH PLAIN")], format!("AUTH PLAIN {login}"));
    assert!(at("AUTH") < at("MAIL FROM:<everfold@example.org>"));
    assert!(at("RCPT TO:<ada@example.org>") < at("RCPT TO:<ops@example.org>"));
    assert!(
        said.iter().any(|line| line == "Everfold-Notice: 00000000-0000-0000-0000-000000000007/12/failures")
    );
    assert!(said.iter().any(|line| line == "next: everfold show 00000007"), "{said:#?}");
    let id = said[at("Message-ID: <")].clone();
    let (again, said_again) = mailed(with, None).await;
    again.unwrap();
    assert!(said_again.contains(&id), "the same mail again has the same id");
}

#[tokio::test]
async fn l32_what_a_mail_server_refuses_is_given_up_and_what_it_puts_off_is_not() {
    let with = json!({"to": "nobody@example.org", "subject": "x", "text": "y"});
    for (refuse, permanent, part) in [
        (("RCPT", "550 5.1.1 no such user"), true, "no such user"),
        (("RCPT", "451 4.7.1 greylisted, try again later"), false, "greylisted"),
        (("MAIL", "421 4.3.2 going down"), false, "421"),
        (("AUTH", "535 5.7.8 wrong password"), false, "mail.password"),
    ] {
        let (sent, _) = mailed(with.clone(), Some(refuse)).await;
        let failure = sent.unwrap_err();
        assert_eq!(failure.permanent, permanent, "{failure}");
        assert!(failure.message.contains(part) && !failure.message.contains("sesame"), "{failure}");
    }
    let none = notify("notify.email", json!({"to": "a@example.org"}), None).await.unwrap_err();
    assert!(!none.permanent && none.message.contains("[mail]"), "{none}");
    let wrong = notify("notify.email", json!({"to": "nobody"}), None).await;
    assert!(wrong.is_err());
}

#[tokio::test]
async fn row_74_one_refused_receiver_keeps_no_other_from_the_mail_and_is_named() {
    let with = json!({"to": ["ada@example.org", "gone@example.org", "ops@example.org"], "text": "y"});
    let (sent, said) = mailed(with.clone(), Some(("RCPT TO:<gone", "550 5.1.1 no such user"))).await;
    let failure = sent.unwrap_err();
    // It is not sent again: the others would get it twice.
    assert!(failure.permanent, "{failure}");
    for part in ["2 of 3 receivers", "gone@example.org (550 5.1.1 no such user)"] {
        assert!(failure.message.contains(part), "{part}: {failure}");
    }
    assert!(!failure.message.contains("ada@"), "{failure}");
    let at = |part: &str| said.iter().position(|line| line.starts_with(part));
    assert!(at("RCPT TO:<ops@example.org>").is_some() && at("RCPT TO:<ops@example.org>") < at("DATA"));
    assert!(said.contains(&".".to_owned()), "the mail was given to the server: {said:#?}");

    // One that is put off: nothing was sent, so the mail goes again whole.
    let (sent, said) = mailed(with, Some(("RCPT TO:<gone", "451 4.7.1 greylisted"))).await;
    let failure = sent.unwrap_err();
    assert!(!failure.permanent && failure.message.contains("gone@example.org"), "{failure}");
    assert!(!said.contains(&"DATA".to_owned()), "{said:#?}");
}

#[test]
fn a_password_goes_nowhere_without_tls_and_never_stands_in_the_settings() {
    let parse = |text: &str| mail_settings(text, std::path::Path::new(""));
    let from = "from = \"a@example.org\"";
    for (text, part) in [
        (
            format!(
                "[mail]\nserver = \"mx.example.org\"\n{from}\ntls = \"none\"\nuser = \"u\"\npassword = {{ env = \"P\" }}"
            ),
            "without TLS",
        ),
        (
            format!("[mail]\nserver = \"mx.example.org\"\n{from}\nuser = \"u\"\npassword = \"sesame\""),
            "never written",
        ),
        (format!("[mail]\nserver = \"mx.example.org\"\n{from}\nuser = \"u\""), "go together"),
        (format!("[mail]\nserver = \"https://x\"\n{from}"), "HOST or HOST:PORT"),
        ("[mail]\nserver = \"x\"\nfrom = \"nobody\"".to_owned(), "no address"),
    ] {
        let error = parse(&text).unwrap_err();
        let said = error.lines().last().unwrap_or_default();
        assert!(said.contains(part) && !said.contains("sesame"), "{text}: {error}");
    }
    let good = parse(&format!("[mail]\nserver = \"mx.example.org\"\n{from}")).unwrap();
    assert_eq!(good.place(), ("mx.example.org", 587));
}

#[tokio::test]
async fn l32_a_log_gets_one_line_of_json_per_notice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notices.jsonl");
    for with in [json!({"file": file, "text": "it broke"}), json!({"file": file})] {
        notify("notify.log", with, None).await.unwrap();
    }
    let lines: Vec<Value> = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((&lines[0]["text"], &lines[0]["as"]), (&json!("it broke"), &json!("bot")));
    assert_eq!(lines[1]["text"], TEXT.replace('\n', "; "));
    assert_eq!(lines[0]["id"], "00000000-0000-0000-0000-000000000007/12/failures");
}

#[tokio::test]
async fn l32_a_command_gets_the_notice_on_its_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("got.json");
    let argv = json!(["sh", "-c", "cat > \"$1\"; printf %s \"$EVERFOLD_NOTICE\" > \"$1.id\"", "-", file]);
    notify("notify.command", json!({"argv": argv, "text": "hello"}), None).await.unwrap();
    let got: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&got["text"], &got["event"]["type"]), (&json!("hello"), &json!("StepBlocked")));
    let id = std::fs::read_to_string(folder.path().join("got.json.id")).unwrap();
    assert_eq!(json!(id), got["id"]);
}

#[tokio::test]
async fn l32_what_stays_wrong_is_permanent_and_what_may_pass_is_not() {
    let permanent = |function: &str, with: Value| {
        let function = function.to_owned();
        async move { notify(&function, with, None).await.unwrap_err() }
    };
    let unknown = permanent("notify.comand", json!({})).await;
    assert!(unknown.permanent && unknown.message.contains("did you mean notify.command?"), "{unknown}");
    let wrong = permanent("notify.command", json!({"argv": "rm -rf"})).await;
    assert!(wrong.permanent && wrong.message.contains("argv"), "{wrong}");
    let failing =
        permanent("notify.command", json!({"argv": ["sh", "-c", "echo no route >&2; exit 3"]})).await;
    assert!(!failing.permanent && failing.message.contains("no route"), "{failing}");
    let missing = permanent("notify.command", json!({"argv": ["everfold-no-such-program"]})).await;
    assert!(!missing.permanent, "{missing}");
    let relative = permanent("notify.log", json!({"file": "x.jsonl"})).await;
    assert!(relative.permanent && relative.message.contains("absolute"), "{relative}");
}

//! `notify.http`: the notice as JSON in a `POST`, signed where a secret is named.

use std::collections::BTreeMap;
use std::path::PathBuf;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_system::{clock, regular};
use serde_json::json;

use super::message::text;
use super::parameters::{invalid, known, required};
use super::post;
use super::post::unreached;
use super::signature;
use crate::function::Call;
use crate::http::{HttpClient, percent_encoded};

/// The largest file with a secret to sign with.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// The notice's id, by which a receiver knows a repeated one; as Standard Webhooks call it, and as Everfold does.
const ID: [&str; 2] = ["webhook-id", "Everfold-Notice"];
/// When it was sent, in seconds since 1970.
const TIME: &str = "webhook-timestamp";
/// `v1,` and a signature over id, time and body.
const SIGNATURE: &str = "webhook-signature";
/// `sha256=` and the HMAC-SHA256 of the raw body alone, in hexadecimal digits.
const OF_BODY: &str = "Everfold-Signature";
/// The type of a body that is an event of CloudEvents, in its JSON format.
const EVENT: &str = "application/cloudevents+json; charset=utf-8";
/// Statuses that the same request would get again.
const REFUSALS: [u16; 8] = [400, 404, 405, 406, 410, 413, 415, 422];

/// Posts `with.body`, else `{id, notice, text, as, event, run}`, to `with.url`.
///
/// `with.format` `cloudevents` puts that into an event of CloudEvents 1.0 (structured mode). `with.headers` are added;
/// `with.sign`, a text or `{env: NAME}` or `{file: PATH}`, is the secret to sign with.
pub(super) async fn post(client: HttpClient, call: Call, with: Value) -> Result<Value, Failure> {
    known(&with, "notify.http", &["url", "headers", "body", "sign", "text", "format"])?;
    let url = required(&with, "url", "the URL to post to")?;
    let mut headers = BTreeMap::from(ID.map(|name| (name.to_owned(), call.idempotency_key().to_owned())));
    for (name, value) in with["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().ok_or_else(|| invalid("the values of `with.headers` are texts"))?;
        headers.insert(name.clone(), value.to_owned());
    }
    let body = match with["format"].as_str() {
        None if with["format"].is_null() => body(&call, &with),
        Some("json") => body(&call, &with),
        Some("cloudevents") => {
            // By it a receiver knows that the body is the event.
            headers.retain(|name, _| !name.eq_ignore_ascii_case("content-type"));
            headers.insert("Content-Type".to_owned(), EVENT.to_owned());
            event(&call, body(&call, &with))
        }
        _other => return Err(invalid("`with.format` is json or cloudevents")),
    };
    let body = body.to_string().into_bytes();
    if let Some(secret) = secret(&with["sign"]).await? {
        let (key, now) = (signature::key(&secret)?, clock::now());
        let signed = signature::timestamped(&key, call.idempotency_key(), now, &body);
        headers.insert(TIME.to_owned(), signature::seconds(now));
        headers.insert(SIGNATURE.to_owned(), signed);
        headers.insert(OF_BODY.to_owned(), signature::of_body(&key, &body));
    }
    let mut request = post::request(url, body);
    request.headers.extend(headers);
    let answer = client.send(request).await.map_err(unreached)?;
    post::taken(&answer, &call, "the receiver", &REFUSALS)
}

fn body(call: &Call, with: &Value) -> Value {
    if !with["body"].is_null() {
        return with["body"].clone();
    }
    let mut body = match call.context() {
        notice @ Value::Object(_) => notice.clone(),
        other => json!({ "input": other }),
    };
    body["text"] = json!(text(call, with));
    body
}

/// An event of CloudEvents: its id is the notice's, its source the pipeline, its subject the run.
fn event(call: &Call, data: Value) -> Value {
    let notice = call.context();
    let pipeline = notice["run"]["pipeline"].as_str().unwrap_or_default();
    let source = format!("/everfold/pipelines/{}", percent_encoded(pipeline, b"/"));
    let kind = notice["event"]["type"].as_str().unwrap_or("Called");
    let mut event = json!({
        "specversion": "1.0", "id": call.idempotency_key(), "source": source, "type": format!("everfold.{kind}"),
        "subject": call.run(), "datacontenttype": "application/json", "data": data,
    });
    if let Some(at) = notice["event"]["at"].as_str() {
        event["time"] = json!(at);
    }
    event
}

/// The secret that `sign` names; it stands in no event, because only its place does.
async fn secret(sign: &Value) -> Result<Option<Vec<u8>>, Failure> {
    let missing = |what: String| {
        Failure::new(FailureKind::Error, format!("no secret to sign with: {what}"))
            .with_hint("`with.sign` is {env: NAME} or {file: PATH}; the engine's own environment counts")
    };
    if let Some(secret) = sign.as_str().filter(|secret| !secret.is_empty()) {
        return Ok(Some(secret.as_bytes().to_vec()));
    }
    match (sign["env"].as_str(), sign["file"].as_str()) {
        (None, None) if sign.is_null() => Ok(None),
        (Some(name), None) => match std::env::var(name) {
            Ok(secret) if !secret.is_empty() => Ok(Some(secret.into_bytes())),
            _absent => Err(missing(format!("the variable {name} is not set"))),
        },
        (None, Some(path)) => {
            let file = PathBuf::from(path);
            let read = tokio::task::spawn_blocking(move || regular::read_bounded(&file, SECRET_BYTES_MAX));
            let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            let read = read.map_err(|error| missing(format!("{path}: {error}")))?;
            let secret = read.ok_or_else(|| missing(format!("{path} is larger than 64 KiB")))?;
            match secret.trim_ascii_end() {
                [] => Err(missing(format!("{path} is empty"))),
                secret => Ok(Some(secret.to_vec())),
            }
        }
        _neither => Err(invalid("`with.sign` is ${secrets.NAME}, {env: NAME} or {file: PATH}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::id::{Attempt, AttemptId, EffectId, Round, StepPath};
    use everfold_base::time::Timestamp;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn call() -> Call {
        let attempt =
            AttemptId { path: StepPath::step(&"notify".into()), round: Round(1), attempt: Attempt(1) };
        let run = "00000000-0000-0000-0000-000000000007".parse().unwrap();
        let notice = json!({"id": "run/12/failures", "event": {"type": "RunFailed"}});
        let workdir = everfold_ports::Workdir { path: "/".into(), git: None };
        let key = "run/12/failures".to_owned();
        Call::new(crate::function::CallParts::silent(EffectId { run, attempt }, key, notice, workdir))
    }

    /// A receiver that answers one request, and gives what it got.
    async fn receiver(status: u16) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let got = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            let mut page = [0; 4096];
            loop {
                let count = stream.read(&mut page).await.unwrap();
                got.extend_from_slice(&page[..count]);
                let text = String::from_utf8_lossy(&got).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head
                        .to_lowercase()
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
                    if Some(body.len()) == length {
                        break;
                    }
                }
            }
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(got).unwrap()
        });
        (url, got)
    }

    #[tokio::test]
    async fn l32_a_notice_is_posted_as_json_with_its_id_and_signed() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "s3cret\n").unwrap();
        let (url, got) = receiver(204).await;
        let with = json!({"url": url, "text": "it broke", "sign": {"file": secret}});
        post(HttpClient::new(), call(), with).await.unwrap();
        let got = got.await.unwrap();
        let (head, body) = got.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("post /hook"), "{head}");
        assert!(head.contains("everfold-notice: run/12/failures"), "{head}");
        let document: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&document["text"], &document["event"]["type"]),
            (&json!("it broke"), &json!("RunFailed"))
        );
        let of_body = signature::of_body(b"s3cret", body.as_bytes());
        assert!(head.contains(&format!("everfold-signature: {of_body}")));
        let line = |name: &str| {
            let line = got.lines().find_map(|line| {
                line.to_lowercase().strip_prefix(name).map(|_| line[name.len()..].trim().to_owned())
            });
            line.unwrap_or_default()
        };
        let at = Timestamp(line("webhook-timestamp:").parse::<i64>().unwrap() * 1_000);
        let signed = signature::timestamped(b"s3cret", &line("webhook-id:"), at, body.as_bytes());
        assert_eq!(line("webhook-signature:"), signed);
    }

    #[tokio::test]
    async fn a_notice_is_an_event_of_cloudevents_where_that_is_asked_for() {
        let (url, got) = receiver(204).await;
        let headers = json!({"content-type": "text/plain"});
        let with = json!({"url": url, "text": "it broke", "format": "cloudevents", "headers": headers});
        post(HttpClient::new(), call(), with).await.unwrap();
        let got = got.await.unwrap();
        let (head, body) = got.split_once("\r\n\r\n").unwrap();
        let kinds = head.to_lowercase().matches("content-type: ").count();
        assert!(
            kinds == 1 && head.to_lowercase().contains("content-type: application/cloudevents+json"),
            "{head}"
        );
        let event: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&event["specversion"], &event["id"], &event["type"]),
            (&json!("1.0"), &json!("run/12/failures"), &json!("everfold.RunFailed"))
        );
        assert_eq!((&event["subject"], &event["data"]["text"]), (&json!(call().run()), &json!("it broke")));
        let wrong = json!({"url": "http://127.0.0.1:1/", "format": "xml"});
        let failure = post(HttpClient::new(), call(), wrong).await.unwrap_err();
        assert!(failure.message.contains("with.format"), "{failure:?}");
    }

    #[tokio::test]
    async fn l32_a_refusal_is_permanent_and_an_outage_is_not() {
        for (status, kind) in
            [(404, FailureKind::Validation), (503, FailureKind::Error), (429, FailureKind::Error)]
        {
            let (url, got) = receiver(status).await;
            let failure = post(HttpClient::new(), call(), json!({ "url": url })).await.unwrap_err();
            assert_eq!((failure.kind, failure.detail.as_deref()), (kind, Some("no")), "{status}");
            got.await.unwrap();
        }
        let failure = post(HttpClient::new(), call(), json!({"url": "ftp://x"})).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Validation);
        let failure =
            post(HttpClient::new(), call(), json!({"url": "http://127.0.0.1:1/"})).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Error);
        let unset = json!({"url": "http://127.0.0.1:1/", "sign": {"env": "EVERFOLD_NO_SUCH_SECRET"}});
        let failure = post(HttpClient::new(), call(), unset).await.unwrap_err();
        assert!(failure.message.contains("EVERFOLD_NO_SUCH_SECRET"), "{failure:?}");
    }
}

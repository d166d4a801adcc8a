//! A sender of CloudEvents asks whether it may deliver, as its specification of webhooks says.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request};
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::data_folder::Layout;
use tower::ServiceExt as _;

use crate::fixtures::in_memory::read;

const SETTINGS: &str = r#"
[hooks.signed]
reader = "cloudevents"
secret = { env = "EVERFOLD_TEST_OF_NO_SECRET" }
origins = ["events.example.org"]

[hooks.open]
reader = "cloudevents"
signature = "none"
origins = ["*"]

[hooks.silent]
reader = "cloudevents"
signature = "none"
"#;

struct Asked {
    status: u16,
    headers: HeaderMap,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

fn served() -> (NodeGuard, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("everfold.toml"), SETTINGS).unwrap();
    (serve::imagine(Layout::new(data)).unwrap(), folder)
}

/// Asks a source in the name of a sender, without a token.
async fn asked(source: &str, origin: Option<&str>) -> Asked {
    let (held, _folder) = served();
    let mut request = Request::builder()
        .method("OPTIONS")
        .uri(format!("/api/v1/hooks/{source}"))
        .extension(everfold_api::access::Caller::anonymous());
    if let Some(origin) = origin {
        request = request.header("WebHook-Request-Origin", origin).header("WebHook-Request-Rate", "120");
    }
    let response = held.routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    Asked { status: response.status().as_u16(), headers: response.headers().clone() }
}

#[tokio::test]
async fn a_sender_that_the_settings_name_may_deliver_and_hears_how_often() {
    let named = asked("signed", Some("Events.Example.org")).await;
    assert_eq!((named.status, named.header("webhook-allowed-origin")), (200, Some("Events.Example.org")));
    // What is rightly signed is not counted; others are, by their address.
    assert_eq!(named.header("webhook-allowed-rate"), Some("*"));
    assert_eq!(named.header("allow"), Some("OPTIONS,POST"));
    let any = asked("open", Some("elsewhere.example.com")).await;
    assert_eq!((any.status, any.header("webhook-allowed-origin")), (200, Some("*")));
    assert_eq!(any.header("webhook-allowed-rate"), Some("1200"));
}

/// A header with UTF-8 that is not percent-encoded was passed over, and the event had no such attribute.
#[tokio::test]
async fn attributes_with_bytes_beyond_ascii_are_read_as_utf_8_or_refused_by_name() {
    for (subject, status) in [("größe".as_bytes(), 202), (b"gr\xf6\xdfe", 400)] {
        let held = served();
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/hooks/silent")
            .header("ce-specversion", "1.0")
            .header("ce-id", "1")
            .header("ce-source", "/s")
            .header("ce-type", "t")
            .header("ce-subject", HeaderValue::from_bytes(subject).unwrap())
            .extension(everfold_api::access::Caller::anonymous());
        let answer = held.0.routes().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
        let (code, answer) = read(answer).await;
        assert_eq!(code, status, "{answer}");
        if status == 400 {
            assert!(answer["detail"].as_str().unwrap().contains("`ce-subject`"), "{answer}");
            continue;
        }
        let request = Request::builder()
            .uri("/api/v1/hooks/silent/deliveries/%2Fs%231")
            .extension(everfold_api::access::Caller::local("ada"));
        let (_, kept) =
            read(held.0.routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await;
        assert_eq!(kept["event"]["attributes"]["subject"], "größe", "{kept}");
    }
}

#[tokio::test]
async fn nothing_is_granted_that_the_settings_do_not_name() {
    for (source, origin) in [
        ("signed", Some("elsewhere.example.com")),
        ("signed", Some("x.events.example.org")),
        ("signed", Some("*")),
        ("signed", None),
        ("silent", Some("events.example.org")),
    ] {
        let refused = asked(source, origin).await;
        assert_eq!(
            (refused.status, refused.header("allow")),
            (204, Some("OPTIONS,POST")),
            "{source} {origin:?}"
        );
        assert!(
            refused.headers.keys().all(|name| !name.as_str().starts_with("webhook-")),
            "{source} {origin:?}"
        );
    }
    assert_eq!(asked("unknown", Some("events.example.org")).await.status, 404);
}

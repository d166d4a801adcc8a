//! The server over TLS: each version of HTTP that it offers, and no room.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Version};
use everfold_api::settings::ServeSettings;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::fixtures::server::Served;
use crate::fixtures::sockets::{in_time, read, rest};

fn certificates(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/certificates").join(name)
}

/// What speaks TLS, and offers these protocols.
fn tls(protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates("ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn over_tls(settings: &mut ServeSettings) {
    let (cert, key) = (certificates("good.pem"), certificates("server.key"));
    settings.tls = Some(everfold_api::settings::TlsFiles { cert, key });
}

/// What was offered to every client was spoken to none: browsers, curl and httpx got nothing.
#[tokio::test]
async fn row_51_over_tls_each_version_that_is_offered_is_spoken_streams_included() {
    let served = Served::new(over_tls).await;
    let token = served.operator_token("one", None).await;
    let address = served.server.url.strip_prefix("https://").unwrap();
    let connect = async |protocols: &[&str]| {
        let stream = TcpStream::connect(address).await.unwrap();
        tls(protocols).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap()
    };
    let stream = connect(&["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = |path: &str| {
        let request = Request::get(format!("https://{address}{path}"));
        request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
    };
    // Several at once on one connection, a stream that stays open among them.
    let mut stream = in_time(sender.send_request(request("/api/v1/stream"))).await.unwrap();
    assert_eq!((stream.status().as_u16(), stream.version()), (200, Version::HTTP_2));
    let first = in_time(stream.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert!(first.windows(12).any(|part| part == b"event: ready"), "{first:?}");
    for _ in 0..3 {
        let answer = in_time(sender.send_request(request("/api/v1/runs"))).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    }
    let mut stream = connect(&["http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    in_time(stream.read_to_end(&mut said)).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn over_tls_too_who_finds_no_room_is_told_so() {
    let served = Served::new(|settings| {
        settings.connections = 3;
        over_tls(settings);
    })
    .await;
    let token = served.operator_token("one", None).await;
    let tls = tls(&[]);
    let address = served.server.url.strip_prefix("https://").unwrap();
    let ask = async |path: &str| {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = tls.connect(name, stream).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = ask("/api/v1/stream").await;
        let mut seen = [0; 1024];
        assert_ne!(in_time(stream.read(&mut seen)).await.unwrap(), 0);
        streams.push(stream);
    }
    let answer = rest(&mut ask("/api/v1/runs").await).await;
    let (status, problem) = read(&answer);
    assert_eq!((status, &problem["code"]), (503, &json!("EF0617")), "{answer}");
    assert!(answer.contains("retry-after: 1") && answer.contains("connection: close"), "{answer}");
    drop(streams);
    in_time(async {
        while read(&rest(&mut ask("/api/v1/runs").await).await).0 != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

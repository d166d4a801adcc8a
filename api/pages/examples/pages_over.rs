//! Serves the pages of the working tree over a server that runs elsewhere on this machine: for work on pages, where
//! building the whole program would take minutes.
//!
//! `EVERFOLD_TOKEN=evf_… cargo run -p everfold-pages --example pages_over -- 127.0.0.1:7878 127.0.0.1:7900`: the server,
//! and where to listen. Everybody who reaches it is the token's caller.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use everfold_pages::{Change, ChangeSource, Rest};
use futures::StreamExt as _;
use futures::stream;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The request as the server gets it, and its answer.
async fn passed_on(server: String, mut request: Request) -> Result<Response, Infallible> {
    request.headers_mut().remove(header::ORIGIN);
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    request.headers_mut().remove(header::COOKIE);
    let token = std::env::var("EVERFOLD_TOKEN").unwrap_or_default();
    let lines = [(header::HOST, server.clone()), (header::AUTHORIZATION, format!("Bearer {token}"))];
    for (name, text) in lines {
        if let Ok(value) = text.parse() {
            request.headers_mut().insert(name, value);
        }
    }
    Ok(asked(&server, request)
        .await
        .unwrap_or_else(|error| (axum::http::StatusCode::BAD_GATEWAY, error.to_string()).into_response()))
}

/// The answer to a request over a connection of its own.
async fn asked(server: &str, request: Request) -> std::io::Result<Response> {
    let stream = TokioIo::new(TcpStream::connect(server).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(std::io::Error::other)?;
    Ok(response.map(Body::new))
}

/// A change each second: this program does not follow the server's log.
fn ticks() -> stream::BoxStream<'static, Change> {
    let ticks = stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Some((Change { runs: Arc::new(BTreeSet::new()), position: 0 }, ()))
    });
    ticks.boxed()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut places = std::env::args().skip(1);
    let server = places.next().unwrap_or_else(|| "127.0.0.1:7878".to_owned());
    let listen = places.next().unwrap_or_else(|| "127.0.0.1:7900".to_owned());
    let rest = Rest::new(tower::service_fn(move |request| passed_on(server.clone(), request)));
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, everfold_pages::beside(rest, ChangeSource::new(ticks))).await
}

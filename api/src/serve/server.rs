//! The server over TCP, for callers with tokens.
//!
//! Law: beyond this machine nothing is served in the clear, unless the settings name a proxy in front that speaks TLS.
//! Only a token or a session says who calls; nothing else in a request does.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::settings::{ServeSettings, TlsFiles};
use axum::middleware;
use axum::{Extension, Router};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use rustix::net::sockopt::{set_tcp_nodelay, set_tcp_user_timeout};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::authenticate;
use super::connections::{Connections, Door};
use super::early_refusals::Explaining;
use super::first_bytes::First;
use super::hosts::Hosts;
use super::listen_place::ListenPlace;
use super::unread_bodies;

use crate::fault::{Code, Fault};
use crate::http::BodyWithin;
use crate::node::Node;

/// How long the server waits at its end for answers that have begun.
const FINISH: Duration = Duration::from_secs(10);
/// How long a client may take none of the bytes that are written to it before its connection is cut.
pub(super) const TAKES_NOTHING: Duration = Duration::from_secs(30);
/// Bytes that are buffered of a connection's requests and answers.
const BUFFERED_MAX: usize = 64 * 1024;

/// The most bytes of a request's head over HTTP/2.
const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 100;
/// Bytes of bodies that a client of HTTP/2 may send before a handler reads them.
const WINDOW: u32 = 64 * 1024;

/// A server that listens.
pub struct Server {
    /// Where people reach it.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Listens and serves.
    ///
    /// # Errors
    /// The address cannot be had or would be served in the clear, or the certificate cannot be used.
    pub async fn start(owner: Arc<Node>, routes: Router, settings: &ServeSettings) -> Result<Self, Fault> {
        Self::patient(owner, routes, settings, TAKES_NOTHING).await
    }

    /// The same, with another time after which connections are cut whose client takes nothing.
    pub(super) async fn patient(
        owner: Arc<Node>,
        routes: Router,
        settings: &ServeSettings,
        takes_nothing: Duration,
    ) -> Result<Self, Fault> {
        let place = ListenPlace::of(settings)?;
        let cannot = |error: std::io::Error| {
            Fault::new(Code::Listen, format!("could not listen on {}: {error}", settings.listen))
                .hint("choose another with --listen ADDRESS:PORT; port 0 takes a free one")
        };
        let listener = listen(place.address, takes_nothing).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let url = place.url(address);
        let own = settings.tls.as_ref().map(own_certificate).transpose()?;
        let hosts = Hosts::new(settings, address.ip().is_loopback(), own);
        let gate = authenticate::RequestGate::new(owner, settings, hosts);
        // The outermost first.
        let routes = routes.layer((
            Extension(BodyWithin(Duration::from_secs(settings.body_seconds.max(1)))),
            middleware::from_fn(unread_bodies::read_or_said),
            middleware::from_fn(crate::http::with_request_id),
            middleware::from_fn_with_state(Arc::new(gate), authenticate::let_in),
        ));
        let head = Duration::from_secs(settings.head_seconds.max(1));
        let door = Door(Connections::new(settings.connections as usize, settings.tls.is_none()));
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let handle = Handle::new();
        let serving = match &settings.tls {
            None => {
                let server = axum_server::from_tcp(listener).map_err(cannot)?.acceptor(Explaining(door));
                // HTTP/1 alone: the detection of the version would wait for the first bytes without a bound.
                let mut server = server.http1_only().handle(handle.clone());
                let http = server.http_builder();
                http.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(BUFFERED_MAX);
                tokio::spawn(server.serve(service))
            }
            Some(files) => {
                let tls = certificate(files).await?;
                let server = axum_server::from_tcp_rustls(listener, tls).map_err(cannot)?;
                let mut server =
                    server.map(|tls| Explaining(First::new(tls.acceptor(door), head))).handle(handle.clone());
                let http = server.http_builder();
                http.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(BUFFERED_MAX);
                http.http2()
                    .timer(TokioTimer::new())
                    .keep_alive_interval(Some(head))
                    .keep_alive_timeout(head)
                    .max_concurrent_streams(STREAMS_MAX)
                    // As much as over HTTP/1.
                    .max_header_list_size(HEAD_BYTES_MAX)
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW)
                    .max_send_buf_size(BUFFERED_MAX);
                tokio::spawn(server.serve(service))
            }
        };
        Ok(Self { url, address, handle, serving })
    }

    /// Stops listening, and waits a bounded time for answers that have begun.
    pub async fn stop(self) {
        self.handle.graceful_shutdown(Some(FINISH));
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the server failed"),
            Err(error) => tracing::error!(%error, "the server ended in a panic"),
        }
    }
}

/// A listener whose connections the kernel cuts where the other end acknowledges nothing any more: otherwise each would
/// be kept for ever, with the bytes to write to it. An idle stream writes comments, so that a vanished reader of it is
/// noticed, too. An answer is sent as soon as it is written: held back for a full segment, a small one would wait for the
/// acknowledgement that the other end delays by 40 ms.
pub(super) fn listen(address: SocketAddr, takes_nothing: Duration) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    // Accepted connections inherit both options from the listener.
    set_tcp_nodelay(&listener, true)?;
    set_tcp_user_timeout(&listener, takes_nothing.as_millis() as u32)?;
    Ok(listener)
}

async fn certificate(files: &TlsFiles) -> Result<RustlsConfig, Fault> {
    // The cryptography of the whole process; where it was set before, it stays.
    let _set = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    RustlsConfig::from_pem_file(&files.cert, &files.key).await.map_err(|error| unusable(files, &error))
}

/// Whether a server could speak TLS with these files.
///
/// # Errors
/// What is wrong with them.
pub(crate) async fn try_certificate(files: &TlsFiles) -> Result<(), Fault> {
    certificate(files).await.map(drop)
}

/// The server's certificate; its names are hosts that are served.
fn own_certificate(files: &TlsFiles) -> Result<CertificateDer<'static>, Fault> {
    CertificateDer::from_pem_file(&files.cert).map_err(|error| unusable(files, &error))
}

fn unusable(files: &TlsFiles, error: &dyn std::error::Error) -> Fault {
    let (cert, key) = (files.cert.display(), files.key.display());
    Fault::new(Code::Listen, format!("the certificate {cert} with the key {key} cannot be used: {error}"))
        .hint("both are PEM files; the certificate of the server comes first, its issuers behind it")
}

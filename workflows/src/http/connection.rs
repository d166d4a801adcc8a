//! Connections: TCP, TLS over it, and HTTP/1.1 over either or over a local socket.
//!
//! Law: the program opens connections for HTTP here and nowhere else. How a failed stage is reported is the caller's:
//! a stage fails with its own error, so that each caller names the place and gives its hint.
//!
//! Two clients stand on it, because they keep connections differently. [`super::HttpClient`] sends one request over
//! each connection and drives it within the request's own future: a request that is given up leaves nothing behind.
//! For a caller that asks one place again and again, a worker, it keeps them ([`super::HttpClient::keeping`]).
//! The command line's client (`client` in everfold-api) talks to one server or one owner, keeps the connection for
//! its next request ([`KeptConnection`]), and follows event streams, which outlive the call that opened them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Headers of one answer.
const HEADERS_MAX: usize = 256;
/// A silent connection is probed after so long, so often, and so many times: so that a machine that
/// sleeps, or whose cable is out, is not waited for for ever.
const PROBE: (Duration, Duration, u32) = (Duration::from_secs(20), Duration::from_secs(10), 3);

/// Opens a TCP connection; small writes go out at once.
///
/// # Errors
/// There is no such host, or it takes no connection.
pub async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // It works without, too.
    let _small_writes_go_at_once = stream.set_nodelay(true);
    Ok(stream)
}

/// Has the system look now and then whether the other end of an idle connection lives. It works without, too.
pub fn probe_when_idle(stream: &TcpStream) {
    let (idle, every, times) = PROBE;
    let _asked = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, idle))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, every))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, times));
}

/// Whether the reason of a failed connection is that there is no host of that name.
#[must_use]
pub fn is_unknown_host(reason: &str) -> bool {
    reason.contains("Name or service not known") || reason.contains("failed to lookup address")
}

/// Why TLS could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No certificate can be made out to it.
    #[error("{0} is no name of a host")]
    HostName(String),
    /// The other end, or its certificate; of a [`tokio_rustls::rustls::Error`] where it is one.
    #[error(transparent)]
    Handshake(io::Error),
}

/// Begins TLS with the host of this name.
///
/// # Errors
/// [`TlsError`]
pub async fn start_tls(
    stream: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName(host.to_owned()))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(TlsError::Handshake)
}

/// Begins HTTP/1.1. The second part must be polled for anything to happen.
pub(super) async fn start_http<S, B>(
    stream: S,
) -> Result<(SendRequest<B>, Connection<TokioIo<S>, B>), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Builder::new().max_headers(HEADERS_MAX).handshake(TokioIo::new(stream)).await
}

/// A connection that may be used for more than one request. It lives until this and the body of its last answer are
/// dropped, or the other end closes it.
pub struct KeptConnection<B> {
    sender: SendRequest<B>,
}

impl<B> KeptConnection<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Begins HTTP/1.1 over a stream: TCP, TLS or a local socket.
    ///
    /// # Errors
    /// The stream is closed.
    pub async fn over<S>(stream: S) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = start_http(stream).await?;
        tokio::spawn(async move {
            // A broken connection shows in the answer.
            let _ended = connection.await;
        });
        Ok(Self { sender })
    }

    /// Sends a request; the body of its answer comes as it is read.
    ///
    /// # Errors
    /// The connection broke, or the other end does not speak HTTP.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.send_request(request).await
    }

    /// Whether the other end, or an error, has ended it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether the next request can be sent now: the last answer was read to its end, and the connection lives.
    #[must_use]
    pub fn is_free(&mut self) -> bool {
        matches!(self.sender.ready().now_or_never(), Some(Ok(())))
    }

    /// Waits until the next request can be sent; `false`: the connection is closed.
    pub async fn freed(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

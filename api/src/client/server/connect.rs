//! Connections to a server, and the fault, with the place and a hint, where there is none.
//!
//! The connections themselves are those of `everfold_workflows::http`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use everfold_workflows::http::{
    KeptConnection, TlsError, connect_tcp, is_unknown_host, probe_when_idle, start_tls,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig};

use super::address::ServerAddress;
use super::lost::Lost;
use super::trust;
use crate::fault::{Code, Fault, chain};

/// How long it may take to be connected.
const CONNECT: Duration = Duration::from_secs(10);

/// How TLS is spoken; made with the first connection.
pub(super) struct Tls {
    ca: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(ca: Option<PathBuf>) -> Self {
        Self { ca, config: OnceCell::new() }
    }

    /// A new connection to an address.
    pub(super) async fn connect(
        &self,
        address: &ServerAddress,
        patience: Duration,
    ) -> Result<KeptConnection<Body>, Lost> {
        let patience = CONNECT.min(patience);
        let late = |_elapsed| {
            let what = format!("{address} did not take a connection within {} s", patience.as_secs().max(1));
            Lost::Away(
                Fault::new(Code::ServerAway, what).hint("a firewall, or a machine that is down, does that"),
            )
        };
        let connecting = connect_tcp(&address.host, address.port);
        let stream = tokio::time::timeout(patience, connecting).await.map_err(late)?;
        let stream = stream.map_err(|error| not_connected(address, &error))?;
        probe_when_idle(&stream);
        if !address.is_tls {
            return speak(address, stream).await;
        }
        let config = self.config.get_or_try_init(async || trust::config(self.ca.as_deref()));
        let config = config.await.map_err(Lost::Never)?.clone();
        let shaking = start_tls(stream, &address.host, config);
        let stream = tokio::time::timeout(patience, shaking).await.map_err(late)?;
        let stream = stream.map_err(|error| match error {
            TlsError::Handshake(error) => not_trusted(address, &error),
            other => Lost::Never(Fault::new(Code::Usage, other.to_string())),
        })?;
        speak(address, stream).await
    }
}

async fn speak<S>(address: &ServerAddress, stream: S) -> Result<KeptConnection<Body>, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    KeptConnection::over(stream).await.map_err(|error| Lost::Away(away(address, &error)))
}

/// The fault of a connection that is lost.
pub(super) fn away(address: &ServerAddress, error: &hyper::Error) -> Fault {
    let why = reason(error);
    Fault::new(Code::ServerAway, format!("the connection to {address} is lost: {why}"))
        .hint("repeat the command when the server is there again; a write is done once, or not at all")
}

/// The fault of an address that takes connections and does not answer as a server would.
pub(super) fn unknown(address: &ServerAddress, error: &(dyn std::error::Error + 'static)) -> Fault {
    let what = format!("{address} took the connection and does not answer as a server: {}", chain(error));
    let hint = if address.is_tls {
        "name the address that `everfold serve` printed".to_owned()
    } else {
        format!("if it speaks TLS: {}", address.other_scheme())
    };
    Fault::new(Code::NotEverfold, what).hint(hint)
}

/// Why a connection was lost, in a few words.
fn reason(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return "it was closed before the answer was whole".to_owned();
    }
    chain(error)
}

fn not_connected(address: &ServerAddress, error: &io::Error) -> Lost {
    if is_unknown_host(&error.to_string()) {
        return Lost::Away(
            Fault::new(Code::ServerAway, format!("there is no host {}", address.host))
                .hint("look at how it is spelled, and whether this machine is in its network"),
        );
    }
    let fault = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Fault::new(Code::ServerAway, format!("no server listens at {address}"))
                .hint("`everfold serve` prints where it listens")
        }
        _ => Fault::new(Code::ServerAway, format!("{address} cannot be reached: {error}"))
            .hint("look whether this machine is in its network"),
    };
    Lost::Away(fault)
}

/// What is wrong with the other end's TLS.
fn not_trusted(address: &ServerAddress, error: &io::Error) -> Lost {
    let host = &address.host;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(tls) = tls else {
        let what = format!("the connection to {address} was lost while TLS began: {error}");
        return Lost::Away(Fault::new(Code::ServerAway, what));
    };
    let (what, hint) = match tls {
        rustls::Error::InvalidCertificate(bad) => match bad {
            CertificateError::UnknownIssuer => (
                format!("nobody that this machine trusts signed the certificate of {address}"),
                "--ca FILE names the authority that did, as PEM".to_owned(),
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                format!("the certificate of {address} is over: {tls}"),
                "have it renewed at the server; `everfold serve` reads it when it starts".to_owned(),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
                format!("the certificate of {address} does not hold yet: {tls}"),
                "look at this machine's clock".to_owned(),
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
                format!("the certificate of {address} is of another name than {host}: {tls}"),
                "name the server as its certificate does".to_owned(),
            ),
            _other => (
                format!("the certificate of {address} cannot be trusted: {tls}"),
                "--ca FILE names its authority, as PEM".to_owned(),
            ),
        },
        rustls::Error::InvalidMessage(_) => {
            let what = format!("{address} does not speak TLS");
            let hint = format!("if it is on this machine: {}", address.other_scheme());
            return Lost::Never(Fault::new(Code::NotEverfold, what).hint(hint));
        }
        other => (format!("TLS with {address} failed: {other}"), "it speaks TLS 1.2 and 1.3".to_owned()),
    };
    Lost::Never(Fault::new(Code::NotTrusted, what).hint(hint))
}

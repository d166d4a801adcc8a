//! Whose certificates are believed.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::fault::{Code, Fault};

/// What a connection over TLS is made with: the authorities of a file alone, else this machine's.
pub(super) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Fault> {
    let made = match ca {
        Some(file) => return named(file),
        None => everfold_workflows::http::native_roots().and_then(everfold_workflows::http::tls),
    };
    made.map_err(|error| {
        Fault::new(Code::NotTrusted, error)
            .hint("--ca FILE names the authority of the server's certificate, as PEM")
    })
}

/// The configuration that trusts the certificates of a file.
fn named(file: &Path) -> Result<Arc<ClientConfig>, Fault> {
    let bad = |what: String| {
        Fault::new(Code::File, format!("{}: {what}", file.display()))
            .hint("it holds the certificate of the authority that signed the server's, as PEM; for one that signed itself, that one")
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    everfold_workflows::http::tls_of(&certificates).map_err(bad)
}

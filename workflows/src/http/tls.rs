//! The authorities that TLS connections trust.

use std::sync::Arc;

use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The authorities that this machine trusts.
///
/// # Errors
/// It names none.
pub fn native_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "this machine names no certificate authority{why}; install ca-certificates, or set SSL_CERT_FILE"
        ));
    }
    Ok(roots)
}

/// The TLS configuration of a client that trusts these authorities.
///
/// # Errors
/// This build speaks no version of TLS that is safe.
pub fn tls(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

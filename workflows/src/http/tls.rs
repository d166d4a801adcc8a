//! The authorities that TLS connections trust.
//!
//! Law: a certificate that signed itself and is named as trusted is trusted as the server's own, too, though it says of
//! itself that it is an authority's (as `openssl req -x509` writes it): for the names that it holds, while it holds.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// What the verifier says of the certificate of an authority that a server shows as its own. It says so after it looked
/// at the time for which the certificate holds.
const OF_AN_AUTHORITY: &str = "CaUsedAsEndEntity";

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

/// The TLS configuration of a client that trusts these certificates and no others: as authorities, and as the server's
/// own.
///
/// # Errors
/// One of them cannot be read, there is none, or this build speaks no version of TLS that is safe.
pub fn tls_of(certificates: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let usual = usual.map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamedCertificates {
            usual,
            certificates: certificates.to_vec(),
        }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The usual verifier, and the certificates that are trusted as the server's own.
#[derive(Debug)]
struct NamedCertificates {
    usual: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for NamedCertificates {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.usual.verify_server_cert(own, issuers, name, ocsp_response, now) {
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
                if why.to_string() == OF_AN_AUTHORITY
                    && self.certificates.iter().any(|named| named.as_ref() == own.as_ref()) =>
            {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, own, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, own, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// Made by `openssl req -x509`: of localhost, from November 2026 on for a hundred years, of an authority.
    const SELF_SIGNED: &[u8] = b"\
-----BEGIN CERTIFICATE-----\n\
MIIBnjCCAUWgAwIBAgIULtY408206lWzavc2ofzmGz+twf0wCgYIKoZIzj0EAwIw\n\
FjEUMBIGA1UEAwwLc2VsZi1zaWduZWQwIBcNMjYxMTIyMDg0NDI3WhgPMjEyNjEw\n\
MjkwODQ0MjdaMBYxFDASBgNVBAMMC3NlbGYtc2lnbmVkMFkwEwYHKoZIzj0CAQYI\n\
KoZIzj0DAQcDQgAEp9qYK9m5PraWXGhMQ9c82MG/VIyq14E+jEYqIdQk3rOrN3Q9\n\
bqFkOHVr/2x7rDeMt/sSuUmulcywZ6NtWbbHiKNvMG0wHQYDVR0OBBYEFPyqygkH\n\
0xN/6aE6cxR7b1kKjTQwMB8GA1UdIwQYMBaAFPyqygkH0xN/6aE6cxR7b1kKjTQw\n\
MA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAoG\n\
CCqGSM49BAMCA0cAMEQCIFbLaWTdm8j8sdeUPXY98pgEH8zhdKt6d0ffbtv6JkJr\n\
AiAjQQB3qRs0THO5smOq0RFliAZUBFcmsXeqpFUnqsd5AQ==\n\
-----END CERTIFICATE-----\n\
";

    #[test]
    fn a_named_certificate_that_signed_itself_is_trusted_for_its_names_and_its_time() {
        let own = CertificateDer::from_pem_slice(SELF_SIGNED).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(own.clone()).unwrap();
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let judged = |certificates: Vec<CertificateDer<'static>>, name: &str, at: u64| {
            let named = NamedCertificates { usual: Arc::clone(&usual), certificates };
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
            named.verify_server_cert(&own, &[], &name, &[], now).map(drop)
        };
        let (year_2030, year_2020, year_2200) = (1_900_000_000, 1_600_000_000, 7_260_000_000);
        let named = || vec![own.clone()];
        assert_eq!(judged(named(), "localhost", year_2030), Ok(()));
        assert_eq!(judged(named(), "127.0.0.1", year_2030), Ok(()));
        let bad = |judged| match judged {
            Err(Error::InvalidCertificate(why)) => why,
            other => panic!("{other:?}"),
        };
        let other_name = bad(judged(named(), "example.org", year_2030));
        assert!(matches!(other_name, CertificateError::NotValidForNameContext { .. }), "{other_name:?}");
        let early = bad(judged(named(), "localhost", year_2020));
        assert!(matches!(early, CertificateError::NotValidYetContext { .. }), "{early:?}");
        let late = bad(judged(named(), "localhost", year_2200));
        assert!(matches!(late, CertificateError::ExpiredContext { .. }), "{late:?}");
        let unnamed = bad(judged(Vec::new(), "localhost", year_2030));
        assert!(matches!(unnamed, CertificateError::Other(_)), "{unnamed:?}");
    }
}

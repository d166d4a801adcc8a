//! The header by which a request brings a credential.

/// Before the name of the credential.
pub(crate) const CREDENTIAL_HEADER: &str = "Everfold-Credential-";

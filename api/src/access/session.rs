//! The session of a browser, as a request names it.

use everfold_engine::time::Timestamp;

use super::secret::Credential;

/// What is known of a request's session; put there by the listener that took the connection.
#[derive(Debug, Clone, Default)]
pub struct RequestSession {
    /// The cookie's text, where the caller came by one.
    pub secret: Option<Credential>,
    /// When the session ends, or the token by which the caller came.
    pub expires_at: Option<Timestamp>,
    /// Whether the browser speaks TLS.
    pub secure: bool,
}

//! How long a caller stays let in, for answers that go on and on.
//!
//! Law: what a token or a session opened ends with it: when it is revoked, when its time is over, when the
//! session is closed. A request that is answered at once is judged once, at its beginning.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::access::Session;
use super::{App, Caller};
use crate::access::Secret;

/// By what the caller of a request was let in.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    caller: Option<Caller>,
    session: Option<Secret>,
}

impl<S: Sync> FromRequestParts<S> for Standing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let session = parts.extensions.get::<Session>().and_then(|session| session.secret.clone());
        Ok(Self { caller, session })
    }
}

impl Standing {
    /// Waits until the caller is not let in any more, and says why; for ever with callers on the folder's
    /// own socket.
    pub(crate) async fn over(&self, app: &App) -> String {
        match &self.caller {
            Some(caller) => app.access().shut_out(caller, self.session.as_ref()).await,
            None => std::future::pending().await,
        }
    }
}

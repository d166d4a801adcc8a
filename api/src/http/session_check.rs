//! How long a caller stays let in, for answers that go on and on.
//!
//! Law: what a token or a session opened ends with it: when it is revoked, when its time is over, when the
//! session is closed. A request that is answered at once is judged once, at its beginning.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::app::App;
use crate::access::{Caller, Credential, RequestSession};

/// By what the caller of a request was let in.
#[derive(Debug, Clone)]
pub(crate) struct SessionCheck {
    caller: Option<Caller>,
    session: Option<Credential>,
}

impl<S: Sync> FromRequestParts<S> for SessionCheck {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let session = parts.extensions.get::<RequestSession>().and_then(|session| session.secret.clone());
        Ok(Self { caller, session })
    }
}

impl SessionCheck {
    /// Waits until the caller is not let in any more, and says why; for ever with callers on the folder's
    /// own socket.
    pub(crate) async fn over(&self, app: &App) -> String {
        match &self.caller {
            Some(caller) => app.access().shut_out(caller, self.session.as_ref()).await,
            None => std::future::pending().await,
        }
    }
}

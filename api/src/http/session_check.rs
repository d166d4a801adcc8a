//! The end of a caller's token or session during an answer that goes on: streams, exports, logs that are followed.
//!
//! Law: such an answer ends when the token that opened it is revoked or expires, or the session is closed. A request
//! that is answered at once is checked once, at its beginning.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::app::App;
use crate::access::{Caller, Credential, RequestSession};
use crate::fault::{Code, Fault};

/// The token or session by which the caller of a request was let in.
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
    /// Refuses where the token or session has ended since the request was let in: the pages ask for as long as one of
    /// them is open.
    pub(crate) async fn still_good(&self, app: &App) -> Result<(), Fault> {
        let Some(caller) = &self.caller else { return Ok(()) };
        match app.access().end_of(caller, self.session.as_ref()).await {
            Some(why) => Err(Fault::new(Code::NotKnown, why)),
            None => Ok(()),
        }
    }

    /// Resolves with the reason when the token or session has ended; never for callers on the folder's own socket.
    pub(crate) async fn ended(&self, app: &App) -> String {
        match &self.caller {
            Some(caller) => app.access().wait_until_ended(caller, self.session.as_ref()).await,
            None => std::future::pending().await,
        }
    }
}

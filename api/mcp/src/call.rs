//! What a call of a tool works on.

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use tokio_util::sync::CancellationToken;

use crate::rest::RestCaller;

/// What a call of a tool works on.
#[derive(Debug, Clone)]
pub(crate) struct ToolCall {
    /// The routes, as its caller.
    pub(crate) rest: RestCaller,
    progress: Option<(ProgressToken, Peer<RoleServer>)>,
    given_up: CancellationToken,
    /// The client takes a task of the protocol in place of a result.
    pub(crate) takes_tasks: bool,
}

impl ToolCall {
    /// The call of a request.
    pub(crate) fn of(rest: RestCaller, context: &RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        let takes_tasks = context.client_capabilities().is_some_and(|client| client.supports_tasks());
        let progress = token.map(|token| (token, context.peer.clone()));
        Self { rest, progress, given_up: context.ct.clone(), takes_tasks }
    }

    /// Resolves when the client gives the call up.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// Says how far it is, where the client wants to know.
    pub(crate) async fn progress(&self, progress: f64, message: String) {
        let Some((token, peer)) = &self.progress else { return };
        let progress = ProgressNotificationParam::new(token.clone(), progress).with_message(message);
        // A client that is gone gets no answer either.
        let _not_sent = peer.notify_progress(progress).await;
    }
}

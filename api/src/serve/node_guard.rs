//! A data folder that this process owns: opened, served on its socket, released.
//!
//! Law: opening is all or nothing; a release leaves supervised work running and everything that was acknowledged
//! durable.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use everfold_engine::data_folder::Layout;
use everfold_workflows::git::MarkedGits;
use tokio::task::JoinHandle;

use super::socket;
use crate::fault::{Code, Fault};
use crate::http;
use crate::node::{self, AbortMark, HoldOptions, Node};

/// How long connections may go on when the node ends.
const DRAIN: Duration = Duration::from_secs(2);

/// A data folder that this process owns.
pub struct NodeGuard {
    node: Arc<Node>,
    routes: Router,
    server: Option<JoinHandle<()>>,
    /// Shows the folder's next owner that this process aborted.
    mark: Option<AbortMark>,
    /// Shows the folder's next owner which gits are this process's.
    gits: Option<MarkedGits>,
}

/// Opens the folder at `layout`, which is made where it is not, and listens on its socket.
///
/// # Errors
/// Another process holds it, the store is damaged, the settings cannot be used.
pub async fn hold(layout: Layout, options: HoldOptions) -> Result<NodeGuard, Fault> {
    let mut guard = NodeGuard::over(node::open(layout, options).await?);
    let aborts = guard.node.layout().aborts();
    guard.mark = AbortMark::in_file(&aborts)
        .inspect_err(|error| {
            tracing::warn!(file = %aborts.display(), %error, "that this process aborts would not be counted");
        })
        .ok();
    let node = &guard.node;
    // Before anything begins that they would disturb.
    guard.gits = Some(MarkedGits::of(node.layout().root()).await);
    // Before it listens, so that a client that connects finds the record.
    if let Err(error) = node::write_record(&node.layout().owner(), None) {
        // The record only informs; a full disk must not keep a process from owning the folder.
        tracing::warn!(%error, "owner.json could not be written");
    }
    let place = node.layout().socket();
    let listening =
        socket::listen(&place, guard.routes.clone(), Some(Arc::clone(node)), node.closing_token().clone());
    match listening {
        Ok(server) => guard.server = Some(server),
        Err(error) => {
            guard.release().await;
            return Err(Fault::new(
                Code::StoreIo,
                format!("could not listen on {}: {error}", place.display()),
            ));
        }
    }
    Ok(guard)
}

/// A node with an empty store in memory: it answers for a folder without a store, and makes nothing.
///
/// # Errors
/// The settings cannot be used.
pub fn imagine(layout: Layout) -> Result<NodeGuard, Fault> {
    imagine_with(layout, None)
}

/// The same with another settings file than the folder's own.
///
/// # Errors
/// The settings cannot be used.
pub(crate) fn imagine_with(layout: Layout, config: Option<&Path>) -> Result<NodeGuard, Fault> {
    Ok(NodeGuard::over(node::in_memory(layout, config)?))
}

impl NodeGuard {
    fn over(node: Arc<Node>) -> Self {
        Self { routes: http::router(Arc::clone(&node)), node, server: None, mark: None, gits: None }
    }

    /// What the routes work on.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The routes.
    pub fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// Releases the folder: accepts no new connections, ends the engine, closes the store.
    pub async fn release(self) {
        self.release_behind(async |_| ()).await;
    }

    /// The same; `last` is asked of the node when no request can come any more, and before the engine ends.
    pub(crate) async fn release_behind<T>(self, last: impl AsyncFnOnce(&Node) -> T) -> T {
        let (node, _until_it_is_closed) = (self.node, (self.mark, self.gits));
        let is_ours = node.still_owns_folder().await;
        if is_ours && node.is_on_disk() {
            // Other processes find no socket from here on and wait for the lock.
            let _gone = std::fs::remove_file(node.layout().socket());
            let _gone = std::fs::remove_file(node.layout().owner());
        }
        node.begin_closing();
        if let Some(mut server) = self.server
            && tokio::time::timeout(DRAIN, &mut server).await.is_err()
        {
            server.abort();
        }
        let said = last(&node).await;
        node.close(is_ours).await;
        said
    }
}

//! The socket of a data folder: the listener of the process that owns the folder, and the connection of a client.
//!
//! Law: only the folder's user can connect (mode 0600 in a folder of theirs). The kernel says which process connected,
//! not the request: a process that descends from a step's attempt is that step and not the folder's user. The number of
//! connections is bounded as at the server: an idle connection makes room for a new one.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::serve::{IncomingStream, Listener};
use everfold_workflows::process::{Descent, descent};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::connections::{BoundedStream, BusyFlag, Connections};
use crate::access::Caller;
use crate::node::Node;

/// Connections at once. They take from the file handles that the server leaves to the rest of the process.
const CONNECTIONS_MAX: usize = 256;
/// The longest path that fits into a socket's address, with a byte for its end.
const PATH_BYTES_MAX: usize = 107;

/// A path to the socket that fits into an address, however long the real one is. The open folder keeps it valid.
struct Address {
    path: PathBuf,
    _folder: Option<std::fs::File>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = std::fs::File::open(folder)?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }
}

/// Listens and serves the routes until `closing`. The caller holds the folder's lock, so a socket that exists is a dead
/// process's. Without a node there are no attempts from which a caller could descend.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(
    path: &Path,
    routes: Router,
    node: Option<Arc<Node>>,
    closing: CancellationToken,
) -> io::Result<tokio::task::JoinHandle<()>> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let address = Address::of(path)?;
    let listener = UnixListener::bind(&address.path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let attempts = node.as_ref().map(|node| node.layout().all_attempts().into());
    let named = middleware::from_fn_with_state(node, named);
    let routes = routes.layer(named).into_make_service_with_connect_info::<Peer>();
    let listener = Bounded { listener, attempts, connections: Connections::few(CONNECTIONS_MAX) };
    Ok(tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(closing.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the socket failed");
        }
    }))
}

/// Accepts connections, up to the bound.
struct Bounded {
    listener: UnixListener,
    attempts: Option<Arc<Path>>,
    connections: Arc<Connections>,
}

impl Listener for Bounded {
    type Io = BoundedStream<UnixStream>;
    type Addr = PeerOrigin;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, _nameless) = Listener::accept(&mut self.listener).await;
            // Before anything is read, while the connected process most likely still exists.
            let from = PeerOrigin::of(&stream, self.attempts.as_deref());
            if let Some(connection) = self.connections.take_in_or_tell(stream) {
                return (connection, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(PeerOrigin { uid: None, descent: Descent::Own })
    }
}

/// The process at the other end of a connection.
#[derive(Debug, Clone)]
struct PeerOrigin {
    uid: Option<u32>,
    descent: Descent,
}

impl PeerOrigin {
    fn of(stream: &UnixStream, attempts: Option<&Path>) -> Self {
        let Ok(peer) = stream.peer_cred() else { return Self { uid: None, descent: Descent::Gone } };
        let own = rustix::process::geteuid().as_raw();
        let itself = rustix::process::getpid().as_raw_nonzero().get();
        let descent = match (peer.pid(), attempts) {
            // The system may hide the processes of other users; root may do everything anyway.
            _ if peer.uid() == 0 && own != 0 => Descent::Outside,
            (Some(pid), Some(attempts)) if pid != itself => descent(pid, attempts),
            _itself_or_unknown => Descent::Outside,
        };
        Self { uid: Some(peer.uid()), descent }
    }
}

/// Who is on the other end, and of which connection.
#[derive(Clone)]
struct Peer {
    from: PeerOrigin,
    busy: Option<BusyFlag>,
}

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self { from: stream.remote_addr().clone(), busy: stream.io().busy() }
    }
}

/// Adds the connection's caller to the request, and marks the connection as busy up to the end of the answer. The
/// routes refuse a request without a caller.
async fn named(State(node): State<Option<Arc<Node>>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0.clone());
    if let Some(Peer { from: PeerOrigin { uid: Some(uid), descent }, .. }) = &peer {
        let caller = match (descent, &node) {
            (Descent::Own, Some(node)) if node.trusts_children() => {
                Caller::on_socket(*uid, request.headers())
            }
            (Descent::Outside, _) | (_, None) => Caller::on_socket(*uid, request.headers()),
            (Descent::Attempt(folder), Some(node)) => Ok(node.caller_of(folder).await),
            (Descent::Own | Descent::Gone, Some(_)) => Ok(Caller::of_unknown()),
        };
        match caller {
            Ok(caller) => request.extensions_mut().insert(caller),
            Err(fault) => return fault.into_response(),
        };
    }
    let answering = peer.and_then(|peer| peer.busy).map(|busy| busy.answering());
    let answer = next.run(request).await;
    match answering {
        Some(answering) => answering.up_to_the_end_of(answer),
        None => answer,
    }
}

/// Connects to an owner's socket.
///
/// # Errors
/// There is no socket, or no process listens.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = Address::of(path)?;
    UnixStream::connect(&address.path).await
}

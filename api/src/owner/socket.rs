//! The owner's socket, from both ends.
//!
//! Law: only the folder's user can connect (0600 in a folder of theirs); who connects is known from
//! the kernel, not from what they say. There are never more connections than a bound: as at the server, who is idle makes
//! room.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::http::Caller;
use crate::serve::connections::{Busy, Connections, Held};

/// Connections at once: out of the file handles that the server leaves to the rest of the process.
const CONNECTIONS_MAX: usize = 256;
/// The longest path that fits into a socket's address, with a byte for its end.
const PATH_BYTES_MAX: usize = 107;

/// A path that fits, however long the real one is; the folder is kept open for as long.
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

/// Listens and serves the routes until `closing`. The caller holds the folder's lock, so a socket
/// that is there is a dead owner's.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(
    path: &Path,
    routes: Router,
    closing: CancellationToken,
) -> io::Result<tokio::task::JoinHandle<()>> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let address = Address::of(path)?;
    let listener = UnixListener::bind(&address.path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let routes = routes.layer(middleware::from_fn(named)).into_make_service_with_connect_info::<Peer>();
    let listener = Bounded { listener, connections: Connections::few(CONNECTIONS_MAX) };
    Ok(tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(closing.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the socket failed");
        }
    }))
}

/// Takes in as many connections as there may be.
struct Bounded {
    listener: UnixListener,
    connections: Arc<Connections>,
}

impl Listener for Bounded {
    type Io = Held<UnixStream>;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Some(held) = self.connections.take_in_or_tell(stream) {
                return (held, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Who is on the other end, and of which connection.
#[derive(Clone)]
struct Peer {
    uid: Option<u32>,
    busy: Option<Busy>,
}

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        let held = stream.io();
        Self { uid: held.stream().peer_cred().ok().map(|peer| peer.uid()), busy: held.busy() }
    }
}

/// Names the caller by the connection, which is busy up to the end of the answer. Without a name the routes refuse.
async fn named(mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0.clone());
    if let Some(uid) = peer.as_ref().and_then(|peer| peer.uid) {
        let caller = Caller::on_socket(uid, request.headers());
        request.extensions_mut().insert(caller);
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
/// There is no socket, or nobody listens.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = Address::of(path)?;
    UnixStream::connect(&address.path).await
}

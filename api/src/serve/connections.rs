//! The bound on open connections, of the server over TCP with and without TLS, and of the folder's socket.
//!
//! Law: there are never more connections than the bound. A new connection closes the one that has been idle the
//! longest, so idle connections, however many, keep no client out. Where all are busy, the new connection is answered
//! with [`Code::TooMany`] and closed; only a few are answered so at a time, further ones are closed without an answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, Response, header};
use axum::response::IntoResponse as _;
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tower::Service;

use super::half_closed::{AfterInput, InputEnd, WholeWrites};
use super::write_through::write_through;
use crate::fault::{Code, Fault};
use crate::http::PROBLEM_TYPE;

/// File handles that connections leave to the rest of the process.
const HANDLES_LEFT: u64 = 512;
/// Refused connections that are answered at once; further ones are closed without an answer.
const REFUSALS_MAX: usize = 64;
/// How long the answer to a refused connection may take.
const TELL_WITHIN: Duration = Duration::from_secs(2);
/// The same where TLS has to begin first.
const TELL_OVER_TLS_WITHIN: Duration = Duration::from_secs(5);

/// The open connections of a server.
pub(crate) struct Connections {
    max: usize,
    /// Whether the peer understands a plain answer.
    is_plain: bool,
    /// The hint in the answer to a refused connection.
    hint: &'static str,
    open: Mutex<OpenConnections>,
    /// Permits to answer refused connections.
    telling: Arc<Semaphore>,
    /// Grows whenever a connection becomes idle.
    turn: AtomicU64,
}

#[derive(Default)]
struct OpenConnections {
    next: u64,
    by_number: BTreeMap<u64, Arc<Connection>>,
}

struct Connection {
    /// Requests that are being answered, up to the last byte of the answer.
    busy: AtomicUsize,
    /// The turn at which it became idle.
    idle_since: AtomicU64,
    /// The connection is to end, since it makes room for another.
    is_over: AtomicBool,
    reading: AtomicWaker,
    /// What it means that the client sends no more.
    input: Arc<InputEnd>,
}

impl Connections {
    /// At most `wanted`, and fewer where the process may not open so many files.
    pub(crate) fn new(wanted: usize, is_plain: bool) -> Arc<Self> {
        let handles = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let bound = handles.map_or(u64::MAX, |handles| handles.saturating_sub(HANDLES_LEFT).max(handles / 2));
        let max = wanted.min(usize::try_from(bound).unwrap_or(usize::MAX)).max(1);
        if max < wanted {
            tracing::warn!("{max} connections at once, not {wanted}: the limit of open files allows no more");
        }
        let telling = Arc::new(Semaphore::new(REFUSALS_MAX));
        let (open, turn) = (Mutex::default(), AtomicU64::new(0));
        let hint = "`serve.connections` in everfold.toml sets how many there may be";
        Arc::new(Self { max, is_plain, hint, open, telling, turn })
    }

    /// At most so many connections; no setting changes that bound.
    pub(crate) fn few(max: usize) -> Arc<Self> {
        let telling = Arc::new(Semaphore::new(REFUSALS_MAX));
        let (open, turn) = (Mutex::default(), AtomicU64::new(0));
        let hint = "close some of them: streams, logs that are followed, polls";
        Arc::new(Self { max, is_plain: true, hint, open, telling, turn })
    }

    fn no_room(&self) -> Fault {
        Fault::new(Code::TooMany, format!("all {} connections are busy", self.max)).hint(self.hint)
    }

    /// Room for one more; `None`: all others are busy.
    fn enter(self: &Arc<Self>) -> Option<ConnectionTicket> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.by_number.len() >= self.max {
            let idle = open.by_number.iter().filter(|(_, one)| one.busy.load(Ordering::Acquire) == 0);
            let number =
                idle.min_by_key(|(_, one)| one.idle_since.load(Ordering::Relaxed)).map(|(n, _)| *n)?;
            let one = open.by_number.remove(&number)?;
            one.is_over.store(true, Ordering::Release);
            one.reading.wake();
        }
        let number = open.next;
        open.next += 1;
        let connection = Arc::new(Connection {
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.turn.fetch_add(1, Ordering::Relaxed)),
            is_over: AtomicBool::new(false),
            reading: AtomicWaker::new(),
            input: Arc::default(),
        });
        open.by_number.insert(number, Arc::clone(&connection));
        Some(ConnectionTicket { connections: Arc::clone(self), number, connection })
    }

    fn leave(&self, number: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).by_number.remove(&number);
    }
}

/// A place among the open connections; dropping it frees the place.
struct ConnectionTicket {
    connections: Arc<Connections>,
    number: u64,
    connection: Arc<Connection>,
}

impl ConnectionTicket {
    fn busy(&self) -> BusyFlag {
        BusyFlag { connections: Arc::clone(&self.connections), connection: Arc::clone(&self.connection) }
    }
}

impl Drop for ConnectionTicket {
    fn drop(&mut self) {
        self.connections.leave(self.number);
    }
}

/// The acceptor of the server's connections.
#[derive(Clone)]
pub(super) struct Door(pub(super) Arc<Connections>);

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = BoundedStream<TcpStream>;
    type Service = CountedService<S>;
    type Future = BoxFuture<'static, io::Result<(BoundedStream<TcpStream>, CountedService<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let connections = Arc::clone(&self.0);
        Box::pin(async move {
            match connections.take_in(stream) {
                Ok((stream, busy)) => Ok((stream, CountedService { service, of: Of::Open(busy) })),
                Err((stream, Some(permit))) if connections.is_plain => {
                    let _gone = tokio::time::timeout(TELL_WITHIN, tell(stream, connections.no_room())).await;
                    drop(permit);
                    Err(too_many())
                }
                // Before the TLS handshake the client cannot read an answer.
                Err((stream, Some(permit))) => {
                    let over = Box::pin(tokio::time::sleep(TELL_OVER_TLS_WITHIN));
                    let place = ConnectionPlace::Guest { _permit: permit, over };
                    let stream = BoundedStream::new(stream, place);
                    Ok((stream, CountedService { service, of: Of::Guest(connections) }))
                }
                Err((_, None)) => Err(too_many()),
            }
        })
    }
}

fn too_many() -> io::Error {
    io::Error::other("there are too many connections")
}

/// A refused connection, with the permit to answer it where few are being answered at that moment.
type NoRoom<S> = (S, Option<OwnedSemaphorePermit>);

impl Connections {
    /// Admits a connection, or gives it back.
    fn take_in<S>(self: &Arc<Self>, stream: S) -> Result<(BoundedStream<S>, BusyFlag), NoRoom<S>> {
        let Some(ticket) = self.enter() else {
            let permit = Arc::clone(&self.telling).try_acquire_owned().ok();
            return Err((stream, permit));
        };
        let busy = ticket.busy();
        Ok((BoundedStream::new(stream, ConnectionPlace::Of(ticket)), busy))
    }

    /// Admits a connection without TLS, or answers it that there is no room.
    pub(crate) fn take_in_or_tell<S>(self: &Arc<Self>, stream: S) -> Option<BoundedStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self.take_in(stream) {
            Ok((connection, _)) => Some(connection),
            Err((_, None)) => None,
            Err((stream, Some(permit))) => {
                let no_room = self.no_room();
                tokio::spawn(async move {
                    let _gone = tokio::time::timeout(TELL_WITHIN, tell(stream, no_room)).await;
                    drop(permit);
                });
                None
            }
        }
    }
}

/// Answers a refused connection, and waits until the client has read that.
async fn tell(mut stream: impl AsyncRead + AsyncWrite + Unpin, no_room: Fault) -> io::Result<()> {
    let body = serde_json::to_vec(&no_room.problem())?;
    let head = format!(
        "HTTP/1.1 {} Service Unavailable\r\ncontent-type: {PROBLEM_TYPE}\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n",
        Code::TooMany.status(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    // Unread bytes at the close would make the kernel reset the connection and drop the answer.
    let mut asked = [0; 4096];
    for _ in 0..16 {
        if stream.read(&mut asked).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// A connection that ends when it has to make room.
pub(crate) struct BoundedStream<S> {
    stream: WholeWrites<S>,
    place: ConnectionPlace,
    /// The client sends no more.
    ended: Option<AfterInput>,
}

impl<S> BoundedStream<S> {
    fn new(stream: S, place: ConnectionPlace) -> Self {
        Self { stream: WholeWrites::new(stream), place, ended: None }
    }

    /// The flag that a request is being answered; `None`: a refused connection.
    pub(crate) fn busy(&self) -> Option<BusyFlag> {
        match &self.place {
            ConnectionPlace::Of(ticket) => Some(ticket.busy()),
            ConnectionPlace::Guest { .. } => None,
        }
    }
}

enum ConnectionPlace {
    /// One of the open connections.
    Of(ConnectionTicket),
    /// A refused connection, which is answered in a bounded time.
    Guest { _permit: OwnedSemaphorePermit, over: Pin<Box<Sleep>> },
}

impl ConnectionPlace {
    /// What the end of the client's input means for the request that is being answered.
    fn input(&self) -> Option<&InputEnd> {
        match self {
            Self::Of(ConnectionTicket { connection, .. }) => Some(&connection.input),
            Self::Guest { .. } => None,
        }
    }

    /// Whether the connection is to end; wakes the reading task when it is.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Of(ConnectionTicket { connection, .. }) => {
                connection.reading.register(context.waker());
                connection.is_over.load(Ordering::Acquire)
            }
            Self::Guest { over, .. } => over.as_mut().poll(context).is_ready(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.place.is_over(context) {
            return Poll::Ready(Ok(()));
        }
        let Self { stream, place, ended } = &mut *self;
        if ended.is_none() {
            let (before, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
            let read = ready!(Pin::new(&mut *stream).poll_read(context, buffer));
            if read.is_err() || buffer.filled().len() > before || !has_room {
                return Poll::Ready(read);
            }
        }
        // The answer to what has come is given first; the end of the answer wakes the task that reads.
        let input = place.input().filter(|input| input.is_answered());
        let Some(input) = input else { return Poll::Ready(Ok(())) };
        ended.get_or_insert_with(AfterInput::new).poll(stream, input, context)
    }
}

write_through!(BoundedStream);

/// The connection of a request, to mark it as busy.
#[derive(Clone)]
pub(crate) struct BusyFlag {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl BusyFlag {
    /// Marks the connection as busy until the result is dropped.
    pub(crate) fn answering(&self) -> Answering {
        Answering::new(self.clone())
    }
}

/// One request that is being answered.
pub(crate) struct Answering(BusyFlag);

impl Answering {
    fn new(of: BusyFlag) -> Self {
        of.connection.busy.fetch_add(1, Ordering::AcqRel);
        Self(of)
    }

    /// The answer, which keeps the connection busy up to its last byte.
    pub(crate) fn up_to_the_end_of<B>(self, answer: Response<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        answer.map(|body| Body::new(TrackedBody { body: Body::new(body), _answering: self }))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let BusyFlag { connections, connection } = &self.0;
        let turn = connections.turn.fetch_add(1, Ordering::Relaxed);
        connection.idle_since.store(turn, Ordering::Relaxed);
        connection.busy.fetch_sub(1, Ordering::AcqRel);
        if connection.input.is_answered() {
            connection.input.over();
            connection.reading.wake();
        }
    }
}

/// A service that marks its connection as busy while it answers.
#[derive(Clone)]
pub(super) struct CountedService<S> {
    service: S,
    of: Of,
}

#[derive(Clone)]
enum Of {
    Open(BusyFlag),
    /// A refused connection.
    Guest(Arc<Connections>),
}

impl<S, I, B> Service<Request<I>> for CountedService<S>
where
    S: Service<Request<I>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<I>) -> Self::Future {
        let busy = match &self.of {
            Of::Open(busy) => busy,
            Of::Guest(connections) => {
                let mut answer = connections.no_room().into_response();
                for (name, value) in [(header::CONNECTION, "close"), (header::RETRY_AFTER, "1")] {
                    answer.headers_mut().insert(name, HeaderValue::from_static(value));
                }
                return Box::pin(async move { Ok(answer) });
            }
        };
        let answering = busy.answering();
        // Over TLS several requests may be answered at once, and the end of the input is a message of its own.
        if busy.connections.is_plain {
            busy.connection.input.begin(&mut request);
        }
        let (answer, input) = (self.service.call(request), Arc::clone(&busy.connection.input));
        Box::pin(async move {
            let answer = answer.await;
            input.answer_begins();
            Ok(answering.up_to_the_end_of(answer?))
        })
    }
}

/// An answer's body that keeps its connection busy up to the last byte.
struct TrackedBody {
    body: Body,
    _answering: Answering,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_idle_the_longest_makes_room_and_who_is_busy_stays() {
        let connections = Connections::new(2, true);
        let (first, second) = (connections.enter().unwrap(), connections.enter().unwrap());
        let busy = |ticket: &ConnectionTicket| ticket.busy().answering();
        let is_over = |ticket: &ConnectionTicket| ticket.connection.is_over.load(Ordering::Acquire);
        // The first answered something of late.
        drop(busy(&first));
        let third = connections.enter().unwrap();
        assert!(is_over(&second) && !is_over(&first));
        let (_one, _other) = (busy(&first), busy(&third));
        assert!(connections.enter().is_none(), "all are busy");
        drop(third);
        assert!(connections.enter().is_some());
        // One that made room gives back no other's place.
        drop(second);
        assert_eq!(connections.open.lock().unwrap().by_number.len(), 1);
    }
}

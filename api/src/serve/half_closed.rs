//! Clients that close their sending side behind a request, and read the answer then.
//!
//! Law: the end of what a client sends is no end of the answer to a whole request. It is one of an answer that waits for
//! something (a stream, a poll, `wait`): there it is the only sign that the client is gone, and work must not be given to
//! it. Where a request is cut off in the middle its end is passed on after a moment.
//!
//! A client that closed its connection altogether looks the same, until it is sent something: its system resets the
//! connection then. So a client that sends no more is sent interim answers (`100 Continue`, which clients pass over)
//! as long as nothing of the answer is there. Work for a client that is gone ends so.
//!
//! hyper's own `half_close` would notice no client that is gone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Version, header};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long the body of a request is waited for that its client has sent, and that was not read yet.
const BODY_WITHIN: Duration = Duration::from_secs(1);

/// How long after the end of its input a client is asked whether it still reads, and how long after that again. The pause
/// doubles from then on.
const ASK_WITHIN: Duration = Duration::from_millis(500);
/// Sent ahead of an answer. A client that did not ask for it passes over it (RFC 9110, 15.2.1).
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the end of a client's input means for the request that its connection answers.
#[derive(Debug, Default)]
pub(super) struct InputEnd {
    /// The answer is given all the same, once the request is whole.
    is_answered: AtomicBool,
    /// The request was read to its end.
    is_whole: AtomicBool,
    /// Nothing of the answer was handed to the connection, and the client understands interim answers.
    may_ask: AtomicBool,
}

impl InputEnd {
    /// Takes note of a request that begins to be answered, and marks it so that its body says when it is whole.
    pub(super) fn begin<I>(self: &Arc<Self>, request: &mut Request<I>) {
        self.is_whole.store(false, Ordering::Release);
        self.is_answered.store(!waits(request), Ordering::Release);
        // Clients of HTTP/1.0 know none.
        self.may_ask.store(request.version() == Version::HTTP_11, Ordering::Release);
        request.extensions_mut().insert(RequestMark(Arc::clone(self)));
    }

    /// Takes note that the answer begins: its head follows.
    pub(super) fn answer_begins(&self) {
        self.may_ask.store(false, Ordering::Release);
    }

    /// Takes note that nothing is being answered any more.
    pub(super) fn over(&self) {
        self.answer_begins();
        self.is_answered.store(false, Ordering::Release);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }
}

/// What is done once a client sends no more.
pub(super) struct AfterInput {
    /// The body of the request may still be read until then.
    body_until: Pin<Box<Sleep>>,
    ask_at: Pin<Box<Sleep>>,
    pause: Duration,
}

impl AfterInput {
    pub(super) fn new() -> Self {
        let ask_at = Box::pin(tokio::time::sleep(ASK_WITHIN));
        Self { body_until: Box::pin(tokio::time::sleep(BODY_WITHIN)), ask_at, pause: ASK_WITHIN }
    }

    /// Waits for the answer to what came before. Ready with `Ok`: the end of the input is passed on; with an error: the client
    /// is gone.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut WholeWrites<S>,
        input: &InputEnd,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !input.is_whole() {
            return match self.body_until.as_mut().poll(context) {
                Poll::Ready(()) if !input.is_whole() => Poll::Ready(Ok(())),
                _waits => Poll::Pending,
            };
        }
        while input.may_ask.load(Ordering::Acquire) && self.ask_at.as_mut().poll(context).is_ready() {
            stream.send_interim(context)?;
            self.ask_at.set(tokio::time::sleep(self.pause));
            self.pause *= 2;
        }
        Poll::Pending
    }
}

/// A stream that knows whether all was written that it was given.
pub(super) struct WholeWrites<S> {
    stream: S,
    is_whole: bool,
}

impl<S> WholeWrites<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, is_whole: true }
    }
}

impl<S: AsyncWrite + Unpin> WholeWrites<S> {
    /// Sends an interim answer, unless the stream is in the middle of something else.
    fn send_interim(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.is_whole {
            return Ok(());
        }
        match Pin::new(&mut self.stream).poll_write(context, INTERIM) {
            Poll::Ready(Ok(count)) if count < INTERIM.len() => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Err(error)) => Err(error),
            // Without room for it, it is left out.
            Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
        }
    }

    fn note(&mut self, written: Poll<io::Result<usize>>, wanted: usize) -> Poll<io::Result<usize>> {
        self.is_whole = matches!(&written, Poll::Ready(Ok(count)) if *count == wanted);
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WholeWrites<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WholeWrites<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note(written, bytes.iter().map(|part| part.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Whether the answer to a request waits for something else than its own making.
fn waits<I>(request: &Request<I>) -> bool {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let of_stream = request.headers().get(header::ACCEPT).is_some_and(|kinds| kinds == "text/event-stream");
    let last = path.rsplit('/').next().unwrap_or_default();
    of_stream
        || matches!(last, "stream" | "poll" | "live")
        || query.split('&').any(|pair| pair.starts_with("wait=") || pair.starts_with("follow="))
}

/// The connection's part in a request; in its extensions.
#[derive(Clone)]
pub(super) struct RequestMark(Arc<InputEnd>);

/// A request whose body says when it has come whole.
pub(super) fn marked(request: Request<Body>) -> Request<Body> {
    match request.extensions().get::<RequestMark>().cloned() {
        Some(RequestMark(end)) => request.map(|body| Body::new(MarkedBody::new(body, end))),
        None => request,
    }
}

struct MarkedBody {
    body: Body,
    end: Arc<InputEnd>,
}

impl MarkedBody {
    fn new(body: Body, end: Arc<InputEnd>) -> Self {
        let this = Self { body, end };
        this.look();
        this
    }

    fn look(&self) {
        if self.body.is_end_stream() {
            self.end.is_whole.store(true, Ordering::Release);
        }
    }
}

impl HttpBody for MarkedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.end.is_whole.store(true, Ordering::Release),
            Poll::Ready(Some(Ok(_))) => self.look(),
            _not_whole => {}
        }
        polled
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
    fn answers_that_wait_end_with_their_client() {
        let asked = |uri: &str| waits(&Request::get(uri).body(()).unwrap());
        for waiting in [
            "/api/v1/stream?from=1",
            "/api/v1/runs/a/events/stream",
            "/api/v1/workers/poll",
            "/api/v1/runs/a?wait=60s",
            "/api/v1/runs/a/attempts/b/1/1/log?tail=1&follow=true",
            "/live?run=a",
        ] {
            assert!(asked(waiting), "{waiting}");
        }
        for other in ["/api/v1/runs", "/api/v1/events", "/api/v1/hooks/ci", "/api/v1/runs?q=wait=1"] {
            assert!(!asked(other), "{other}");
        }
        let log = Request::get("/api/v1/log").header(header::ACCEPT, "text/event-stream").body(()).unwrap();
        assert!(waits(&log));
    }
}

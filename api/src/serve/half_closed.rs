//! Clients that close their sending side behind a request, and read the answer then.
//!
//! Law: the end of what a client sends is no end of the answer to a whole request. It is one of an answer that waits for
//! something (a stream, a poll, `wait`): there it is the only sign that the client is gone, and work must not be given to
//! it. Where a request is cut off in the middle its end is passed on after a moment.
//!
//! hyper's own `half_close` would notice no client that is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, header};
use hyper::body::{Frame, SizeHint};

/// How long the body of a request is waited for that its client has sent, and that was not read yet.
pub(super) const BODY_WITHIN: Duration = Duration::from_secs(1);

/// What the end of a client's input means for the request that its connection answers.
#[derive(Debug, Default)]
pub(super) struct InputEnd {
    /// The answer is given all the same, once the request is whole.
    is_answered: AtomicBool,
    /// The request was read to its end.
    is_whole: AtomicBool,
}

impl InputEnd {
    /// Takes note of a request that begins to be answered, and marks it so that its body says when it is whole.
    pub(super) fn begin<I>(self: &Arc<Self>, request: &mut Request<I>) {
        self.is_whole.store(false, Ordering::Release);
        self.is_answered.store(!waits(request), Ordering::Release);
        request.extensions_mut().insert(RequestMark(Arc::clone(self)));
    }

    /// Takes note that nothing is being answered any more.
    pub(super) fn over(&self) {
        self.is_answered.store(false, Ordering::Release);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
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

//! Bodies of requests that are answered before they are read: refusals of callers, rates, roles, sizes.
//!
//! Law: a connection over HTTP/1 goes on behind such an answer, or the answer says that it does not. hyper closes it without
//! a word where the rest of the body is not there yet, and the client's next request is lost with it. So what is short is
//! read to its end and dropped.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

/// How much is read and dropped, and how long it is waited for.
const REST_BYTES_MAX: usize = 64 * 1024;
const REST_WITHIN: Duration = Duration::from_millis(500);

/// Answers a request, and sees to what is left of its body.
pub(super) async fn read_or_said(request: Request, next: Next) -> Response {
    let is_one = matches!(request.version(), Version::HTTP_10 | Version::HTTP_11);
    if !is_one || request.body().is_end_stream() {
        return next.run(request).await;
    }
    // hyper answers the first read of such a body with `100 Continue`, which asks the client to send it.
    let awaits_word = request.headers().contains_key(header::EXPECT);
    let (head, body) = request.into_parts();
    let rest = SharedBody(Arc::new(Mutex::new(BodyRest { body, is_over: false })));
    let mut answer = next.run(Request::from_parts(head, Body::new(rest.clone()))).await;
    // A handler that still holds the body answers while it reads.
    let is_ours = Arc::strong_count(&rest.0) == 1;
    if is_ours && !rest.is_end_stream() && (awaits_word || !rest.dropped().await) {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// A body that its reader may leave before its end.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<BodyRest>>);

struct BodyRest {
    body: Body,
    is_over: bool,
}

impl SharedBody {
    /// Reads what is left; false where that is long, or slow.
    async fn dropped(mut self) -> bool {
        let whole = async {
            let mut left = REST_BYTES_MAX;
            while let Some(frame) = self.frame().await {
                let bytes = frame.ok().and_then(|frame| frame.into_data().ok()).map_or(0, |data| data.len());
                match left.checked_sub(bytes) {
                    Some(rest) => left = rest,
                    None => return false,
                }
            }
            true
        };
        tokio::time::timeout(REST_WITHIN, whole).await.unwrap_or(false)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut rest.body).poll_frame(context));
        rest.is_over = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_over || rest.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware;
    use axum::routing::post;
    use futures::channel::mpsc;
    use tower::ServiceExt as _;

    use super::*;

    type Part = Result<Bytes, std::io::Error>;

    fn routes() -> Router {
        let echo = post(|body: Bytes| async move { body });
        let refused = post(|| async { StatusCode::TOO_MANY_REQUESTS });
        let streamed = post(|body: Body| async move { body });
        let routes =
            Router::new().route("/echo", echo).route("/refused", refused).route("/streamed", streamed);
        routes.layer(middleware::from_fn(read_or_said))
    }

    /// Whether the answer says that the connection ends, of a request whose body comes in these parts and goes on, or not.
    async fn ends(path: &str, parts: &[usize], goes_on: bool, expects: bool) -> bool {
        let (sender, body) = mpsc::unbounded::<Part>();
        let request = Request::post(path);
        let request = if expects { request.header(header::EXPECT, "100-continue") } else { request };
        let request = request.body(Body::from_stream(body)).unwrap();
        let answer = tokio::spawn(routes().oneshot(request));
        // It is answered before the first byte comes.
        tokio::task::yield_now().await;
        for part in parts {
            sender.unbounded_send(Ok(Bytes::from(vec![b'x'; *part]))).ok();
        }
        let kept = goes_on.then_some(sender);
        let answer = answer.await.unwrap().unwrap();
        drop(kept);
        answer.headers().contains_key(header::CONNECTION)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_behind_an_answer_only_where_the_answer_says_so() {
        for (path, parts, goes_on, expects, ends_then) in [
            ("/echo", &[10, 10][..], false, false, false),
            ("/refused", &[10, 10], false, false, false),
            ("/refused", &[], false, false, false),
            ("/refused", &[10], true, false, true),
            ("/refused", &[40_000, 40_000], false, false, true),
            ("/refused", &[10], false, true, true),
        ] {
            let found = ends(path, parts, goes_on, expects).await;
            assert_eq!(found, ends_then, "{path} {parts:?} {goes_on} {expects}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_goes_on_beside_its_request_keeps_the_whole_body() {
        let (sender, body) = mpsc::unbounded::<Part>();
        let request = Request::post("/streamed").body(Body::from_stream(body)).unwrap();
        let answer = routes().oneshot(request).await.unwrap();
        assert!(!answer.headers().contains_key(header::CONNECTION));
        sender.unbounded_send(Ok(Bytes::from_static(b"late"))).unwrap();
        drop(sender);
        assert_eq!(axum::body::to_bytes(answer.into_body(), 100).await.unwrap(), "late");
    }
}

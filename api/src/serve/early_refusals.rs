//! Refusals of requests that never reach the routes: a head that cannot be read, or is too large.
//!
//! Law: hyper answers these with a status and nothing else. The stream puts a problem document with a request id in
//! place of such an answer, and reads what the client still sends for a moment, so that the answer arrives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::fault::{Code, Fault};
use crate::http::{PROBLEM_TYPE, REQUEST_ID};

/// The longest answer that may be one of hyper's own.
const BARE_BYTES_MAX: usize = 512;
/// How long, and how much, is read of a client that still sends its request.
const REST_WITHIN: Duration = Duration::from_secs(2);
const REST_BYTES_MAX: usize = 1024 * 1024;

/// Accepts connections whose early refusals say why.
#[derive(Clone)]
pub(super) struct Explaining<A>(pub(super) A);

impl<A, S> Accept<TcpStream, S> for Explaining<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = ExplainedStream<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = self.0.accept(stream, service);
        async move {
            let (stream, service) = accepted.await?;
            Ok((ExplainedStream { stream, refusal: None, rest: None }, service))
        }
        .boxed()
    }
}

/// A connection that replaces bare refusals.
pub(super) struct ExplainedStream<S> {
    stream: S,
    refusal: Option<EarlyRefusal>,
    /// After a refusal: what the client still sends is read so long.
    rest: Option<(Pin<Box<Sleep>>, usize)>,
}

/// An answer that is written in place of another.
struct EarlyRefusal {
    text: Vec<u8>,
    written: usize,
    /// The bytes of the answer that it replaces.
    replaces: usize,
}

/// The status of an answer of hyper's own: it has no body, and no id as every answer of the routes has.
fn bare_refusal(bytes: &[u8]) -> Option<u16> {
    if bytes.len() > BARE_BYTES_MAX || !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.to_ascii_lowercase();
    let is_bare = head.contains("\r\ncontent-length: 0\r\n") && !head.contains(REQUEST_ID.as_str());
    head.get(9..12)?.parse().ok().filter(|_| is_bare)
}

/// The answer to a head that was refused with a status.
fn explained(status: u16, replaces: usize) -> Option<EarlyRefusal> {
    let fault = match status {
        400 => Fault::new(Code::Unreadable, "the request line or a header is not as HTTP writes it")
            .hint("what is no visible ASCII in a path or a query is written as %XX"),
        414 | 431 => Fault::new(Code::HeadTooLarge, "the request line and the headers are over the limit")
            .hint("at most 64 KiB together, and 100 headers"),
        _another => return None,
    };
    let id = format!("{:032x}", everfold_engine::clock::draw_u128());
    tracing::info!(request = id, status, "a request is refused before the routes: {}", fault.message);
    let (code, body) = (fault.code.status(), fault.problem());
    let body = serde_json::to_vec(&body).ok()?;
    let reason = axum::http::StatusCode::from_u16(code).ok()?;
    let head = format!(
        "HTTP/1.1 {reason}\r\ncontent-type: {PROBLEM_TYPE}\r\ncontent-length: {}\r\n{REQUEST_ID}: {id}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    Some(EarlyRefusal { text: [head.into_bytes(), body].concat(), written: 0, replaces })
}

impl<S: AsyncWrite + Unpin> ExplainedStream<S> {
    /// Whether these bytes are replaced, or others are being so.
    fn is_replaced(&mut self, bytes: &[u8]) -> bool {
        if self.refusal.is_none()
            && let Some(status) = bare_refusal(bytes)
        {
            self.refusal = explained(status, bytes.len());
        }
        self.refusal.is_some()
    }

    /// Writes the replacement; resolves with the number of bytes that it replaces.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some(refusal) = &mut self.refusal {
            let left = &refusal.text[refusal.written..];
            if left.is_empty() {
                let replaces = refusal.replaces;
                self.refusal = None;
                self.rest = Some((Box::pin(tokio::time::sleep(REST_WITHIN)), REST_BYTES_MAX));
                return Poll::Ready(Ok(replaces));
            }
            match ready!(Pin::new(&mut self.stream).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => refusal.written += written,
            }
        }
        Poll::Ready(Ok(0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ExplainedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ExplainedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_replaced(bytes) {
            return self.poll_refusal(context);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut parts = bytes.iter().filter(|part| !part.is_empty());
        if let (Some(only), None) = (parts.next(), parts.next())
            && self.is_replaced(only)
        {
            return self.poll_refusal(context);
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        let Self { stream, rest, .. } = &mut *self;
        // Unread bytes at the close would make the kernel reset the connection and drop the answer.
        while let Some((until, left)) = rest {
            let mut dropped = [0; 4096];
            let mut buffer = ReadBuf::new(&mut dropped);
            let is_over = match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => {
                    ready!(until.as_mut().poll(context));
                    true
                }
                Poll::Ready(read) => read.is_err() || buffer.filled().is_empty(),
            };
            *left = left.saturating_sub(buffer.filled().len());
            if is_over || *left == 0 {
                *rest = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_routes_are_no_bare_refusals() {
        let bare =
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_refusal(bare.as_bytes()), Some(431));
        for other in [
            "HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "",
        ] {
            assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
        }
    }
}

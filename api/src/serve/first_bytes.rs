//! The first bytes of a connection, by which the server tells HTTP/1 from HTTP/2.
//!
//! Law: they must come in a bounded time. From there on the limits of the version hold.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::write_through::write_through;

/// The length of the preface with which a client of HTTP/2 begins; any other beginning is HTTP/1.
const PREFACE_BYTES: usize = 24;

/// Accepts connections and bounds the time of their first bytes.
#[derive(Clone)]
pub(super) struct First<A> {
    inner: A,
    within: Duration,
}

impl<A> First<A> {
    pub(super) fn new(inner: A, within: Duration) -> Self {
        Self { inner, within }
    }
}

impl<A, S> Accept<TcpStream, S> for First<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = TimedStream<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (accepted, within) = (self.inner.accept(stream, service), self.within);
        async move {
            let (stream, service) = accepted.await?;
            let wait = Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(within))));
            Ok((TimedStream { stream, wait }, service))
        }
        .boxed()
    }
}

/// A connection that ends where its first bytes do not come in time.
pub(super) struct TimedStream<S> {
    stream: S,
    /// How many of the first bytes are still to come, and until when.
    wait: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((left, until)) = &mut self.wait {
            if read.is_pending() && until.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            *left = left.saturating_sub(buffer.filled().len() - before);
            if *left == 0 {
                self.wait = None;
            }
        }
        read
    }
}

write_through!(TimedStream);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn row_51_first_bytes_that_do_not_come_end_the_connection_and_later_ones_may_take_their_time() {
        let begun = |stream| {
            let wait = Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(Duration::from_secs(30)))));
            TimedStream { stream, wait }
        };
        let mut read = [0; 64];
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = begun(server);
        client.write_all(b"PRI * HT").await.unwrap();
        assert_eq!(server.read(&mut read).await.unwrap(), 8);
        assert_eq!(server.read(&mut read).await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (mut client, server) = tokio::io::duplex(64);
        let mut server = begun(server);
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(server.read(&mut read).await.unwrap() > PREFACE_BYTES);
        tokio::time::sleep(Duration::from_secs(300)).await;
        client.write_all(b"more").await.unwrap();
        assert_eq!(server.read(&mut read).await.unwrap(), 4);
    }
}

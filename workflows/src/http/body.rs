//! The body of an answer, read up to a limit of bytes and of silence.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes};

/// A body, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyBytes {
    /// Its beginning, or all of it.
    pub bytes: Vec<u8>,
    /// There was more.
    pub is_truncated: bool,
}

/// A body that is not whole.
#[derive(Debug)]
pub enum BodyError<E> {
    /// Nothing came for this long.
    Silent(Duration),
    /// The connection broke.
    Broken(E),
}

/// Reads a body; what is beyond `bytes_max` is left, and `silence` is how long nothing of it may come.
///
/// # Errors
/// [`BodyError`]
pub async fn read_body<B>(
    mut body: B,
    bytes_max: usize,
    silence: Duration,
) -> Result<BodyBytes, BodyError<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut bytes = Vec::new();
    loop {
        let frame = tokio::time::timeout(silence, body.frame()).await;
        let Some(frame) = frame.map_err(|_elapsed| BodyError::Silent(silence))? else {
            return Ok(BodyBytes { bytes, is_truncated: false });
        };
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        let room = bytes_max - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok(BodyBytes { bytes, is_truncated: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limits() {
        let whole = || Full::new(Bytes::from_static(b"12345"));
        for (bytes_max, bytes, is_truncated) in [(6, "12345", false), (5, "12345", false), (4, "1234", true)]
        {
            let read = read_body(whole(), bytes_max, Duration::MAX).await.unwrap();
            assert_eq!(read, BodyBytes { bytes: bytes.into(), is_truncated });
        }
        let never = futures::stream::pending::<Result<hyper::body::Frame<Bytes>, std::io::Error>>();
        let silent = read_body(StreamBody::new(never), 4, Duration::from_millis(1)).await;
        assert!(matches!(silent, Err(BodyError::Silent(_))), "{silent:?}");
    }
}

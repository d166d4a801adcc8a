//! The framing of the protocol: a head that says how many bytes follow, then that many bytes of JSON.
//!
//! Law: a reader can be dropped while it waits and asked again: what was read stays in its buffer. However long a message
//! says it is, no more than [`MESSAGE_BYTES_MAX`] of it are kept.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest message that is read.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest head of a message.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// What ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DapFrame {
    /// A message.
    Message(Value),
    /// Something that was passed over, and why: the next message is read.
    Passed(String),
}

/// Why no more messages can be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum DapFrameError {
    #[error(
        "standard input does not hold messages of the Debug Adapter Protocol: no head ended within 8 KiB"
    )]
    NoHead,
    #[error("a message of the Debug Adapter Protocol could not be read: {0}")]
    Read(#[source] std::io::Error),
    #[error("a message of the Debug Adapter Protocol could not be written: {0}")]
    Write(#[source] std::io::Error),
}

/// Reads messages.
pub(super) struct DapFrameReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// Bytes of a message that is too long, which are still to come.
    skipped: usize,
}

impl<R: AsyncRead + Unpin> DapFrameReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), skipped: 0 }
    }

    /// The next message; none where the input ended, even in the midst of one.
    pub(super) async fn next(&mut self) -> Result<Option<DapFrame>, DapFrameError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.input.read_buf(&mut self.buffer).await.map_err(DapFrameError::Read)? == 0 {
                return Ok(None);
            }
        }
    }

    /// A message that is in the buffer as a whole.
    fn take(&mut self) -> Result<Option<DapFrame>, DapFrameError> {
        let skipped = self.skipped.min(self.buffer.len());
        self.buffer.drain(..skipped);
        self.skipped -= skipped;
        if self.skipped > 0 {
            return Ok(None);
        }
        let searched = &self.buffer[..self.buffer.len().min(HEAD_BYTES_MAX)];
        let Some(end) = searched.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END) else {
            return if searched.len() == HEAD_BYTES_MAX { Err(DapFrameError::NoHead) } else { Ok(None) };
        };
        let start = end + HEAD_END.len();
        let Some(length) = length_in(&self.buffer[..end]) else {
            self.buffer.drain(..start);
            return Ok(Some(DapFrame::Passed("a head without Content-Length was passed over".to_owned())));
        };
        if length > MESSAGE_BYTES_MAX {
            self.buffer.drain(..start);
            self.skipped = length;
            return Ok(Some(DapFrame::Passed(format!(
                "a message of {length} bytes was passed over: 16 MiB are the most"
            ))));
        }
        if self.buffer.len() < start + length {
            return Ok(None);
        }
        let read = serde_json::from_slice(&self.buffer[start..start + length]);
        self.buffer.drain(..start + length);
        Ok(Some(match read {
            Ok(message) => DapFrame::Message(message),
            Err(error) => DapFrame::Passed(format!("a message that is no JSON was passed over: {error}")),
        }))
    }
}

fn length_in(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let field = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut lengths = field.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

/// Writes a message.
pub(super) async fn write_frame<W: AsyncWrite + Unpin>(
    output: &mut W,
    message: &Value,
) -> Result<(), DapFrameError> {
    let body = message.to_string();
    let frame = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    output.write_all(frame.as_bytes()).await.map_err(DapFrameError::Write)?;
    output.flush().await.map_err(DapFrameError::Write)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn frames(bytes: Vec<u8>) -> (Vec<DapFrame>, Option<String>) {
        let mut reader = DapFrameReader::new(bytes.as_slice());
        let mut all = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => return (all, None),
                Err(error) => return (all, Some(error.to_string())),
            }
        }
    }

    fn framed(body: &str) -> Vec<u8> {
        format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn messages_follow_one_another_and_an_input_may_end_anywhere() {
        let mut bytes = framed("{\"seq\":1}");
        bytes.extend(b"Content-Type: x\r\ncontent-length:  2 \r\n\r\n{}");
        bytes.extend(&framed("{\"cut\":true}")[..20]);
        let (all, error) = frames(bytes).await;
        assert_eq!(all, [DapFrame::Message(json!({ "seq": 1 })), DapFrame::Message(json!({}))]);
        assert_eq!(error, None);
    }

    #[tokio::test]
    async fn what_is_no_message_is_passed_over_and_the_next_one_is_read() {
        let mut bytes = framed("{no json");
        bytes.extend(b"X: y\r\n\r\n");
        bytes.extend(format!("Content-Length: {}\r\n\r\n", MESSAGE_BYTES_MAX + 1).bytes());
        bytes.extend(vec![b'x'; MESSAGE_BYTES_MAX + 1]);
        bytes.extend(framed("7"));
        let (all, error) = frames(bytes).await;
        let passed = |frame: &DapFrame| matches!(frame, DapFrame::Passed(_));
        assert_eq!((all.len(), all[..3].iter().all(passed), error), (4, true, None), "{all:?}");
        assert_eq!(all[3], DapFrame::Message(json!(7)));
    }

    #[tokio::test]
    async fn an_input_without_heads_is_an_error() {
        let (all, error) = frames(vec![b'x'; 3 * HEAD_BYTES_MAX]).await;
        assert!(all.is_empty() && error.unwrap().contains("no head ended"));
    }
}

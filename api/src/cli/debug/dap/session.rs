//! Frames in, frames out, until the client goes.
//!
//! Laws:
//! - Requests are answered in turn. While one is, the next ones are read: `disconnect`, `cancel` of it and the end of the
//!   input end it at once, whatever a server does that is away.
//! - A way through the history goes on beside them.

use std::collections::VecDeque;
use std::io::IsTerminal as _;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::adapter::{DapAdapter, DapOrigin, TravelUnderWay};
use super::arguments::CancelArguments;
use super::frames::{DapFrame, DapFrameError, DapFrameReader, write_frame};
use super::protocol::{DapEvent, DapRefusal, DapRequest, response};
use super::routes::ClientRoutes;
use super::travel::Arrival;
use crate::cli::context::CommandContext;
use crate::cli::interrupt::Interrupts;
use crate::cli::output::note;
use crate::fault::{Code, Fault};

/// Requests that are read ahead of their turn.
const AHEAD_MAX: usize = 256;

/// Speaks on standard input and output.
pub(in crate::cli::debug) async fn run(context: &CommandContext, run: String) -> Result<u8, Fault> {
    let mut interrupts = Interrupts::listen()?;
    if std::io::stdin().is_terminal() {
        note(
            "speaking the Debug Adapter Protocol on stdin and stdout: an editor starts this, see docs/reference/cli.md; Ctrl-C ends it",
        );
    }
    let routes = ClientRoutes::shared(context.client.clone());
    let is_here = context.client.place().is_some();
    let folder = std::env::current_dir().ok();
    let adapter = DapAdapter::new(DapOrigin { routes, run, folder, is_here });
    let spoken = speak(adapter, tokio::io::stdin(), tokio::io::stdout());
    tokio::select! {
        spoken = spoken => spoken.map(|()| 0).map_err(|error| {
            Fault::new(Code::Usage, error.to_string()).hint("an editor starts this, see docs/reference/cli.md")
        }),
        _signal = interrupts.next() => Ok(0),
    }
}

/// Speaks until the client goes; that it went in the midst of a message, or reads no more, is no error.
///
/// # Errors
/// What comes in is not the protocol.
pub(super) async fn speak<R, W>(adapter: DapAdapter, input: R, output: W) -> Result<(), DapFrameError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let reader = DapFrameReader::new(input);
    let mut session =
        DapSession { adapter, reader, output, seq: 0, ahead: VecDeque::new(), is_input_over: false };
    match session.serve().await {
        Err(DapFrameError::Write(error)) => {
            tracing::debug!("the client reads no more: {error}");
            Ok(())
        }
        ended => ended,
    }
}

struct DapSession<R, W> {
    adapter: DapAdapter,
    reader: DapFrameReader<R>,
    output: W,
    seq: i64,
    ahead: VecDeque<DapRequest>,
    is_input_over: bool,
}

/// What happened next.
enum Happening {
    Frame(Option<DapFrame>),
    Arrived(Result<Arrival, Fault>),
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> DapSession<R, W> {
    async fn serve(&mut self) -> Result<(), DapFrameError> {
        loop {
            while let Some(request) = self.ahead.pop_front() {
                self.handle(request).await?;
                if self.adapter.is_over {
                    return Ok(());
                }
            }
            if self.is_input_over {
                return Ok(());
            }
            let happening = tokio::select! {
                frame = self.reader.next() => Happening::Frame(frame?),
                arrival = arrival(&mut self.adapter.under_way) => Happening::Arrived(arrival),
            };
            match happening {
                Happening::Frame(frame) => self.take(frame),
                Happening::Arrived(arrival) => self.adapter.arrived(arrival),
            }
            self.flush().await?;
        }
    }

    /// Takes a frame in; a request waits for its turn.
    fn take(&mut self, frame: Option<DapFrame>) {
        match frame {
            Some(DapFrame::Message(message)) => match DapRequest::of(message) {
                Some(request) => self.ahead.push_back(request),
                None => tracing::debug!("a message that is no request was passed over"),
            },
            Some(DapFrame::Passed(why)) => {
                tracing::warn!("{why}");
                self.adapter.events.push(DapEvent::output("stderr", &why));
            }
            None => self.is_input_over = true,
        }
    }

    async fn handle(&mut self, request: DapRequest) -> Result<(), DapFrameError> {
        let answer = self.answered(&request).await?;
        self.write(|seq| response(seq, &request, &answer)).await?;
        self.flush().await
    }

    /// The answer to a request, unless what comes meanwhile ends it.
    async fn answered(&mut self, request: &DapRequest) -> Result<Result<Value, DapRefusal>, DapFrameError> {
        let Self { adapter, reader, ahead, is_input_over, .. } = self;
        let mut passed = Vec::new();
        let outcome = {
            let answer = adapter.answer(request);
            tokio::pin!(answer);
            loop {
                let frame = tokio::select! {
                    biased;
                    answer = &mut answer => break answer,
                    frame = reader.next(), if ahead.len() < AHEAD_MAX && !*is_input_over => frame?,
                };
                match frame {
                    None => {
                        *is_input_over = true;
                        break Err(DapRefusal::quiet("the client went"));
                    }
                    Some(DapFrame::Passed(why)) => passed.push(why),
                    Some(DapFrame::Message(message)) => {
                        let Some(next) = DapRequest::of(message) else { continue };
                        let is_end = ends(&next, request.seq);
                        ahead.push_back(next);
                        if is_end {
                            break Err(DapRefusal::quiet("cancelled"));
                        }
                    }
                }
            }
        };
        self.adapter.events.extend(passed.iter().map(|why| DapEvent::output("stderr", why)));
        Ok(outcome)
    }

    /// Writes the events that are due.
    async fn flush(&mut self) -> Result<(), DapFrameError> {
        for event in std::mem::take(&mut self.adapter.events) {
            self.write(|seq| event.message(seq)).await?;
        }
        Ok(())
    }

    async fn write(&mut self, message: impl FnOnce(i64) -> Value) -> Result<(), DapFrameError> {
        self.seq += 1;
        write_frame(&mut self.output, &message(self.seq)).await
    }
}

/// Whether a request ends the one that is answered.
fn ends(next: &DapRequest, answered: i64) -> bool {
    match next.command.as_str() {
        "disconnect" | "terminate" => true,
        "cancel" => next.read::<CancelArguments>().is_ok_and(|asked| asked.request_id == Some(answered)),
        _other => false,
    }
}

/// Resolves when a way that is gone has ended; never while none is.
async fn arrival(under_way: &mut Option<TravelUnderWay>) -> Result<Arrival, Fault> {
    match under_way {
        Some(under_way) => (&mut under_way.arrival).await,
        None => std::future::pending().await,
    }
}

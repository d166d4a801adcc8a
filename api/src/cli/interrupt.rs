//! Ctrl-C: once leaves a run resumable, twice cancels it. A request to end from elsewhere (SIGTERM)
//! leaves it resumable. A server that another process started for itself ends with that process.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::output::note;
use crate::fault::{Code, Fault};

/// How long a Ctrl-C that is put off may go without a word: most answers are there by then.
const SILENT: Duration = Duration::from_millis(300);

/// The signals that end a command that waits.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// Resolves when the process that started this one is gone.
    starter: Option<oneshot::Receiver<()>>,
    /// Ctrl-C came while an answer was awaited, and is still to be acted on.
    is_put_off: bool,
}

/// Which of them came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// Ctrl-C.
    ByPerson,
    /// SIGTERM.
    BySystem,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self, Fault> {
        let failed = |error| Fault::new(Code::Internal, format!("signals cannot be received: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            starter: None,
            is_put_off: false,
        })
    }

    /// The end of the standard input counts as a request to end: who started this process holds the other end, and
    /// however that process goes, the system closes it.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn end_with_input(&mut self) -> Result<(), Fault> {
        let (gone, starter) = oneshot::channel();
        let reader = move || {
            // What is written there is not looked at; a failed read is an end, too.
            let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _not_awaited = gone.send(());
        };
        let started = std::thread::Builder::new().name("starter".to_owned()).spawn(reader);
        started.map_err(|error| Fault::new(Code::Internal, format!("no thread can be started: {error}")))?;
        self.starter = Some(starter);
        Ok(())
    }

    /// The answer to a request that begins something. One Ctrl-C is put off until it is there, since it says what began; `None`:
    /// it came twice, or a request to end.
    pub(crate) async fn answer<T>(&mut self, request: impl Future<Output = T>) -> Option<T> {
        let mut request = std::pin::pin!(request);
        let mut has_noted = false;
        loop {
            tokio::select! {
                answer = &mut request => return Some(answer),
                () = tokio::time::sleep(SILENT), if self.is_put_off && !has_noted => {
                    note("waits for the answer that says what began; Ctrl-C once more ends without it");
                    has_noted = true;
                }
                interrupted = self.received() => {
                    if self.is_put_off || interrupted == Interrupted::BySystem {
                        return None;
                    }
                    self.is_put_off = true;
                }
            }
        }
    }

    /// Resolves with the next signal.
    pub(crate) async fn next(&mut self) -> Interrupted {
        if std::mem::take(&mut self.is_put_off) {
            return Interrupted::ByPerson;
        }
        self.received().await
    }

    async fn received(&mut self) -> Interrupted {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupted::ByPerson,
            _ = self.terminate.recv() => Interrupted::BySystem,
            () = starter_gone(&mut self.starter) => Interrupted::BySystem,
        }
    }
}

/// Resolves once, when the process that started this one is gone; never where none holds the standard input.
async fn starter_gone(starter: &mut Option<oneshot::Receiver<()>>) {
    match starter {
        Some(gone) => {
            let _sent_or_dropped = gone.await;
            *starter = None;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::SIGINT;
    use signal_hook::low_level::raise;

    use super::*;

    #[tokio::test]
    async fn one_ctrl_c_waits_for_the_answer_and_a_second_one_does_not() {
        let mut interrupts = Interrupts::listen().unwrap();
        let begun = async {
            raise(SIGINT).unwrap();
            "began"
        };
        assert_eq!(interrupts.answer(begun).await, Some("began"));
        assert_eq!(interrupts.next().await, Interrupted::ByPerson, "it is acted on then");
        let never = async {
            loop {
                raise(SIGINT).unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        assert_eq!(interrupts.answer::<()>(never).await, None);
    }
}

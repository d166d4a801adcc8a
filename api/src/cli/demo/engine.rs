//! The demo's engine: another process of this program, as a user starts it.
//!
//! Law: nothing waits without a bound, and an engine that ends before its time is reported with its
//! last words.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::screen::Screen;
use crate::fault::{Code, Fault};

/// How often what is awaited is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a line is awaited that says what is known already.
const HEARING: Duration = Duration::from_secs(5);
/// Lines on their way to the screen.
const LINES_MAX: usize = 256;
/// Last words that a report holds.
const LAST_WORDS: usize = 12;

/// An engine that runs.
pub(super) struct DemoEngine {
    child: Child,
    pid: i32,
    said: mpsc::Receiver<String>,
    answer: mpsc::Receiver<String>,
    last: VecDeque<String>,
}

impl DemoEngine {
    /// Starts `program` with these arguments.
    pub(super) fn start(program: &Path, args: &[String]) -> Result<Self, Fault> {
        let failed = |error: std::io::Error| {
            Fault::new(Code::DemoStopped, format!("the engine could not be started as a process: {error}"))
        };
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| Fault::new(Code::DemoStopped, "the engine ended at once"))?;
        let (said, answer) = (lines(child.stderr.take()), lines(child.stdout.take()));
        Ok(Self { child, pid, said, answer, last: VecDeque::new() })
    }

    /// Its process.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Shows what it says until `look` sees what is awaited.
    pub(super) async fn until<T>(
        &mut self,
        screen: &mut Screen,
        awaited: &str,
        patience: Duration,
        mut look: impl AsyncFnMut() -> Result<Option<T>, Fault>,
    ) -> Result<T, Fault> {
        let since = Stopwatch::start();
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            tokio::select! {
                line = self.said.recv() => match line {
                    Some(line) => self.show(screen, &line),
                    None => return Err(self.too_early(awaited).await),
                },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if since.elapsed() > patience {
                let seconds = patience.as_secs();
                let message = format!("waited {seconds} s in vain until {awaited}");
                return Err(Fault::new(Code::DemoStopped, message).hinted(self.last_words()));
            }
        }
    }

    /// Shows the engine's lines up to this event, so that the next chapter is not shown before it. The wait is bounded:
    /// nothing depends on the line.
    pub(super) async fn hear(&mut self, screen: &mut Screen, place: &str, word: &str) {
        let heard = async {
            while !screen.has_shown(place, word) {
                let Some(line) = self.said.recv().await else { return };
                self.show(screen, &line);
            }
        };
        let _heard = tokio::time::timeout(HEARING, heard).await;
    }

    /// Kills it as `kill -9` does, and gives how it ended.
    pub(super) async fn kill(mut self, screen: &mut Screen) -> Result<ExitStatus, Fault> {
        let failed = |error: std::io::Error| {
            Fault::new(Code::DemoStopped, format!("the engine could not be killed: {error}"))
        };
        self.child.start_kill().map_err(failed)?;
        let status = self.child.wait().await.map_err(failed)?;
        // What it still said is in the pipe.
        while let Some(line) = self.said.recv().await {
            self.show(screen, &line);
        }
        if status.signal() == Some(9) {
            return Ok(status);
        }
        Err(Fault::new(
            Code::DemoStopped,
            format!("the engine ended by itself before it was killed ({status})"),
        )
        .hinted(self.last_words()))
    }

    /// Shows what it says to its end; it must be a good one.
    pub(super) async fn end(mut self, screen: &mut Screen, patience: Duration) -> Result<(), Fault> {
        let ended = async {
            while let Some(line) = self.said.recv().await {
                self.show(screen, &line);
            }
            while let Some(line) = self.answer.recv().await {
                self.show(screen, &line);
            }
            self.child.wait().await
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                Err(Fault::new(Code::DemoStopped, format!("the run did not end well ({status})"))
                    .hinted(self.last_words()))
            }
            Ok(Err(error)) => {
                Err(Fault::new(Code::DemoStopped, format!("the engine cannot be waited for: {error}")))
            }
            Err(_) => {
                let message = format!("the run was not over after {} s", patience.as_secs());
                Err(Fault::new(Code::DemoStopped, message).hinted(self.last_words()))
            }
        }
    }

    fn show(&mut self, screen: &mut Screen, line: &str) {
        screen.relay(line);
        if self.last.len() == LAST_WORDS {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    async fn too_early(&mut self, awaited: &str) -> Fault {
        let status =
            self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        while let Ok(line) = self.answer.try_recv() {
            self.last.push_back(line);
        }
        let message = format!("the engine ended before {awaited} ({status})");
        Fault::new(Code::DemoStopped, message).hinted(self.last_words())
    }

    fn last_words(&self) -> Option<String> {
        let words: Vec<&str> =
            self.last.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        (!words.is_empty()).then(|| format!("its last words were\n    {}", words.join("\n    ")))
    }
}

/// The lines of a pipe, as they come.
fn lines(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    if let Some(pipe) = pipe {
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if sender.send(line).await.is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

//! The terminal, which is given back as it was: at the end, at an error, and in a panic.
//!
//! What the process would say on stderr meanwhile (an engine within it warns there) would draw over the screen. It is held,
//! and said when the terminal is given back.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom, Stdout, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Size;
use ratatui::{Frame, Terminal};

use crate::fault::{Code, Fault};

/// Whether the terminal is the debugger's at the moment; a process has one.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
/// Where stderr went before, and what was said there since.
static HELD: Mutex<Option<HeldStderr>> = Mutex::new(None);
/// How much of it is said in the end.
const SAID_BYTES_MAX: u64 = 64 * 1024;

/// The terminal while the debugger has it.
pub(super) struct DebugTerminal {
    screen: Terminal<CrosstermBackend<Stdout>>,
}

impl DebugTerminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It does not let its keys be read one by one, or cannot be drawn on.
    pub(super) fn open() -> Result<Self, Fault> {
        restore_in_panic(std::thread::current().id());
        IS_TAKEN.store(true, Ordering::SeqCst);
        let taken = enable_raw_mode().and_then(|()| {
            // Not every terminal has another screen for it, which is empty. The terminal is asked nothing: some do not answer.
            execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
            hold_stderr()?;
            Terminal::new(CrosstermBackend::new(io::stdout()))
        });
        match taken {
            Ok(screen) => Ok(Self { screen }),
            Err(error) => {
                restore();
                Err(undrawn(&error))
            }
        }
    }

    /// How large it is.
    pub(super) fn size(&self) -> Result<Size, Fault> {
        self.screen.size().map_err(|error| undrawn(&error))
    }

    /// Draws, in the size that it has now.
    pub(super) fn draw(&mut self, body: impl FnOnce(&mut Frame<'_>)) -> Result<(), Fault> {
        self.screen.draw(body).map(|_drawn| ()).map_err(|error| undrawn(&error))
    }
}

impl Drop for DebugTerminal {
    fn drop(&mut self) {
        restore();
    }
}

fn undrawn(error: &io::Error) -> Fault {
    Fault::new(Code::File, format!("the terminal cannot be drawn on: {error}"))
        .hint("--plain prints where the run stands without the screen")
}

/// Gives the terminal back, once.
fn restore() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that is gone has nothing to give back.
    let _gone = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _gone = disable_raw_mode();
    let held = HELD.lock().ok().and_then(|mut held| held.take());
    if let Some(held) = held {
        held.release();
    }
}

/// Has a panic of the debugger's thread give the terminal back before the hook prints it. One of another thread is held as
/// everything on stderr is: the debugger goes on.
fn restore_in_panic(own: ThreadId) {
    let former = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == own {
            restore();
        }
        former(panic);
    }));
}

/// Where stderr went, and the file in which it goes meanwhile.
struct HeldStderr {
    former: OwnedFd,
    file: File,
}

/// Holds what is said on stderr, where that is a terminal.
fn hold_stderr() -> io::Result<()> {
    if !io::stderr().is_terminal() {
        return Ok(());
    }
    let former = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
    let file = tempfile::tempfile()?;
    rustix::stdio::dup2_stderr(&file)?;
    if let Ok(mut held) = HELD.lock() {
        *held = Some(HeldStderr { former, file });
    }
    Ok(())
}

impl HeldStderr {
    /// Says the last of what was held.
    fn release(mut self) {
        if rustix::stdio::dup2_stderr(&self.former).is_err() {
            return;
        }
        let mut said = Vec::new();
        let length = self.file.metadata().map_or(0, |file| file.len());
        let read = self
            .file
            .seek(SeekFrom::Start(length.saturating_sub(SAID_BYTES_MAX)))
            .and_then(|_| self.file.read_to_end(&mut said));
        if read.is_ok() {
            // A closed stderr is no fault.
            let _closed = io::stderr().write_all(&said);
        }
    }
}

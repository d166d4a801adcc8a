//! The command and everything that came of it.
//!
//! Law: the command itself is reaped last, so the number of its process group cannot pass to another process while
//! signals may still be sent to it; only own, unreaped children are signalled by number.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, waitpid};

use super::os;

/// How long leftovers of an ended command have between SIGTERM and SIGKILL.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);
/// How long it is tried to kill what does not die.
const KILL_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// A running command and its descendants, which become children of this process when their parents end.
pub(crate) struct Family {
    pub(crate) head: Pid,
}

impl Family {
    /// Signals the command's whole process group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let _gone = kill_process_group(self.head, signal);
    }

    /// Signals the group and everything else below this process.
    pub(crate) fn signal_all(&self, signal: Signal) {
        self.signal_group(signal);
        for pid in self.orphans() {
            let _gone = kill_process(pid, signal);
        }
    }

    /// Reaps orphans that ended meanwhile.
    pub(crate) fn reap_orphans(&self) {
        for pid in self.orphans() {
            let _alive = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// Ends whatever the command left, calling `drain` meanwhile so that no process blocks on a full
    /// pipe; gives the number of those that would not die.
    pub(crate) fn end_leftovers(&self, mut drain: impl FnMut(Duration)) -> u32 {
        let mut signal = Signal::TERM;
        let mut until = Instant::now() + LEFTOVER_GRACE;
        let mut is_signalled = false;
        loop {
            self.reap_orphans();
            let alive = self.orphans();
            if alive.is_empty() {
                return 0;
            }
            if Instant::now() >= until {
                if signal == Signal::KILL {
                    return u32::try_from(alive.len()).unwrap_or(u32::MAX);
                }
                (signal, until, is_signalled) = (Signal::KILL, Instant::now() + KILL_LIMIT, false);
            }
            if !is_signalled || signal == Signal::KILL {
                self.signal_all(signal); // SIGKILL again and again: a storm of forks dies by the round.
                is_signalled = true;
            }
            drain(PAUSE);
        }
    }

    /// The command's own end, once it has ended.
    pub(crate) fn reap_head(&self) -> Option<WaitStatus> {
        let ended = rustix::io::retry_on_intr(|| waitpid(Some(self.head), WaitOptions::empty()));
        ended.ok().flatten().map(|(_, status)| status)
    }

    fn orphans(&self) -> Vec<Pid> {
        os::children().into_iter().filter_map(Pid::from_raw).filter(|pid| *pid != self.head).collect()
    }
}

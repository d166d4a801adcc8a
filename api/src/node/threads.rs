//! Whether the system lets this process have the threads that it is about to start.
//!
//! Law: asked before anything is begun that cannot do without them; what starts them panics, or waits for ever, where it gets none.

use std::sync::mpsc;
use std::thread::Builder;

use crate::fault::{Code, Fault};

/// The stack of a thread that only shows that it can be had. With less, the first allocation of a thread overflows it where the
/// allocator is compiled without optimisation: it sets up the thread's caches there.
const PROBE_STACK_BYTES: usize = 512 * 1024;

/// Refuses a start where so many threads cannot be had at this moment, beside those that there are.
///
/// # Errors
/// The system lets this process have too few.
pub(crate) fn check(wanted: usize) -> Result<(), Fault> {
    probe(wanted).map_err(|error| {
        Fault::new(Code::StoreIo, format!("the {wanted} threads that a start needs cannot be had: {error}"))
            .hint("raise the limit of processes (`ulimit -u`, `TasksMax=`, the container's limit of pids), or end other processes of this user")
    })
}

/// Starts so many threads at once, and ends them.
fn probe(wanted: usize) -> std::io::Result<()> {
    let mut held = Vec::with_capacity(wanted);
    let mut threads = Vec::with_capacity(wanted);
    let mut outcome = Ok(());
    for _ in 0..wanted {
        let (hold, until) = mpsc::channel::<()>();
        match Builder::new().stack_size(PROBE_STACK_BYTES).spawn(move || {
            let _released = until.recv();
        }) {
            Ok(thread) => {
                held.push(hold);
                threads.push(thread);
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    drop(held);
    for thread in threads {
        let _ended = thread.join();
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_can_be_had_are_had_and_let_go_again() {
        for _ in 0..50 {
            assert!(probe(40).is_ok());
        }
    }
}

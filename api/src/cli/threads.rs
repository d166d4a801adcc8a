//! The threads of a command, and the answer where the system lets it have too few.
//!
//! Law: a shortage of threads is an error at the start and a delay later, never a panic. The runtime panics where it can start
//! no thread at all; so it is built only where the threads of a start can be had, and one thread for blocking work is always there: work
//! that gets none of its own waits for that one.

use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::fault::{Code, Fault};
use crate::node::check_threads;

/// Threads for blocking work that a command begins with, beside the workers of the runtime. What a node needs it checks itself.
const BLOCKING: usize = 4;
/// How often a blocking thread is used, so that the runtime, which ends one that is idle for ten seconds, keeps it.
const KEEP_EVERY: Duration = Duration::from_secs(3);

/// The runtime of a command.
///
/// # Errors
/// The system lets this process have too few threads.
pub(crate) fn runtime() -> Result<Runtime, Fault> {
    let workers = available_parallelism().map_or(1, usize::from);
    check_threads(workers + BLOCKING)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new(Code::Internal, format!("the runtime could not be started: {error}")))?;
    runtime.spawn(async {
        loop {
            let _kept = tokio::task::spawn_blocking(|| {}).await;
            tokio::time::sleep(KEEP_EVERY).await;
        }
    });
    Ok(runtime)
}

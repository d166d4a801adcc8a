//! The point at which a test or a demonstration of recovery has the process die.

/// Ends the process as a power cut would end it: for tests and demonstrations of recovery.
pub(crate) fn abort_process() -> ! {
    let _never_returns =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

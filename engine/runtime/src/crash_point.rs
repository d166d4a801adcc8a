//! The point at which a test or a demonstration of recovery has the process die.

/// Ends the process as a power cut would end it: for tests and demonstrations of recovery.
pub(crate) fn abort_process() -> ! {
    let _never_returns =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// Stands for the name of any event of a run.
const ANY: &str = "*";

/// Whether the process is to end behind an event of a run that is called so.
pub(crate) fn is_behind(crash_after: Option<&str>, event: &str) -> bool {
    crash_after.is_some_and(|wanted| wanted == event || wanted == ANY)
}

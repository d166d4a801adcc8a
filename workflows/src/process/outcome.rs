//! What the supervisor's record says of a process that ended.

use everfold_base::failure::{Failure, FailureKind};
use everfold_ports::AttemptRequest;

use crate::shim::protocol::{CommandOutcome, ExitRecord};

/// The code of work that others ended by a signal.
pub(crate) const KILLED: &str = "KILLED";

/// The signals that come from outside: no fault of a program sends them.
const FROM_OUTSIDE: [(i32, &str); 4] = [(1, "SIGHUP"), (2, "SIGINT"), (9, "SIGKILL"), (15, "SIGTERM")];

/// Whether a process was ended by a signal that neither Everfold sent nor a fault of its own. A time limit and a cancel have
/// an outcome of their own.
pub(crate) fn is_killed(outcome: &CommandOutcome) -> bool {
    matches!(outcome, CommandOutcome::Signalled { signal } if outside(*signal).is_some())
}

fn outside(signal: i32) -> Option<&'static str> {
    FROM_OUTSIDE.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

fn signalled(signal: i32) -> Failure {
    let message = match outside(signal) {
        Some(name) => format!("ended by signal {signal} ({name}), which Everfold did not send"),
        None => format!("ended by signal {signal}"),
    };
    let mut failure = Failure::new(FailureKind::Crash, message);
    failure.exit_code = Some(128 + signal);
    if outside(signal).is_some() {
        failure.code = Some(KILLED.to_owned());
        failure.hint = Some(
            "the system does that for want of memory (`dmesg`, the limits of unit and container), and when it stops; \
             `on_lost: retry` begins such work again, `retry: {only: [KILLED]}` counts it as a try"
                .to_owned(),
        );
    }
    failure
}

/// What the record of an end says by itself, before anything that the process left is read.
pub(crate) fn outcome(record: &ExitRecord, request: &AttemptRequest, hint: &str) -> Result<i32, Failure> {
    let failed = |kind, message: String, exit_code: Option<i32>| {
        let mut failure = Failure::new(kind, message);
        failure.exit_code = exit_code;
        Err(failure)
    };
    match &record.outcome {
        CommandOutcome::Exited { code } => Ok(*code),
        CommandOutcome::Signalled { signal } => Err(signalled(*signal)),
        CommandOutcome::TimedOut => Err(Failure::time_limit(request.timeout.unwrap_or_default())),
        CommandOutcome::Cancelled => failed(FailureKind::Cancelled, "cancelled".to_owned(), None),
        // The operating system ends every text at a zero byte, so none can be passed on.
        CommandOutcome::NotStarted { missing: _, reason } if reason.contains("nul byte") => {
            let message = "an argument or a variable of the environment holds a zero byte";
            Err(Failure::new(FailureKind::Validation, message).with_hint(
                "no program can be given one: pass the value in a file, or read it from EVERFOLD_INPUT",
            ))
        }
        CommandOutcome::NotStarted { missing, reason } => {
            let failure = Failure::new(FailureKind::Spawn, format!("could not be started: {reason}"));
            Err(if *missing { failure.with_hint(hint) } else { failure })
        }
        CommandOutcome::Lost { reason } => failed(FailureKind::Lost, reason.clone(), None),
    }
}

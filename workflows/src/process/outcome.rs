//! What the supervisor's record says of a process that ended.

use everfold_base::failure::{Failure, FailureKind};
use everfold_ports::AttemptRequest;

use crate::shim::protocol::{CommandOutcome, ExitRecord};

/// What the record of an end says by itself, before anything that the process left is read.
pub(crate) fn outcome(record: &ExitRecord, request: &AttemptRequest, hint: &str) -> Result<i32, Failure> {
    let failed = |kind, message: String, exit_code: Option<i32>| {
        let mut failure = Failure::new(kind, message);
        failure.exit_code = exit_code;
        Err(failure)
    };
    match &record.outcome {
        CommandOutcome::Exited { code } => Ok(*code),
        CommandOutcome::Signalled { signal } => {
            failed(FailureKind::Crash, format!("ended by signal {signal}"), Some(128 + signal))
        }
        CommandOutcome::TimedOut => {
            let limit = request.timeout.map(everfold_base::duration::format).unwrap_or_default();
            failed(FailureKind::Timeout, format!("the time limit of {limit} passed"), Some(124))
        }
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

//! How former schemas read today: a run as a whole.

use crate::event::former::{RunAdmitted1, RunFailed1, RunPaused1, RunResumed1};
use crate::event::kinds::{RunAdmitted, RunFailed, RunPaused, RunResumed};

impl From<RunAdmitted1> for RunAdmitted {
    fn from(old: RunAdmitted1) -> Self {
        Self { admission: old.admission, at_once: false }
    }
}

impl From<RunFailed1> for RunFailed {
    fn from(old: RunFailed1) -> Self {
        let RunFailed1 { path, failure } = old;
        Self { path, failure, result: None }
    }
}

impl From<RunPaused1> for RunPaused {
    fn from(old: RunPaused1) -> Self {
        Self { reason: old.reason, interrupt: false }
    }
}

impl From<RunResumed1> for RunResumed {
    fn from(old: RunResumed1) -> Self {
        Self { reason: old.reason, prompt: None }
    }
}

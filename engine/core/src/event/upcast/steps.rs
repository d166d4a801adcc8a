//! How former schemas read today: steps.

use std::collections::BTreeMap;

use crate::event::former::{
    ReworkRequested1, RunUnblocked1, RunUnblocked2, StepFailed1, StepSkipped1, StepSucceeded1, Unblocked1,
};
use crate::event::kinds::{ReworkRequested, RunUnblocked, StepFailed, StepSkipped, StepSucceeded};
use crate::event::parts::Unblocked;

impl From<ReworkRequested1> for ReworkRequested {
    fn from(old: ReworkRequested1) -> Self {
        Self {
            target: old.target,
            source: old.source,
            route: old.route,
            used: old.used,
            max: old.max,
            findings: old.findings,
            reset: old.reset,
            hold: false,
        }
    }
}

impl From<RunUnblocked1> for RunUnblocked {
    fn from(old: RunUnblocked1) -> Self {
        let Unblocked1 { path, decision, output, reason } = old.unblocked;
        let unblocked = Unblocked { path, decision, output, reason, policies: BTreeMap::new() };
        Self { unblocked, bypassed: Vec::new() }
    }
}

impl From<RunUnblocked2> for RunUnblocked {
    fn from(old: RunUnblocked2) -> Self {
        Self { unblocked: old.unblocked, bypassed: Vec::new() }
    }
}

impl From<StepSucceeded1> for StepSucceeded {
    fn from(old: StepSucceeded1) -> Self {
        let StepSucceeded1 { path, round, labels, finish } = old;
        Self { path, round, labels, finish, output: None }
    }
}

impl From<StepSkipped1> for StepSkipped {
    fn from(old: StepSkipped1) -> Self {
        let StepSkipped1 { path, round, reason } = old;
        Self { path, round, reason, output: None }
    }
}

impl From<StepFailed1> for StepFailed {
    fn from(old: StepFailed1) -> Self {
        let StepFailed1 { path, round, failure, tolerated, finish } = old;
        Self { path, round, failure, tolerated, finish, output: None }
    }
}

//! How former schemas read today: steps.

use std::collections::BTreeMap;

use crate::event::former::{
    ReworkRequested1, RunUnblocked1, RunUnblocked2, RunUnblocked3, RunUnblockedWhole, StepFailed1,
    StepSkipped1, StepSucceeded1, Unblocked1,
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
        RunUnblocked2 { unblocked: Unblocked { path, decision, output, reason, policies: BTreeMap::new() } }
            .into()
    }
}

impl From<RunUnblocked2> for RunUnblocked {
    fn from(old: RunUnblocked2) -> Self {
        RunUnblocked3 { unblocked: old.unblocked, bypassed: Vec::new() }.into()
    }
}

impl From<RunUnblocked3> for RunUnblocked {
    fn from(old: RunUnblocked3) -> Self {
        Self { unblocked: old.unblocked, bypassed: old.bypassed, keeps_items: false }
    }
}

impl From<RunUnblockedWhole> for RunUnblocked {
    fn from(stored: RunUnblockedWhole) -> Self {
        let RunUnblockedWhole { unblocked, bypassed, keeps_items } = stored;
        Self { unblocked, bypassed, keeps_items }
    }
}

impl From<RunUnblocked> for RunUnblockedWhole {
    fn from(event: RunUnblocked) -> Self {
        let RunUnblocked { unblocked, bypassed, keeps_items } = event;
        Self { unblocked, bypassed, keeps_items }
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

//! How former schemas read today: the start of a run.

use crate::event::former::{
    RunStarted1, RunStarted2, RunStarted3, RunStarted4, RunStarted5, RunStartedWhole,
};
use crate::event::kinds::RunStarted;

impl From<RunStarted1> for RunStarted {
    fn from(old: RunStarted1) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: None,
            parent: None,
            priority: 0,
            admission: Vec::new(),
            number: None,
            top: None,
            initiator: None,
        }
    }
}

impl From<RunStarted2> for RunStarted {
    fn from(old: RunStarted2) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: None,
            top: None,
            initiator: None,
        }
    }
}

impl From<RunStarted3> for RunStarted {
    fn from(old: RunStarted3) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: old.number,
            // Such a run knows its parent alone, and takes it for the topmost.
            top: None,
            initiator: None,
        }
    }
}

impl From<RunStarted4> for RunStarted {
    fn from(old: RunStarted4) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: None,
            top: old.top,
            initiator: None,
        }
    }
}

impl From<RunStarted5> for RunStarted {
    fn from(old: RunStarted5) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: old.number,
            top: old.top,
            initiator: None,
        }
    }
}

impl From<RunStartedWhole> for RunStarted {
    fn from(stored: RunStartedWhole) -> Self {
        Self {
            run: stored.run,
            pipeline: stored.pipeline,
            definition: stored.definition,
            input: stored.input,
            title: stored.title,
            labels: stored.labels,
            cwd: stored.cwd,
            entropy: stored.entropy,
            config: stored.config,
            parent: stored.parent,
            priority: stored.priority,
            admission: stored.admission,
            number: stored.number,
            top: stored.top,
            initiator: stored.initiator,
        }
    }
}

impl From<RunStarted> for RunStartedWhole {
    fn from(event: RunStarted) -> Self {
        Self {
            run: event.run,
            pipeline: event.pipeline,
            definition: event.definition,
            input: event.input,
            title: event.title,
            labels: event.labels,
            cwd: event.cwd,
            entropy: event.entropy,
            config: event.config,
            parent: event.parent,
            priority: event.priority,
            admission: event.admission,
            number: event.number,
            top: event.top,
            initiator: event.initiator,
        }
    }
}

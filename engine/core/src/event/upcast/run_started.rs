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

/// What every schema but the first holds, and then what each holds or its absence stood for.
macro_rules! read_as_start {
    ($($from:ident as $old:ident: $number:expr, $top:expr, $initiator:expr;)*) => {
        $(
            impl From<$from> for RunStarted {
                fn from($old: $from) -> Self {
                    Self {
                        run: $old.run,
                        pipeline: $old.pipeline,
                        definition: $old.definition,
                        input: $old.input,
                        title: $old.title,
                        labels: $old.labels,
                        cwd: $old.cwd,
                        entropy: $old.entropy,
                        config: $old.config,
                        parent: $old.parent,
                        priority: $old.priority,
                        admission: $old.admission,
                        number: $number,
                        top: $top,
                        initiator: $initiator,
                    }
                }
            }
        )*
    };
}

// Without a topmost run it knows its parent alone, and takes it for that.
read_as_start! {
    RunStarted2 as old: None, None, None;
    RunStarted3 as old: old.number, None, None;
    RunStarted4 as old: None, old.top, None;
    RunStarted5 as old: old.number, old.top, None;
    RunStartedWhole as stored: stored.number, stored.top, stored.initiator;
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

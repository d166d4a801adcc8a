//! How former schemas read today: the moment at which a copied history becomes a run.

use crate::event::former::{RunForked1, RunForked2, RunForked3, RunForked4, RunForked5, RunForkedWhole};
use crate::event::kinds::RunForked;

impl From<RunForked1> for RunForked {
    fn from(old: RunForked1) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: None,
            initiator: None,
            effects: None,
            keeps_tries: false,
        }
    }
}

impl From<RunForked2> for RunForked {
    fn from(old: RunForked2) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: None,
            effects: None,
            keeps_tries: false,
        }
    }
}

impl From<RunForked3> for RunForked {
    fn from(old: RunForked3) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: old.initiator,
            effects: None,
            keeps_tries: false,
        }
    }
}

impl From<RunForked4> for RunForked {
    fn from(old: RunForked4) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: None,
            effects: old.effects,
            keeps_tries: false,
        }
    }
}

impl From<RunForked5> for RunForked {
    fn from(old: RunForked5) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: old.initiator,
            effects: old.effects,
            keeps_tries: false,
        }
    }
}

impl From<RunForkedWhole> for RunForked {
    fn from(stored: RunForkedWhole) -> Self {
        Self {
            run: stored.run,
            origin: stored.origin,
            definition: stored.definition,
            input: stored.input,
            config: stored.config,
            from_step: stored.from_step,
            reset: stored.reset,
            title: stored.title,
            entropy: stored.entropy,
            until_step: stored.until_step,
            initiator: stored.initiator,
            effects: stored.effects,
            keeps_tries: stored.keeps_tries,
        }
    }
}

impl From<RunForked> for RunForkedWhole {
    fn from(event: RunForked) -> Self {
        Self {
            run: event.run,
            origin: event.origin,
            definition: event.definition,
            input: event.input,
            config: event.config,
            from_step: event.from_step,
            reset: event.reset,
            title: event.title,
            entropy: event.entropy,
            until_step: event.until_step,
            initiator: event.initiator,
            effects: event.effects,
            keeps_tries: event.keeps_tries,
        }
    }
}

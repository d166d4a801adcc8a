//! How former schemas read today: signals.

use crate::event::former::{SignalTaken1, SignalTaken2, SignalTakenWhole};
use crate::event::kinds::SignalTaken;

impl From<SignalTaken1> for SignalTaken {
    fn from(old: SignalTaken1) -> Self {
        let SignalTaken1 { signal, by, how, ends } = old;
        SignalTaken2 { signal, by, how, ends, reason: None }.into()
    }
}

impl From<SignalTaken2> for SignalTaken {
    fn from(old: SignalTaken2) -> Self {
        let SignalTaken2 { signal, by, how, ends, reason } = old;
        Self { signal, by, how, ends, reason, decision: None }
    }
}

impl From<SignalTakenWhole> for SignalTaken {
    fn from(stored: SignalTakenWhole) -> Self {
        let SignalTakenWhole { signal, by, how, ends, reason, decision } = stored;
        Self { signal, by, how, ends, reason, decision }
    }
}

impl From<SignalTaken> for SignalTakenWhole {
    fn from(event: SignalTaken) -> Self {
        let SignalTaken { signal, by, how, ends, reason, decision } = event;
        Self { signal, by, how, ends, reason, decision }
    }
}

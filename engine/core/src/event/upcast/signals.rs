//! How former schemas read today: signals.

use crate::event::former::SignalTaken1;
use crate::event::kinds::SignalTaken;

impl From<SignalTaken1> for SignalTaken {
    fn from(old: SignalTaken1) -> Self {
        let SignalTaken1 { signal, by, how, ends } = old;
        Self { signal, by, how, ends, reason: None }
    }
}

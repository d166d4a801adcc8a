//! How former schemas read today: gates.

use crate::event::former::ProbeFailed1;
use crate::event::kinds::ProbeFailed;

impl From<ProbeFailed1> for ProbeFailed {
    fn from(old: ProbeFailed1) -> Self {
        let ProbeFailed1 { id, gate, probe_no, message, permanent, took_ms } = old;
        Self { id, gate, probe_no, message, permanent, took_ms, broken: false }
    }
}

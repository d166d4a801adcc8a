//! Structs of former schemas: signals. Frozen for ever.

use serde::{Deserialize, Serialize};

use crate::event::parts::{Hearing, SignalEnd, SignalTaker};
use everfold_base::id::Version;

/// [`crate::event::SignalTaken`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalTaken1 {
    pub(crate) signal: Version,
    pub(crate) by: SignalTaker,
    pub(crate) how: Hearing,
    pub(crate) ends: Option<SignalEnd>,
}

//! Structs of former schemas: signals. Frozen for ever.

use serde::{Deserialize, Serialize};

use crate::event::parts::{Hearing, SignalDecision, SignalEnd, SignalTaker};
use everfold_base::id::Version;

/// [`crate::event::SignalTaken`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalTaken1 {
    pub(crate) signal: Version,
    pub(crate) by: SignalTaker,
    pub(crate) how: Hearing,
    pub(crate) ends: Option<SignalEnd>,
}

/// [`crate::event::SignalTaken`], schema 2: without what it decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalTaken2 {
    pub(crate) signal: Version,
    pub(crate) by: SignalTaker,
    pub(crate) how: Hearing,
    pub(crate) ends: Option<SignalEnd>,
    pub(crate) reason: Option<String>,
}

/// [`crate::event::SignalTaken`], all of it: the bytes of the newest schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalTakenWhole {
    pub(crate) signal: Version,
    pub(crate) by: SignalTaker,
    pub(crate) how: Hearing,
    pub(crate) ends: Option<SignalEnd>,
    pub(crate) reason: Option<String>,
    pub(crate) decision: Option<SignalDecision>,
}

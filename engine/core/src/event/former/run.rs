//! Structs of former schemas: a run as a whole. Frozen for ever.

use serde::{Deserialize, Serialize};

use crate::event::parts::AdmissionEvidence;
use everfold_base::failure::Failure;
use everfold_base::id::StepPath;

/// [`crate::event::RunAdmitted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunAdmitted1 {
    pub(crate) admission: Vec<AdmissionEvidence>,
}

/// [`crate::event::RunFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFailed1 {
    pub(crate) path: Option<StepPath>,
    pub(crate) failure: Failure,
}

/// [`crate::event::RunPaused`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunPaused1 {
    pub(crate) reason: Option<String>,
}

/// [`crate::event::RunResumed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunResumed1 {
    pub(crate) reason: Option<String>,
}

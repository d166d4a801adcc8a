//! Structs of former schemas: the start of a run. Frozen for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::parts::{AdmissionEvidence, Parent, RunNumber};
use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_base::json::{Hash, Payload};

/// [`crate::event::RunStarted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted1 {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) title: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
}

/// [`crate::event::RunStarted`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted2 {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) title: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) config: Option<Payload>,
    pub(crate) parent: Option<Parent>,
    pub(crate) priority: i32,
    pub(crate) admission: Vec<AdmissionEvidence>,
}

/// [`crate::event::RunStarted`], schema 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted3 {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) title: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) config: Option<Payload>,
    pub(crate) parent: Option<Parent>,
    pub(crate) priority: i32,
    pub(crate) admission: Vec<AdmissionEvidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<RunNumber>,
}

/// [`crate::event::RunStarted`], schema 4: a topmost run, and no number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted4 {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) title: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) config: Option<Payload>,
    pub(crate) parent: Option<Parent>,
    pub(crate) priority: i32,
    pub(crate) admission: Vec<AdmissionEvidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) top: Option<RunId>,
}

/// [`crate::event::RunStarted`], schema 5: a number and a topmost run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted5 {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) title: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) config: Option<Payload>,
    pub(crate) parent: Option<Parent>,
    pub(crate) priority: i32,
    pub(crate) admission: Vec<AdmissionEvidence>,
    pub(crate) number: Option<RunNumber>,
    pub(crate) top: Option<RunId>,
}

/// [`crate::event::RunStarted`], schema 6 as it is stored: no field is left out, so that the rest can be found behind one that is
/// empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStartedWhole {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) title: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) config: Option<Payload>,
    pub(crate) parent: Option<Parent>,
    pub(crate) priority: i32,
    pub(crate) admission: Vec<AdmissionEvidence>,
    pub(crate) number: Option<RunNumber>,
    pub(crate) top: Option<RunId>,
    pub(crate) initiator: Option<Actor>,
}

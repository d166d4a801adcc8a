//! What follows from a definition: its steps by number.
//!
//! Called by the graph, which computes it once for all runs of a definition.

use std::collections::{BTreeMap, HashMap};

use everfold_base::id::StepId;

/// The numbers of the steps and the edges between them; shared by all runs of a definition.
#[derive(Debug)]
pub(crate) struct StepTables {
    pub(crate) index: HashMap<StepId, usize>,
    pub(crate) needs: Vec<Vec<usize>>,
    pub(crate) dependents: Vec<Vec<usize>>,
    /// The steps with a gate that a signal wakes, by its name.
    pub(crate) woken: HashMap<String, Vec<usize>>,
    pub(crate) listeners: BTreeMap<String, Listeners>,
    pub(crate) continued: Continued,
    pub(crate) has_copies: bool,
}

/// Who may take signals of one name, in the order of the file.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Steps that wait for one.
    pub waits: Vec<usize>,
    /// Steps with a route for it.
    pub steps: Vec<usize>,
}

/// Which sessions of agents the steps of a definition continue, by the step's number.
#[derive(Debug, Default)]
pub struct Continued {
    /// The steps that continue a session.
    pub own: Vec<bool>,
    /// The role whose session a step leaves for others, or continues where it has none of its own.
    pub roles: Vec<Option<String>>,
    /// The steps whose session a copy of the run takes along.
    pub carried: Vec<bool>,
}

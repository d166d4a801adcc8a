//! A checked pipeline as a whole.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::control::{Admit, Budget, Concurrency, ConfigSource, Numbering, RunKey, SecretSource};
use super::route::Routes;
use super::search::SearchAttribute;
use super::shape::StepTables;
use super::step::Step;
use super::trigger::{Notice, Trigger, TriggerSource};
use super::workspace::WorkspaceSpec;
use crate::expr::Template;
use everfold_base::json::{Hash, Value, canonical};

/// A checked pipeline.
///
/// Every name in it resolves, every expression has compiled, `defaults` are folded into the steps,
/// and `needs` are explicit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name: an id, with `/` allowed.
    pub name: String,
    /// For readers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The JSON Schema of the input; without one anything goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Settings documents, by name: deep-merged when the run starts, earlier ones win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Vec<ConfigSource>>,
    /// Schemas of records in settings documents, by `DOCUMENT.KEY…`: a record that does not fit is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config_records: BTreeMap<String, Value>,
    /// The run's identity: one holder at a time in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RunKey>,
    /// Gives each run a number; `None`: runs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Numbering>,
    /// Judged when the run starts, and again when it leaves a queue.
    #[serde(default, skip_serializing_if = "Admit::is_empty")]
    pub admit: Admit,
    /// Slots that the run holds from its admission to its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concurrency: Vec<Concurrency>,
    /// What the run, or all runs of a scope, may use up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// Where the steps work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceSpec>,
    /// Where secrets come from, by name; their values stand in no event.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Addresses and filters, rendered at start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Template>,
    /// Values with types that runs are found by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub search: BTreeMap<String, SearchAttribute>,
    /// How often steps of the run may be reworked without a person; `None`: [`ROUNDS_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    /// What starts or signals runs by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// What follows a signal that no step took, by the signal's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on_signal: BTreeMap<String, Routes>,
    /// Notices of what happens to a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notice>,
    /// The graph, in the order of the file.
    pub steps: Vec<Step>,
    /// Run one after the other however the run ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_finish: Vec<Step>,
    /// The run's result; null without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
    /// Texts of the files that the pipeline names (prompts, roles), by the path as written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What follows from the rest; a clone that is changed finds its own.
    #[serde(skip)]
    pub(crate) derived: Derived,
}

/// Automatic reworks of a run whose pipeline does not say how many there may be.
pub const ROUNDS_DEFAULT: u32 = 1_000;
/// The most that a pipeline may say.
pub const ROUNDS_MAX: u32 = 1_000_000;

/// What follows from a definition, found once: thousands of runs may be pinned to the same one.
#[derive(Default)]
pub(crate) struct Derived {
    hash: OnceLock<Hash>,
    pub(crate) shape: OnceLock<Arc<StepTables>>,
}

impl Clone for Derived {
    /// A copy may be changed, so it finds its own.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derived")
    }
}

impl Definition {
    /// The canonical document.
    #[must_use]
    pub fn document(&self) -> String {
        canonical(&serde_json::to_value(self).expect("a definition holds only what JSON can say"))
    }

    /// Whether a trigger of it listens to deliveries of a source.
    #[must_use]
    pub fn listens_to(&self, source: &str) -> bool {
        self.triggers.iter().any(|trigger| matches!(&trigger.on, TriggerSource::Hook(hook) if hook == source))
    }

    /// The pipeline's identity: BLAKE3 of the canonical document.
    #[must_use]
    pub fn hash(&self) -> Hash {
        *self.derived.hash.get_or_init(|| Hash::of(self.document().as_bytes()))
    }
}

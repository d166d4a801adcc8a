//! The secrets of a piece of work.
//!
//! Law: a value is looked up when the work starts; a request holds only where it comes from and where it goes.

use everfold_base::id::RunId;
use everfold_language::definition::SecretSource;
use everfold_language::expr::{Hidden, Piece};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// The secrets of a piece of work: where their values come from, and where they go.
///
/// A value is looked up when the work starts, and is in no state, event, or request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Where each comes from, by name: all that the pipeline declares.
    pub sources: Arc<BTreeMap<String, SecretSource>>,
    /// Those that are variables of the process, under their own names.
    pub vars: Vec<String>,
    /// Texts of the parameters in which they stand masked.
    pub spec: Vec<Hidden>,
    /// Texts of the variables in which they stand masked.
    pub env: Vec<Hidden>,
    /// The role in whose name the work acts: which source is taken of a secret that has one per role.
    pub role: Option<String>,
    /// Where a relative `file` lies and a `command` runs: where the run was started.
    pub folder: Option<PathBuf>,
    /// The run whose credentials are used; `None`: it has none.
    pub run: Option<RunId>,
}

impl Secrets {
    /// Whether there is nothing to be given, nor to be masked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vars.is_empty() && self.spec.is_empty() && self.env.is_empty()
    }

    /// The variables of the engine's own environment that hold some: no process inherits them, whether
    /// or not it is given any.
    pub fn variables(&self) -> impl Iterator<Item = &String> {
        self.sources.values().flat_map(SecretSource::places).filter_map(|source| match source {
            SecretSource::Env(name) => Some(name),
            SecretSource::File(_)
            | SecretSource::Command(_)
            | SecretSource::Credential(_)
            | SecretSource::Of(_) => None,
        })
    }

    /// The names of all that are given.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        let pieces = self.spec.iter().chain(&self.env).flat_map(|hidden| &hidden.of);
        let inside = pieces.filter_map(|piece| match piece {
            Piece::Secret { secret } => Some(secret.as_str()),
            Piece::Text(_) => None,
        });
        self.vars.iter().map(String::as_str).chain(inside).collect()
    }
}

//! The settings documents that triggers see: a trigger is asked before there is a run, so those at fixed paths.

use std::collections::BTreeMap;

use super::model::{ConfigSource, Definition, SignalTarget, Trigger};
use crate::expr::{Expr, Reference, Template};

/// Whether a settings document is read without the input of a run.
pub(super) fn is_fixed(sources: &[ConfigSource]) -> bool {
    sources.iter().all(|source| match source {
        ConfigSource::File(path) => path.references().is_empty(),
        ConfigSource::Values(_) => true,
    })
}

impl Definition {
    /// The settings documents whose paths need no input, by name.
    #[must_use]
    pub fn fixed_config(&self) -> BTreeMap<&str, &[ConfigSource]> {
        let all = self.config.iter().map(|(name, sources)| (name.as_str(), sources.as_slice()));
        all.filter(|(_, sources)| is_fixed(sources)).collect()
    }
}

impl Trigger {
    /// Whether one of its expressions reads settings.
    #[must_use]
    pub fn reads_config(&self) -> bool {
        let is_config = |reference: &Reference| reference.path().first() == Some(&"config");
        let of_expr = |expr: Option<&Expr>| expr.is_some_and(|expr| expr.references().iter().any(is_config));
        let of_template = |template: &Template| template.references().iter().any(is_config);
        let start = self.start.iter().flat_map(|start| [&start.input, &start.title]);
        let own = [&self.otherwise, &self.signal, &self.payload].into_iter().chain(start);
        let to: Vec<&Template> = match &self.to {
            Some(SignalTarget::Key(one) | SignalTarget::Run(one)) => vec![one],
            Some(SignalTarget::Labels(labels)) => labels.values().collect(),
            None => Vec::new(),
        };
        of_expr(self.when.as_ref())
            || of_expr(self.park_when.as_ref())
            || own.flatten().chain(to).any(of_template)
    }
}

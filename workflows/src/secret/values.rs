//! Values of secrets, and where they go.

use std::collections::BTreeMap;

use everfold_base::json::Value;
use everfold_ports::{Hidden, Piece, Secrets};

/// Values by name, and the values that their sources gave before.
#[derive(Clone, Default)]
pub(crate) struct SecretValues(pub(super) BTreeMap<String, String>, pub(super) Vec<String>);

impl std::fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SecretValues {
    /// All that is to be masked: the values, and those before them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &String> {
        self.0.values().chain(&self.1)
    }

    /// Puts the values where they stand masked.
    pub(crate) fn fill(&self, value: &mut Value, hidden: &[Hidden]) {
        for Hidden { at, of } in hidden {
            if let Some(place) = value.pointer_mut(at) {
                *place = Value::String(self.text(of));
            }
        }
    }

    fn text(&self, of: &[Piece]) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Secret { secret } => self.0.get(secret).cloned().unwrap_or_default(),
        };
        of.iter().map(piece).collect()
    }

    /// The variables that hold some.
    pub(crate) fn variables(&self, secrets: &Secrets) -> BTreeMap<String, String> {
        let own = secrets.vars.iter().filter_map(|name| Some((name.clone(), self.0.get(name)?.clone())));
        let made = secrets
            .env
            .iter()
            .filter_map(|hidden| Some((hidden.at.strip_prefix('/')?.to_owned(), self.text(&hidden.of))));
        own.chain(made).collect()
    }
}

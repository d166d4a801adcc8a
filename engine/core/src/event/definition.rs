//! The fact that a definition is kept, so that runs can name it.

use serde::{Deserialize, Serialize};

use everfold_base::json::{Hash, JsonText};

/// The one event of a definition's own stream `engine/definition-HASH`: runs pin it by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionSaved {
    /// The definition's hash.
    pub hash: Hash,
    /// The pipeline's name.
    pub name: String,
    /// The canonical document.
    pub document: JsonText,
}

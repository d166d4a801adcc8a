//! The port for pipelines that come with the program.
//!
//! Law: a saved pipeline of the same name wins.

use everfold_language::definition::Definition;
use std::sync::Arc;

/// The pipelines that come with the program.
pub trait BuiltIns: Send + Sync + 'static {
    /// The one of this name.
    fn find(&self, name: &str) -> Option<Arc<Definition>>;
}

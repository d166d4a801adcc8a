//! What the functions `git.*` share.

use crate::provider::Providers;

/// What the functions share.
#[derive(Clone)]
pub(crate) struct Context {
    /// Services that host repositories.
    pub(crate) providers: Providers,
    /// Who commits, `NAME <EMAIL>`, where the pipeline names none.
    pub(crate) author: String,
}

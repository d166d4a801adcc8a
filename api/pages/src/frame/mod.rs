//! What stands around every page: who looks, at which moment, and where to go.
//!
//! Law: the moment that a page shows is in its address (`at`), every link carries it on, and a page of a former moment
//! acts on nothing.

mod address;
mod caller;
mod own_runs;
mod page_frame;
mod request_kind;
mod visit;

pub use address::with_query;
pub use caller::{CallerRole, Who};
pub(crate) use own_runs::OwnRuns;
#[cfg(test)]
pub(crate) use own_runs::own_runs;
pub use page_frame::{Frame, NavPlace};
pub(crate) use request_kind::{is_partial, reads_html};
pub use visit::Visit;

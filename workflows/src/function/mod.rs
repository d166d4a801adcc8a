//! Functions: work inside the engine's own process.
//!
//! Laws:
//! - A function is called again after a crash only if it says that this does no harm; any other is lost,
//!   and a person decides.
//! - What comes with the program and what an embedding program adds are registered and called alike.
//!
//! Called by steps (`function`), by gates (those that only read), and by notices.

mod built_in;
mod call;
mod declare;
mod error;
mod executor;
mod registry;
mod schema;
mod unique;

pub use call::Call;
pub(crate) use call::CallParts;
pub use declare::{Function, FunctionDescription, FunctionEffects};
pub use error::StepError;
pub use executor::FunctionExecutor;
pub use registry::{FunctionError, Functions};

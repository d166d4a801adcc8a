//! Secrets: looked up when work starts, given to it, and masked in all that it says.
//!
//! Law (L34): a value is in memory, in the environment of the process that it is for, and nowhere
//! else. Who needs one anew looks it up anew; what cannot be looked up or masked starts nothing.

mod guard;
mod lookup;
mod mask;
mod resolver;
pub(crate) mod source;
mod spelling;
mod values;

pub(crate) use guard::{GuardedExecutor, GuardedNotifier, GuardedProber, probed};
pub(crate) use lookup::value;
pub(crate) use mask::{Mask, Stream};
pub(crate) use resolver::SecretResolver;
pub use source::Source;
pub(crate) use values::Values;

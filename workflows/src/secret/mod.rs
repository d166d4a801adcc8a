//! Secrets: looked up when work starts, given to it, and masked in all its output.
//!
//! Law (L34): a value is in memory, in the environment of the process that it is for, and nowhere
//! else. Each start looks its values up again; work whose values cannot be looked up or masked does not start.

mod choice;
mod failure;
mod guard;
mod json_place;
mod lookup;
mod mask;
mod redactor;
mod resolver;
pub(crate) mod source;
mod spelling;
mod value_forms;
mod values;

pub(crate) use guard::{GuardedExecutor, GuardedNotifier, GuardedProber, probed};
pub(crate) use lookup::value;
pub(crate) use mask::{Mask, MaskStream};
pub(crate) use redactor::TextRedactor;
pub(crate) use resolver::SecretResolver;
pub use source::SettingsSecret;
pub(crate) use values::SecretValues;

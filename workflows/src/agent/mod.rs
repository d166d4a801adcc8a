//! The executor `agent`: a program that is given a prompt and works on its own.
//!
//! Law: an agent's answer is what its output format says, checked against the step's schema; what
//! it used up is reported whether it succeeded or not.

mod answer;
mod call;
mod claude;
mod codex;
mod executor;
pub(crate) mod profile;
mod ready;
pub(crate) mod settings;
mod transcript;
mod turn;

pub use executor::{AgentExecutor, DEFAULT_PROFILE};
pub use profile::program;
pub(crate) use ready::declare;
pub use ready::find_program;
pub use settings::{AgentProfile, Argument, OutputFormat, PromptBy};

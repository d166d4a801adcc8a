//! The executor `agent`: a program that is given a prompt and works on its own.
//!
//! Law: an agent's answer is what its output format says, checked against the step's schema; what
//! it used up is reported whether it succeeded or not. What `[preflight.NAME]` asks for is looked at before it is paid.

mod agent_error;
mod answer;
mod call;
mod claude;
mod codex;
mod executor;
mod missing;
mod preflight;
mod preflight_findings;
pub(crate) mod profile;
mod prompt;
mod readable;
mod ready;
pub(crate) mod settings;
mod transcript;
mod turn;

pub use agent_error::UNFINISHED;
pub use executor::{AgentExecutor, DEFAULT_PROFILE};
pub use preflight::{AgentEnvironment, MissingPolicy, PreflightSettings, Preflights};
pub use preflight_findings::{PreflightFinding, PreflightFindings, PreflightWait};
pub use profile::{BUILT_IN, program};
pub use readable::{ReadableLine, ReadableTranscript, Tone};
pub(crate) use ready::declare;
pub use ready::find_program;
pub use settings::{AgentProfile, Argument, OutputFormat, PromptBy};

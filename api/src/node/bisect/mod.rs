//! When something was true first: in a run, and among runs.

mod answer;
mod names;
mod search;

pub(crate) use answer::{FoundEvent, NamedRun, RunBisect, RunsBisect, UnknownName};
pub(crate) use search::RunsQuestion;

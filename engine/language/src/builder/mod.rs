//! Pipelines written in Rust.
//!
//! Law: a builder writes the language down and leaves everything else to the one reader of it, so a
//! pipeline built here is the one that a file with the same keys is: the same definition, the same
//! hash, the same problems. Nothing is checked twice, and nothing can mean something else here.
//!
//! Each construct of the language is a type; each of its keys is a method of the same name, which
//! takes what the file takes (a number, a duration, a text with `${…}`). [`Pipeline::build`] reads the
//! whole and reports each problem with its place as a path of ids.
//!
//! ```
//! use everfold_language::builder::{Gate, Pipeline, Route, Step};
//!
//! let delivery = Pipeline::new("delivery")
//!     .step(Step::command("fetch", "git fetch"))
//!     .step(
//!         Step::command("build", "make")
//!             .needs(["fetch"])
//!             .timeout("20m")
//!             .gate(Gate::command("tests", "make test").on_fail(Route::rework("build").max(2))),
//!     )
//!     .build()?;
//! let file = "
//! name: delivery
//! steps:
//!   - { id: fetch, command: git fetch }
//!   - id: build
//!     command: make
//!     needs: [fetch]
//!     timeout: 20m
//!     gates:
//!       - { id: tests, command: make test, on_fail: { rework: build, max: 2 } }
//! ";
//! let file = everfold_language::definition::parse(file, "delivery.yaml", &everfold_language::definition::NoFiles)?;
//! assert_eq!(delivery.hash(), file.definition.hash());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Called by programs that embed the engine.

mod construct;
mod control;
mod gate;
mod people;
mod pipeline;
mod probe;
mod problem;
mod remind;
mod route;
mod step;
mod trigger;
mod value;
mod wait;
mod work;
mod workspace;

pub use control::{Budget, Concurrency, Config, Key, Secret};
pub use gate::{Gate, Poll};
pub use people::{Approval, Ask, Part, Question};
pub use pipeline::{Built, Pipeline};
pub use probe::{Ci, Diff, FileProbe, Frontmatter, Matching, Mergeable, NoChecks, Probe, RunsProbe};
pub use problem::{BuildError, BuildProblem};
pub use remind::Remind;
pub use route::{Max, Route, Routes};
pub use step::{Api, Defaults, Foreach, Output, Retry, Step, StepNeeds};
pub use trigger::{Notice, Schedule, SignalWork, Target, Trigger, TriggerStart};
pub use value::{Data, Flag, Money, Number, Pause, Text, Texts, Word};
pub use wait::Wait;
pub use work::{Agent, ChildRun, CommandLine, Http, OnIncomplete, OnInvalid, OnParentCancel, Session};
pub use workspace::{StepWorkspace, Workspace};

#[cfg(test)]
mod tests;

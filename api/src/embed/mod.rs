//! Everfold within a program of your own.
//!
//! Laws:
//! - An embedding program is an owner like any other: it holds the data folder's lock and listens on
//!   its socket, so that the `everfold` command works beside it with the same answers.
//! - What goes to a run goes through the same routes as from the command line.
//!
//! A run that was begun goes on with the next [`Everfold::open`] of its folder, however this program
//! ended: [`Everfold`] holds no state of its own.
//!
//! ```no_run
//! use everfold_api::embed::{Call, Everfold, Function, Pipeline, Step, StepError};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Person { name: String }
//!
//! async fn greet(_call: Call, person: Person) -> Result<String, StepError> {
//!     Ok(format!("Hello, {}!", person.name))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Everfold::at("data").function(Function::new("hello.greet", greet).idempotent()).open().await?;
//! let greeting = Pipeline::new("greeting")
//!     .step(Step::function("greet", "hello.greet").with(serde_json::json!({ "name": "${input.name}" })))
//!     .output("${steps.greet.output}")
//!     .build()?;
//! let run = engine.start(&greeting, serde_json::json!({ "name": "Ada" })).await?;
//! println!("{}", run.ended().await?.output);
//! engine.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! `docs/guides/embedding.md` is the guide.

mod everfold;
mod run;
mod start;

pub use crate::fault::{Code, Fault};
pub use crate::view::{AwaitView, RunView};
pub use everfold::{Everfold, Opening, supervisor};
pub use everfold_engine::artefact::Usage;
pub use everfold_engine::builder::*;
pub use everfold_engine::definition::{
    Busy, CatchUp, CheckedPipeline, Definition, FinishStatus, IfUnchanged, Keep, NoFiles, OnLimit, OnLost,
    OnOver, OnRefused, OnTaken, Overlap, OverlapBy, Period, Release, Save, StepRole, Vote, parse,
};
pub use everfold_engine::driver::Saved;
pub use everfold_engine::event::UnblockDecision;
pub use everfold_engine::id::RunId;
pub use everfold_engine::progress::{ProgressItem, WorkProgress};
pub use everfold_engine::state::{RunStatus, StepStatus};
pub use everfold_projections::{Task, TaskKind};
pub use everfold_workflows::function::{Call, Function, FunctionError, StepError};
pub use everfold_workflows::remote::{BadInstance, Instance, Worker, WorkerError};
pub use run::Run;
pub use schemars;
pub use start::Start;

/// The guide's programs are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/embedding.md")]
struct Guide;

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

mod run;
mod start;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use everfold_engine::actor::Actor;
use everfold_engine::driver::Saved;
use everfold_engine::layout::Layout;
use everfold_workflows::process::ShimProgram;
use serde::Serialize;

use crate::http::caller::own_name;
use crate::owner::{self, HoldOptions, Source};

pub use crate::fault::{Code, Fault};
pub use crate::view::RunView;
pub use everfold_engine::build::*;
pub use everfold_engine::definition::{Definition, Vote};
pub use everfold_engine::event::UnblockDecision;
pub use everfold_engine::id::RunId;
pub use everfold_engine::state::RunStatus;
pub use everfold_engine::trace::Usage;
pub use everfold_projections::{Task, TaskKind};
pub use everfold_workflows::function::{Call, Function, FunctionError, StepError};
pub use everfold_workflows::remote::{BadInstance, Instance, Worker, WorkerError};
pub use run::Run;
pub use schemars;
pub use start::Start;

/// Whether this program supervises its own commands.
static SUPERVISES: AtomicBool = AtomicBool::new(false);

/// Lets this program supervise its own commands and agents; to be asked first in `main`. `Some`: it was
/// started to supervise one, did so, and is to end with that code.
///
/// Each command runs under a small process that outlives the engine: this program once more, or, where
/// it does not call this, the program `everfold` of the search path.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = everfold_api::embed::supervisor() {
///         return code;
///     }
///     // The program itself.
///     std::process::ExitCode::SUCCESS
/// }
/// ```
#[must_use]
pub fn supervisor() -> Option<ExitCode> {
    SUPERVISES.store(true, Ordering::Release);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != "shim" {
        return None;
    }
    let folder = arguments.next()?;
    Some(everfold_workflows::shim::shim_main(Path::new(&folder)))
}

/// A data folder to open.
#[derive(Debug, Clone)]
#[must_use]
pub struct Opening {
    folder: PathBuf,
    settings: Option<PathBuf>,
    functions: Vec<Function>,
    supervisor: Option<PathBuf>,
    user: String,
}

impl Opening {
    /// Adds a function that pipelines may name.
    pub fn function(mut self, function: Function) -> Self {
        self.functions.push(function);
        self
    }

    /// Other settings than the folder's own `everfold.toml`.
    pub fn settings(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings = Some(file.into());
        self
    }

    /// The program `everfold` that supervises commands, instead of this one ([`supervisor`]).
    pub fn supervised_by(mut self, program: impl Into<PathBuf>) -> Self {
        self.supervisor = Some(program.into());
        self
    }

    /// In whose name this program starts runs and answers; without it the user it runs as.
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = name.into();
        self
    }

    /// Opens the folder, which is made where it is not, and goes on with every run that has not ended.
    ///
    /// # Errors
    /// Another process owns the folder, the store is damaged, the settings or a function cannot be used.
    pub async fn open(self) -> Result<Everfold, Fault> {
        let program = match (self.supervisor, SUPERVISES.load(Ordering::Acquire)) {
            (Some(program), _) => ShimProgram::at(&program),
            (None, true) => ShimProgram::current().map_err(|error| {
                Fault::new(Code::Internal, format!("the program does not know where it is: {error}"))
            })?,
            (None, false) => ShimProgram::at(Path::new("everfold")),
        };
        let options = HoldOptions {
            config: self.settings,
            functions: self.functions,
            supervisor: Some(program),
            ..HoldOptions::default()
        };
        let held = owner::hold(Layout::new(self.folder), options).await?;
        let engine = Everfold { held, user: self.user };
        if let Err(fault) = engine.held.owner().drive_all().await {
            engine.close().await;
            return Err(fault);
        }
        Ok(engine)
    }
}

/// A data folder that this program owns: its store, its engine, its runs.
///
/// Dropping it without [`Everfold::close`] is what a crash is: nothing is lost by it.
pub struct Everfold {
    held: owner::Held,
    user: String,
}

impl Everfold {
    /// A data folder to open, with functions and settings.
    pub fn at(folder: impl Into<PathBuf>) -> Opening {
        Opening {
            folder: folder.into(),
            settings: None,
            functions: Vec::new(),
            supervisor: None,
            user: own_name(),
        }
    }

    /// Opens a data folder without functions of one's own.
    ///
    /// # Errors
    /// As for [`Opening::open`].
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, Fault> {
        Self::at(folder).open().await
    }

    /// Starts a run of a pipeline; `.await` it. Its input is checked.
    pub fn start(&self, pipeline: &Definition, input: impl Serialize) -> Start<'_> {
        Start::new(self, Source::Built(Arc::new(pipeline.clone())), input)
    }

    /// Starts a run of a saved or built-in pipeline, by name: `NAME`, `NAME@N`, `NAME@HASH`.
    pub fn start_named(&self, name: impl Into<String>, input: impl Serialize) -> Start<'_> {
        Start::new(self, Source::Named(name.into()), input)
    }

    /// Saves a pipeline as the newest version of its name, for `run` steps, for triggers, and for
    /// [`Everfold::start_named`].
    ///
    /// # Errors
    /// The store takes nothing.
    pub async fn save(&self, pipeline: &Definition) -> Result<Saved, Fault> {
        let owner = self.held.owner();
        Ok(owner.engine().save_pipeline(&Arc::new(pipeline.clone()), None, self.actor()).await?)
    }

    /// A run, as people name it: its id, its short id, a unique start of that, `@` for the newest.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn run(&self, name: &str) -> Result<Run, Fault> {
        Ok(self.handle(self.held.owner().resolve(name).await?))
    }

    /// What people are asked at this moment, in all runs, oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn tasks(&self) -> Result<Vec<Task>, Fault> {
        let list =
            |inbox: &everfold_projections::InboxView<'_>| inbox.list(None, None, None, usize::MAX, None);
        Ok(self.held.owner().inbox(None, list).await?.items)
    }

    /// What the command line works on: for what has no method here.
    #[must_use]
    pub fn owner(&self) -> &Arc<owner::Owner> {
        self.held.owner()
    }

    /// Gives the folder back: functions that run get 4 seconds, processes live on, everything that was
    /// acknowledged is durable. Runs go on when the folder is opened again.
    pub async fn close(self) {
        self.held.release().await;
    }

    fn actor(&self) -> Actor {
        Actor::User(self.user.clone())
    }

    fn handle(&self, id: RunId) -> Run {
        Run::new(id, Arc::clone(self.held.owner()), self.held.routes(), self.user.clone())
    }
}

/// The guide's programs are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/embedding.md")]
struct Guide;

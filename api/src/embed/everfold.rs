//! A data folder that a program of your own opens, and what it does there.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use everfold_engine::actor::Actor;
use everfold_engine::clock::Stopwatch;
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::Definition;
use everfold_engine::driver::Saved;
use everfold_engine::id::RunId;
use everfold_projections::Task;
use everfold_workflows::function::Function;
use everfold_workflows::process::ShimProgram;
use lru::LruCache;

use super::run::Run;
use crate::access::caller::{name_in, own_name};
use crate::client::wait_for_owner;
use crate::fault::{Code, Fault};
use crate::node::{HoldOptions, Node, read_record};
use crate::serve::{self, NodeGuard};

/// Definitions that are kept for further starts, by the names of their pipelines.
const DEFINITIONS_KEPT: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

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
    user: Option<String>,
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
        self.user = Some(name.into());
        self
    }

    /// Opens the folder, which is made where it is not, and goes on with every run that has not ended.
    ///
    /// # Errors
    /// Another process owns the folder, the store is damaged, the settings or a function cannot be used; `EVERFOLD_USER`
    /// is no name, where no [`Opening::user`] is named.
    pub async fn open(self) -> Result<Everfold, Fault> {
        let user = match &self.user {
            Some(user) => name_in("the user of the opening", user.as_bytes())?,
            None => own_name()?,
        };
        // The program may go to another folder later.
        let folder = std::path::absolute(&self.folder).map_err(|error| {
            Fault::new(Code::File, format!("{} names no folder: {error}", self.folder.display()))
        })?;
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
        let node_guard = hold(&Layout::new(folder), &options).await?;
        let started = Mutex::new(LruCache::new(DEFINITIONS_KEPT));
        let engine = Everfold { node_guard: Some(node_guard), user, started };
        if let Err(fault) = engine.node().drive_all().await {
            engine.close().await;
            return Err(fault);
        }
        Ok(engine)
    }
}

/// Takes the folder; waits a little for a command that has it for a moment.
async fn hold(layout: &Layout, options: &HoldOptions) -> Result<NodeGuard, Fault> {
    let since = Stopwatch::start();
    loop {
        let fault = match serve::hold(layout.clone(), options.clone()).await {
            Err(fault) if fault.code == Code::InUse => fault,
            held => return held,
        };
        let owner = read_record(&layout.owner());
        let owner = owner.map(|owner| (owner.pid == std::process::id(), owner.url.is_some()));
        match owner {
            Some((true, _)) => {
                let folder = layout.root().display();
                return Err(Fault::new(Code::InUse, format!("this process has {folder} open already"))
                    .hint("`close` the other `Everfold` first; one that was dropped gives the folder back in a moment"));
            }
            // It serves until it is ended.
            Some((false, true)) => return Err(fault),
            _command_or_none_yet => wait_for_owner(layout, &since, fault).await?,
        }
    }
}

/// A data folder that this program owns: its store, its engine, its runs.
///
/// Dropping it without [`Everfold::close`] loses nothing: within a tokio runtime the folder is closed in the background, and free
/// a moment later; elsewhere it is what a crash is.
pub struct Everfold {
    /// There until it is closed.
    node_guard: Option<NodeGuard>,
    user: String,
    /// The definitions that were started last. The engine knows one that it saw before by its address, and writes and
    /// hashes none of those again.
    started: Mutex<LruCache<String, Arc<Definition>>>,
}

impl std::fmt::Debug for Everfold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Everfold").field(&self.guard().node().layout().root()).finish()
    }
}

impl Drop for Everfold {
    fn drop(&mut self) {
        let Some(node_guard) = self.node_guard.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(node_guard.release());
        }
    }
}

impl Everfold {
    /// A data folder to open, with functions and settings.
    pub fn at(folder: impl Into<PathBuf>) -> Opening {
        Opening { folder: folder.into(), settings: None, functions: Vec::new(), supervisor: None, user: None }
    }

    /// Opens a data folder without functions of one's own.
    ///
    /// # Errors
    /// As for [`Opening::open`].
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, Fault> {
        Self::at(folder).open().await
    }

    /// Saves a pipeline as the newest version of its name, for `run` steps, for triggers, and for
    /// [`Everfold::start_named`].
    ///
    /// # Errors
    /// The store takes nothing.
    pub async fn save(&self, pipeline: &Definition) -> Result<Saved, Fault> {
        let node = self.node();
        Ok(node.engine().save_pipeline(&Arc::new(pipeline.clone()), None, self.actor()).await?)
    }

    /// A run, as people name it: its id, its short id, a unique start of that, `@` for the newest.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn run(&self, name: &str) -> Result<Run, Fault> {
        Ok(self.handle(self.node().resolve(name).await?))
    }

    /// What people are asked at this moment, in all runs, oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn tasks(&self) -> Result<Vec<Task>, Fault> {
        let list =
            |inbox: &everfold_projections::InboxView<'_>| inbox.list(None, None, None, usize::MAX, None);
        Ok(self.node().inbox(None, list).await?.items)
    }

    /// What the command line works on: for what has no method here.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        self.guard().node()
    }

    fn guard(&self) -> &NodeGuard {
        self.node_guard.as_ref().expect("only `close` and `drop`, which end its life, take it")
    }

    /// Gives the folder back: functions that run get 4 seconds, processes live on, everything that was
    /// acknowledged is durable. Runs go on when the folder is opened again.
    pub async fn close(mut self) {
        if let Some(node_guard) = self.node_guard.take() {
            node_guard.release().await;
        }
    }

    /// The definition as it was started before, where it is the same.
    pub(super) fn kept(&self, pipeline: &Definition) -> Arc<Definition> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        match started.get(&pipeline.name) {
            Some(kept) if **kept == *pipeline => Arc::clone(kept),
            _new_or_changed => {
                let kept = Arc::new(pipeline.clone());
                started.put(pipeline.name.clone(), Arc::clone(&kept));
                kept
            }
        }
    }

    pub(super) fn actor(&self) -> Actor {
        Actor::User(self.user.clone())
    }

    pub(super) fn handle(&self, id: RunId) -> Run {
        Run::new(id, Arc::clone(self.node()), self.guard().routes(), self.user.clone())
    }
}

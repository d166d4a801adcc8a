//! Opening a node over a data folder, and closing it.
//!
//! Law: opening is all or nothing; closing leaves supervised work running and everything that was
//! acknowledged durable.

use everfold_engine::data_folder::Layout;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::settings::Settings;
use everfold_engine::aggregate_store::AggregateStore;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{Engine, EngineConfig, NoticeSubscription, Unknown};
use everfold_engine::store::files::{Files as _, SystemFiles};
use everfold_engine::store::{BlobStore, EventStore, MemoryStore, Progress, SledOptions, SledStore};
use everfold_engine::time::Timestamp;
use everfold_projections::{ReadSide, RunDirectory, StorageLocation};
use everfold_workflows::Registry;
use everfold_workflows::credential::{MachineKey, SealedCredentials};
use everfold_workflows::function::{Function, Functions};
use everfold_workflows::hook::HookSettings;
use everfold_workflows::process::{Processes, ShimProgram};
use everfold_workflows::settings::AttemptLimits;
use tokio_util::sync::CancellationToken;

use super::attempt_retention::AttemptRetention;
use super::credentials;
use super::driven_runs::DrivenRuns;
use super::encoded_events::EncodedEvents;
use super::handle::{Node, Turns};
use super::periodic;
use super::read_models::OpeningReadModels;
use super::readiness::Readiness;
use super::settings::settings;
use super::threads;
use crate::access::AccessControl;
use crate::fault::{Code, Fault};
use crate::metrics::{Metrics, StoreMetrics};
use crate::traces::Traces;
use crate::work_sources::WorkSources;

/// How a folder is opened.
#[derive(Clone, Default)]
pub struct HoldOptions {
    /// Another settings file than the folder's own.
    pub config: Option<PathBuf>,
    /// How people reach the server, in the place of `serve.url` of the settings; for links.
    pub url: Option<String>,
    /// For demonstrations and tests: the process kills itself after the first event of this name is durable.
    pub crash_after: Option<String>,
    /// Functions beside the built-in ones.
    pub functions: Vec<Function>,
    /// What supervises processes; `None`: this program.
    pub supervisor: Option<ShimProgram>,
    /// Whether this process starts no children but those of runs, which the socket then refuses.
    pub serves_alone: bool,
    /// Whether work that is a process waits for the folder's next owner: this one is here for a moment, and with other settings.
    pub starts_no_processes: bool,
    /// Called with how far the rebuild of the store's index is.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

/// The threads that a node begins with: those of the store, of the read models and for blocking work.
const THREADS: usize = 20;

/// How long the end of the engine takes at most: half for a search for orphan processes that is under way, and then
/// the grace of work within this process, which is 4 s.
const ENGINE_END: Duration = Duration::from_millis(8_500);

/// How long the end waits for subscriptions that have still to deliver notices.
const TELLING_END: Duration = Duration::from_secs(3);
/// How long subscriptions have at the end, however long the runs took.
const TELLING_LEAST: Duration = Duration::from_secs(1);

/// Opens the folder at `layout`, which is made where it is not.
///
/// # Errors
/// Another process holds it, the store is damaged, the settings cannot be used.
pub(crate) async fn open(layout: Layout, options: HoldOptions) -> Result<Arc<Node>, Fault> {
    check_clock(everfold_engine::clock::now())?;
    threads::check(THREADS)?;
    let mut settings = settings(&layout, options.config.as_deref())?;
    settings.serve.url = options.url.or(settings.serve.url);
    let shim = match options.supervisor {
        Some(program) => program,
        None => ShimProgram::current().map_err(|error| {
            Fault::new(Code::Internal, format!("the program does not know where it is: {error}"))
        })?,
    };
    make_folder(layout.root())?;
    let metrics = Arc::new(Metrics::default());
    let observer = Arc::new(StoreMetrics(Arc::clone(&metrics)));
    let mut store_options = SledOptions { observer, ..SledOptions::default() };
    if let Some(progress) = options.progress {
        store_options.progress = progress;
    }
    let read_models = OpeningReadModels::of(&layout);
    store_options.owned = read_models.on_owned();
    let folder = layout.root().to_owned();
    let opening = tokio::task::spawn_blocking(move || SledStore::open(folder, store_options));
    // Made beside that; what is wrong with one closes the store again.
    let functions = functions(options.functions);
    let opened = opening.await.map_err(|error| Fault::new(Code::Internal, error.to_string()));
    let (sled, functions) = match (opened.and_then(|opened| opened.map_err(Fault::from)), functions) {
        (Ok(sled), Ok(functions)) => (sled, functions),
        (Err(fault), _) | (_, Err(fault)) => {
            read_models.give_up().await;
            return Err(fault);
        }
    };
    let sled = Arc::new(sled);
    let report = sled.report();
    let epoch = report.epoch.clone();
    let mut config = config(&settings, options.crash_after);
    if options.starts_no_processes {
        config.supervised_max = 0;
    }
    let store: Arc<dyn EventStore> = Arc::clone(&sled) as Arc<dyn EventStore>;
    let views = read_models.open(&store).await?;
    let (hooks, subscriptions) = (settings.hooks.clone(), settings.subscriptions(layout.root()));
    let (limits, traces) = (settings.logs.limits(), Traces::new(settings.tracing));
    let key = MachineKey::at(settings.credentials.key_file(), layout.root());
    let credentials = Arc::new(SealedCredentials::new(&layout, &epoch, key));
    let registry = registry(&layout, settings, shim, functions, &views, Some(credentials));
    let node = assemble(
        layout,
        views,
        metrics,
        Some(sled),
        store,
        epoch,
        registry,
        config,
        hooks,
        subscriptions,
        limits,
        traces,
        !options.serves_alone,
    );
    if node.may_write().is_ok() {
        // What a former owner left when it was killed is gone before anything is begun.
        periodic::sweep_credentials(node.engine.clone()).await;
    }
    Ok(node)
}

/// The built-in functions and those of the program.
fn functions(of_program: Vec<Function>) -> Result<Functions, Fault> {
    let mut functions = Functions::built_in();
    for function in of_program {
        functions.register(function).map_err(|error| Fault::new(Code::Invalid, error.to_string()))?;
    }
    Ok(functions)
}

/// The first and the last time that a clock may show: events, schedules and timers are times of the years 1970 to 9999.
const CLOCK: std::ops::Range<Timestamp> = Timestamp(0)..Timestamp(253_402_128_000_000);

/// Refuses a clock under which nothing could be recorded in order.
fn check_clock(now: Timestamp) -> Result<(), Fault> {
    match CLOCK.contains(&now) {
        true => Ok(()),
        false => {
            let side = if now < CLOCK.start { "before 1970" } else { "after 9999-12-29" };
            Err(Fault::new(
                Code::StoreIo,
                format!("the machine's clock shows a time {side}: nothing was opened"),
            )
            .hint("set the clock, then repeat the command"))
        }
    }
}

/// A node with an empty store in memory: it answers for a folder without a store, and makes nothing.
///
/// # Errors
/// The settings cannot be used.
pub(crate) fn in_memory(layout: Layout, of_command: Option<&Path>) -> Result<Arc<Node>, Fault> {
    let settings = settings(&layout, of_command)?;
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::default());
    let shim = ShimProgram::at(Path::new("everfold"));
    let storage = StorageLocation::memory().open();
    let views = storage
        .and_then(|storage| ReadSide::open(storage, Arc::clone(&store), &tokio::runtime::Handle::current()));
    let views = Arc::new(views.map_err(|error| Fault::new(Code::StoreIndex, error.to_string()))?);
    let (metrics, config, hooks) = (Arc::default(), config(&settings, None), settings.hooks.clone());
    let (limits, traces) = (settings.logs.limits(), Traces::new(settings.tracing));
    let registry = registry(&layout, settings, shim, Functions::built_in(), &views, None);
    Ok(assemble(
        layout,
        views,
        metrics,
        None,
        store,
        "0".repeat(16),
        registry,
        config,
        hooks,
        Vec::new(),
        limits,
        traces,
        true,
    ))
}

#[expect(clippy::too_many_arguments, reason = "the parts of a node, each once")]
fn assemble(
    layout: Layout,
    views: Arc<ReadSide>,
    metrics: Arc<Metrics>,
    sled: Option<Arc<SledStore>>,
    store: Arc<dyn EventStore>,
    epoch: String,
    registry: Registry,
    config: EngineConfig,
    hooks: BTreeMap<String, HookSettings>,
    subscriptions: Vec<NoticeSubscription>,
    limits: AttemptLimits,
    traces: Traces,
    trusts_children: bool,
) -> Arc<Node> {
    let blobs = Arc::new(BlobStore::new(layout.root()));
    let closing = CancellationToken::new();
    let retention = AttemptRetention {
        layout: layout.clone(),
        views: Arc::clone(&views),
        limits,
        closing: closing.clone(),
        sweeping: Arc::default(),
    };
    let Registry { edge, functions, leases: book, preflights } = registry;
    let sources = WorkSources { functions, book, preflights };
    let engine = Engine::open(config, Arc::clone(&store), blobs, layout.clone(), edge);
    Arc::new(Node {
        engine,
        access: AccessControl::new(Arc::clone(&store)),
        resets: AggregateStore::new(
            Arc::clone(&store),
            everfold_engine::clock::system(),
            everfold_engine::clock::chance(),
        ),
        metrics,
        readiness: Mutex::new(Readiness::Starting),
        url: OnceLock::new(),
        store,
        sled,
        layout,
        epoch,
        views,
        driven_runs: DrivenRuns::default(),
        drives_all: AtomicBool::new(false),
        closing,
        sources,
        hooks,
        subscriptions,
        traces,
        retention,
        encoded: EncodedEvents::default(),
        telling: tokio::sync::OnceCell::new(),
        attended: AtomicBool::new(false),
        turns: Turns::default(),
        trusts_children,
    })
}

/// The engine's bounds, from the settings.
fn config(settings: &Settings, crash_after: Option<String>) -> EngineConfig {
    EngineConfig { crash_after, ..settings.engine_config() }
}

/// The executors, probes and functions that the engine acts with.
fn registry(
    layout: &Layout,
    settings: Settings,
    shim: ShimProgram,
    functions: Functions,
    views: &Arc<ReadSide>,
    credentials: Option<Arc<SealedCredentials>>,
) -> Registry {
    let blobs = Arc::new(BlobStore::new(layout.root()));
    let processes = Processes::new(shim, blobs, Arc::new(settings.workflows()));
    let processes = match credentials {
        Some(credentials) => processes.with_credentials(credentials),
        None => processes,
    };
    let directory = Arc::new(RunDirectory(Arc::clone(views)));
    everfold_workflows::registry(layout, &processes, functions, Some(directory))
}

/// The functions and agent profiles that a pipeline names and this folder's settings do not have.
///
/// # Errors
/// The settings cannot be read.
pub(crate) fn unknown_work(
    definition: &Definition,
    layout: &Layout,
    config: Option<&Path>,
) -> Result<Vec<Unknown>, Fault> {
    Ok(everfold_engine::driver::unknown_work(&registry_of(layout, config)?.edge, definition))
}

/// Refuses a pipeline in which what the settings say finds a credential: in its text, or in what is read of it.
///
/// # Errors
/// [`Code::BadPipeline`] with the place; the settings cannot be read.
pub(crate) fn refuse_credentials(
    name: &str,
    text: Option<&str>,
    definition: &Definition,
    layout: &Layout,
    config: Option<&Path>,
) -> Result<(), Fault> {
    let Some(redactor) = registry_of(layout, config)?.edge.redactor else { return Ok(()) };
    let find = |text: &str| redactor.find(text);
    text.map_or(Ok(()), |text| credentials::refuse_in_text(&find, name, text))?;
    credentials::refuse_in_definition(&find, name, definition)
}

fn registry_of(layout: &Layout, config: Option<&Path>) -> Result<Registry, Fault> {
    let settings = Arc::new(settings(layout, config)?.workflows());
    let blobs = Arc::new(BlobStore::new(layout.root()));
    let processes = Processes::new(ShimProgram::at(Path::new("everfold")), blobs, settings);
    Ok(everfold_workflows::registry(layout, &processes, Functions::built_in(), None))
}

/// Makes a data folder that only its user can read and that git ignores, since it often lies in a repository.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Fault> {
    if folder.is_dir() {
        return Ok(());
    }
    let made = SystemFiles.create_private(folder);
    let made = made.and_then(|()| std::fs::write(folder.join(".gitignore"), "*\n"));
    made.map_err(|error| {
        Fault::new(Code::StoreIo, format!("could not make the folder {}: {error}", folder.display()))
            .hint("name another one with --dir")
    })
}

impl Node {
    /// Whether the folder still holds this process's store: false where it was moved or replaced meanwhile.
    pub(crate) async fn still_owns_folder(&self) -> bool {
        match self.sled.clone() {
            Some(sled) => tokio::task::spawn_blocking(move || sled.is_ours()).await.unwrap_or(false),
            None => true,
        }
    }

    /// Whether the store is in a folder, not in memory.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.sled.is_some()
    }

    /// Ends the engine and closes the store. Read models are written where the folder `is_ours`.
    pub(crate) async fn close(&self, is_ours: bool) {
        let watch = everfold_engine::clock::Stopwatch::start();
        if !self.engine.shutdown(ENGINE_END).await {
            tracing::warn!("not everything ended in time; it is gone on with at the next start");
        }
        // After the runs, so that notices of their last events are delivered, too; those of pipelines had their time.
        self.engine.settle_notices(TELLING_END.saturating_sub(watch.elapsed()).max(TELLING_LEAST)).await;
        self.traces.end().await;
        if is_ours {
            // The removals at the ends of runs are beside everything else: what they have not come to is done here.
            periodic::sweep_credentials(self.engine.clone()).await;
            self.views.close().await;
        }
        // The next owner archives by itself: the sweep, which gives up now, is over before the folder is free.
        self.closing.cancel();
        let _swept = self.retention.sweeping.lock().await;
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the store did not close in order; the next start checks more");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_shows_no_time_of_the_years_1970_to_9999_is_refused() {
        for (at, is_refused) in [
            ("1969-12-31T23:59:59.999Z", true),
            ("1970-01-01T00:00:00Z", false),
            ("2026-09-21T14:13:20Z", false),
            ("9999-12-29T23:59:59.999Z", false),
            ("9999-12-30T00:00:00Z", true),
        ] {
            let at: Timestamp = at.parse().unwrap();
            assert_eq!(check_clock(at).is_err(), is_refused, "{at}");
        }
        let far = check_clock(Timestamp(i64::MAX)).unwrap_err();
        assert_eq!((far.code, far.code.exit()), (Code::StoreIo, 7), "{far}");
    }
}

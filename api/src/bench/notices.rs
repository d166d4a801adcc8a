//! Starts beside notices that fail: what runs whose receivers do not answer cost the other runs.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::data_folder::Layout;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{Engine, EngineConfig, Which};
use everfold_engine::store::{BlobStore, EventStore, SledOptions, SledStore};
use everfold_workflows::function::Functions;
use everfold_workflows::process::{Processes, ShimProgram};
use everfold_workflows::settings::WorkflowSettings;
use serde_json::json;

use super::engine::{BenchEngine, BenchError, IN_FLIGHT};
use super::{load, machine};

/// What the receiver of the failing notices does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoticeReceiver {
    /// It takes no connection.
    Refuses,
    /// It takes a connection and never answers.
    Hangs,
}

/// A load of so many starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartCost {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
}

/// The same number of starts each time.
pub(super) struct Beside {
    /// Of a pipeline without notices, with nothing beside.
    pub(super) alone: StartCost,
    /// Of the pipeline whose notices fail, with nothing beside.
    pub(super) first: StartCost,
    /// Of a pipeline without notices, beside the failing ones of runs that have ended.
    pub(super) quiet: StartCost,
    /// Of the pipeline whose notices fail, beside them.
    pub(super) loud: StartCost,
}

/// Starts so many runs four times in a new folder.
pub(super) async fn beside(
    folder: &Path,
    runs: usize,
    receiver: NoticeReceiver,
) -> Result<Beside, BenchError> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    // A listener that accepts no connection lets its clients hang; on a port that was given back none listens.
    let _hangs = (receiver == NoticeReceiver::Hangs).then_some(listener);
    let bench = open(folder)?;
    // As the owner of a folder does: from now on the shards may drop ended runs from memory.
    bench.engine.recover(Which::All).await?;
    let (quiet, loud) = (load::chain(1)?, telling(&url)?);
    let beside = Beside {
        alone: start(&bench, runs, &quiet).await?,
        first: start(&bench, runs, &loud).await?,
        quiet: start(&bench, runs, &quiet).await?,
        loud: start(&bench, runs, &loud).await?,
    };
    bench.close().await?;
    Ok(beside)
}

async fn start(
    bench: &BenchEngine,
    runs: usize,
    definition: &Arc<Definition>,
) -> Result<StartCost, BenchError> {
    let before = machine::usage()?;
    let definition = Arc::clone(definition);
    let wall =
        load::flow(bench, runs, IN_FLIGHT, move |_| load::request(&definition, json!(null).into())).await?;
    Ok(StartCost { wall, cpu: machine::usage()?.since(before).cpu })
}

/// One step that does nothing, and a notice of the end.
fn telling(url: &str) -> Result<Arc<Definition>, BenchError> {
    let noop = json!({"task": {"kind": "function", "spec": {"name": "everfold.noop", "with": {}}}});
    let document = json!({
        "name": "bench",
        "notify": [{
            "id": "end",
            "events": ["RunSucceeded"],
            "function": "notify.http",
            "with": {"url": url, "text": "${run.id} has ended"},
        }],
        "steps": [{"id": "s0", "work": noop}],
    });
    Ok(Arc::new(Definition::from_document(&document.to_string())?))
}

/// As [`BenchEngine::open`], with a notifier; closing does not wait for deliveries that are under way.
fn open(folder: &Path) -> Result<BenchEngine, BenchError> {
    let store: Arc<dyn EventStore> = Arc::new(SledStore::open(folder, SledOptions::default())?);
    let (layout, blobs) = (Layout::new(folder), Arc::new(BlobStore::new(folder)));
    let processes =
        Processes::new(ShimProgram::current()?, blobs.clone(), Arc::new(WorkflowSettings::default()));
    let functions = Functions::built_in();
    let notifier = everfold_workflows::edge(&layout, &processes, functions, None).notifier;
    let edge = everfold_engine::execution::Edge { notifier, ..load::edge() };
    let config = EngineConfig { grace: Duration::from_millis(100), ..EngineConfig::default() };
    let engine = Engine::open(config, store.clone(), blobs, layout, edge);
    Ok(BenchEngine { engine, store })
}

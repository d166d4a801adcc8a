//! The same on a disk: the sled store, blobs as files, real time.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::id::{Position, RunId};
use everfold_core::state::RunStatus;
use everfold_runtime::{Engine, EngineConfig, Which};
use everfold_store::{BlobStore, EventStore, SledOptions, SledStore};
use everfold_system::clock;
use serde_json::json;

use crate::fixtures::machine::Machine;
use crate::fixtures::test_engine::{definition, function, request};

async fn end(engine: &Engine, run: RunId) -> RunStatus {
    let mut log = engine.subscribe(Position::FIRST);
    loop {
        let status = engine.with_state(run, |state| state.status()).await.unwrap();
        if status.is_ended() {
            return status;
        }
        tokio::time::timeout(Duration::from_secs(60), log.next()).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_go_on_after_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(clock::system());
    let steps = json!([
        function("big", &[], "big", json!({})),
        function("slow", &["big"], "slow", json!({"ms": 200})),
        function("length", &["big", "slow"], "length", json!({})),
    ]);
    let definition = definition(json!({"name": "p", "steps": steps, "output": "${steps.length.output}"}));
    let open = |store: &Arc<SledStore>| {
        let blobs = Arc::new(BlobStore::new(folder.path()));
        let config = EngineConfig { shards: 2, ..EngineConfig::default() };
        Engine::open(config, store.clone(), blobs, Layout::new(folder.path()), machine.edge())
    };

    let store = Arc::new(SledStore::open(folder.path(), SledOptions::default()).unwrap());
    let engine = open(&store);
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(engine.start(request(&definition, json!({}))).await.unwrap().run);
    }
    assert!(engine.shutdown(Duration::from_secs(5)).await);
    drop(engine);
    store.close().await.unwrap();
    drop(store);

    let store = Arc::new(SledStore::open(folder.path(), SledOptions::default()).unwrap());
    let engine = open(&store);
    engine.recover(Which::All).await.unwrap();
    for run in runs {
        assert_eq!(end(&engine, run).await, RunStatus::Succeeded);
        assert_eq!(engine.replay(run).await.unwrap().differences, [], "H5");
        let output = engine.with_state(run, |state| state.output().clone()).await.unwrap();
        assert_eq!(output.value(&Default::default()).unwrap(), json!(100_000));
    }
    assert!(engine.shutdown(Duration::from_secs(5)).await);
}

/// A store that lost its writer thread records nothing; the engine reported itself as ready until an operator restarted it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_store_takes_nothing_ever_again_is_broken_and_one_that_was_ended_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(clock::system());
    let definition = definition(json!({"name": "p", "steps": [function("a", &[], "ok", json!({}))]}));
    let open = async || {
        let store = Arc::new(SledStore::open(folder.path(), SledOptions::default()).unwrap());
        let blobs = Arc::new(BlobStore::new(folder.path()));
        let (config, layout) = (EngineConfig::default(), Layout::new(folder.path()));
        let engine = Engine::open(config, store.clone(), blobs, layout, machine.edge());
        engine.start(request(&definition, json!({}))).await.unwrap();
        (engine, store)
    };
    let (engine, store) = open().await;
    assert!(engine.shutdown(Duration::from_secs(5)).await);
    store.close().await.unwrap();
    let _refused = engine.start(request(&definition, json!({}))).await.unwrap_err();
    assert!(tokio::time::timeout(Duration::from_millis(50), engine.broken()).await.is_err());
    drop((engine, store));

    let (engine, store) = open().await;
    store.close().await.unwrap();
    let _refused = engine.start(request(&definition, json!({}))).await.unwrap_err();
    let broken = tokio::time::timeout(Duration::from_secs(60), engine.broken()).await.unwrap();
    assert_eq!(broken, "the store takes no appends any more, though nobody closed it");
}

//! kill -9 while the read models are written.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use everfold_base::id::Position;
use everfold_projections::{GroupBy, ReadSide, RunFilter, RunOrder, StorageLocation};
use everfold_store::{EventStore, SledOptions, SledStore};

use crate::read_side::open;
use crate::synthetic_runs::grow;

/// Names the folder to the process that is killed.
const FOLDER: &str = "EVERFOLD_KILLED_FOLDER";
/// Runs appended between two lines of that process.
const RUNS: u64 = 100;

fn location(folder: &Path) -> StorageLocation {
    StorageLocation::folder(folder.join("projections"), "e")
}

fn store(folder: &Path) -> Arc<dyn EventStore> {
    Arc::new(SledStore::open(folder.join("data"), SledOptions::default()).unwrap())
}

/// What a process that is killed does: appends, folds, and says where it is.
async fn live(folder: &Path) {
    let store = store(folder);
    let side = open(location(folder), &store);
    let mut number = store.last_position().0 / 2;
    loop {
        grow(&store, number..number + RUNS).await;
        number += RUNS;
        side.reach(store.last_position()).await.unwrap();
        let checkpoint = side.status().iter().map(|model| model.checkpoint.0).max().unwrap();
        println!("at {number} {checkpoint}");
        std::io::stdout().flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_models_that_go_on_from_a_checkpoint_and_equal_new_ones() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return live(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut from_checkpoints = 0;
    for kill in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::a_kill_leaves_models_that_go_on_from_a_checkpoint_and_equal_new_ones"])
            .arg("--nocapture")
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until something was put away in this life, and then some.
        let mut begun = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some((_, checkpoint)) = line.strip_prefix("at ").and_then(|line| line.split_once(' ')) else {
                continue;
            };
            let checkpoint: u64 = checkpoint.parse().unwrap();
            if *begun.get_or_insert(checkpoint) < checkpoint && checkpoint > 0 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let store = store(folder.path());
        let side = open(location(folder.path()), &store);
        let began = side.status().iter().map(|model| model.checkpoint.0).min().unwrap();
        from_checkpoints += u64::from(began > 0);
        let anew = open(StorageLocation::memory(), &store);
        let (after, wanted) = (everything(&side, &store).await, everything(&anew, &store).await);
        assert_eq!(after, wanted, "kill {kill}, from position {began}");
        anew.close().await;
        side.close().await;
        store.close().await.unwrap();
    }
    assert!(from_checkpoints > 0, "no kill left anything behind");
}

async fn everything(side: &ReadSide, store: &Arc<dyn EventStore>) -> String {
    let last = store.last_position();
    side.reach(last).await.unwrap();
    let words = RunFilter { words: vec!["Run 1".into()], ..RunFilter::default() };
    let asked = side.runs(None, move |runs| {
        let past = Position(last.0 / 3);
        let list = |filter, at| runs.list(filter, RunOrder::Newest, None, 1_000_000, at);
        let ends = runs.list(&RunFilter::default(), RunOrder::EndedFirst, None, 1_000_000, None)?;
        Ok(format!(
            "{ends:?} {:?} {:?} {:?} {:?} {:?}",
            runs.counts(None)?,
            list(&RunFilter::default(), None)?,
            list(&words, None)?,
            list(&RunFilter::default(), Some(past))?,
            runs.board(GroupBy::Stage, Some(past), 5)?,
        ))
    });
    asked.await.unwrap().value
}

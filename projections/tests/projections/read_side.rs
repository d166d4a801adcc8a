//! The read side over a store in a folder: opened, closed, rebuilt, damaged, deleted.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everfold_base::id::Position;
use everfold_projections::{ReadSide, ReadSideError, RunFilter, RunOrder, StorageLocation};
use everfold_store::{EventStore, MemoryStore};
use tokio::runtime::Handle;

use crate::synthetic_runs::{fork, grow, run};

fn store() -> Arc<dyn EventStore> {
    Arc::new(MemoryStore::default())
}

fn location(folder: &Path, epoch: &str, boot: &str) -> StorageLocation {
    StorageLocation {
        folder: Some(folder.to_owned()),
        epoch: epoch.to_owned(),
        boot: boot.to_owned(),
        values: None,
    }
}

pub fn open(location: StorageLocation, store: &Arc<dyn EventStore>) -> ReadSide {
    ReadSide::open(location.open().unwrap(), Arc::clone(store), &Handle::current()).unwrap()
}

async fn count(side: &ReadSide) -> usize {
    side.runs(None, |runs| Ok(runs.len())).await.unwrap().value
}

/// Where the models began when they were opened: a checkpoint, or nothing.
fn checkpoint(side: &ReadSide) -> u64 {
    side.status().iter().map(|model| model.checkpoint.0).min().unwrap()
}

#[tokio::test]
async fn what_was_put_away_is_gone_on_with_and_only_the_tail_is_read() {
    let (folder, store) = (tempfile::tempdir().unwrap(), store());
    let at = folder.path().join("projections");
    let side = open(location(&at, "e", "b"), &store);
    grow(&store, 0..300).await;
    assert_eq!(count(&side).await, 300);
    side.close().await;
    drop(side);
    grow(&store, 300..310).await;
    let side = open(location(&at, "e", "another boot"), &store);
    assert_eq!(checkpoint(&side), 600);
    assert_eq!(count(&side).await, 310);
    let page = side
        .runs(None, |runs| runs.list(&RunFilter::default(), RunOrder::Oldest, None, 2, None))
        .await
        .unwrap();
    assert_eq!(page.value.items.iter().map(|row| row.id).collect::<Vec<_>>(), [run(0), run(1)]);
    assert_eq!(page.position, Position(620));
    side.close().await;
}

#[tokio::test]
async fn s5_what_cannot_be_believed_is_folded_again() {
    let (folder, store) = (tempfile::tempdir().unwrap(), store());
    let at = folder.path().join("projections");
    grow(&store, 0..50).await;
    let put_away = async |epoch: &str| {
        let side = open(location(&at, epoch, "b"), &store);
        assert_eq!(count(&side).await, 50);
        side.close().await;
    };
    let begins = async |location: StorageLocation, wanted: u64, why: &str| {
        let side = open(location, &store);
        assert_eq!(checkpoint(&side), wanted, "{why}");
        assert_eq!(count(&side).await, 50, "{why}");
        side.close().await;
    };
    put_away("e").await;
    begins(location(&at, "e", "b"), 100, "closed in order").await;
    begins(location(&at, "another", "b"), 0, "another epoch").await;

    // Not closed: the mark of an open folder is put back.
    put_away("e").await;
    let mark = fs::read_to_string(at.join("mark.json")).unwrap();
    let open_mark = r#"{"epoch":"e","boot":"b","closed":null}"#;
    fs::write(at.join("mark.json"), open_mark).unwrap();
    begins(location(&at, "e", "b"), 100, "not closed, same boot: a kill").await;
    fs::write(at.join("mark.json"), open_mark).unwrap();
    begins(location(&at, "e", "another boot"), 0, "not closed, another boot: a power cut").await;

    put_away("e").await;
    fs::write(at.join("mark.json"), mark.replace("100", "90")).unwrap();
    begins(location(&at, "e", "b"), 0, "not where it was put away").await;

    put_away("e").await;
    fs::remove_dir_all(&at).unwrap();
    begins(location(&at, "e", "b"), 0, "deleted").await;

    put_away("e").await;
    let mut bytes = fs::read(at.join("db")).unwrap();
    let length = bytes.len();
    bytes[..length / 2].fill(0x5a);
    fs::write(at.join("db"), bytes).unwrap();
    begins(location(&at, "e", "b"), 0, "damaged").await;

    // sled opens files that it cannot read in places.
    for part in 0..24 {
        put_away("e").await;
        fs::write(at.join("mark.json"), open_mark).unwrap();
        let mut bytes = fs::read(at.join("db")).unwrap();
        let from = bytes.len() / 24 * part;
        bytes[from..from + length / 24].fill(0x5a);
        fs::write(at.join("db"), bytes).unwrap();
        let side = open(location(&at, "e", "b"), &store);
        assert_eq!(count(&side).await, 50, "part {part}");
        side.close().await;
    }

    put_away("e").await;
    let shorter = self::store();
    grow(&shorter, 0..10).await;
    let side = open(location(&at, "e", "b"), &shorter);
    assert_eq!((checkpoint(&side), count(&side).await), (0, 10), "ahead of the log");
    side.close().await;
}

#[tokio::test]
async fn a_rebuild_answers_all_the_time_and_takes_over_where_the_log_ends() {
    let (folder, store) = (tempfile::tempdir().unwrap(), store());
    let side = open(location(&folder.path().join("projections"), "e", "b"), &store);
    grow(&store, 0..200).await;
    assert_eq!(count(&side).await, 200);
    side.rebuild("runs").await.unwrap();
    assert!(matches!(side.rebuild("nothing").await, Err(ReadSideError::Unknown(_))));
    for number in 200..260 {
        grow(&store, number..number + 1).await;
        assert_eq!(count(&side).await as u64, number + 1);
    }
    while side.status().iter().any(|model| model.rebuilding.is_some()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(count(&side).await, 260);
    side.close().await;
    drop(side);
    let side = open(location(&folder.path().join("projections"), "e", "b"), &store);
    assert_eq!((checkpoint(&side), count(&side).await), (520, 260));
    side.close().await;
}

/// None of these events says anything to the model of notices; after a kill all of them were read again for it.
#[tokio::test]
async fn a_model_that_nothing_happens_to_is_put_away_before_there_is_much_to_read_again() {
    let (folder, store) = (tempfile::tempdir().unwrap(), store());
    let side = open(location(&folder.path().join("projections"), "e", "b"), &store);
    grow(&store, 0..11_000).await;
    side.reach(store.last_position()).await.unwrap();
    let put_away = async {
        while checkpoint(&side) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), put_away).await.expect("each model is put away");
    side.close().await;
}

#[tokio::test]
async fn a_fork_is_shown_with_what_it_takes_over_whether_it_comes_alone_or_among_many() {
    let (folder, store) = (tempfile::tempdir().unwrap(), store());
    let side = open(location(&folder.path().join("live"), "e", "b"), &store);
    for number in (0..4_000).step_by(200) {
        grow(&store, number..number + 199).await;
        fork(&store, number, number + 199).await;
        assert_eq!(count(&side).await as u64, number + 200);
    }
    let anew = open(location(&folder.path().join("anew"), "e", "b"), &store);
    for side in [side, anew] {
        for number in (0..4_000).step_by(200) {
            let row = side.runs(None, move |runs| runs.get(run(number + 199), None)).await.unwrap().value;
            let row = row.unwrap();
            assert_eq!(row.title, Some(format!("Run {number}")));
            assert_eq!(row.origin.map(|origin| origin.run), Some(run(number)));
        }
        side.close().await;
    }
}

#[tokio::test]
async fn a_read_with_a_position_waits_for_it_and_says_how_far_behind_it_is() {
    let store = store();
    let side = open(StorageLocation::memory(), &store);
    grow(&store, 0..3).await;
    let answer = side.runs(Some(Position(6)), |runs| Ok(runs.len())).await.unwrap();
    assert_eq!((answer.value, answer.position), (3, Position(6)));
    let behind =
        tokio::time::timeout(Duration::from_secs(30), side.runs(Some(Position(9)), |_| Ok(()))).await;
    let Err(ReadSideError::Behind { position, wanted, lag }) = behind.unwrap() else {
        panic!("it is not there")
    };
    assert_eq!((position, wanted, lag), (Position(6), Position(9), 3));
    side.close().await;
    assert!(side.runs(Some(Position(6)), |_| Ok(())).await.is_ok(), "what is folded can be read to the end");
}

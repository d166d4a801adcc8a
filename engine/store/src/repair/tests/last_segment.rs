//! What is said of a last segment that only the store's description tells of.

use tempfile::TempDir;

use super::{events, with_backup};
use crate::files::SystemFiles;
use crate::manifest::{self, IndexState};
use crate::options::SledOptions;
use crate::repair::{RestoreFrom, apply, plan};
use crate::sled_store::SledStore;
use crate::verify::{NoMeaning, verify_folder};
use everfold_base::id::Position;

/// A folder without its last segment was opened, and went on as another history.
#[test]
fn a_segment_that_the_stores_mark_names_and_that_is_missing_is_a_loss_whose_end_is_not_known() {
    let kept = TempDir::new().unwrap();
    let ((folder, backup), options) = (with_backup(kept.path()), SledOptions::default());
    let mut mark = manifest::read_known(&folder).unwrap().unwrap().unwrap();
    mark.journal.segment = 2;
    mark.index = IndexState::Open { boot: "boot".into() };
    manifest::write(&SystemFiles, &folder, &mark).unwrap();
    let refused = SledStore::open(&folder, options.clone()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("0000000002.segment"), "{refused}");
    let report = verify_folder(&folder, &options, &mut NoMeaning).unwrap();
    let missing = folder.join("journal/0000000002.segment");
    assert!(report.faults.iter().any(|fault| fault.to_string().contains(&*missing.to_string_lossy())));
    for from in [RestoreFrom::Nothing, RestoreFrom::Copy(backup)] {
        let plan = plan(&folder, &options, &from).unwrap();
        assert_eq!((&plan.steps[..], &plan.lost[..]), (&[][..], &[(Position(17), Position(17))][..]));
    }
    apply(&folder, &options, &RestoreFrom::Nothing.up_to(Position(16))).unwrap();
    assert_eq!(events(&folder, 1, 100).unwrap().len(), 8);
}

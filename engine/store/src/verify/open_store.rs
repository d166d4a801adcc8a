//! Verification of an open store, beside its work.
//!
//! Law: sees the store up to the last position at the start of the call; hinders no append. An index that is built again
//! meanwhile is not compared any more, and the report says so.

use std::sync::Arc;

use super::index_source::IndexSource;
use super::meaning::Meaning;
use super::report::VerifyReport;
use super::walk::Verification;
use crate::blob::BlobStore;
use crate::error::ReadError;
use crate::index_writer;
use crate::index_writer::Needs;
use crate::journal::tail::ExpectedJournal;
use crate::options::SledOptions;
use crate::paths::journal_folder;
use crate::progress::Progress;
use crate::sled_store::SledStore;
use crate::store_core::StoreCore;

impl SledStore {
    /// Verifies the store beside its work, up to the last position at the start of the call; calls
    /// `progress` now and then. Blocks.
    ///
    /// # Errors
    /// Where nothing can be said: the store is closed, or its files are not readable.
    pub fn verify(
        &self,
        meaning: &mut dyn Meaning,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<VerifyReport, ReadError> {
        let core: &StoreCore = self.core();
        let options = SledOptions { progress, ..core.options.clone() };
        let last = core.published.borrow().position;
        let found = Arc::downgrade(&index_writer::index_with(core, &Needs::All)?);
        let index = IndexSource::Open { core, found };
        let store = Some(core.manifest().store_id());
        let expected = ExpectedJournal { store, ..ExpectedJournal::default() };
        let report = VerifyReport::default();
        let mut verification = Verification::new(report, meaning, index, &options, last);
        let end = verification.journal(&journal_folder(&core.folder), expected)?;
        verification.end_at(&end, &[(last, "they were acknowledged")], false);
        verification.index_to(Some(last));
        verification.blobs(&BlobStore::with_files(&core.folder, core.files.clone()));
        Ok(verification.report)
    }
}

/// Verification of an open store on a thread for that, which calls `progress` with how far it has come.
///
/// # Errors
/// As for [`SledStore::verify`].
pub async fn verify_open(
    store: Arc<SledStore>,
    mut meaning: Box<dyn Meaning>,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<VerifyReport, ReadError> {
    tokio::task::spawn_blocking(move || store.verify(meaning.as_mut(), progress))
        .await
        .map_err(|_| ReadError::Closed)?
}

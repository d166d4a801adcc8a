//! What the executors and probers of processes share.

use std::sync::Arc;

use super::shim_program::ShimProgram;
use crate::credential::SealedCredentials;
use crate::secret::SecretResolver;
use crate::settings::WorkflowSettings;
use everfold_base::blobs::Blobs;

/// What all executors of processes share.
#[derive(Clone)]
pub struct Processes {
    /// Supervises.
    pub shim: ShimProgram,
    /// Keeps declared files and prompts.
    pub blobs: Arc<dyn Blobs>,
    /// Limits, identity, profiles.
    pub settings: Arc<WorkflowSettings>,
    /// Looks secrets up.
    pub(crate) secrets: SecretResolver,
}

impl Processes {
    /// What executors share that is of one owner of a data folder.
    #[must_use]
    pub fn new(shim: ShimProgram, blobs: Arc<dyn Blobs>, settings: Arc<WorkflowSettings>) -> Self {
        let secrets = SecretResolver::new(&settings.redact);
        Self { shim, blobs, settings, secrets }
    }

    /// The same, with credentials of requests.
    #[must_use]
    pub fn with_credentials(self, credentials: Arc<SealedCredentials>) -> Self {
        Self { secrets: self.secrets.with_credentials(credentials), ..self }
    }
}

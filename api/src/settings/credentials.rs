//! How credentials of requests are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use everfold_engine::duration;
use everfold_workflows::credential::default_key_file;
use serde::Deserialize;

/// Shorter than a minute nothing is removed in time.
const KEEP_MIN: Duration = Duration::from_secs(60);
/// What is to be there longer is no credential of one run.
const KEEP_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How credentials of requests are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialSettings {
    /// The file with the key that seals them, outside of the data folder; `None`: a place of the engine's user.
    pub key: Option<PathBuf>,
    /// How long they stay at most where their run has not ended.
    pub keep: String,
}

impl Default for CredentialSettings {
    fn default() -> Self {
        Self { key: None, keep: "24h".to_owned() }
    }
}

impl CredentialSettings {
    /// Checks what types do not say; a relative file lies in the folder of the settings.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&mut self, folder: &Path) -> Result<(), String> {
        if let Some(key) = &mut self.key {
            *key = folder.join(&*key);
        }
        match duration::parse(&self.keep) {
            Ok(keep) if (KEEP_MIN..=KEEP_MAX).contains(&keep) => Ok(()),
            Ok(_) => Err(format!("keep: {} is not between 1m and 30d", self.keep)),
            Err(error) => Err(format!("keep: {error}")),
        }
    }

    /// How long they stay at most.
    #[must_use]
    pub fn kept(&self) -> Duration {
        // Settings that were read have been checked.
        duration::parse(&self.keep).unwrap_or(KEEP_MIN)
    }

    /// The file with the key; `None`: no place for it is known.
    #[must_use]
    pub fn key_file(&self) -> Option<PathBuf> {
        self.key.clone().or_else(default_key_file)
    }
}

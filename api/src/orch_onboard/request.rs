//! What is to be onboarded.

use std::path::PathBuf;

use super::environment::Environment;

/// What is to be onboarded, and where.
#[derive(Debug, Clone)]
pub(crate) struct OnboardRequest {
    /// The project's id in Plane.
    pub(crate) project: String,
    pub(crate) repo: String,
    pub(crate) prefix: String,
    pub(crate) plane_url: String,
    pub(crate) workspace: String,
    pub(crate) gitea_url: String,
    pub(crate) owner: String,
    /// Where Telegram's bots are asked.
    pub(crate) telegram_url: String,
    /// The folder of the clones.
    pub(crate) repos: PathBuf,
    /// The settings document of the pipeline.
    pub(crate) projects: PathBuf,
    /// The settings file.
    pub(crate) settings: PathBuf,
    /// Labels that the project is to have in Plane.
    pub(crate) labels: Vec<String>,
    /// Where Plane and Gitea reach this Everfold.
    pub(crate) address: String,
    /// Tokens and secrets.
    pub(crate) environment: Environment,
    /// Nothing is made.
    pub(crate) only_check: bool,
}

impl OnboardRequest {
    /// Where the deliveries of a source go.
    pub(super) fn hook_url(&self, source: &str) -> String {
        format!("{}/api/v1/hooks/{source}", self.address.trim_end_matches('/'))
    }
}

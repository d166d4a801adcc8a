//! The settings that executors, probers and functions read.
//!
//! Law: each area declares its own section; this file only puts the sections together. The program that owns the
//! data folder reads them from `everfold.toml` and hands them in.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::agent::profile;
use crate::agent::settings::AgentProfile;
use crate::notify::settings::MailSettings;
use crate::provider::settings::ProviderSettings;
use crate::redact::RedactSettings;
use crate::remote::settings::WorkerSettings;

/// What the parts of this crate are set up with.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowSettings {
    /// Commits that Everfold makes.
    pub git: GitSettings,
    /// Logs of attempts.
    pub logs: LogSettings,
    /// Profiles of agents by name; they replace a built-in one of the same name.
    pub agents: BTreeMap<String, AgentProfile>,
    /// Services that host repositories, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Functions that workers do.
    pub workers: WorkerSettings,
    /// The server that mails go through.
    pub mail: Option<MailSettings>,
    /// What is masked by its form in all that is written.
    pub redact: RedactSettings,
    /// How people reach the server of the data folder, for links; `None`: notices carry no link.
    pub url: Option<String>,
}

/// Commits that Everfold makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GitSettings {
    /// `NAME <EMAIL>`: author and committer where the pipeline names none.
    pub author: String,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self { author: "Everfold <everfold@localhost>".to_owned() }
    }
}

/// Logs of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// The limit of one log; the rest is not kept, and the log says so.
    pub max_bytes: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 * 1024 }
    }
}

impl WorkflowSettings {
    /// The profile of this name: the file's, else the built-in one.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<AgentProfile> {
        self.agents.get(name).cloned().or_else(|| profile::built_in(name))
    }

    /// The names of all profiles.
    #[must_use]
    pub fn profile_names(&self) -> Vec<String> {
        let built_in = profile::BUILT_IN.iter().map(|name| (*name).to_owned());
        let mut names: Vec<String> = built_in.chain(self.agents.keys().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

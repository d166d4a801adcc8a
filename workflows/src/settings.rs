//! The settings that executors, probers and functions read.
//!
//! Law: each area declares its own section; this file only puts the sections together. The program that owns the
//! data folder reads them from `everfold.toml` and hands them in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_base::duration;
use serde::Deserialize;

use crate::agent::PreflightSettings;
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
    /// What is looked at before an agent begins, by profile.
    pub preflight: BTreeMap<String, PreflightSettings>,
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
    /// Variables of the engine's environment that the settings name as the place of a token or a password: steps and
    /// gates do not inherit them.
    #[serde(skip)]
    pub withheld: BTreeSet<String>,
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
    /// How long the folder of an attempt, with its log, stays after the end of its run.
    pub keep: String,
    /// How many folders of attempts of ended runs stay.
    pub keep_max: usize,
    /// How long after the end of an attempt, once its run has ended, its folder goes into the archive of the run.
    pub archive_after: String,
}

/// How long and how many folders of attempts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// The oldest that stay.
    pub keep: Duration,
    /// The most that stay.
    pub keep_max: usize,
    /// How old they are when they go into the archive of their run.
    pub archive_after: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024 * 1024,
            keep: "90d".to_owned(),
            keep_max: 20_000,
            archive_after: "1h".to_owned(),
        }
    }
}

impl LogSettings {
    /// Checks what types do not say.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let least = Duration::from_secs(3_600);
        let after =
            duration::parse(&self.archive_after).map_err(|error| format!("archive_after: {error}"))?;
        if after < Duration::from_secs(60) {
            return Err(format!("archive_after: {} is less than a minute", self.archive_after));
        }
        match duration::parse(&self.keep) {
            Ok(keep) if keep >= least => Ok(()),
            Ok(_) => Err(format!("keep: {} is less than an hour", self.keep)),
            Err(error) => Err(format!("keep: {error}")),
        }
    }

    /// How long and how many folders of attempts stay.
    #[must_use]
    pub fn limits(&self) -> AttemptLimits {
        // Settings that were read have been checked.
        let parsed = |text| duration::parse(text).unwrap_or(Duration::MAX);
        let (keep, archive_after) = (parsed(&self.keep), parsed(&self.archive_after));
        AttemptLimits { keep, keep_max: self.keep_max, archive_after }
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

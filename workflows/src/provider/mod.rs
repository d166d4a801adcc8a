//! Services that host repositories: their checks and pull requests, behind one trait.
//!
//! Law: a provider says what there is and does what it is asked; it judges nothing. What it says of a
//! check or of a pull request is read into the words here, and the service's own word is kept beside.
//!
//! Used by the probers `ci` and `mergeable`, and by the functions `git.*`.

mod api;
mod error;
mod gitea;
mod github;
mod gitlab;
mod remote;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_engine::definition::similar;
use everfold_engine::execution::Workdir;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::git::Git;
use crate::http::HttpClient;
use crate::settings::Settings;
pub use error::ProviderError;
pub(crate) use remote::Remote;
pub use settings::{ProviderKind, ProviderSettings, TokenError, TokenSource};

/// What one check says of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it says.
    pub state: CheckState,
    /// The service's own word.
    pub status: String,
    /// Where to read more.
    pub url: Option<String>,
    /// What it says in short.
    pub description: Option<String>,
}

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It found something wrong, or broke.
    Fail,
    /// It has not ended.
    Pending,
    /// It found nothing wrong, or does not apply.
    Pass,
}

/// A pull request, or a merge request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// Its number in the repository.
    pub number: u64,
    /// Where people look at it.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Whether it is open.
    pub state: PullState,
    /// The branch that is to be merged.
    pub head: String,
    /// The branch that it is to be merged into.
    pub base: String,
    /// The newest commit of `head` that the service knows.
    pub sha: String,
    /// Whether it can be merged without conflicts; `None`: the service is finding out, or does not say.
    pub mergeable: Option<bool>,
    /// The service's own word on that.
    pub mergeable_state: Option<String>,
    /// The commit that the merge made.
    pub merge_sha: Option<String>,
    /// It says itself that it is not ready.
    pub draft: bool,
    /// A check that belongs to the request and not to its commit.
    #[serde(skip)]
    pub check: Option<Check>,
}

/// Whether a pull request is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// It can still be merged.
    Open,
    /// It was closed without a merge.
    Closed,
    /// It was merged.
    Merged,
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// The branch that is to be merged.
    pub head: String,
    /// The branch that it is to be merged into.
    pub base: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// It is not ready to be merged.
    pub draft: bool,
}

/// How a pull request is to be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeOrder {
    /// In which way.
    pub method: MergeMethod,
    /// Only if this is still its newest commit.
    pub sha: Option<String>,
    /// The first line of the merge commit's message.
    pub title: Option<String>,
    /// The rest of it.
    pub message: Option<String>,
    /// The branch goes afterwards.
    pub delete_branch: bool,
}

/// Ways to merge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeMethod {
    /// A commit with two parents.
    #[default]
    Merge,
    /// One new commit.
    Squash,
    /// The commits again, on top.
    Rebase,
}

/// What a provider's answer comes as.
pub type Asked<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// A service that hosts repositories. A repository is named by its path there: `OWNER/NAME`.
pub trait Provider: Send + Sync + 'static {
    /// The checks of a commit, the newest of each name.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]: it knows no such commit.
    fn checks<'a>(&'a self, repository: &'a str, commit: &'a str) -> Asked<'a, Vec<Check>>;

    /// A pull request.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]: there is none of that number.
    fn pull<'a>(&'a self, repository: &'a str, number: u64) -> Asked<'a, Pull>;

    /// The pull requests of a branch, whatever their state, the newest first.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn pulls_of<'a>(&'a self, repository: &'a str, head: &'a str) -> Asked<'a, Vec<Pull>>;

    /// Opens a pull request.
    ///
    /// # Errors
    /// [`ProviderError::Conflict`]: there is one already, or nothing to merge.
    fn open<'a>(&'a self, repository: &'a str, new: &'a NewPull) -> Asked<'a, Pull>;

    /// Merges a pull request. What came of it, a later [`Provider::pull`] says.
    ///
    /// # Errors
    /// [`ProviderError::Conflict`]: it cannot be merged as it is.
    fn merge<'a>(&'a self, repository: &'a str, number: u64, order: &'a MergeOrder) -> Asked<'a, ()>;

    /// The branch that the repository calls its default.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn default_branch<'a>(&'a self, repository: &'a str) -> Asked<'a, String>;
}

/// The providers of the settings, by name.
#[derive(Clone, Default)]
pub struct Providers {
    by_name: Arc<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    settings: ProviderSettings,
    provider: Arc<dyn Provider>,
}

/// A repository at a provider.
#[derive(Clone)]
pub struct Target {
    /// The provider's name in the settings.
    pub name: String,
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The repository's path there.
    pub repository: String,
}

impl Providers {
    /// The providers that the settings name.
    #[must_use]
    pub fn new(settings: &Settings, client: &HttpClient) -> Self {
        let known = settings.providers.iter().map(|(name, settings)| {
            let client = client.clone();
            let provider: Arc<dyn Provider> = match settings.kind {
                ProviderKind::Gitea => Arc::new(gitea::Gitea::new(client, name, settings)),
                ProviderKind::Github => Arc::new(github::Github::new(client, name, settings)),
                ProviderKind::Gitlab => Arc::new(gitlab::Gitlab::new(client, name, settings)),
            };
            (name.clone(), Known { settings: settings.clone(), provider })
        });
        Self { by_name: Arc::new(known.collect()) }
    }

    /// Finds out which provider and which repository is meant.
    ///
    /// Where a step names no provider: the one that `origin` of the working folder lies at, else the only
    /// one. Where it names no repository: the settings', else what `origin` says.
    ///
    /// # Errors
    /// [`ProviderError::Settings`]: there is no such provider, or nothing says which is meant.
    pub async fn target(
        &self,
        provider: Option<&str>,
        repository: Option<&str>,
        workdir: &Workdir,
    ) -> Result<Target, ProviderError> {
        let remote = match Git::within(workdir) {
            Ok(git) => Remote::of(&git, "origin").await.unwrap_or_default(),
            Err(_) => None,
        };
        let (name, known) = match provider.filter(|name| !name.is_empty()) {
            Some(name) => (name, self.find(name)?),
            None => self.guessed(remote.as_ref())?,
        };
        let settings = &known.settings;
        let given = repository.filter(|repository| !repository.is_empty()).map(str::to_owned);
        let found = given.or_else(|| settings.repository.clone()).or_else(|| {
            let path = remote.as_ref()?.path_at(&settings.web_url())?;
            Some(path.to_owned())
        });
        let repository = match (found, &settings.owner) {
            (Some(path), _) if path.contains('/') => path,
            (Some(name), Some(owner)) => format!("{owner}/{name}"),
            (found, _) => {
                let why = match found {
                    Some(repository) => format!("whose {repository} is meant is not said"),
                    None => {
                        "the working folder has no `origin` that says which repository is meant".to_owned()
                    }
                };
                return Err(ProviderError::Settings {
                    message: format!(
                        "{why}; set `owner` or `repository` of `[providers.{name}]` in everfold.toml"
                    ),
                });
            }
        };
        Ok(Target { name: name.to_owned(), provider: known.provider.clone(), repository })
    }

    /// The provider that a remote lies at, and its token where it has one.
    pub(crate) fn token_for(&self, remote: &Remote) -> Result<Option<(String, String)>, ProviderError> {
        token_at(self.by_name.iter().map(|(name, known)| (name, &known.settings)), remote)
    }

    fn find(&self, name: &str) -> Result<&Known, ProviderError> {
        self.by_name.get(name).ok_or_else(|| {
            let names = self.by_name.keys().map(String::as_str);
            let near = similar(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let message = format!(
                "there is no provider “{name}” in everfold.toml{near}; say `[providers.{name}]` with kind, url and token"
            );
            ProviderError::Settings { message }
        })
    }

    fn guessed(&self, remote: Option<&Remote>) -> Result<(&str, &Known), ProviderError> {
        let at = |known: &Known| remote.is_some_and(|remote| remote.is_at(&known.settings.web_url()));
        let mut there = self.by_name.iter().filter(|(_, known)| at(known));
        if let Some((name, known)) = there.next() {
            return Ok((name, known));
        }
        let mut all = self.by_name.iter();
        match (all.next(), all.next()) {
            (Some((name, known)), None) => Ok((name, known)),
            (None, _) => Err(ProviderError::Settings {
                message: "everfold.toml has no provider; say `[providers.NAME]` with kind, url and token"
                    .to_owned(),
            }),
            (Some(_), Some(_)) => {
                let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
                let message = format!("which provider is meant is not said; there are {}", names.join(", "));
                Err(ProviderError::Settings { message })
            }
        }
    }
}

/// The commit, branch or path as git can take it from another's hand: no option.
pub(crate) fn is_plain(reference: &str) -> bool {
    !reference.is_empty() && !reference.starts_with('-') && !reference.contains(|c: char| c.is_control())
}

/// A number of a pull request: `7`, `"7"`, `"#7"`, `"!7"`, or the end of its address.
pub(crate) fn pull_number(value: &serde_json::Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let text = value.as_str()?.trim().trim_end_matches('/');
    let text = if text.contains("://") { text.rsplit('/').next()? } else { text };
    text.trim_start_matches(['#', '!']).parse().ok()
}

/// The address of the provider of the settings that a remote lies at, and its token where it has one.
pub(crate) fn token_for(
    providers: &BTreeMap<String, ProviderSettings>,
    remote: &Remote,
) -> Result<Option<(String, String)>, ProviderError> {
    token_at(providers.iter(), remote)
}

fn token_at<'a>(
    mut providers: impl Iterator<Item = (&'a String, &'a ProviderSettings)>,
    remote: &Remote,
) -> Result<Option<(String, String)>, ProviderError> {
    let Some((name, settings)) = providers.find(|(_, settings)| remote.is_at(&settings.web_url())) else {
        return Ok(None);
    };
    let Some(source) = &settings.token else { return Ok(None) };
    let token = source.read().map_err(|error| ProviderError::Unauthorised {
        provider: name.clone(),
        message: error.to_string(),
    })?;
    Ok(Some((settings.web_url(), token)))
}

/// The branch that is checked out.
pub(crate) async fn branch_of(git: &Git) -> Option<String> {
    // Not its short name: where a tag has the same one, git puts `heads/` before it.
    let branch = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await.ok()?;
    branch.strip_prefix("refs/heads/").map(str::to_owned)
}

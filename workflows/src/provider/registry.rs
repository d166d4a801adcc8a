//! The providers of the settings, by name, and which of them a repository lies at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use everfold_language::definition::similar;
use everfold_ports::Workdir;

use super::api::Api;
use super::error::ProviderError;
use super::remote::Remote;
use super::service::Provider;
use super::settings::{ProviderKind, ProviderSettings};
use super::{gitea, github, gitlab};
use crate::git::Git;
use crate::http::HttpClient;

/// One request of a prober at Gitea.
const GITEA_LOOK_LIMIT: Duration = Duration::from_secs(10);
/// One request of a function at Gitea.
const GITEA_CALL_LIMIT: Duration = Duration::from_secs(5);

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
pub struct HostedRepository {
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
    pub fn new(settings: &BTreeMap<String, ProviderSettings>, client: &HttpClient) -> Self {
        Self::limited(settings, client, |kind| match kind {
            ProviderKind::Gitea => GITEA_LOOK_LIMIT,
            ProviderKind::Github | ProviderKind::Gitlab => Api::TIME_LIMIT,
        })
    }

    /// The same, for functions: a step waits for each request.
    pub(crate) fn for_functions(settings: &BTreeMap<String, ProviderSettings>, client: &HttpClient) -> Self {
        Self::limited(settings, client, |kind| match kind {
            ProviderKind::Gitea => GITEA_CALL_LIMIT,
            ProviderKind::Github | ProviderKind::Gitlab => Api::TIME_LIMIT,
        })
    }

    /// The same, with a time limit for each request.
    pub(crate) fn within(
        settings: &BTreeMap<String, ProviderSettings>,
        client: &HttpClient,
        time_limit: Duration,
    ) -> Self {
        Self::limited(settings, client, |_any| time_limit)
    }

    fn limited(
        settings: &BTreeMap<String, ProviderSettings>,
        client: &HttpClient,
        limit_of: impl Fn(ProviderKind) -> Duration,
    ) -> Self {
        let known = settings.iter().map(|(name, settings)| {
            let (client, time_limit) = (client.clone(), limit_of(settings.kind));
            let provider: Arc<dyn Provider> = match settings.kind {
                ProviderKind::Gitea => Arc::new(gitea::Gitea::new(client, name, settings).within(time_limit)),
                ProviderKind::Github => {
                    Arc::new(github::Github::new(client, name, settings).within(time_limit))
                }
                ProviderKind::Gitlab => {
                    Arc::new(gitlab::Gitlab::new(client, name, settings).within(time_limit))
                }
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
    ) -> Result<HostedRepository, ProviderError> {
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
        Ok(HostedRepository { name: name.to_owned(), provider: known.provider.clone(), repository })
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
    let token = source.read().map_err(|error| ProviderError::without_token(name, &error))?;
    Ok(Some((settings.web_url(), token)))
}

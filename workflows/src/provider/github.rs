//! GitHub, and GitHub Enterprise Server: REST API version 2022-11-28.
//!
//! Checks are of two kinds there: check runs (Actions and apps) and commit statuses. Both count.

use std::time::Duration;

use everfold_base::json::Value;
use futures::FutureExt as _;
use hyper::Method;
use serde_json::json;

use super::api::{Api, escaped};
use super::check::{Check, CheckState};
use super::error::ProviderError;
use super::pull::{MergeMethod, MergeOrder, NewPull, Pull, PullState};
use super::service::{Provider, ProviderFuture};
use super::settings::ProviderSettings;
use crate::http::HttpClient;

const PUBLIC: &str = "https://github.com";
const HEADERS: &[(&str, &str)] =
    &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];

/// Speaks to GitHub.
pub(super) struct Github {
    api: Api,
}

impl Github {
    pub(super) fn new(client: HttpClient, name: &str, settings: &ProviderSettings) -> Self {
        let web = settings.web_url();
        let base = if web == PUBLIC {
            "https://api.github.com".to_owned()
        } else if web.ends_with("/api/v3") || web.contains("://api.") {
            web
        } else {
            format!("{web}/api/v3")
        };
        Self { api: Api::new(client, name, settings, base, "Bearer", HEADERS) }
    }

    /// The same, with a time limit for each request.
    pub(super) fn within(mut self, time_limit: Duration) -> Self {
        self.api.time_limit = time_limit;
        self
    }

    async fn check_runs(&self, repository: &str, commit: &str) -> Result<Vec<Check>, ProviderError> {
        let path = format!("{}/commits/{}/check-runs?per_page=100", at(repository), escaped(commit));
        let what = missing(repository, commit);
        let runs = self.api.list(&path, &what, |page| page["check_runs"].as_array());
        runs.await?.iter().map(|run| self.check_run(run)).collect()
    }

    fn check_run(&self, run: &Value) -> Result<Check, ProviderError> {
        let status =
            run["status"].as_str().ok_or_else(|| self.api.foreign("a check run has no status".into()))?;
        let (state, word) = match (status, run["conclusion"].as_str()) {
            ("completed", Some(word @ ("success" | "neutral" | "skipped"))) => (CheckState::Pass, word),
            ("completed", word) => (CheckState::Fail, word.unwrap_or("completed")),
            (word, _) => (CheckState::Pending, word),
        };
        Ok(Check {
            name: text(&run["name"]),
            state,
            status: word.to_owned(),
            url: found(&run["html_url"]).or_else(|| found(&run["details_url"])),
            description: found(&run["output"]["title"]),
        })
    }

    async fn statuses(&self, repository: &str, commit: &str) -> Result<Vec<Check>, ProviderError> {
        let path = format!("{}/commits/{}/status?per_page=100", at(repository), escaped(commit));
        let what = missing(repository, commit);
        let all = self.api.of_commit(&path, &what, commit, |page| page["statuses"].as_array());
        let check = |status: &Value| {
            let word = status["state"].as_str().unwrap_or("pending");
            let state = match word {
                "success" => CheckState::Pass,
                "failure" | "error" => CheckState::Fail,
                _pending => CheckState::Pending,
            };
            Check {
                name: text(&status["context"]),
                state,
                status: word.to_owned(),
                url: found(&status["target_url"]),
                description: found(&status["description"]),
            }
        };
        Ok(all.await?.iter().map(check).collect())
    }

    fn read(&self, pull: &Value) -> Result<Pull, ProviderError> {
        let number =
            pull["number"].as_u64().ok_or_else(|| self.api.foreign("a pull request has no number".into()))?;
        // In lists `merged` is left out.
        let is_merged = pull["merged"].as_bool().unwrap_or(!pull["merged_at"].is_null());
        let state = match pull["state"].as_str() {
            _ if is_merged => PullState::Merged,
            Some("open") => PullState::Open,
            _closed => PullState::Closed,
        };
        Ok(Pull {
            number,
            url: text(&pull["html_url"]),
            title: text(&pull["title"]),
            state,
            head: text(&pull["head"]["ref"]),
            base: text(&pull["base"]["ref"]),
            sha: text(&pull["head"]["sha"]),
            mergeable: pull["mergeable"].as_bool(),
            mergeable_state: found(&pull["mergeable_state"]),
            // Of an open one it is a trial merge.
            merge_sha: found(&pull["merge_commit_sha"]).filter(|_| is_merged),
            draft: pull["draft"].as_bool().unwrap_or(false),
            check: None,
        })
    }
}

impl Provider for Github {
    fn checks<'a>(&'a self, repository: &'a str, commit: &'a str) -> ProviderFuture<'a, Vec<Check>> {
        async move {
            let mut checks = match self.check_runs(repository, commit).await {
                // It says 422 of a commit that it does not know.
                Err(ProviderError::Conflict { provider, status: 422, .. }) => {
                    return Err(ProviderError::NotFound { provider, what: missing(repository, commit) });
                }
                other => other?,
            };
            checks.extend(self.statuses(repository, commit).await?);
            Ok(checks)
        }
        .boxed()
    }

    fn pull<'a>(&'a self, repository: &'a str, number: u64) -> ProviderFuture<'a, Pull> {
        async move {
            let what = format!("pull request {number} in {repository}");
            self.read(&self.api.get(&format!("{}/pulls/{number}", at(repository)), &what).await?)
        }
        .boxed()
    }

    fn pulls_of<'a>(&'a self, repository: &'a str, head: &'a str) -> ProviderFuture<'a, Vec<Pull>> {
        async move {
            let owner = repository.split('/').next().unwrap_or_default();
            let path = format!(
                "{}/pulls?state=all&sort=created&direction=desc&per_page=100&head={}:{}",
                at(repository),
                escaped(owner),
                escaped(head)
            );
            let all = self.api.list(&path, repository, Value::as_array).await?;
            let pulls: Result<Vec<Pull>, _> = all.iter().map(|pull| self.read(pull)).collect();
            Ok(pulls?.into_iter().filter(|pull| pull.head == head).collect())
        }
        .boxed()
    }

    fn open<'a>(&'a self, repository: &'a str, new: &'a NewPull) -> ProviderFuture<'a, Pull> {
        async move {
            let body = json!({"title": new.title, "head": new.head, "base": new.base, "body": new.body, "draft": new.draft});
            let path = format!("{}/pulls", at(repository));
            self.read(&self.api.send_json(Method::POST, &path, &body, repository).await?)
        }
        .boxed()
    }

    fn merge<'a>(
        &'a self,
        repository: &'a str,
        number: u64,
        order: &'a MergeOrder,
    ) -> ProviderFuture<'a, ()> {
        async move {
            let method = match order.method {
                MergeMethod::Merge => "merge",
                MergeMethod::Squash => "squash",
                MergeMethod::Rebase => "rebase",
            };
            let mut body = json!({"merge_method": method});
            for (key, value) in
                [("sha", &order.sha), ("commit_title", &order.title), ("commit_message", &order.message)]
            {
                if let Some(value) = value {
                    body[key] = value.as_str().into();
                }
            }
            let head = match order.delete_branch {
                true => Some(self.pull(repository, number).await?.head),
                false => None,
            };
            let what = format!("pull request {number} in {repository}");
            let path = format!("{}/pulls/{number}/merge", at(repository));
            self.api.send_json(Method::PUT, &path, &body, &what).await?;
            if let Some(head) = head {
                let path = format!(
                    "{}/git/refs/heads/{}",
                    at(repository),
                    head.split('/').map(escaped).collect::<Vec<_>>().join("/")
                );
                match self.api.send_json(Method::DELETE, &path, &Value::Null, &head).await {
                    // It is gone already: the repository may be set to do so by itself.
                    Ok(_)
                    | Err(ProviderError::NotFound { .. } | ProviderError::Conflict { status: 422, .. }) => {}
                    Err(error) => tracing::warn!(%error, "a merged branch stays"),
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn default_branch<'a>(&'a self, repository: &'a str) -> ProviderFuture<'a, String> {
        async move {
            let found = self.api.get(&at(repository), &format!("repository {repository}")).await?;
            let branch = found["default_branch"].as_str().map(str::to_owned);
            branch.ok_or_else(|| self.api.foreign("a repository has no default branch".into()))
        }
        .boxed()
    }
}

/// The repository's place in the API.
fn at(repository: &str) -> String {
    format!("/repos/{}", repository.split('/').map(escaped).collect::<Vec<_>>().join("/"))
}

fn missing(repository: &str, commit: &str) -> String {
    format!("commit {commit} in {repository}")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn found(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

//! Gitea and Forgejo: API version 1.
//!
//! While such a service still finds out whether a request can be merged, it says that it cannot. So a
//! “no” about a request that changed less than a minute ago, by the service's own clock, is not yet an
//! answer.

use std::time::Duration;

use everfold_base::json::Value;
use futures::FutureExt as _;
use hyper::Method;
use serde_json::json;

use super::api::{Api, escaped};
use super::check::{Check, CheckState};
use super::error::ProviderError;
use super::pull::{MergeMethod, MergeOrder, NewPull, Pull, PullState};
use super::review::{Review, ReviewState};
use super::service::{Provider, ProviderFuture};
use super::settings::ProviderSettings;
use crate::http::HttpClient;

/// How long the service may take to find out whether a request can be merged.
const CHECKING_MS: i64 = 60_000;
/// Pages of 50 requests that are open. In a repository with more of them the search stops.
const OPEN_PAGES_MAX: u32 = 200;
/// How far back a request that is closed is looked for.
const CLOSED_PAGES_MAX: u32 = 2;

/// Speaks to Gitea.
pub(super) struct Gitea {
    api: Api,
}

impl Gitea {
    pub(super) fn new(client: HttpClient, name: &str, settings: &ProviderSettings) -> Self {
        let base = format!("{}/api/v1", settings.web_url());
        Self { api: Api::new(client, name, settings, base, "token", &[]) }
    }

    /// The same, with a time limit for each request.
    pub(super) fn within(mut self, time_limit: Duration) -> Self {
        self.api.time_limit = time_limit;
        self
    }

    fn read(&self, pull: &Value, now_ms: Option<i64>) -> Result<Pull, ProviderError> {
        let number =
            pull["number"].as_u64().ok_or_else(|| self.api.foreign("a pull request has no number".into()))?;
        let is_merged = pull["merged"].as_bool().unwrap_or(false);
        let state = match pull["state"].as_str() {
            _ if is_merged => PullState::Merged,
            Some("open") => PullState::Open,
            _closed => PullState::Closed,
        };
        let changed_ms = pull["updated_at"].as_str().and_then(millis);
        let is_young = matches!((now_ms, changed_ms), (Some(now), Some(then)) if now - then < CHECKING_MS);
        let said = pull["mergeable"].as_bool();
        let title = text(&pull["title"]);
        let is_draft = pull["draft"].as_bool().unwrap_or_else(|| title.starts_with("WIP:"));
        Ok(Pull {
            number,
            url: text(&pull["html_url"]),
            state,
            head: text(&pull["head"]["ref"]),
            base: text(&pull["base"]["ref"]),
            sha: text(&pull["head"]["sha"]),
            mergeable: said.filter(|mergeable| *mergeable || !is_young),
            mergeable_state: match said {
                Some(false) if is_young => Some("checking".to_owned()),
                Some(false) if is_draft => Some("draft".to_owned()),
                _said => None,
            },
            merge_sha: found(&pull["merge_commit_sha"]).filter(|_| is_merged),
            draft: is_draft,
            title,
            check: None,
        })
    }
}

impl Provider for Gitea {
    fn checks<'a>(&'a self, repository: &'a str, commit: &'a str) -> ProviderFuture<'a, Vec<Check>> {
        async move {
            let path = format!("{}/commits/{}/status?limit=50", at(repository), escaped(commit));
            let what = format!("commit {commit} in {repository}");
            // Without any status the list is null.
            static NONE: Vec<Value> = Vec::new();
            let all = self.api.of_commit(&path, &what, commit, |page| match &page["statuses"] {
                Value::Null if page.is_object() => Some(&NONE),
                statuses => statuses.as_array(),
            });
            Ok(all.await?.iter().map(check).collect())
        }
        .boxed()
    }

    fn pull<'a>(&'a self, repository: &'a str, number: u64) -> ProviderFuture<'a, Pull> {
        async move {
            let what = format!("pull request {number} in {repository}");
            let (pull, now) = self.api.get_at(&format!("{}/pulls/{number}", at(repository)), &what).await?;
            self.read(&pull, now)
        }
        .boxed()
    }

    fn pulls_of<'a>(&'a self, repository: &'a str, head: &'a str) -> ProviderFuture<'a, Vec<Pull>> {
        async move {
            // There is no filter by branch. Of those that are closed the newest are enough.
            let path =
                |state: &str| format!("{}/pulls?state={state}&sort=recentupdate&limit=50", at(repository));
            let what = format!("pull requests of {repository}");
            let of_branch = |pull: &Value| {
                let is_own = pull["head"]["repo_id"] == pull["base"]["repo_id"];
                pull["head"]["ref"].as_str() == Some(head) && is_own
            };
            let pages = async |state: &str, pages_max| {
                self.api.pages(&path(state), &what, Value::as_array, of_branch, pages_max).await
            };
            let (mut all, are_all) = pages("open", OPEN_PAGES_MAX).await?;
            if !are_all {
                return Err(self.api.foreign(format!("{what} go on after {OPEN_PAGES_MAX} pages")));
            }
            all.extend(pages("closed", CLOSED_PAGES_MAX).await?.0);
            let mut pulls: Vec<Pull> =
                all.iter().map(|pull| self.read(pull, None)).collect::<Result<_, _>>()?;
            pulls.sort_by_key(|pull| std::cmp::Reverse(pull.number));
            Ok(pulls)
        }
        .boxed()
    }

    fn merged_at<'a>(&'a self, repository: &'a str, pull: &'a Pull) -> ProviderFuture<'a, String> {
        async move {
            // Of a merged request the service gives the branch's newest commit as head, and lists those that it merged,
            // the newest first.
            let path = format!("{}/pulls/{}/commits?limit=1", at(repository), pull.number);
            let what = format!("commits of pull request {} in {repository}", pull.number);
            match self.api.get(&path, &what).await {
                Ok(commits) => Ok(text(&commits[0]["sha"])),
                Err(ProviderError::NotFound { .. }) => Ok(pull.sha.clone()),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn open<'a>(&'a self, repository: &'a str, new: &'a NewPull) -> ProviderFuture<'a, Pull> {
        async move {
            let title = if new.draft { format!("WIP: {}", new.title) } else { new.title.clone() };
            let body = json!({"title": title, "head": new.head, "base": new.base, "body": new.body});
            let path = format!("{}/pulls", at(repository));
            let what = format!("{repository} with branches {} and {}", new.head, new.base);
            self.read(&self.api.send_json(Method::POST, &path, &body, &what).await?, None)
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
            let mut body = json!({"Do": method, "delete_branch_after_merge": order.delete_branch});
            for (key, value) in [
                ("head_commit_id", &order.sha),
                ("MergeTitleField", &order.title),
                ("MergeMessageField", &order.message),
            ] {
                if let Some(value) = value {
                    body[key] = value.as_str().into();
                }
            }
            let what = format!("pull request {number} in {repository}");
            let path = format!("{}/pulls/{number}/merge", at(repository));
            self.api.send_json(Method::POST, &path, &body, &what).await.map(|_| ())
        }
        .boxed()
    }

    fn reviews<'a>(&'a self, repository: &'a str, number: u64) -> ProviderFuture<'a, Vec<Review>> {
        async move {
            let path = format!("{}/pulls/{number}/reviews?limit=50", at(repository));
            let what = format!("reviews of pull request {number} in {repository}");
            let all = self.api.list(&path, &what, Value::as_array).await?;
            let mut reviews: Vec<(u64, Review)> = all.iter().filter_map(review).collect();
            // Numbers grow; two pages may be of two moments.
            reviews.sort_by_key(|(id, _)| *id);
            reviews.dedup_by_key(|(id, _)| *id);
            Ok(reviews.into_iter().map(|(_, review)| review).collect())
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

/// A review of a person, with its number; what a team is asked for is none.
fn review(review: &Value) -> Option<(u64, Review)> {
    let state = match review["state"].as_str()? {
        "APPROVED" => ReviewState::Approved,
        "REQUEST_CHANGES" => ReviewState::ChangesRequested,
        _comment_draft_or_request => ReviewState::Comment,
    };
    let is = |key: &str| review[key].as_bool().unwrap_or(false);
    let read = Review {
        by: found(&review["user"]["login"])?,
        state,
        sha: found(&review["commit_id"]),
        stale: is("stale"),
        dismissed: is("dismissed"),
        at: found(&review["submitted_at"]),
        url: found(&review["html_url"]),
    };
    Some((review["id"].as_u64()?, read))
}

fn check(status: &Value) -> Check {
    // Gitea says `status` where GitHub says `state`.
    let word = status["status"].as_str().or(status["state"].as_str()).unwrap_or("pending");
    let state = match word {
        "success" | "skipped" => CheckState::Pass,
        // The service itself does not merge over a warning.
        "failure" | "error" | "warning" => CheckState::Fail,
        _pending => CheckState::Pending,
    };
    Check {
        name: text(&status["context"]),
        state,
        status: word.to_owned(),
        url: found(&status["target_url"]),
        description: found(&status["description"]),
    }
}

fn at(repository: &str) -> String {
    format!("/repos/{}", repository.split('/').map(escaped).collect::<Vec<_>>().join("/"))
}

/// Milliseconds since 1970 of an RFC 3339 time.
fn millis(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn found(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

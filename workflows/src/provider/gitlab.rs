//! GitLab: API version 4.
//!
//! A pipeline counts, and so does each of its jobs: a pipeline that could not begin has no job that
//! would say so. Jobs that may fail do not fail here.

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

/// Speaks to GitLab.
pub(super) struct Gitlab {
    api: Api,
}

impl Gitlab {
    pub(super) fn new(client: HttpClient, name: &str, settings: &ProviderSettings) -> Self {
        let base = format!("{}/api/v4", settings.web_url());
        Self { api: Api::new(client, name, settings, base, "Bearer", &[]) }
    }

    /// The same, with a time limit for each request.
    pub(super) fn within(mut self, time_limit: Duration) -> Self {
        self.api.time_limit = time_limit;
        self
    }

    /// The newest pipeline of each branch and source.
    async fn pipelines(&self, repository: &str, commit: &str) -> Result<Vec<Check>, ProviderError> {
        let path = format!(
            "{}/pipelines?sha={}&order_by=id&sort=desc&per_page=100",
            at(repository),
            escaped(commit)
        );
        let all = self.api.list(&path, &format!("pipelines of {repository}"), Value::as_array).await?;
        let mut seen = Vec::new();
        let mut checks = Vec::new();
        for pipeline in &all {
            let key = (pipeline["ref"].clone(), pipeline["source"].clone());
            if !seen.contains(&key) {
                seen.push(key);
                checks.push(of_pipeline(pipeline));
            }
        }
        Ok(checks)
    }

    fn read(&self, pull: &Value) -> Result<Pull, ProviderError> {
        let number =
            pull["iid"].as_u64().ok_or_else(|| self.api.foreign("a merge request has no iid".into()))?;
        let state = match pull["state"].as_str() {
            Some("merged") => PullState::Merged,
            // `locked` is short: a merge is being made.
            Some("opened" | "locked") => PullState::Open,
            _closed => PullState::Closed,
        };
        let word = pull["detailed_merge_status"].as_str().or(pull["merge_status"].as_str());
        Ok(Pull {
            number,
            url: text(&pull["web_url"]),
            title: text(&pull["title"]),
            state,
            head: text(&pull["source_branch"]),
            base: text(&pull["target_branch"]),
            sha: text(&pull["sha"]),
            mergeable: mergeable(word.unwrap_or("unchecked"), pull["has_conflicts"].as_bool()),
            mergeable_state: word.map(str::to_owned),
            merge_sha: found(&pull["merge_commit_sha"])
                .or_else(|| found(&pull["squash_commit_sha"]))
                .or_else(|| found(&pull["sha"]))
                .filter(|_| state == PullState::Merged),
            draft: pull["draft"].as_bool().or(pull["work_in_progress"].as_bool()).unwrap_or(false),
            check: Some(&pull["head_pipeline"]).filter(|pipeline| pipeline.is_object()).map(of_pipeline),
        })
    }
}

/// Whether there are conflicts, by GitLab's word; words about approvals, pipelines and discussions say
/// nothing on that.
fn mergeable(word: &str, has_conflicts: Option<bool>) -> Option<bool> {
    match word {
        "unchecked"
        | "checking"
        | "preparing"
        | "cannot_be_merged_recheck"
        | "cannot_be_merged_rechecking" => None,
        "conflict" | "broken_status" | "need_rebase" | "cannot_be_merged" => Some(false),
        _no_conflict => Some(has_conflicts != Some(true)),
    }
}

fn state(word: &str, may_fail: bool) -> CheckState {
    match word {
        "success" | "skipped" => CheckState::Pass,
        "failed" | "canceled" | "canceling" if may_fail => CheckState::Pass,
        "failed" | "canceled" | "canceling" => CheckState::Fail,
        // A manual job that may fail need not be started.
        "manual" if may_fail => CheckState::Pass,
        _going_on => CheckState::Pending,
    }
}

fn of_pipeline(pipeline: &Value) -> Check {
    let word = pipeline["status"].as_str().unwrap_or("created");
    let number = pipeline["id"].as_u64().unwrap_or_default();
    let source = pipeline["source"].as_str().map(|source| format!(" ({source})")).unwrap_or_default();
    Check {
        name: format!("pipeline {number}{source}"),
        state: state(word, false),
        status: word.to_owned(),
        url: found(&pipeline["web_url"]),
        description: None,
    }
}

impl Provider for Gitlab {
    fn checks<'a>(&'a self, repository: &'a str, commit: &'a str) -> ProviderFuture<'a, Vec<Check>> {
        async move {
            let path =
                format!("{}/repository/commits/{}/statuses?per_page=100", at(repository), escaped(commit));
            let what = format!("commit {commit} in {repository}");
            let jobs = self.api.of_commit(&path, &what, commit, Value::as_array).await?;
            let mut checks = self.pipelines(repository, commit).await?;
            checks.extend(jobs.iter().map(|job| {
                let word = job["status"].as_str().unwrap_or("created");
                Check {
                    name: text(&job["name"]),
                    state: state(word, job["allow_failure"].as_bool().unwrap_or(false)),
                    status: word.to_owned(),
                    url: found(&job["target_url"]),
                    description: found(&job["description"]),
                }
            }));
            Ok(checks)
        }
        .boxed()
    }

    fn pull<'a>(&'a self, repository: &'a str, number: u64) -> ProviderFuture<'a, Pull> {
        async move {
            let what = format!("merge request {number} in {repository}");
            self.read(&self.api.get(&format!("{}/merge_requests/{number}", at(repository)), &what).await?)
        }
        .boxed()
    }

    fn pulls_of<'a>(&'a self, repository: &'a str, head: &'a str) -> ProviderFuture<'a, Vec<Pull>> {
        async move {
            let path = format!(
                "{}/merge_requests?state=all&order_by=created_at&sort=desc&per_page=100&source_branch={}",
                at(repository),
                escaped(head)
            );
            let what = format!("merge requests of {repository}");
            let all = self.api.list(&path, &what, Value::as_array).await?;
            let own = all.iter().filter(|pull| pull["source_project_id"] == pull["target_project_id"]);
            own.map(|pull| self.read(pull)).collect()
        }
        .boxed()
    }

    fn open<'a>(&'a self, repository: &'a str, new: &'a NewPull) -> ProviderFuture<'a, Pull> {
        async move {
            let title = if new.draft { format!("Draft: {}", new.title) } else { new.title.clone() };
            let body = json!({"title": title, "source_branch": new.head, "target_branch": new.base, "description": new.body});
            let path = format!("{}/merge_requests", at(repository));
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
            if order.method == MergeMethod::Rebase {
                return Err(ProviderError::Settings {
                    message: "gitlab joins commits as the project's own setting says; the method is merge or squash"
                        .to_owned(),
                });
            }
            let what = format!("merge request {number} in {repository}");
            let place = format!("{}/merge_requests/{number}", at(repository));
            let mut body = json!({"squash": order.method == MergeMethod::Squash, "should_remove_source_branch": order.delete_branch});
            if let Some(sha) = &order.sha {
                body["sha"] = sha.as_str().into();
            }
            let message = match (&order.title, &order.message) {
                (Some(title), Some(message)) => Some(format!("{title}\n\n{message}")),
                (one, other) => one.clone().or_else(|| other.clone()),
            };
            if let Some(message) = message {
                let key = if order.method == MergeMethod::Squash { "squash_commit_message" } else { "merge_commit_message" };
                body[key] = message.into();
            }
            self.api.send_json(Method::PUT, &format!("{place}/merge"), &body, &what).await.map(|_| ())
        }
        .boxed()
    }

    fn default_branch<'a>(&'a self, repository: &'a str) -> ProviderFuture<'a, String> {
        async move {
            let found = self.api.get(&at(repository), &format!("project {repository}")).await?;
            let branch = found["default_branch"].as_str().map(str::to_owned);
            branch.ok_or_else(|| self.api.foreign("a project has no default branch".into()))
        }
        .boxed()
    }
}

/// The project's place in the API: its path is one part there.
fn at(repository: &str) -> String {
    format!("/projects/{}", escaped(repository))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn found(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_about_conflicts_say_that_there_are_some() {
        for (word, has_conflicts, expected) in [
            ("mergeable", Some(false), Some(true)),
            ("can_be_merged", None, Some(true)),
            ("ci_still_running", Some(false), Some(true)),
            ("not_approved", Some(true), Some(false)),
            ("conflict", Some(true), Some(false)),
            ("need_rebase", Some(false), Some(false)),
            ("checking", Some(false), None),
            ("unchecked", Some(false), None),
        ] {
            assert_eq!(mergeable(word, has_conflicts), expected, "{word}");
        }
    }

    #[test]
    fn a_job_that_may_fail_does_not_fail() {
        for (word, may_fail, expected) in [
            ("success", false, CheckState::Pass),
            ("failed", false, CheckState::Fail),
            ("failed", true, CheckState::Pass),
            ("canceled", false, CheckState::Fail),
            ("manual", true, CheckState::Pass),
            ("manual", false, CheckState::Pending),
            ("waiting_for_resource", false, CheckState::Pending),
        ] {
            assert_eq!(state(word, may_fail), expected, "{word}");
        }
    }
}

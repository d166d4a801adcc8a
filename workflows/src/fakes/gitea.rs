//! A Gitea with one repository: its pull requests, their reviews, and the statuses of commits.

use everfold_base::json::Value;
use serde_json::json;

use super::server::{FakeAnswer, FakeRequest, FakeService};

/// How many entries a page has where the request names no number.
const PAGE: usize = 30;

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakePull {
    /// Its number.
    pub number: u64,
    /// The branch that is to be merged.
    pub head: String,
    /// The branch that it is to be merged into.
    pub base: String,
    /// Its title.
    pub title: String,
    /// The newest commit of its branch; of a merged one, that at which it was merged.
    pub sha: String,
    /// `open`, `closed` or `merged`.
    pub state: &'static str,
    /// The oldest first.
    pub reviews: Vec<FakeReview>,
}

/// A review of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeReview {
    /// Who reviewed.
    pub by: String,
    /// `APPROVED`, `REQUEST_CHANGES`, `COMMENT`, `PENDING` or `REQUEST_REVIEW`.
    pub state: String,
    /// The commit that it is of.
    pub sha: String,
    /// The request changed since.
    pub is_stale: bool,
    /// It was taken back.
    pub is_dismissed: bool,
}

/// A repository at a Gitea.
#[derive(Debug, Clone)]
pub struct FakeGitea {
    token: String,
    repository: String,
    /// The commit that a branch stands at, where a request is opened of it.
    heads: Vec<(String, String)>,
    /// The requests, the oldest first.
    pub pulls: Vec<FakePull>,
    /// `(commit, context, status)`: `success`, `failure`, `error`, `pending`, `warning`.
    pub statuses: Vec<(String, String, String)>,
    /// The most entries of a page.
    pub page_max: usize,
}

impl FakeGitea {
    /// A repository `OWNER/NAME` for those who know the token.
    #[must_use]
    pub fn new(token: &str, repository: &str) -> Self {
        Self {
            token: token.to_owned(),
            repository: repository.to_owned(),
            heads: Vec::new(),
            pulls: Vec::new(),
            statuses: Vec::new(),
            page_max: 50,
        }
    }

    /// Somebody pushes a commit to a branch.
    pub fn push(&mut self, branch: &str, sha: &str) {
        self.heads.retain(|(name, _)| name != branch);
        self.heads.push((branch.to_owned(), sha.to_owned()));
        for pull in self.pulls.iter_mut().filter(|pull| pull.head == branch && pull.state == "open") {
            sha.clone_into(&mut pull.sha);
        }
    }

    /// Somebody opens a request; gives its number.
    pub fn open(&mut self, head: &str, base: &str, title: &str) -> u64 {
        let number = self.pulls.last().map_or(1, |last| last.number + 1);
        let sha = self.heads.iter().find(|(name, _)| name == head).map(|(_, sha)| sha.clone());
        self.pulls.push(FakePull {
            number,
            head: head.to_owned(),
            base: base.to_owned(),
            title: title.to_owned(),
            sha: sha.unwrap_or_else(|| "0".repeat(40)),
            state: "open",
            reviews: Vec::new(),
        });
        number
    }

    /// Somebody reviews the newest commit of a request.
    pub fn review(&mut self, number: u64, by: &str, state: &str) {
        if let Some(pull) = self.find(number) {
            let sha = pull.sha.clone();
            pull.reviews.push(FakeReview {
                by: by.to_owned(),
                state: state.to_owned(),
                sha,
                is_stale: false,
                is_dismissed: false,
            });
        }
    }

    /// The request of a number.
    pub fn find(&mut self, number: u64) -> Option<&mut FakePull> {
        self.pulls.iter_mut().find(|pull| pull.number == number)
    }

    fn listed(&self, request: &FakeRequest, entries: Vec<Value>) -> FakeAnswer {
        let number = |name: &str| request.parameter(name).and_then(|value| value.parse::<usize>().ok());
        let (page, each) =
            (number("page").unwrap_or(1).max(1), number("limit").unwrap_or(PAGE).clamp(1, self.page_max));
        let total = entries.len();
        let shown: Vec<Value> = entries.into_iter().skip((page - 1) * each).take(each).collect();
        let answer = FakeAnswer::new(200, shown.into()).with("x-total-count", total.to_string());
        match total > page * each {
            // The address is one that only the service's own network knows.
            true => answer
                .with("link", format!("<http://gitea:3000{}?page={}>; rel=\"next\"", request.path, page + 1)),
            false => answer,
        }
    }

    fn pull(&self, pull: &FakePull) -> Value {
        let merged = pull.state == "merged";
        // As in the service itself, the head of a merged request is what its branch stands at now.
        let tip = self.heads.iter().find(|(name, _)| merged && *name == pull.head).map(|(_, sha)| sha);
        let tip = tip.unwrap_or(&pull.sha);
        json!({
            "id": 1_000 + pull.number, "number": pull.number, "title": pull.title, "body": "", "draft": false,
            "html_url": format!("https://git.example.org/{}/pulls/{}", self.repository, pull.number),
            "state": if pull.state == "open" { "open" } else { "closed" },
            "mergeable": pull.state == "open", "merged": merged,
            "merge_commit_sha": if merged { json!(pull.sha) } else { Value::Null },
            "base": {"label": pull.base, "ref": pull.base, "sha": pull.sha, "repo_id": 1},
            "head": {"label": pull.head, "ref": pull.head, "sha": tip, "repo_id": 1},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        })
    }

    fn reviews(&mut self, request: &FakeRequest, number: &str) -> FakeAnswer {
        let number = number.parse().unwrap_or_default();
        let repository = self.repository.clone();
        let Some(pull) = self.find(number) else { return missing() };
        let shown = pull.reviews.iter().enumerate().map(|(index, review)| {
            json!({
                "id": index + 1, "user": {"id": 1, "login": review.by}, "team": null, "state": review.state,
                "body": "", "commit_id": review.sha, "stale": review.is_stale, "official": true,
                "dismissed": review.is_dismissed, "comments_count": 0,
                "submitted_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
                "html_url": format!("https://git.example.org/{repository}/pulls/{number}#review-{}", index + 1),
            })
        });
        let shown = shown.collect();
        self.listed(request, shown)
    }

    fn create(&mut self, body: &Value) -> FakeAnswer {
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (head, base) = (text("head"), text("base"));
        if self.pulls.iter().any(|pull| pull.head == head && pull.base == base && pull.state == "open") {
            let why = format!("pull request already exists for these targets [head_branch: {head}]");
            return FakeAnswer::new(409, json!({"message": why}));
        }
        let number = self.open(&head, &base, &text("title"));
        let pull = self.find(number).cloned();
        pull.map_or_else(missing, |pull| FakeAnswer::new(201, self.pull(&pull)))
    }

    fn merge(&mut self, number: &str, body: &Value) -> FakeAnswer {
        let Some(pull) = self.find(number.parse().unwrap_or_default()) else { return missing() };
        let wanted = body["head_commit_id"].as_str().filter(|sha| !sha.is_empty());
        match pull.state {
            _ if wanted.is_some_and(|sha| sha != pull.sha) => {
                FakeAnswer::new(409, json!({"message": "head out of date"}))
            }
            "open" => {
                pull.state = "merged";
                FakeAnswer::new(200, Value::Null)
            }
            _ended => FakeAnswer::new(405, json!({"message": "The PR is already merged"})),
        }
    }

    fn status(&self, commit: &str) -> FakeAnswer {
        let of_commit = self.statuses.iter().filter(|(sha, _, _)| sha == commit);
        let statuses = of_commit.map(|(_, context, status)| {
            json!({"status": status, "context": context, "target_url": "", "description": ""})
        });
        let statuses: Vec<Value> = statuses.collect();
        let total = statuses.len();
        let statuses = if statuses.is_empty() { Value::Null } else { statuses.into() };
        let body = json!({"state": "", "sha": commit, "total_count": total, "statuses": statuses});
        FakeAnswer::new(200, body)
    }
}

impl FakeService for FakeGitea {
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer {
        let authorisation = request.headers.get("authorization").map(String::as_str);
        if authorisation != Some(format!("token {}", self.token).as_str()) {
            return FakeAnswer::new(401, json!({"message": "token is required"}));
        }
        let below = format!("/api/v1/repos/{}", self.repository);
        let Some(path) = request.path.strip_prefix(&below) else { return missing() };
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", [""]) => {
                FakeAnswer::new(200, json!({"full_name": self.repository, "default_branch": "main"}))
            }
            ("GET", ["pulls"]) => {
                let wanted = request.parameter("state").unwrap_or("open");
                let newest = self.pulls.iter().rev();
                let of_state =
                    newest.filter(|pull| wanted == "all" || (wanted == "open") == (pull.state == "open"));
                let shown = of_state.map(|pull| self.pull(pull)).collect();
                self.listed(request, shown)
            }
            ("POST", ["pulls"]) => self.create(&request.body),
            ("GET", ["pulls", number]) => {
                let pull = self.find(number.parse().unwrap_or_default()).cloned();
                pull.map_or_else(missing, |pull| FakeAnswer::new(200, self.pull(&pull)))
            }
            ("POST", ["pulls", number, "merge"]) => self.merge(number, &request.body),
            ("GET", ["pulls", number, "commits"]) => {
                let pull = self.find(number.parse().unwrap_or_default()).cloned();
                pull.map_or_else(missing, |pull| self.listed(request, vec![json!({"sha": pull.sha})]))
            }
            ("GET", ["pulls", number, "reviews"]) => self.reviews(request, number),
            ("GET", ["commits", commit, "status"]) => self.status(commit),
            _unknown => missing(),
        }
    }

    fn fault(&self, status: u16, retry_after: Option<u64>) -> FakeAnswer {
        let answer = FakeAnswer::new(status, json!({"message": "Internal Server Error"}));
        match retry_after {
            Some(seconds) => answer.with("retry-after", seconds.to_string()),
            None => answer,
        }
    }
}

fn missing() -> FakeAnswer {
    FakeAnswer::new(404, json!({"message": "The target couldn't be found."}))
}

//! What each kind of service answers, in the shapes of its documentation, over one repository `team/app`.

use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Value, json};

use super::fake::{Answer, Asked, Fake};

pub const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
pub const MERGED: &str = "e5bd3914e2e596debea16f433f57875b5b90bcd6";
pub const TOKEN: &str = "sesame-token";

/// What the service knows.
#[derive(Clone, Default)]
pub struct World {
    pub pulls: Vec<Known>,
    /// `(name, word)` of checks, in the service's own words.
    pub checks: Vec<(&'static str, &'static str)>,
    /// Nothing is known of the commit.
    pub no_commit: bool,
    /// The service's word on conflicts: `None` while it finds out.
    pub mergeable: Option<bool>,
    /// The request is opened, and then there is no answer at all.
    pub loses_open_answer: bool,
    /// The merge is made, and then the answer is an error.
    pub loses_merge_answer: bool,
    /// So often a request that was merged still shows as open.
    pub shows_late: u32,
    /// Open requests of others, at Gitea; there are three at least.
    pub others: u64,
}

#[derive(Clone)]
pub struct Known {
    pub number: u64,
    pub head: String,
    pub base: String,
    pub title: String,
    pub state: &'static str,
    pub sha: String,
}

pub type Shared = Arc<Mutex<World>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gitea,
    Github,
    Gitlab,
}

pub const KINDS: [Kind; 3] = [Kind::Gitea, Kind::Github, Kind::Gitlab];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gitea => "gitea",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
        }
    }

    pub async fn serve(self) -> (Fake, Shared) {
        let world: Shared = Arc::new(Mutex::new(World { mergeable: Some(true), ..World::default() }));
        let shared = world.clone();
        let fake = Fake::serve(move |asked| {
            let mut world = shared.lock().unwrap();
            let before = world.pulls.len();
            let is_late = world.shows_late > 0
                && asked.method == Method::GET
                && world.pulls.iter().any(|pull| pull.state == "merged");
            let mut shown = world.clone();
            if is_late {
                world.shows_late -= 1;
                shown.pulls.iter_mut().for_each(|pull| pull.state = "open");
            }
            let seen = if is_late { &mut shown } else { &mut *world };
            let answer = match self {
                Self::Gitea => gitea(seen, asked),
                Self::Github => github(seen, asked),
                Self::Gitlab => gitlab(seen, asked),
            };
            let is_lost = world.loses_open_answer && world.pulls.len() > before;
            if is_lost { Answer::never() } else { answer }
        })
        .await;
        (fake, world)
    }

    /// The service's words for good, bad, and open.
    pub fn words(self) -> [&'static str; 3] {
        match self {
            Self::Gitea => ["success", "failure", "pending"],
            Self::Github => ["success", "timed_out", "in_progress"],
            Self::Gitlab => ["success", "failed", "running"],
        }
    }
}

fn not_found(message: &str) -> Answer {
    Answer::status(404, json!({"message": message}))
}

/// A page of a list, with the address of the next one as another network would know it.
fn page(asked: &Asked, items: Vec<Value>, each: usize) -> (Vec<Value>, Option<String>) {
    let number: usize = asked.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let from = (number - 1) * each;
    let next = (items.len() > from + each)
        .then(|| format!("<http://internal:3000{}?page={}>; rel=\"next\"", asked.path, number + 1));
    (items.into_iter().skip(from).take(each).collect(), next)
}

fn linked(answer: Answer, next: Option<String>) -> Answer {
    match next {
        Some(next) => answer.with("link", next),
        None => answer,
    }
}

fn unescaped(text: &str) -> String {
    text.replace("%2F", "/").replace("%3A", ":")
}

impl World {
    fn find(&mut self, number: &str) -> Option<&mut Known> {
        let number: u64 = number.parse().ok()?;
        self.pulls.iter_mut().find(|pull| pull.number == number)
    }

    fn open(&mut self, head: &Value, base: &Value, title: &Value) -> Option<Known> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        if self.pulls.iter().any(|pull| pull.head == text(head) && pull.state == "open") {
            return None;
        }
        let new = Known {
            number: self.pulls.len() as u64 + 1,
            head: text(head),
            base: text(base),
            title: text(title),
            state: "open",
            sha: SHA.to_owned(),
        };
        self.pulls.push(new.clone());
        Some(new)
    }
}

// ---- Gitea ------------------------------------------------------------------------------------

fn gitea_pull(pull: &Known, mergeable: Option<bool>) -> Value {
    let merged = pull.state == "merged";
    json!({
        "id": 100 + pull.number, "number": pull.number, "title": pull.title, "body": "", "draft": false,
        "url": format!("http://internal:3000/team/app/pulls/{}", pull.number),
        "html_url": format!("https://git.example.org/team/app/pulls/{}", pull.number),
        "state": if pull.state == "open" { "open" } else { "closed" },
        "mergeable": mergeable == Some(true) && !merged, "merged": merged,
        "merged_at": if merged { json!("2026-11-20T10:00:00Z") } else { Value::Null },
        "merge_commit_sha": if merged { json!(MERGED) } else { Value::Null },
        "base": {"label": pull.base, "ref": pull.base, "sha": MERGED, "repo_id": 1},
        "head": {"label": pull.head, "ref": pull.head, "sha": pull.sha, "repo_id": 1},
        "created_at": "2026-11-20T09:00:00Z",
        // While it finds out, the request has just changed.
        "updated_at": if mergeable.is_none() { "2026-11-20T11:59:50Z" } else { "2026-11-20T09:00:00Z" },
    })
}

fn gitea(world: &mut World, asked: &Asked) -> Answer {
    const NOW: &str = "Fri, 20 Nov 2026 12:00:00 GMT";
    if asked.header("authorization") != format!("token {TOKEN}") {
        return Answer::status(
            401,
            json!({"message": "token is required", "url": "https://git.example.org/api/swagger"}),
        );
    }
    let Some(path) = asked.path.strip_prefix("/api/v1/repos/team/app") else {
        return not_found("The target couldn't be found.");
    };
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(unescaped).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (&asked.method, parts.as_slice()) {
        (&Method::GET, [""]) => {
            Answer::ok(json!({"id": 1, "full_name": "team/app", "default_branch": "main"}))
        }
        (&Method::GET, ["commits", _, "status"]) if world.no_commit => {
            not_found("object does not exist [id: , rel_path: x]")
        }
        (&Method::GET, ["commits", sha, "status"]) => {
            let all: Vec<Value> = world
                .checks
                .iter()
                .enumerate()
                .map(|(id, (name, word))| {
                    json!({
                        "id": id, "status": word, "target_url": format!("https://ci.example.org/{id}"),
                        "description": "", "url": "", "context": name, "creator": null,
                    })
                })
                .collect();
            let total = all.len();
            let (statuses, next) = page(asked, all, 2);
            let statuses = if total == 0 { Value::Null } else { statuses.into() };
            linked(
                Answer::ok(
                    json!({"state": "pending", "sha": sha, "total_count": total, "statuses": statuses, "repository": {}, "commit_url": "", "url": ""}),
                ),
                next,
            )
        }
        (&Method::GET, ["pulls"]) => {
            let wanted = asked.parameter("state").unwrap();
            let mut all: Vec<Value> = world
                .pulls
                .iter()
                .map(|pull| gitea_pull(pull, world.mergeable))
                .filter(|pull| pull["state"] == wanted)
                .collect();
            // Others' requests stand before it.
            for number in 900..900 + world.others.max(3) {
                let other = Known {
                    number,
                    head: "other".into(),
                    base: "main".into(),
                    title: "x".into(),
                    state: "open",
                    sha: MERGED.into(),
                };
                if wanted == "open" {
                    all.insert(0, gitea_pull(&other, Some(true)));
                }
            }
            let (items, next) = page(asked, all, 2);
            linked(Answer::ok(items.into()), next)
        }
        (&Method::GET, ["pulls", number]) => {
            let mergeable = world.mergeable;
            match world.find(number) {
                Some(pull) => Answer::ok(gitea_pull(pull, mergeable)).with("date", NOW),
                None => not_found("The target couldn't be found."),
            }
        }
        (&Method::POST, ["pulls"]) => {
            let mergeable = world.mergeable;
            match world.open(&asked.body["head"], &asked.body["base"], &asked.body["title"]) {
                Some(pull) => Answer::status(201, gitea_pull(&pull, mergeable)),
                None => Answer::status(
                    409,
                    json!({"message": "pull request already exists for these targets [id: 1, issue_id: 1, head_repo_id: 1, base_repo_id: 1, head_branch: a, base_branch: main]"}),
                ),
            }
        }
        (&Method::POST, ["pulls", number, "merge"]) => {
            let (mergeable, loses) = (world.mergeable, world.loses_merge_answer);
            assert!(asked.body["Do"].is_string() && asked.body["delete_branch_after_merge"].is_boolean());
            let Some(pull) = world.find(number) else { return not_found("x") };
            if mergeable != Some(true) {
                return Answer::status(405, json!({"message": "Please try again later"}));
            }
            if asked.body["head_commit_id"] != pull.sha.as_str() {
                return Answer::status(409, json!({"message": "head out of date"}));
            }
            pull.state = "merged";
            if loses {
                Answer::status(502, "<html>bad gateway</html>".into())
            } else {
                Answer::ok(Value::Null)
            }
        }
        _other => not_found("no such route"),
    }
}

// ---- GitHub -----------------------------------------------------------------------------------

fn github_pull(pull: &Known, mergeable: Option<bool>, in_list: bool) -> Value {
    let merged = pull.state == "merged";
    let mut document = json!({
        "id": 1, "number": pull.number, "title": pull.title, "draft": false,
        "html_url": format!("https://github.com/team/app/pull/{}", pull.number),
        "state": if pull.state == "open" { "open" } else { "closed" },
        "merged_at": if merged { json!("2026-11-20T10:00:00Z") } else { Value::Null },
        "merge_commit_sha": MERGED,
        "head": {"label": format!("team:{}", pull.head), "ref": pull.head, "sha": pull.sha},
        "base": {"label": format!("team:{}", pull.base), "ref": pull.base, "sha": MERGED},
    });
    if !in_list {
        document["merged"] = merged.into();
        document["mergeable"] = json!(mergeable);
        document["mergeable_state"] = match mergeable {
            Some(true) => "clean",
            Some(false) => "dirty",
            None => "unknown",
        }
        .into();
    }
    document
}

fn github(world: &mut World, asked: &Asked) -> Answer {
    assert_eq!(asked.header("x-github-api-version"), "2022-11-28");
    assert_eq!(asked.header("accept"), "application/vnd.github+json");
    assert!(asked.header("user-agent").starts_with("everfold/"));
    if asked.header("authorization") != format!("Bearer {TOKEN}") {
        return Answer::status(
            401,
            json!({"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}),
        );
    }
    let Some(path) = asked.path.strip_prefix("/api/v3/repos/team/app") else { return not_found("Not Found") };
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(unescaped).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (&asked.method, parts.as_slice()) {
        (&Method::GET, [""]) => {
            Answer::ok(json!({"id": 1, "full_name": "team/app", "default_branch": "main"}))
        }
        (&Method::GET, ["commits", sha, "check-runs" | "status"]) if world.no_commit => {
            Answer::status(422, json!({"message": format!("No commit found for SHA: {sha}")}))
        }
        (&Method::GET, ["commits", sha, "check-runs"]) => {
            let all: Vec<Value> = world.checks.iter().filter(|(name, _)| !name.starts_with("legacy")).enumerate().map(|(id, (name, word))| {
                let completed = !matches!(*word, "queued" | "in_progress" | "pending" | "waiting");
                json!({
                    "id": id, "name": name, "head_sha": sha, "status": if completed { "completed" } else { word },
                    "conclusion": if completed { json!(word) } else { Value::Null },
                    "html_url": format!("https://github.com/team/app/runs/{id}"), "details_url": "https://example.org",
                    "output": {"title": null, "summary": null}, "app": {"slug": "github-actions"},
                })
            }).collect();
            let total = all.len();
            let (runs, next) = page(asked, all, 2);
            linked(Answer::ok(json!({"total_count": total, "check_runs": runs})), next)
        }
        (&Method::GET, ["commits", sha, "status"]) => {
            let statuses: Vec<Value> = world.checks.iter().filter(|(name, _)| name.starts_with("legacy")).map(|(name, word)| json!({
                "context": name, "state": word, "description": "Build has completed", "target_url": "https://ci.example.org/1000",
            })).collect();
            Answer::ok(
                json!({"state": "pending", "sha": sha, "total_count": statuses.len(), "statuses": statuses}),
            )
        }
        (&Method::GET, ["pulls"]) => {
            let head = unescaped(asked.parameter("head").unwrap());
            let mut all: Vec<Value> = world
                .pulls
                .iter()
                .filter(|pull| format!("team:{}", pull.head) == head)
                .map(|pull| github_pull(pull, None, true))
                .collect();
            all.reverse();
            Answer::ok(all.into())
        }
        (&Method::GET, ["pulls", number]) => {
            let mergeable = world.mergeable;
            match world.find(number) {
                Some(pull) => Answer::ok(github_pull(pull, mergeable, false)),
                None => not_found("Not Found"),
            }
        }
        (&Method::POST, ["pulls"]) => {
            match world.open(&asked.body["head"], &asked.body["base"], &asked.body["title"]) {
                Some(pull) => Answer::status(201, github_pull(&pull, None, false)),
                None => Answer::status(
                    422,
                    json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for team:a."}]}),
                ),
            }
        }
        (&Method::PUT, ["pulls", number, "merge"]) => {
            let (mergeable, loses) = (world.mergeable, world.loses_merge_answer);
            let Some(pull) = world.find(number) else { return not_found("Not Found") };
            if mergeable != Some(true) {
                return Answer::status(405, json!({"message": "Pull Request is not mergeable"}));
            }
            if asked.body["sha"] != pull.sha.as_str() {
                return Answer::status(
                    409,
                    json!({"message": "Head branch was modified. Review and try the merge again."}),
                );
            }
            pull.state = "merged";
            if loses {
                return Answer::status(502, "<html>Unicorn!</html>".into());
            }
            Answer::ok(json!({"sha": MERGED, "merged": true, "message": "Pull Request successfully merged"}))
        }
        _other => not_found("Not Found"),
    }
}

// ---- GitLab -----------------------------------------------------------------------------------

fn gitlab_pull(pull: &Known, mergeable: Option<bool>) -> Value {
    let merged = pull.state == "merged";
    json!({
        "id": 84, "iid": pull.number, "project_id": 4, "title": pull.title, "description": "", "draft": false,
        "state": if pull.state == "open" { "opened" } else { pull.state },
        "web_url": format!("https://gitlab.example.org/team/app/-/merge_requests/{}", pull.number),
        "source_branch": pull.head, "target_branch": pull.base, "source_project_id": 4, "target_project_id": 4,
        "sha": pull.sha, "merge_commit_sha": if merged { json!(MERGED) } else { Value::Null }, "squash_commit_sha": null,
        "has_conflicts": mergeable == Some(false),
        "merge_status": match mergeable { Some(true) => "can_be_merged", Some(false) => "cannot_be_merged", None => "checking" },
        "detailed_merge_status": match mergeable { Some(true) => "mergeable", Some(false) => "conflict", None => "checking" },
        "head_pipeline": {"id": 77, "iid": 7, "sha": MERGED, "ref": format!("refs/merge-requests/{}/head", pull.number), "status": "success", "source": "merge_request_event", "web_url": "https://gitlab.example.org/team/app/-/pipelines/77"},
    })
}

fn gitlab(world: &mut World, asked: &Asked) -> Answer {
    if asked.header("authorization") != format!("Bearer {TOKEN}") {
        return Answer::status(401, json!({"message": "401 Unauthorized"}));
    }
    let Some(path) = asked.path.strip_prefix("/api/v4/projects/team%2Fapp") else {
        return not_found("404 Project Not Found");
    };
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(unescaped).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (&asked.method, parts.as_slice()) {
        (&Method::GET, [""]) => {
            Answer::ok(json!({"id": 4, "path_with_namespace": "team/app", "default_branch": "main"}))
        }
        (&Method::GET, ["repository", "commits", _, "statuses"]) if world.no_commit => {
            not_found("404 Commit Not Found")
        }
        (&Method::GET, ["repository", "commits", sha, "statuses"]) => {
            let all: Vec<Value> = world.checks.iter().enumerate().map(|(id, (name, word))| json!({
                "id": id, "sha": sha, "ref": "main", "status": word, "name": name, "target_url": format!("https://gitlab.example.org/team/app/-/jobs/{id}"),
                "description": null, "allow_failure": name.starts_with("may-fail"), "coverage": null, "pipeline_id": 76,
            })).collect();
            let (items, next) = page(asked, all, 2);
            linked(Answer::ok(items.into()), next)
        }
        (&Method::GET, ["pipelines"]) => {
            if world.checks.is_empty() {
                return Answer::ok(json!([]));
            }
            let status =
                if world.checks.iter().any(|(name, word)| *word == "failed" && !name.starts_with("may-fail"))
                {
                    "failed"
                } else if world.checks.iter().any(|(_, word)| *word == "running") {
                    "running"
                } else {
                    "success"
                };
            let one = |id: u64, status: &str| json!({"id": id, "iid": id, "project_id": 4, "sha": SHA, "ref": "main", "status": status, "source": "push", "web_url": format!("https://gitlab.example.org/team/app/-/pipelines/{id}")});
            // An older one of the same branch does not count any more.
            Answer::ok(json!([one(76, status), one(75, "canceled")]))
        }
        (&Method::GET, ["merge_requests"]) => {
            let head = unescaped(asked.parameter("source_branch").unwrap());
            let mut all: Vec<Value> = world
                .pulls
                .iter()
                .filter(|pull| pull.head == head)
                .map(|pull| gitlab_pull(pull, world.mergeable))
                .collect();
            all.reverse();
            Answer::ok(all.into())
        }
        (&Method::GET, ["merge_requests", number]) => {
            let mergeable = world.mergeable;
            match world.find(number) {
                Some(pull) => Answer::ok(gitlab_pull(pull, mergeable)),
                None => not_found("404 Not found"),
            }
        }
        (&Method::POST, ["merge_requests"]) => {
            let mergeable = world.mergeable;
            match world.open(&asked.body["source_branch"], &asked.body["target_branch"], &asked.body["title"])
            {
                Some(pull) => Answer::status(201, gitlab_pull(&pull, mergeable)),
                None => Answer::status(
                    409,
                    json!({"message": ["Another open merge request already exists for this source branch: !1"]}),
                ),
            }
        }
        (&Method::PUT, ["merge_requests", number, "merge"]) => {
            let (mergeable, loses) = (world.mergeable, world.loses_merge_answer);
            let Some(pull) = world.find(number) else { return not_found("404 Not found") };
            if mergeable != Some(true) {
                return Answer::status(422, json!({"message": "Branch cannot be merged"}));
            }
            if asked.body["sha"] != pull.sha.as_str() {
                return Answer::status(
                    409,
                    json!({"message": "SHA does not match HEAD of source branch: x"}),
                );
            }
            pull.state = "merged";
            let pull = pull.clone();
            if loses {
                return Answer::status(502, "<html>502</html>".into());
            }
            Answer::ok(gitlab_pull(&pull, mergeable))
        }
        _other => not_found("404 Not Found"),
    }
}

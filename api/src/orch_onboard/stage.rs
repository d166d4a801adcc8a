//! Small servers that speak as Plane and Gitea do, for one project.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use everfold_engine::data_folder::Layout;
use everfold_engine::json::Value;
use serde_json::json;

use super::environment::Environment;
use super::onboard::{OnboardReport, onboard};
use super::request::OnboardRequest;

pub(super) const PROJECT: &str = "7a79f0a9-5278-49cd-9007-9a338f238f9c";

/// What both services know.
#[derive(Default)]
pub(super) struct ServiceWorld {
    pub(super) states: Vec<Value>,
    pub(super) labels: Vec<Value>,
    pub(super) plane_hooks: Vec<Value>,
    pub(super) gitea_hooks: Vec<Value>,
    pub(super) writes: Vec<String>,
    pub(super) may_push: bool,
    pub(super) makes_no_hooks: bool,
    pub(super) tells_no_users: bool,
}

pub(super) type SharedWorld = Arc<Mutex<ServiceWorld>>;

async fn service(
    State(world): State<SharedWorld>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let mut world = world.lock().unwrap();
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let path = uri.path().to_owned();
    if let Some(asked) = path.strip_prefix("/botbot-token/") {
        let known = match (asked, uri.query()) {
            ("getMe", _) => json!({ "username": "orch_bot" }),
            ("getChat", Some("chat_id=-100123")) => json!({ "title": "Orchard" }),
            _other => {
                let answer = json!({ "ok": false, "description": "Bad Request: chat not found" });
                return (StatusCode::BAD_REQUEST, Json(answer));
            }
        };
        return (StatusCode::OK, Json(json!({ "ok": true, "result": known })));
    }
    let key = header("x-api-key");
    let is_known = match path.starts_with("/api/v1/workspaces/") || path.starts_with("/api/v1/users/") {
        true => key.as_deref().is_some_and(|key| ["plane-token", "analyst-token"].contains(&key)),
        false => header("authorization").as_deref() == Some("token gitea-token"),
    };
    if !is_known {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "detail": "Given API token is not valid" })));
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if method == Method::POST {
        world.writes.push(path.clone());
    }
    let may_push = world.may_push;
    let below = format!("/api/v1/workspaces/team/projects/{PROJECT}/");
    let list = match path.as_str() {
        "/api/v1/users/me/" if world.tells_no_users => {
            return (StatusCode::NOT_FOUND, Json(json!({ "detail": "not found" })));
        }
        "/api/v1/users/me/" => {
            let is_shared = key.as_deref() == Some("plane-token");
            let (id, name) =
                if is_shared { ("5c30-e1", "Everfold service") } else { ("77aa", "analyst-bot") };
            return (StatusCode::OK, Json(json!({ "id": id, "display_name": name })));
        }
        _ if path == below => return (StatusCode::OK, Json(json!({ "name": "Enduro" }))),
        "/api/v1/repos/owner/app" => {
            let answer = json!({ "default_branch": "main", "permissions": { "push": may_push } });
            return (StatusCode::OK, Json(answer));
        }
        "/api/v1/workspaces/team/webhooks/" if world.makes_no_hooks => {
            return (StatusCode::NOT_FOUND, Json(json!({ "detail": "not found" })));
        }
        "/api/v1/workspaces/team/webhooks/" => &mut world.plane_hooks,
        "/api/v1/repos/owner/app/hooks" => &mut world.gitea_hooks,
        _ if path == format!("{below}states/") => &mut world.states,
        _ if path == format!("{below}labels/") => &mut world.labels,
        _other => return (StatusCode::NOT_FOUND, Json(Value::Null)),
    };
    match method {
        Method::POST => {
            let mut made = body;
            if path.ends_with("states/") {
                made["id"] = json!(format!("id of {}", made["name"].as_str().unwrap()));
            }
            if path.ends_with("webhooks/") {
                made["secret_key"] = json!("plane_wh_drawn");
            }
            list.push(made.clone());
            (StatusCode::CREATED, Json(made))
        }
        _read => (StatusCode::OK, Json(list.clone().into())),
    }
}

/// Gitea serves a file of the repository, as git fetches it over plain files, to callers that name the token alone.
async fn repository_file(
    State(origin): State<PathBuf>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Vec<u8>, StatusCode> {
    if headers.get("authorization").is_none_or(|value| value != "token gitea-token") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let path = uri.path().trim_start_matches("/owner/app.git/");
    std::fs::read(origin.join(path)).map_err(|_none| StatusCode::NOT_FOUND)
}

pub(super) struct OnboardStage {
    pub(super) folder: tempfile::TempDir,
    pub(super) world: SharedWorld,
    pub(super) url: String,
}

impl OnboardStage {
    pub(super) async fn set() -> Self {
        let world = SharedWorld::default();
        world.lock().unwrap().may_push = true;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let files = get(repository_file).with_state(folder.path().join("origin/app.git"));
        let routes = Router::new()
            .route("/owner/app.git/{*path}", files)
            .fallback(service)
            .with_state(Arc::clone(&world));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { folder, world, url }
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::new(self.folder.path().join("data"))
    }

    pub(super) fn request(&self) -> OnboardRequest {
        let variables =
            [("ORCH_PLANE_API_TOKEN", "plane-token"), ("ORCH_GITEA_TOKEN", "gitea-token"), ("HOME", "/root")];
        OnboardRequest {
            project: PROJECT.into(),
            repo: "app".into(),
            prefix: "ET".into(),
            plane_url: self.url.clone(),
            workspace: "team".into(),
            gitea_url: self.url.clone(),
            owner: "owner".into(),
            telegram_url: self.url.clone(),
            repos: self.folder.path().join("repos"),
            projects: self.folder.path().join("etc/projects.yaml"),
            settings: self.layout().settings(),
            labels: vec!["bug".into(), "epic".into()],
            address: "https://everfold.example.org/".into(),
            environment: Environment::of(
                variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            only_check: false,
        }
    }

    pub(super) async fn onboard(&self, request: &OnboardRequest) -> OnboardReport {
        onboard(request, &self.layout()).await.unwrap()
    }

    /// The repository at Gitea, with one commit on main.
    pub(super) fn origin(&self) {
        let first = self.folder.path().join("origin/first");
        std::fs::create_dir_all(&first).unwrap();
        let git = |arguments: &[&str]| {
            assert!(Command::new("git").args(arguments).current_dir(&first).status().unwrap().success());
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        let author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        git(&[&author[..], &["commit", "--quiet", "--allow-empty", "-m", "first"]].concat());
        git(&["clone", "--quiet", "--bare", ".", "../app.git"]);
        // What a server without a program of git's needs to have listed.
        git(&["--git-dir=../app.git", "update-server-info"]);
    }

    /// A clone, as git makes it of a repository at Gitea.
    pub(super) fn clone(&self) {
        let folder = self.folder.path().join("repos/app");
        std::fs::create_dir_all(&folder).unwrap();
        let git = |arguments: &[&str]| {
            assert!(Command::new("git").args(arguments).current_dir(&folder).status().unwrap().success());
        };
        git(&["init", "--quiet"]);
        git(&["remote", "add", "origin", "ssh://git@gitea.example.org/Owner/app.git"]);
        let author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        git(&[&author[..], &["commit", "--quiet", "--allow-empty", "-m", "first"]].concat());
        git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    }
}

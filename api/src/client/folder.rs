//! The way to the routes of a data folder: through its owner's socket, or as the owner itself.
//!
//! Law: when the owner ends, the next request finds the next owner, or makes this process the owner.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use everfold_engine::clock::Stopwatch;
use everfold_engine::data_folder::Layout;
use everfold_engine::id::RunId;
use everfold_engine::store::{Progress, would_be_new};
use everfold_workflows::http::KeptConnection;
use everfold_workflows::process::{Descent, descent};
use tokio::sync::{Mutex, watch};
use tower::ServiceExt as _;

use super::answer::failed;
use super::leave::Leave;
use super::request::RestRequest;
use crate::access::Caller;
use crate::access::caller::{USER_HEADER, own_login_name, own_name};
use crate::fault::{Code, Fault};
use crate::node::{self, HoldOptions};
use crate::serve::{self, NodeGuard};

/// How long a command waits for an owner that ends or begins.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long an owner may take to say that it is there.
const HEALTH: Duration = Duration::from_secs(5);
/// How long a process with a broken engine may take to end in good order.
const BROKEN_ENDS_WITHIN: Duration = Duration::from_secs(15);
/// How long the process of a step waits for an engine: one ends, and another begins, while steps go on.
const STEP_PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const STEP_LOOKS_EVERY: Duration = Duration::from_millis(200);
/// How long an owner may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Where a command works.
#[derive(Clone)]
pub struct FolderOptions {
    /// The data folder.
    pub layout: Layout,
    /// Another settings file.
    pub config: Option<PathBuf>,
    /// How people reach the server, in the place of what the settings say; for links.
    pub url: Option<String>,
    /// For demonstrations and tests.
    pub crash_after: Option<String>,
    /// Whether the folder is made where it is not there.
    pub create: bool,
    /// Called with the progress of long work on the store.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

/// A way to the routes.
enum FolderLink {
    /// This process is the owner.
    Here(Box<NodeGuard>),
    /// There is no folder, or no store in it: an empty node in memory answers.
    Nowhere(Box<NodeGuard>),
    /// Another process is the owner.
    There,
}

/// A data folder, and the process that owns it.
pub(super) struct LocalFolder {
    pub(super) place: FolderOptions,
    /// Under which name requests are made, or why no act can be.
    user: Result<String, Fault>,
    link: Mutex<Option<FolderLink>>,
    /// Set when this process owned the folder and lost it.
    lost: watch::Sender<Option<Fault>>,
}

impl LocalFolder {
    pub(super) fn new(place: FolderOptions) -> Self {
        Self { place, user: own_name(), link: Mutex::new(None), lost: watch::Sender::new(None) }
    }

    /// Resolves when this process owned the folder and lost it.
    pub(super) async fn folder_lost(&self) -> Fault {
        let mut lost = self.lost.subscribe();
        let fault = lost.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        match fault {
            Some(fault) => fault,
            None => std::future::pending().await,
        }
    }

    pub(super) async fn is_owner(&self) -> bool {
        matches!(*self.link.lock().await, Some(FolderLink::Here(_) | FolderLink::Nowhere(_)))
    }

    pub(super) async fn send(&self, ask: &RestRequest<'_>) -> Result<Response<Body>, Fault> {
        let since = Stopwatch::start();
        loop {
            self.reach().await?;
            let mut request = ask.request(ask.path)?;
            let user = self.user(request.method())?;
            if let Ok(user) = header::HeaderValue::from_str(&user) {
                request.headers_mut().insert(USER_HEADER, user);
            }
            match self.once(request, &user).await? {
                Some(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return Ok(response);
                }
                // The owner ends, or is gone: the next one is found, or made.
                lost => {
                    if let Some(response) = lost {
                        let fault = failed(response).await;
                        if fault.code != Code::Ending || since.elapsed() > PATIENCE {
                            return Err(fault);
                        }
                    }
                    if since.elapsed() > ANSWER + PATIENCE {
                        return Err(self.no_answer());
                    }
                    self.lost().await;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Sends a request over the link; `None` where the owner is gone.
    async fn once(&self, mut request: Request<Body>, user: &str) -> Result<Option<Response<Body>>, Fault> {
        let routes = match &*self.link.lock().await {
            Some(FolderLink::Nowhere(_)) if *request.method() != Method::GET => return Err(self.no_folder()),
            Some(FolderLink::Here(node_guard) | FolderLink::Nowhere(node_guard)) => Some(node_guard.routes()),
            Some(FolderLink::There) | None => None,
        };
        if let Some(routes) = routes {
            request.extensions_mut().insert(Caller::local(user));
            return routes.oneshot(request).await.map(Some).map_err(|never| match never {});
        }
        let Ok(stream) = serve::connect(&self.place.layout.socket()).await else { return Ok(None) };
        let mut connection = match tokio::time::timeout(PATIENCE, KeptConnection::over(stream)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) => return Ok(None),
            Err(_) => return Err(self.no_answer()),
        };
        request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("everfold"));
        match tokio::time::timeout(ANSWER, connection.send(request)).await {
            Ok(Ok(response)) => Ok(Some(response.map(Body::new))),
            Ok(Err(_)) => Ok(None),
            Err(_) => Err(self.no_answer()),
        }
    }

    /// Who asks; what is only read is read under the login name where there is no other.
    fn user(&self, method: &Method) -> Result<String, Fault> {
        match &self.user {
            Err(_) if method.is_safe() => Ok(own_login_name()),
            known => known.clone(),
        }
    }

    fn no_answer(&self) -> Fault {
        let pid = node::read_record(&self.place.layout.owner()).map_or(0, |record| record.pid);
        Fault::new(Code::NoAnswer, format!("the store is in use by process {pid}, which does not answer"))
            .hint("bring that process to the front or end it; nothing is lost by that")
    }

    /// The fault of a write where there is no folder.
    fn no_folder(&self) -> Fault {
        let folder = self.place.layout.root();
        let message = match folder.exists() {
            true => format!("{} holds no store", folder.display()),
            false => format!("there is no data folder {}", folder.display()),
        };
        Fault::new(Code::NoFolder, message)
            .hint("name one with --dir, or start a run first: `everfold run PIPELINE` makes a folder")
    }

    /// A step's process does not become the owner of the folder that its run lies in.
    fn no_step(&self) -> Result<(), Fault> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        match descent(own, &self.place.layout.all_attempts()) {
            Descent::Attempt(_) => Err(Fault::new(
                Code::OfStep,
                "no engine goes on with the folder, and a step's process cannot",
            )
            .hint("the next `everfold` that another user starts goes on with the run, and with this step")),
            Descent::Outside | Descent::Own | Descent::Gone => Ok(()),
        }
    }

    /// Forgets an owner that is gone.
    async fn lost(&self) {
        let mut link = self.link.lock().await;
        if matches!(*link, Some(FolderLink::There)) {
            *link = None;
        }
    }

    /// Lets go of the node that answers for a folder without a store, where another process made the store meanwhile.
    async fn forget_imagined(&self, link: &mut Option<FolderLink>) {
        let is_imagined = matches!(link, Some(FolderLink::Nowhere(_)));
        if is_imagined
            && !would_be_new(self.place.layout.root())
            && let Some(FolderLink::Nowhere(imagined)) = link.take()
        {
            imagined.release().await;
        }
    }

    pub(super) async fn reach(&self) -> Result<(), Fault> {
        let mut link = self.link.lock().await;
        self.forget_imagined(&mut link).await;
        if link.is_some() {
            return Ok(());
        }
        let since = Stopwatch::start();
        loop {
            if let Ok(stream) = serve::connect(&self.place.layout.socket()).await {
                match tokio::time::timeout(HEALTH, is_healthy(stream)).await {
                    Ok(true) => {
                        *link = Some(FolderLink::There);
                        return Ok(());
                    }
                    Ok(false) => {} // It ended in this moment: the lock tells.
                    Err(_) => return Err(self.no_answer()),
                }
            }
            if !self.place.create && would_be_new(self.place.layout.root()) {
                let imagined = serve::imagine_with(self.place.layout.clone(), self.place.config.as_deref())?;
                *link = Some(FolderLink::Nowhere(Box::new(imagined)));
                return Ok(());
            }
            if let Err(fault) = self.no_step() {
                if since.elapsed() > STEP_PATIENCE {
                    return Err(fault);
                }
                tokio::time::sleep(STEP_LOOKS_EVERY).await;
                continue;
            }
            let options = HoldOptions {
                serves_alone: true,
                config: self.place.config.clone(),
                url: self.place.url.clone(),
                crash_after: self.place.crash_after.clone(),
                progress: self.place.progress.clone(),
                ..HoldOptions::default()
            };
            match serve::hold(self.place.layout.clone(), options).await {
                Ok(node_guard) => {
                    tokio::spawn(end_broken(Arc::clone(node_guard.node())));
                    tokio::spawn(tell_loss(Arc::clone(node_guard.node()), self.lost.clone()));
                    *link = Some(FolderLink::Here(Box::new(node_guard)));
                    return Ok(());
                }
                Err(fault) if fault.code == Code::InUse => {
                    wait_for_owner(&self.place.layout, &since, fault).await?;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    pub(super) async fn driven_runs(&self) -> Vec<RunId> {
        match &*self.link.lock().await {
            Some(FolderLink::Here(node_guard) | FolderLink::Nowhere(node_guard)) => {
                node_guard.node().driven_runs().await
            }
            _there => Vec::new(),
        }
    }

    pub(super) async fn leave(&self, leave: Leave) -> Vec<RunId> {
        match self.link.lock().await.take() {
            // Other processes ask for runs to be driven until the last moment.
            Some(FolderLink::Here(node_guard) | FolderLink::Nowhere(node_guard)) => {
                node_guard.release_behind(async |owner| unfinished(owner, leave).await).await
            }
            Some(FolderLink::There) | None => Vec::new(),
        }
    }

    pub(super) async fn with_guard<R>(&self, body: impl FnOnce(&NodeGuard) -> R) -> Option<R> {
        match &*self.link.lock().await {
            Some(FolderLink::Here(node_guard) | FolderLink::Nowhere(node_guard)) => Some(body(node_guard)),
            _there => None,
        }
    }
}

/// Waits a moment for an owner that begins and does not listen yet, or that ends and does not any more.
///
/// # Errors
/// The owner is another user's process; or `fault`, where it has been waited for since too long.
pub(crate) async fn wait_for_owner(layout: &Layout, since: &Stopwatch, fault: Fault) -> Result<(), Fault> {
    if let Some(of_another) = of_another_user(layout).await {
        return Err(of_another);
    }
    if since.elapsed() > PATIENCE {
        return Err(fault);
    }
    tokio::time::sleep(LOOK_EVERY).await;
    Ok(())
}

/// Why an owner that there is cannot be asked: it is another user's. `None`: its socket may be opened.
async fn of_another_user(layout: &Layout) -> Option<Fault> {
    let refused = serve::connect(&layout.socket()).await.err()?;
    let owner = std::fs::metadata(layout.socket()).ok()?.uid();
    let user = rustix::process::geteuid().as_raw();
    (refused.kind() == ErrorKind::PermissionDenied && owner != user).then(|| {
        let message = format!("the store is in use by a process of user {owner}, and this is user {user}");
        Fault::new(Code::InUse, message).hint(
            "act as that user; or let `everfold serve` answer there, and name it with --server and a token",
        )
    })
}

/// The runs that this process drives as the owner and that another process must drive after it.
async fn unfinished(owner: &node::Node, leave: Leave) -> Vec<RunId> {
    if leave == Leave::Nothing {
        return Vec::new();
    }
    let mut unfinished = Vec::new();
    let driven = owner.driven_runs().await;
    let detached = owner.detached_runs();
    for run in driven {
        let view = match owner.view(run).await {
            Ok(view) => view,
            Err(fault) => {
                // Whoever took it over could not look at it either, and would hand it on again without end.
                tracing::error!(%run, %fault, "the run is not handed on: go on with `everfold resume`");
                continue;
            }
        };
        let goes_on = detached.contains(&run) || (leave == Leave::Everything && view.goes_on_by_itself());
        if goes_on && !view.status.is_ended() {
            unfinished.push(run);
        }
    }
    unfinished
}

/// Ends this process where its engine is broken and it does not come to its end by itself: what it waits for
/// would never happen.
async fn end_broken(owner: std::sync::Arc<node::Node>) {
    let fault = owner.broken().await;
    tokio::time::sleep(BROKEN_ENDS_WITHIN).await;
    tracing::error!("{fault}");
    std::process::exit(i32::from(fault.code.exit()));
}

/// Says that the folder is lost, until this process lets go of it.
async fn tell_loss(owner: Arc<node::Node>, lost: watch::Sender<Option<Fault>>) {
    tokio::select! {
        () = owner.closing() => {}
        fault = owner.folder_lost() => drop(lost.send_replace(Some(fault))),
    }
}

/// Whether the owner at the other end says that it is there.
async fn is_healthy(stream: tokio::net::UnixStream) -> bool {
    let Ok(mut connection) = KeptConnection::over(stream).await else { return false };
    let request = Request::builder().uri("/healthz").header(header::HOST, "everfold").body(Body::empty());
    match request {
        Ok(request) => connection.send(request).await.is_ok_and(|answer| answer.status().is_success()),
        Err(_) => false,
    }
}

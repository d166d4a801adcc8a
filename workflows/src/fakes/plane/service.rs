//! The fake itself: it is told what there is, served, and asked what became of it.

use std::io;

use everfold_base::json::Value;
use serde_json::json;

use super::super::server::{FakeAnswer, FakeRequest, FakeServer, FakeService, ServiceFault};
use super::hooks::{HookSender, PlaneEvent};
use super::routes;
use super::world::{PlaneIssue, PlaneNote, PlaneProject, PlaneUser, PlaneWorld, STATE_NAMES, now};
use crate::plane::text::plain_text;

/// Where the routes begin.
const BASE: &str = "/api/v1/workspaces/";

/// A request that came.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneRequest {
    /// `GET`, `POST`, `PATCH`.
    pub method: String,
    /// Below `/api/v1/workspaces/`.
    pub path: String,
    /// The name of the user whose token came with it; none where it is not known.
    pub user: Option<String>,
    /// What was sent.
    pub body: Value,
}

/// A Plane with one workspace. It ends when it is dropped.
#[derive(Debug)]
pub struct FakePlane {
    server: FakeServer<PlaneService>,
}

/// What it knows, and whom it tells.
#[derive(Debug, Default)]
struct PlaneService {
    world: PlaneWorld,
    hook: Option<HookSender>,
}

impl FakeService for PlaneService {
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer {
        let (answer, events) = routes::answer(&mut self.world, request);
        self.tell(&events);
        answer
    }

    fn fault(&self, status: u16, retry_after: Option<u64>) -> FakeAnswer {
        let said = match status {
            400 => json!({"error": "Please provide valid detail"}),
            401 => json!({"detail": "Authentication credentials were not provided."}),
            403 => json!({"detail": "Given API token is not valid"}),
            404 => json!({"error": "The requested resource does not exist."}),
            429 => {
                let seconds = retry_after.unwrap_or(60);
                json!({"detail": format!("Request was throttled. Expected available in {seconds} seconds.")})
            }
            _other => json!({"error": "Something went wrong please try again later"}),
        };
        let answer = FakeAnswer::new(status, said);
        match retry_after {
            Some(seconds) => answer.with("retry-after", seconds.to_string()),
            None => answer,
        }
    }
}

impl PlaneService {
    fn tell(&self, events: &[PlaneEvent]) {
        if let Some(hook) = &self.hook {
            events.iter().for_each(|event| hook.send(event.delivery(&self.world)));
        }
    }
}

impl FakePlane {
    /// Serves an empty workspace.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(workspace: &str) -> io::Result<Self> {
        let mut world = PlaneWorld::default();
        workspace.clone_into(&mut world.workspace);
        Ok(Self { server: FakeServer::serve(PlaneService { world, hook: None }).await? })
    }

    /// Its address, as `with.url` takes it.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    fn world<T>(&self, look: impl FnOnce(&mut PlaneWorld) -> T) -> T {
        self.server.service(|service| look(&mut service.world))
    }

    /// Adds a user, and gives the id.
    pub fn add_user(&self, token: &str, name: &str) -> String {
        self.world(|world| {
            let id = world.id();
            world.users.insert(token.to_owned(), PlaneUser { id: id.clone(), name: name.to_owned() });
            id
        })
    }

    /// Adds a project with the states of a delivery.
    pub fn add_project(&self, id: &str, identifier: &str) {
        self.add_project_with(id, identifier, &STATE_NAMES);
    }

    /// Adds a project with states of these names and groups.
    pub fn add_project_with(&self, id: &str, identifier: &str, states: &[(&str, &str)]) {
        self.world(|world| {
            let state = |(name, group): &(&str, &str)| (world.id(), (*name).to_owned(), (*group).to_owned());
            let states = states.iter().map(state).collect();
            let project = PlaneProject { identifier: identifier.to_owned(), states };
            world.projects.insert(id.to_owned(), project);
        });
    }

    /// Takes a state away and makes one of the same name, with another id.
    pub fn renew_state(&self, project: &str, name: &str) {
        self.world(|world| {
            let id = world.id();
            let states = world.projects.get_mut(project).into_iter().flat_map(|project| &mut project.states);
            states.filter(|state| state.1 == name).for_each(|state| state.0.clone_from(&id));
        });
    }

    /// Adds an issue in a state, by a user, and gives the id.
    pub fn add_issue(
        &self,
        project: &str,
        sequence: u64,
        name: &str,
        html: &str,
        state: &str,
        by: &str,
    ) -> String {
        self.server.service(|service| {
            let world = &mut service.world;
            let (id, by) = (world.id(), person(world, by));
            let state = world.state_id(project, state).unwrap_or_default();
            let (project, name, html) = (project.to_owned(), name.to_owned(), html.to_owned());
            let (labels, by_id) = (Vec::new(), by.id.clone());
            let (parent, external) = (None, None);
            let issue =
                PlaneIssue { project, sequence, name, html, state, labels, by: by_id, parent, external };
            world.issues.insert(id.clone(), issue);
            service.tell(&[PlaneEvent::created(&id, &by)]);
            id
        })
    }

    /// A person moves an issue to a state, in Plane's pages.
    pub fn move_issue(&self, issue: &str, state: &str, by: &str) {
        self.server.service(|service| {
            let world = &mut service.world;
            let by = person(world, by);
            let project = world.issues.get(issue).map(|issue| issue.project.clone()).unwrap_or_default();
            let Some(new) = world.state_id(&project, state) else { return };
            let Some(moved) = world.issues.get_mut(issue) else { return };
            let old = std::mem::replace(&mut moved.state, new.clone());
            moved.by.clone_from(&by.id);
            service.tell(&[PlaneEvent::state(issue, &by, &old, &new)]);
        });
    }

    /// A person comments on an issue, in Plane's pages.
    pub fn say(&self, issue: &str, html: &str, by: &str) {
        self.server.service(|service| {
            let world = &mut service.world;
            let Some(project) = world.issues.get(issue).map(|issue| issue.project.clone()) else { return };
            let (id, author) = (world.id(), person(world, by));
            let (issue, html) = (issue.to_owned(), html.to_owned());
            let note = PlaneNote { id, project, issue, html, author, at: now(), source: None, key: None };
            let event = PlaneEvent::comment(&note.author, &PlaneWorld::comment(&note));
            world.add_comment(note);
            service.tell(&[event]);
        });
    }

    /// Tells an address of all that happens from now on, signed with a secret.
    pub fn set_hook(&self, url: &str, secret: &str) {
        let hook = HookSender::new(url.to_owned(), secret.to_owned());
        self.server.service(|service| service.hook = Some(hook));
    }

    /// Makes the next requests by a method fail, whatever they ask for.
    pub fn fail(&self, method: &str, fault: ServiceFault, times: u32) {
        self.server.fail_by(method, fault, times);
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        self.server.mend();
    }

    /// Lists come as lists, as older versions give them, and not page by page.
    pub fn set_plain_lists(&self, plain: bool) {
        self.world(|world| world.plain_lists = plain);
    }

    /// A person gives an issue a label. No delivery tells of it.
    pub fn add_label(&self, issue: &str, label: &str) {
        self.world(|world| {
            if let Some(issue) = world.issues.get_mut(issue) {
                issue.labels.push(label.to_owned());
            }
        });
    }

    /// States of issues come as objects, with the description as text.
    pub fn set_expanded(&self, expanded: bool) {
        self.world(|world| world.expanded = expanded);
    }

    /// What it was asked so far, the oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<PlaneRequest> {
        let users = self.world(|world| world.users.clone());
        let seen = |asked: FakeRequest| {
            let user = asked.headers.get("x-api-key").and_then(|token| users.get(token));
            let path = asked.path.strip_prefix(BASE).unwrap_or(&asked.path).to_owned();
            let user = user.map(|user| user.name.clone());
            PlaneRequest { method: asked.method, path, user, body: asked.body }
        };
        self.server.asked().into_iter().map(seen).collect()
    }

    /// How often it was asked by a method for a path that ends so.
    #[must_use]
    pub fn count(&self, method: &str, end: &str) -> usize {
        let is_it = |asked: &&FakeRequest| asked.method == method && asked.path.ends_with(end);
        self.server.asked().iter().filter(is_it).count()
    }

    /// The id of a state of a project, by its name.
    #[must_use]
    pub fn state_id(&self, project: &str, name: &str) -> Option<String> {
        self.world(|world| world.state_id(project, name))
    }

    /// The name of the state that an issue is in.
    #[must_use]
    pub fn state_of(&self, issue: &str) -> Option<String> {
        self.world(|world| {
            let issue = world.issues.get(issue)?;
            let states = &world.projects.get(&issue.project)?.states;
            states.iter().find(|state| state.0 == issue.state).map(|state| state.1.clone())
        })
    }

    /// The comments on an issue, in order: their authors and their texts.
    #[must_use]
    pub fn comments_on(&self, issue: &str) -> Vec<(String, String)> {
        self.world(|world| {
            let of_issue = world.comments.iter().filter(|note| note.issue == issue);
            of_issue.map(|note| (note.author.name.clone(), note.html.clone())).collect()
        })
    }

    /// The parts of an issue, in the order of their numbers: their names and their descriptions.
    #[must_use]
    pub fn parts_of(&self, issue: &str) -> Vec<(String, String)> {
        self.world(|world| {
            let parts = world.issues.values().filter(|part| part.parent.as_deref() == Some(issue));
            let mut parts: Vec<_> =
                parts.map(|part| (part.sequence, part.name.clone(), part.html.clone())).collect();
            parts.sort_unstable();
            parts.into_iter().map(|(_, name, html)| (name, html)).collect()
        })
    }

    /// The name of an issue as people see it, `ORCH-18`, with its title and its description as text.
    #[must_use]
    pub fn issue(&self, issue: &str) -> Option<(String, String, String)> {
        self.world(|world| {
            let issue = world.issues.get(issue)?;
            let identifier = &world.projects.get(&issue.project)?.identifier;
            Some((format!("{identifier}-{}", issue.sequence), issue.name.clone(), plain_text(&issue.html)))
        })
    }

    /// What a webhook says of an issue now, as if a person had moved it to the state that it has.
    #[must_use]
    pub fn delivery(&self, issue: &str, by: &str) -> Option<Value> {
        self.world(|world| {
            let state = world.issues.get(issue)?.state.clone();
            let by = person(world, by);
            Some(PlaneEvent::state(issue, &by, "", &state).delivery(world).body().clone())
        })
    }
}

/// The user of a name; one that has no token works in Plane's pages only.
fn person(world: &mut PlaneWorld, name: &str) -> PlaneUser {
    match world.users.values().find(|user| user.name == name) {
        Some(user) => user.clone(),
        None => PlaneUser { id: world.id(), name: name.to_owned() },
    }
}

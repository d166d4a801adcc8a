//! What the fake knows: users, projects with their states, issues, comments.

use std::collections::BTreeMap;

use everfold_base::json::{Hash, Value};
use everfold_system::clock;
use serde_json::json;

use crate::plane::text::plain_text;

/// The names of the states of a delivery, with the groups that Plane puts them in.
pub const STATE_NAMES: [(&str, &str); 14] = [
    ("Backlog", "backlog"),
    ("Todo", "unstarted"),
    ("In Progress", "started"),
    ("Architecture", "started"),
    ("Development", "started"),
    ("Review", "started"),
    ("Testing", "started"),
    ("Approved", "started"),
    ("Rejected", "started"),
    ("Done", "completed"),
    ("Cancelled", "cancelled"),
    ("Needs Input", "started"),
    ("In Review", "started"),
    ("Blocked", "started"),
];
/// Comments that are remembered; older ones are gone.
const COMMENTS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct PlaneWorld {
    pub(super) workspace: String,
    /// Users by their tokens.
    pub(super) users: BTreeMap<String, PlaneUser>,
    pub(super) projects: BTreeMap<String, PlaneProject>,
    pub(super) issues: BTreeMap<String, PlaneIssue>,
    pub(super) comments: Vec<PlaneNote>,
    /// Lists come as lists, as older versions give them, and not page by page.
    pub(super) plain_lists: bool,
    /// States of issues come as objects.
    pub(super) expanded: bool,
    count: u64,
}

#[derive(Debug, Clone)]
pub(super) struct PlaneUser {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) struct PlaneProject {
    pub(super) identifier: String,
    /// Id, name and group.
    pub(super) states: Vec<(String, String, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct PlaneIssue {
    pub(super) project: String,
    pub(super) sequence: u64,
    pub(super) name: String,
    pub(super) html: String,
    pub(super) state: String,
    pub(super) labels: Vec<String>,
    /// Who changed it last.
    pub(super) by: String,
    /// The issue that it is a part of.
    pub(super) parent: Option<String>,
    /// What identifies it for who made it: the source, and the key there.
    pub(super) external: Option<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct PlaneNote {
    pub(super) id: String,
    pub(super) project: String,
    pub(super) issue: String,
    pub(super) html: String,
    pub(super) author: PlaneUser,
    pub(super) at: String,
    pub(super) source: Option<String>,
    pub(super) key: Option<String>,
}

impl PlaneWorld {
    /// An id that no other thing has.
    pub(super) fn id(&mut self) -> String {
        self.count += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.count, self.count)
    }

    /// Adds a comment.
    pub(super) fn add_comment(&mut self, note: PlaneNote) {
        if self.comments.len() >= COMMENTS_MAX {
            self.comments.remove(0);
        }
        self.comments.push(note);
    }

    /// The states of a project as its list shows them.
    pub(super) fn state_list(&self, project: &str) -> Vec<Value> {
        let states = self.projects.get(project).map(|project| project.states.as_slice()).unwrap_or_default();
        let shown = |(id, name, group): &(String, String, String)| json!({"id": id, "name": name, "group": group, "color": "#888", "project": project, "default": false});
        states.iter().map(shown).collect()
    }

    /// A state in few words; null where the project has none of that id.
    fn state(&self, project: &str, id: &str) -> Value {
        let states = self.projects.get(project).map(|project| project.states.as_slice()).unwrap_or_default();
        states.iter().find(|state| state.0 == id).map_or(
            Value::Null,
            |(id, name, group)| json!({"id": id, "name": name, "group": group, "color": "#888"}),
        )
    }

    /// The id of a state, by its name.
    pub(super) fn state_id(&self, project: &str, name: &str) -> Option<String> {
        let states = &self.projects.get(project)?.states;
        states.iter().find(|state| state.1 == name).map(|state| state.0.clone())
    }

    /// The issue of a project that carries an external id.
    pub(super) fn external(&self, project: &str, source: &str, key: &str) -> Option<&String> {
        let is_it = |issue: &PlaneIssue| {
            let external = issue.external.as_ref().map(|(source, key)| (source.as_str(), key.as_str()));
            issue.project == project && external == Some((source, key))
        };
        self.issues.iter().find(|(_, issue)| is_it(issue)).map(|(id, _)| id)
    }

    /// An issue as it is shown.
    pub(super) fn issue(&self, id: &str, expanded: bool) -> Option<Value> {
        let issue = self.issues.get(id)?;
        let state = match expanded {
            true => self.state(&issue.project, &issue.state),
            false => json!(issue.state),
        };
        let labels: Vec<String> = issue.labels.iter().map(|name| label_id(name)).collect();
        let mut shown = json!({
            "id": id, "name": issue.name, "sequence_id": issue.sequence, "project": issue.project,
            "workspace": self.workspace, "state": state, "labels": labels, "assignees": [],
            "priority": "none", "description_html": issue.html, "updated_by": issue.by, "parent": issue.parent,
            "external_source": issue.external.as_ref().map(|external| &external.0),
            "external_id": issue.external.as_ref().map(|external| &external.1),
        });
        if expanded {
            shown["description_stripped"] = plain_text(&issue.html).into();
        }
        Some(shown)
    }

    /// The labels of an issue as they are shown to who asks for more than their ids.
    pub(super) fn issue_labels(&self, id: &str) -> Value {
        let names = self.issues.get(id).into_iter().flat_map(|issue| &issue.labels);
        names.map(|name| json!({"id": label_id(name), "name": name, "color": "#ff0000"})).collect()
    }

    /// A comment as it is shown.
    pub(super) fn comment(note: &PlaneNote) -> Value {
        json!({
            "id": note.id, "comment_html": note.html, "issue": note.issue, "project": note.project,
            "actor": note.author.id, "created_by": note.author.id, "created_at": note.at,
            "access": "INTERNAL", "external_source": note.source, "external_id": note.key, "is_member": true,
            "actor_detail": {"id": note.author.id, "display_name": note.author.name},
        })
    }
}

/// Now, as Plane writes times.
pub(super) fn now() -> String {
    let now = jiff::Timestamp::from_millisecond(clock::now().0).unwrap_or_default();
    format!("{now:.6}")
}

/// The id of a label.
fn label_id(name: &str) -> String {
    format!("id-of-{}", Hash::of(name.as_bytes()).short())
}

//! The project's record in `projects.yaml`.
//!
//! Law: the file belongs to people: its lines stay as they are, comments with them, and a record is put below `projects:`.
//! What would not read as intended is not written.

use std::path::Path;

use everfold_engine::definition::value_of;
use everfold_engine::json::Value;
use everfold_engine::text::one_line;

use super::checklist::{Checklist, SetupFinding, SetupItem};
use super::request::OnboardRequest;
use super::settings_document;

/// The ids of the states that `orch` hears, by their names in the record; none where Plane was not asked.
pub(super) type ProjectStates = Vec<(&'static str, String)>;

/// The names of the states that `orch` hears, as records write them: three that steer, and the one that waiting tasks hear.
const HEARD: [&str; 4] = ["in_progress", "approved", "rejected", "done"];

/// The record of the project.
pub(super) async fn item(
    checklist: Checklist,
    request: &OnboardRequest,
    states: &ProjectStates,
) -> SetupItem {
    let record = record(request, states);
    let look = async || look(request, states);
    let make = async || make(request, &record);
    let to_do = format!("in {}, below `projects:`: {}", request.projects.display(), record.trim());
    checklist.item("here", "projects.yaml", to_do, look, make).await
}

fn record(request: &OnboardRequest, states: &ProjectStates) -> String {
    let OnboardRequest { project, repo, prefix, .. } = request;
    let ids: Vec<String> = states.iter().map(|(name, id)| format!("{name}: {}", yaml_text(id))).collect();
    let states = if ids.is_empty() { String::new() } else { format!(", states: {{ {} }}", ids.join(", ")) };
    format!("  {project}: {{ repo: {}, prefix: {prefix}{states} }}\n", yaml_text(repo))
}

fn look(request: &OnboardRequest, states: &ProjectStates) -> SetupFinding {
    let path = request.projects.display();
    let document = match settings_document::read(&request.projects) {
        Ok(document) => document,
        Err(finding) => return finding,
    };
    match &document["projects"][&request.project] {
        Value::Null => SetupFinding::Missing(format!("no record in {path}")),
        found if found["repo"] != request.repo.as_str() => {
            SetupFinding::Out(format!("the record has the repository {}", found["repo"]))
        }
        found if found["prefix"] != request.prefix.as_str() => {
            SetupFinding::Out(format!("the record has the prefix {}", found["prefix"]))
        }
        same => match foreign_state(&same["states"], states) {
            Some(wrong) => SetupFinding::Out(wrong),
            None => SetupFinding::There(path.to_string()),
        },
    }
}

/// What `orch` does not hear of the record's `states`: a name that it does not know, or an id that Plane does not have for it.
fn foreign_state(recorded: &Value, states: &ProjectStates) -> Option<String> {
    recorded.as_object()?.iter().find_map(|(name, id)| {
        if !HEARD.contains(&name.as_str()) {
            let known = HEARD.join(", ");
            return Some(format!("`states` of the record has “{}”, not one of {known}", one_line(name)));
        }
        let (_, known) = states.iter().find(|(state, _)| state == name)?;
        (id != known.as_str())
            .then(|| format!("`states.{name}` of the record is {id}, and “{known}” in Plane"))
    })
}

fn make(request: &OnboardRequest, record: &str) -> Result<(), String> {
    let path = &request.projects;
    let former = settings_document::text_of(path)?;
    let text = match &former {
        Some(former) => with_record(former, record)
            .ok_or_else(|| "it has no block `projects:` that a line could be put below".to_owned())?,
        None => whole(request, record),
    };
    let is_right = value_of(&text)
        .is_some_and(|document| document["projects"][&request.project]["repo"] == request.repo.as_str());
    if !is_right {
        return Err("the record would not read as intended".to_owned());
    }
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    settings_document::write(path, former.as_deref().unwrap_or_default(), &text)
}

/// A text with a record below its block `projects:`.
fn with_record(former: &str, record: &str) -> Option<String> {
    let mut text = String::with_capacity(former.len() + record.len());
    let mut is_put = false;
    for line in former.split_inclusive('\n') {
        let plain = line.split(" #").next().unwrap_or_default().trim_end();
        match plain {
            "projects:" | "projects: {}" if !is_put => {
                let comment = line.get(plain.len()..).unwrap_or_default().trim_end();
                text.push_str(&format!("projects:{comment}\n{record}"));
                is_put = true;
            }
            _other => text.push_str(line),
        }
    }
    if !is_put && value_of(former).is_none_or(|document| document["projects"].is_null()) {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        text.push_str(&format!("{end}projects:\n{record}"));
        is_put = true;
    }
    is_put.then_some(text)
}

/// A new file.
fn whole(request: &OnboardRequest, record: &str) -> String {
    let OnboardRequest { plane_url, workspace, gitea_url, owner, repos, .. } = request;
    let [plane, workspace, gitea, owner] =
        [plane_url, workspace, gitea_url, owner].map(|text| yaml_text(text));
    let repos = yaml_text(&repos.display().to_string());
    let for_people = |name: &str, variable: &str| {
        let address = request.environment.get(variable);
        address.map(|address| format!(", {name}: {}", yaml_text(&address))).unwrap_or_default()
    };
    let web = for_people("web", "ORCH_PLANE_WEB_URL");
    let public = for_people("public", "ORCH_GITEA_PUBLIC_URL");
    format!(
        "plane: {{ url: {plane}{web}, workspace: {workspace} }}\ngitea: {{ url: {gitea}{public}, owner: {owner} }}\n\
         repos: {repos}\nprojects:\n{record}"
    )
}

/// A text as YAML and JSON read it alike.
pub(super) fn yaml_text(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_put_below_its_block_and_every_other_line_stays() {
        let record = "  P: { repo: a, prefix: A }\n";
        for (former, expected) in [
            ("", "projects:\n  P: { repo: a, prefix: A }\n"),
            ("repos: /r", "repos: /r\nprojects:\n  P: { repo: a, prefix: A }\n"),
            (
                "projects: {} # none\nrepos: /r\n",
                "projects: # none\n  P: { repo: a, prefix: A }\nrepos: /r\n",
            ),
            (
                "# ours\nprojects: # all\n  Q: { repo: b }\n",
                "# ours\nprojects: # all\n  P: { repo: a, prefix: A }\n  Q: { repo: b }\n",
            ),
        ] {
            assert_eq!(with_record(former, record).as_deref(), Some(expected));
        }
        assert_eq!(with_record("projects: { Q: { repo: b } }\n", record), None);
    }
}

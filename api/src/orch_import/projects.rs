//! Which project of Plane a repository of ORCH belongs to.
//!
//! Law: both forms are read: the settings document of the pipeline `orch` (`projects` by their ids in Plane) and ORCH's
//! own `ORCH_PROJECTS_JSON`. A record that cannot be used is passed over and said; without a document ORCH's built-in pair
//! counts.

use std::collections::BTreeMap;
use std::path::Path;

use everfold_engine::definition::value_of;
use everfold_engine::json::Value;

use crate::fault::{Code, Fault};
use crate::named_file;

/// The largest document.
const BYTES_MAX: u64 = 1024 * 1024;
/// ORCH's own projects, where it is told of none.
const BUILT_IN: [(&str, &str); 2] = [
    ("enduro-trails", "7a79f0a9-5278-49cd-9007-9a338f238f9c"),
    ("orchestrator", "8da6aa25-a60e-44d6-a1e2-d8ae59aa7d6a"),
];

/// The projects by their repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Projects {
    by_repo: BTreeMap<String, String>,
    /// Records that were passed over, each with the reason.
    pub(crate) skipped: Vec<String>,
    /// `plane` of the settings document: where issues are.
    pub(crate) tracker: Option<Value>,
}

impl Projects {
    /// The id in Plane of the project of a repository.
    pub(crate) fn of_repo(&self, repo: &str) -> Option<&str> {
        self.by_repo.get(&repo.trim().to_lowercase()).map(String::as_str)
    }

    fn built_in() -> Self {
        let by_repo = BUILT_IN.map(|(repo, id)| (repo.to_owned(), id.to_owned())).into();
        Self { by_repo, skipped: Vec::new(), tracker: None }
    }

    fn of(document: &Value) -> Self {
        let listed = match document {
            Value::Object(map) if map.contains_key("projects") => &document["projects"],
            other => other,
        };
        let records: Vec<(Option<&str>, &Value)> = match listed {
            Value::Object(map) => map.iter().map(|(id, record)| (Some(id.as_str()), record)).collect(),
            Value::Array(list) => list.iter().map(|record| (None, record)).collect(),
            _neither => Vec::new(),
        };
        let tracker = document.get("plane").filter(|plane| plane.is_object()).cloned();
        let mut projects = Self { by_repo: BTreeMap::new(), skipped: Vec::new(), tracker };
        for (at, (key, record)) in records.into_iter().enumerate() {
            let text = |name: &str| record[name].as_str().map(str::trim).filter(|text| !text.is_empty());
            let id = text("plane_project_id").or(key);
            match (id, text("repo")) {
                (Some(id), Some(repo)) => {
                    projects.by_repo.insert(repo.to_lowercase(), id.to_owned());
                }
                (_, repo) => {
                    let what = if repo.is_none() { "repo" } else { "plane_project_id" };
                    let name = key.map_or_else(|| format!("record {}", at + 1), str::to_owned);
                    projects.skipped.push(format!("{name} has no `{what}`"));
                }
            }
        }
        projects
    }
}

/// Reads the document at `path`; without one, ORCH's built-in projects.
///
/// # Errors
/// It cannot be read, or holds no project that can be used.
pub(crate) fn read_projects(path: Option<&Path>) -> Result<Projects, Fault> {
    let Some(path) = path else { return Ok(Projects::built_in()) };
    let name = path.display();
    let failed = |error: std::io::Error| Fault::new(Code::File, format!("{name}: {error}"));
    let Some(bytes) = named_file::read_bounded(path, BYTES_MAX).map_err(failed)? else {
        return Err(Fault::new(Code::File, format!("{name} has over {BYTES_MAX} bytes")));
    };
    let document = str::from_utf8(&bytes).ok().and_then(value_of);
    let document =
        document.ok_or_else(|| Fault::new(Code::File, format!("{name} is neither YAML nor JSON")))?;
    let projects = Projects::of(&document);
    match projects.by_repo.is_empty() {
        false => Ok(projects),
        true => Err(Fault::new(Code::File, format!("{name} holds no project that can be used"))
            .hint("a record has the project's id in Plane and its `repo`")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_records_are_read_and_a_bad_record_is_passed_over() {
        let own = Projects::of(&json!({"projects": {"P1": {"repo": "Enduro"}, "P2": {"prefix": "X"}}}));
        assert_eq!((own.of_repo("enduro"), own.of_repo("x")), (Some("P1"), None));
        assert_eq!(own.skipped, ["P2 has no `repo`"]);
        let orch = Projects::of(&json!([
            {"plane_project_id": "P3", "repo": "app", "work_item_prefix": "A"}, {"repo": "b"}, 7
        ]));
        assert_eq!(orch.of_repo(" APP "), Some("P3"));
        assert_eq!(orch.skipped, ["record 2 has no `plane_project_id`", "record 3 has no `repo`"]);
        assert!(read_projects(None).unwrap().of_repo("orchestrator").is_some());
    }
}

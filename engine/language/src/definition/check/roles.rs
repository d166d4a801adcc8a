//! Secrets with a source per role: whether the file can say which one is taken, and roles that no secret lists.

use std::collections::BTreeSet;

use super::super::codes::Code;
use super::super::read::{KnownRole, PipelineReader};
use super::super::similar::similar;
use super::super::{Definition, SecretSource};

/// Why a secret cannot be chosen at a place.
pub(super) struct RoleProblem {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Why no source of a declared secret can be taken, where this is known of the role.
pub(super) fn role_problem(declared: &Definition, name: &str, role: &KnownRole) -> Option<RoleProblem> {
    let Some(SecretSource::Of(sources)) = declared.secrets.get(name) else { return None };
    if sources.otherwise.is_some() {
        return None;
    }
    let names = || sources.roles.keys().map(String::as_str);
    let listed = names().collect::<Vec<_>>().join(", ");
    match role {
        KnownRole::Computed => None,
        KnownRole::Named(role) if sources.roles.contains_key(role) => None,
        KnownRole::Named(role) => Some(RoleProblem {
            code: Code::UnknownName,
            message: format!("the secret “{name}” has no source for the role “{role}”"),
            hint: match similar(role, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it lists {listed}; give it an `else` for all other roles"),
            },
        }),
        KnownRole::None => Some(RoleProblem {
            code: Code::MissingKey,
            message: format!("the secret “{name}” has a source per role, and nothing here has a role"),
            hint: format!("write `as` with one of {listed}, or give the secret an `else`"),
        }),
    }
}

/// Reports roles of an `as` that no secret lists: they choose nothing.
pub(super) fn unlisted_roles(reader: &mut PipelineReader<'_>, declared: &Definition) {
    let lists = declared.secrets.values().filter_map(|source| match source {
        SecretSource::Of(sources) => Some(sources.roles.keys().map(String::as_str)),
        _plain => None,
    });
    let known: BTreeSet<&str> = lists.flatten().collect();
    for (role, span) in std::mem::take(&mut reader.roles) {
        let ending = format!("for the role “{role}”");
        let is_reported = reader
            .problems
            .iter()
            .any(|problem| problem.code == Code::UnknownName && problem.message.ends_with(&ending));
        if is_reported || known.contains(role.as_str()) {
            continue;
        }
        let hint = match similar(&role, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => {
                format!("declare one: secrets: {{ BOT: {{ of: {{ {role}: {{ env: BOT_TOKEN }} }} }} }}")
            }
            None => {
                format!("roles that secrets list: {}", known.iter().copied().collect::<Vec<_>>().join(", "))
            }
        };
        reader.report(Code::NoEffect, span, format!("no secret has a source for the role “{role}”")).hint =
            Some(hint);
    }
}

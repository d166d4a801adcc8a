//! `as`: the role in whose name a step or a gate acts, and the sources of a secret that has one per role.
//!
//! Law: a role is a name that the pipeline lists. What chooses among sources is never a path or a variable.

use std::collections::BTreeMap;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{RoleSources, SecretSource};
use super::control::SECRET;
use super::reader::{Keys, PipelineReader};
use super::scalar::{is_id, is_whole};
use super::uses::{ExprPlace, KnownRole};
use crate::expr::Template;

/// The most roles of one secret: all of their values are looked up wherever it is used.
const ROLES_MAX: usize = 32;

impl PipelineReader<'_> {
    /// A name of a role, or one whole `${…}` that gives one.
    pub(super) fn acts_as(&mut self, node: &YamlNode, place: ExprPlace) -> Option<Template> {
        let text = self.text(node, "`as`")?;
        if is_whole(node) {
            return self.text_template(node, "`as`", place);
        }
        if !is_id(&text, true) {
            self.report(Code::Value, node.span.clone(), format!("“{text}” is no name of a role")).hint = Some(
                "write a role that a secret lists (`of`), or one whole `${…}` that gives its name".to_owned(),
            );
            return None;
        }
        self.roles.push((text, node.span.clone()));
        self.text_template(node, "`as`", place)
    }

    /// The `as` of a step: its own; without one its agent's role counts, and without that the one of `defaults`.
    pub(super) fn step_role(&mut self, keys: Keys<'_>, default: Option<&Template>) -> Option<Template> {
        let agent = keys.get("agent").and_then(|agent| agent.text().or_else(|| agent.get("role")?.text()));
        if let Some(node) = keys.get("as") {
            self.role = role_in(node);
            if !["command", "agent", "function", "http", "gates"].iter().any(|key| keys.get(key).is_some()) {
                let span = keys.key_span("as");
                self.report(Code::NoEffect, span, "`as` is for work and gates that are given secrets").hint =
                    Some("take it out: nothing of this step is given any".to_owned());
            }
            return self.acts_as(node, ExprPlace::Work);
        }
        self.role = match (agent, default) {
            (Some(role), _) => KnownRole::Named(role.to_owned()),
            (None, Some(default)) => role_of(default),
            (None, None) => KnownRole::None,
        };
        default.filter(|_| agent.is_none()).cloned()
    }

    /// Reads something that acts in the name of the role that stands here; without one in that of what it belongs to.
    pub(super) fn in_name_of<T>(&mut self, node: Option<&YamlNode>, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.role.clone();
        if let Some(node) = node {
            self.role = role_in(node);
        }
        let found = read(self);
        self.role = before;
        found
    }

    /// Reads something that steps of any role take over.
    pub(super) fn for_any_role<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.role, KnownRole::Computed);
        let found = read(self);
        self.role = before;
        found
    }

    /// A secret with a source per role.
    pub(super) fn role_sources(&mut self, keys: Keys<'_>) -> Option<SecretSource> {
        for key in SECRET.keys.iter().filter(|key| !["of", "else"].contains(key)) {
            if keys.get(key).is_some() {
                let span = keys.key_span(key);
                self.report(
                    Code::Combination,
                    span,
                    format!("a secret with a source per role has no `{key}`"),
                )
                .hint = Some(format!("write it below the role, or as `else: {{ {key}: … }}`"));
                return None;
            }
        }
        let Some(of) = keys.get("of") else {
            let span = keys.key_span("else");
            self.report(Code::Combination, span, "`else` is for roles without a source; there is no `of`")
                .hint =
                Some("write of: { ROLE: { env: VARIABLE } }, or the source itself without `else`".to_owned());
            return None;
        };
        let Kind::Map(entries) = &of.kind else {
            self.wrong_type(of, "`of`", "a map from roles to their sources");
            return None;
        };
        if entries.is_empty() || entries.len() > ROLES_MAX {
            let span = self.first_line(of.span.clone());
            let message = format!("`of` lists 1 to {ROLES_MAX} roles, not {}", entries.len());
            self.report(Code::Value, span, message).hint =
                Some("name the roles that have a value of their own; `else` is for all others".to_owned());
            return None;
        }
        let mut roles = BTreeMap::new();
        for (key, value) in entries {
            let role = self.id(key, "role", true);
            let source = self.plain_source(value);
            roles.insert(role?, source?);
        }
        let otherwise = match keys.get("else") {
            Some(node) => Some(Box::new(self.plain_source(node)?)),
            None => None,
        };
        Some(SecretSource::Of(RoleSources { roles, otherwise }))
    }

    /// A source that is no choice itself.
    fn plain_source(&mut self, node: &YamlNode) -> Option<SecretSource> {
        if let Some(key) = ["of", "else"].into_iter().find(|key| node.get(key).is_some()) {
            let span = self.first_line(node.span.clone());
            self.report(Code::Combination, span, format!("the source of a role has no `{key}` itself"))
                .hint = Some(
                "name one source: { env: VARIABLE }, { file: PATH } or { command: [PROGRAM] }".to_owned(),
            );
            return None;
        }
        self.secret(node)
    }
}

fn role_in(node: &YamlNode) -> KnownRole {
    match node.text() {
        Some(text) if is_id(text, true) => KnownRole::Named(text.to_owned()),
        // What is no name of a role is reported where it stands.
        _ => KnownRole::Computed,
    }
}

fn role_of(role: &Template) -> KnownRole {
    match role.source().as_str() {
        Some(name) if role.is_constant() => KnownRole::Named(name.to_owned()),
        _ => KnownRole::Computed,
    }
}

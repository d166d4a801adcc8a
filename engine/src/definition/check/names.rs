//! The names in expressions: do they exist, may they be absent, do the types fit.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::codes::Code;
use super::super::input::local_reference;
use super::super::read::{Draft, Place, Reader, Use};
use super::super::similar::similar;
use super::super::{RouteTo, Routes};
use super::Upstream;
use crate::expr::{Access, step_path};

const STEP_FIELDS: [&str; 12] = [
    "status", "output", "outputs", "round", "rounds", "attempts", "failure", "gates", "commit", "stage",
    "role", "last",
];
const RUN_FIELDS: [&str; 8] =
    ["id", "short_id", "title", "pipeline", "labels", "status", "origin", "started_at"];
const WORKSPACE_FIELDS: [&str; 4] = ["path", "branch", "base", "commit"];
const REWORK_FIELDS: [&str; 6] = ["from", "gate", "by", "round", "findings", "history"];
const GATE_FIELDS: [&str; 5] = ["round", "probe_no", "used", "elapsed", "previous"];
const FAILURE_FIELDS: [&str; 5] = ["kind", "code", "message", "detail", "exit_code"];
const OWN_FIELDS: [&str; 4] = ["id", "stage", "round", "rounds"];

/// Roots of later versions and of other places, for a better message.
const ELSEWHERE: [(&str, &str); 17] = [
    ("steps", "no step has run yet when this is computed"),
    ("step", "this belongs to no step"),
    ("workspace", "the workspace is not made yet when this is computed"),
    ("rework", "this belongs to no step"),
    ("config", "settings documents do not work yet"),
    ("answers", "questions do not work yet"),
    ("secrets", "secrets do not work yet"),
    ("signal", "signals do not work yet"),
    ("event", "triggers do not work yet"),
    ("actor", "triggers do not work yet"),
    ("item", "it is there in the work of a step with `foreach`"),
    ("index", "it is there in the work of a step with `foreach`"),
    ("output", "it is there in gates and routes; of other steps write steps.NAME.output"),
    ("evidence", "it is there in the `policy` of a gate"),
    ("gate", "it is there in the `policy` of a gate"),
    ("failure", "it is there in `on_fail`"),
    ("attempt", "it is there in the work of a step"),
];

/// Checks every expression of the file against what the pipeline declares: its input, and whether
/// it has a workspace.
pub(in super::super) fn names(
    reader: &mut Reader<'_>,
    drafts: &[Draft],
    (input, workspace): (Option<&Value>, bool),
    upstream: Option<&Upstream>,
) {
    let steps = drafts.iter().enumerate().rev().map(|(at, draft)| (draft.step.id.as_str(), at)).collect();
    let check = Check { drafts, steps, input, workspace, upstream };
    for used in std::mem::take(&mut reader.uses) {
        let before = reader.problems.len();
        for access in used.expr.accesses() {
            check.access(reader, &used, access);
        }
        if reader.problems.len() == before {
            check.types(reader, &used);
        }
    }
}

pub(super) struct Check<'a> {
    drafts: &'a [Draft],
    /// Where each step stands in `drafts`.
    steps: BTreeMap<&'a str, usize>,
    pub(super) input: Option<&'a Value>,
    /// The pipeline declares a workspace.
    workspace: bool,
    upstream: Option<&'a Upstream>,
}

impl<'a> Check<'a> {
    fn draft(&self, used: &Use) -> Option<&'a Draft> {
        used.step.and_then(|step| self.drafts.get(step))
    }

    /// The names that expressions have at a place.
    fn roots(&self, used: &Use) -> Vec<&'a str> {
        let mut roots = vec!["input", "run"];
        let step: &[&str] = &["steps", "step", "workspace", "rework"];
        match used.place {
            Place::Start => {}
            Place::Workspace => roots.push("steps"),
            Place::Output => roots.extend(["steps", "workspace"]),
            Place::Commit => {
                roots.extend(step);
                roots.push("attempt");
            }
            Place::Step => roots.extend(step),
            Place::Work => {
                roots.extend(step);
                roots.push("attempt");
                if let Some(foreach) = self.draft(used).and_then(|draft| draft.step.foreach.as_ref()) {
                    roots.extend(["item", "index"]);
                    roots.extend(foreach.name.as_deref());
                }
            }
            Place::Gate => {
                roots.extend(step);
                roots.push("output");
            }
            Place::Policy(_) => {
                roots.extend(step);
                roots.extend(["output", "evidence", "gate"]);
            }
            Place::Route => {
                roots.extend(step);
                roots.extend(["output", "failure"]);
            }
        }
        roots
    }

    fn access(&self, reader: &mut Reader<'_>, used: &Use, access: &Access) {
        let root = access.path[0].as_str();
        let roots = self.roots(used);
        if !roots.contains(&root) {
            return self.unknown_root(reader, used, access, &roots);
        }
        match root {
            "steps" => self.step(reader, used, access),
            "input" => self.input(reader, used, access),
            "run" => fields(reader, used, access, &RUN_FIELDS, "`run`"),
            "workspace" => {
                fields(reader, used, access, &WORKSPACE_FIELDS, "`workspace`");
                if !self.workspace {
                    self.null_root(reader, used, access, "the pipeline declares no workspace");
                }
            }
            "rework" => {
                fields(reader, used, access, &REWORK_FIELDS, "`rework`");
                self.null_root(reader, used, access, "nothing was reworked in the first round");
            }
            "gate" => fields(reader, used, access, &GATE_FIELDS, "`gate`"),
            "failure" => fields(reader, used, access, &FAILURE_FIELDS, "`failure`"),
            "step" => fields(reader, used, access, &OWN_FIELDS, "`step`"),
            "evidence" => {
                if let Place::Policy(probe) = used.place {
                    fields(reader, used, access, evidence_fields(probe), "this gate's evidence");
                }
            }
            _ => {}
        }
    }

    fn unknown_root(&self, reader: &mut Reader<'_>, used: &Use, access: &Access, roots: &[&str]) {
        let name = access.path[0].as_str();
        if let Some((_, why)) = ELSEWHERE.iter().find(|(root, _)| *root == name) {
            return report(
                reader,
                used,
                access,
                1,
                Code::UnknownName,
                format!("there is no “{name}” at this place"),
                (*why).to_owned(),
            );
        }
        let upper = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let is_step = self.steps.contains_key(name);
        let hint = if used.shell
            && access.path.len() == 1
            && (upper || similar(name, roots.iter().copied()).is_none())
        {
            format!("`${{…}}` is an expression; for the shell's variable write ${name} or $${{{name}}}")
        } else if is_step {
            format!("of a step write {}.output", step_path(name))
        } else if let Some(near) = similar(name, roots.iter().copied()) {
            format!("did you mean `{near}`?")
        } else {
            format!("names at this place: {}; texts stand in quotes", roots.join(", "))
        };
        report(reader, used, access, 1, Code::UnknownName, format!("there is no name “{name}”"), hint);
    }

    /// Reports a field of a root that may be null as a whole.
    fn null_root(&self, reader: &mut Reader<'_>, used: &Use, access: &Access, why: &str) {
        let root = &access.path[0];
        let Some(field) = access.path.get(1) else { return };
        let whole = |access: &Access| access.path.len() == 1 && access.path[0] == *root;
        let when = self.draft(used).and_then(|draft| draft.step.when.as_ref());
        let asked = used.expr.accesses().iter().any(whole)
            || when.is_some_and(|when| when.accesses().iter().any(whole));
        if asked || self.guarded(used, access, 1) {
            return;
        }
        let message = format!("{root}.{field} may be absent: {why}");
        let hint = format!("write {root}.?{field}, or {root} == null ? '…' : {root}.{field}");
        report(reader, used, access, 2, Code::Unguarded, message, hint);
    }

    fn step(&self, reader: &mut Reader<'_>, used: &Use, access: &Access) {
        let [_, name, field, ..] = access.path.as_slice() else { return };
        let Some(at) = self.steps.get(name.as_str()).copied() else {
            if reader.broken.contains(name) {
                return;
            }
            let names = self.steps.keys().copied();
            let hint = match similar(name, names.clone()) {
                Some(near) => format!("did you mean {}?", step_path(near)),
                None => format!("steps: {}", names.collect::<Vec<_>>().join(", ")),
            };
            return report(
                reader,
                used,
                access,
                2,
                Code::UnknownName,
                format!("there is no step “{name}”"),
                hint,
            );
        };
        let target = &self.drafts[at];
        if !STEP_FIELDS.contains(&field.as_str()) {
            let hint = match similar(field, STEP_FIELDS.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if target.step.outputs.matches.contains_key(field) => {
                    format!("it is in the output: {}.output.{field}", step_path(name))
                }
                None => format!("a step has: {}", STEP_FIELDS.join(", ")),
            };
            return report(
                reader,
                used,
                access,
                3,
                Code::UnknownField,
                format!("a step has no “{field}”"),
                hint,
            );
        }
        if !self.visible(used, at) {
            let own = self.draft(used).map_or_else(String::new, |draft| draft.step.id.to_string());
            let message = format!("“{name}” does not lie before “{own}”: its results may be missing");
            let hint = format!("add it to the `needs` of “{own}”");
            return report(reader, used, access, 2, Code::NotUpstream, message, hint);
        }
        if field == "outputs" {
            self.outputs(reader, used, access, target);
        }
        self.maybe_null(reader, used, access, at);
    }

    /// Whether an expression may ask for a step.
    fn visible(&self, used: &Use, target: usize) -> bool {
        let Some(own) = used.step else { return true };
        let Some(draft) = self.drafts.get(own) else { return true };
        if draft.finish {
            return !self.drafts[target].finish || target <= own;
        }
        own == target || self.upstream.is_none_or(|upstream| upstream.contains(own, target))
    }

    fn outputs(&self, reader: &mut Reader<'_>, used: &Use, access: &Access, target: &Draft) {
        let Some(name) = access.path.get(3) else { return };
        let files = &target.step.outputs.files;
        let id = &target.step.id;
        match files.get(name) {
            None => {
                let names = files.keys().map(String::as_str);
                let hint = match similar(name, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if files.is_empty() => "declare it: outputs: { NAME: PATH }".to_owned(),
                    None => format!("it declares: {}", names.collect::<Vec<_>>().join(", ")),
                };
                let message = format!("“{id}” declares no output “{name}”");
                report(reader, used, access, 4, Code::UnknownField, message, hint);
            }
            Some(file) if file.optional && !self.guarded(used, access, 3) => {
                let message = format!("the output “{name}” of “{id}” is optional: it may be absent");
                let hint = format!("read it with {}.outputs.?{name}.orValue('')", step_path(id.as_str()));
                report(reader, used, access, 4, Code::Unguarded, message, hint);
            }
            Some(_) => {}
        }
    }

    /// Reports a field of an output that may be null as a whole.
    fn maybe_null(&self, reader: &mut Reader<'_>, used: &Use, access: &Access, at: usize) {
        let target = &self.drafts[at];
        let (name, field) = (target.step.id.as_str(), access.path[2].as_str());
        if access.path.len() < 4 || self.guarded(used, access, 3) {
            return;
        }
        let own = used.step == Some(at);
        let why = match field {
            "last" if own => "it has no earlier round at first",
            "failure" => "it has one only after it failed",
            "output" if own => return,
            "output" if target.step.standby => "it is a standby step, skipped until a rework names it",
            "output" if target.step.when.is_some() => "its `when` may skip it",
            "output" if tolerated(target) => "its failure may be tolerated",
            _ => return,
        };
        if self.asks_status(used, name, at) {
            return;
        }
        let chain = format!("{}.{field}", step_path(name));
        let next = &access.path[3];
        let message = format!("{chain} may be null: {why}");
        let hint = format!("read it with {chain}.?{next}, or ask for {}.status first", step_path(name));
        report(reader, used, access, 4, Code::Unguarded, message, hint);
    }

    /// Whether the part of a chain at `index` may be absent without harm: it is read as an optional,
    /// or the same expression or the step's `when` asks for it.
    fn guarded(&self, used: &Use, access: &Access, index: usize) -> bool {
        if access.guarded_from.is_some_and(|guarded| guarded <= index) {
            return true;
        }
        let asks = |other: &Access| {
            (other.tested || other.guarded_from.is_some())
                && other.path.len() > index
                && other.path[..=index] == access.path[..=index]
                && other.guarded_from.is_some_and(|guarded| guarded <= index)
        };
        let when = self.draft(used).and_then(|draft| draft.step.when.as_ref());
        used.expr.accesses().iter().any(asks) || when.is_some_and(|when| when.accesses().iter().any(asks))
    }

    /// Whether the expression, or the step's `when`, asks how a step ended; or both steps have the
    /// same `when`.
    fn asks_status(&self, used: &Use, name: &str, at: usize) -> bool {
        let asks = |access: &Access| {
            matches!(access.path.as_slice(), [root, step, field, ..] if root == "steps" && step == name
                && (field == "status" || (field == "output" && access.path.len() == 3)))
        };
        let own = self.draft(used).and_then(|draft| draft.step.when.as_ref());
        used.expr.accesses().iter().any(asks)
            || own.is_some_and(|when| {
                when.accesses().iter().any(asks) || Some(when) == self.drafts[at].step.when.as_ref()
            })
    }

    fn input(&self, reader: &mut Reader<'_>, used: &Use, access: &Access) {
        let Some(root) = self.input else { return };
        let mut schema = root;
        for (index, name) in access.path.iter().enumerate().skip(1) {
            schema = local_reference(root, schema).unwrap_or(schema);
            let open = ["oneOf", "anyOf", "allOf", "patternProperties", "if"]
                .iter()
                .any(|key| schema.get(key).is_some());
            let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| !open)
            else {
                return;
            };
            let chain = access.path[..index].join(".");
            let Some(property) = properties.get(name) else {
                let names = properties.keys().map(String::as_str);
                let near = similar(name, names.clone());
                let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
                let hint = match near {
                    Some(near) => format!("did you mean {chain}.{near}?"),
                    None => format!("the schema declares: {}", names.collect::<Vec<_>>().join(", ")),
                };
                let code = if closed { Code::UnknownField } else { Code::UndeclaredInput };
                if (closed || near.is_some())
                    && !access.tested
                    && access.guarded_from.is_none_or(|guarded| guarded > index)
                {
                    report(
                        reader,
                        used,
                        access,
                        index + 1,
                        code,
                        format!("the schema declares no “{chain}.{name}”"),
                        hint,
                    );
                }
                return;
            };
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|names| names.iter().any(|required| required == name));
            let target = local_reference(root, property).unwrap_or(property);
            let given = required || property.get("default").is_some() || target.get("default").is_some();
            if !given && !self.guarded(used, access, index) {
                let message = format!("{chain}.{name} may be absent: the schema does not require it");
                let hint = format!(
                    "write {chain}.?{name}.orValue('…'), test has({chain}.{name}), or give it a `default`"
                );
                return report(reader, used, access, index + 1, Code::Unguarded, message, hint);
            }
            schema = target;
        }
    }
}

fn evidence_fields(probe: &str) -> &'static [&'static str] {
    match probe {
        "expression" => &["value", "source"],
        "command" => &["argv", "exit", "output", "timed_out", "source"],
        "file" => &["exists", "path", "matches", "files", "glob", "min", "source"],
        "frontmatter" => &["file", "from", "value", "fields", "order", "pass", "fail", "match", "source"],
        _ => &[
            "files",
            "lines",
            "added",
            "deleted",
            "names",
            "min_files",
            "max_files",
            "max_lines",
            "allow",
            "deny",
            "source",
        ],
    }
}

/// Whether a step can end failed but tolerated.
fn tolerated(draft: &Draft) -> bool {
    let continues = |routes: &Routes| {
        routes.0.iter().any(|route| {
            let mut route = Some(route);
            while let Some(current) = route {
                if current.to == RouteTo::Continue {
                    return true;
                }
                route = current.then.as_deref();
            }
            false
        })
    };
    // For a gate `continue` leads to the next gate: the step still succeeds.
    continues(&draft.step.on_fail)
}

fn fields(reader: &mut Reader<'_>, used: &Use, access: &Access, known: &[&str], what: &str) {
    let Some(field) = access.path.get(1) else { return };
    if !known.contains(&field.as_str()) {
        let hint = match similar(field, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has: {}", known.join(", ")),
        };
        report(reader, used, access, 2, Code::UnknownField, format!("{what} has no “{field}”"), hint);
    }
}

/// Reports a problem at the name that ends the first `length` parts of a chain.
fn report(
    reader: &mut Reader<'_>,
    used: &Use,
    access: &Access,
    length: usize,
    code: Code,
    message: String,
    hint: String,
) {
    let path = &access.path[..length.min(access.path.len())];
    let at = used.expr.locate(path);
    let width = path.last().map_or(1, String::len);
    let span = used.origin.at(at)..used.origin.at(at + width);
    let problem = used.origin.source.problem(code, span, message).hint(hint);
    reader.problems.push(problem);
}

//! The fields of what expressions name: which there are, which may be absent.

use serde_json::Value;

use super::super::codes::Code;
use super::super::input::local_reference;
use super::super::read::{ExprUse, PipelineReader};
use super::super::similar::similar;
use super::name_check::NameCheck;
use crate::expr::FieldChain;

/// The fields of a step, as expressions name them: `steps.ID.FIELD`.
pub const STEP_FIELDS: [&str; 16] = [
    "status",
    "output",
    "outputs",
    "round",
    "rounds",
    "attempts",
    "failure",
    "gates",
    "commit",
    "stage",
    "role",
    "last",
    "usage",
    "worked",
    "started_at",
    "ended_at",
];
/// Of what a step or the run used up.
pub(super) const USAGE_FIELDS: [&str; 4] = ["cost", "input", "output", "cached"];
pub(super) const CANCELLED_FIELDS: [&str; 3] = ["by", "reason", "at"];
/// The fields of the run, as expressions name them: `run.FIELD`.
pub const RUN_FIELDS: [&str; 22] = [
    "id",
    "short_id",
    "root",
    "title",
    "pipeline",
    "labels",
    "status",
    "origin",
    "started_at",
    "outcome",
    "failure",
    "cancelled",
    "usage",
    "signals",
    "steps",
    "routes",
    "waiting",
    "gates",
    "warnings",
    "number",
    "top",
    "search",
];
pub(super) const WORKSPACE_FIELDS: [&str; 4] = ["path", "branch", "base", "commit"];
pub(super) const REWORK_FIELDS: [&str; 6] = ["from", "gate", "by", "round", "findings", "history"];
pub(super) const GATE_FIELDS: [&str; 5] = ["round", "probe_no", "used", "elapsed", "previous"];
/// Of what a step's gate came to.
const VERDICT_FIELDS: [&str; 3] = ["verdict", "reason", "evidence"];
pub(super) const FAILURE_FIELDS: [&str; 5] = ["kind", "code", "message", "detail", "exit_code"];
pub(super) const OWN_FIELDS: [&str; 4] = ["id", "stage", "round", "rounds"];

/// The fields of a probe's evidence; none for a probe that brings its own.
pub(super) fn evidence_fields(probe: &str) -> &'static [&'static str] {
    match probe {
        "expression" => &["value", "source"],
        "command" => &["argv", "exit", "output", "timed_out", "source"],
        "file" => &["exists", "path", "matches", "files", "glob", "min", "in", "unchanged", "source"],
        "frontmatter" => &[
            "file",
            "from",
            "value",
            "fields",
            "order",
            "pass",
            "fail",
            "match",
            "problem",
            "text",
            "text_cut",
            "unchanged",
            "source",
        ],
        "tests" => &["tests", "failed", "skipped", "failures", "files", "stale", "problem", "source"],
        "http" => &["status", "headers", "body", "truncated", "problem", "expect", "source"],
        "runs" => &["total", "runs", "labels", "unnamed", "counts", "missing", "source"],
        "config" => &["exists", "value", "path", "skipped", "source"],
        "credentials" => &["present", "missing", "source"],
        "function" => &["ok", "reason", "output", "source"],
        "all" | "any" | "not" => &["members"],
        "at_least" => &["members", "n"],
        "diff" => &[
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
        _ => &[],
    }
}

impl NameCheck<'_> {
    /// Reports an input that is not declared, or may be absent.
    pub(super) fn input(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        let Some(root) = self.input else { return };
        let mut schema = root;
        for (index, name) in chain.path.iter().enumerate().skip(1) {
            schema = local_reference(root, schema).unwrap_or(schema);
            let open = ["oneOf", "anyOf", "allOf", "patternProperties", "if"]
                .iter()
                .any(|key| schema.get(key).is_some());
            let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| !open)
            else {
                return;
            };
            let prefix = chain.path[..index].join(".");
            let Some(property) = properties.get(name) else {
                let names = properties.keys().map(String::as_str);
                let near = similar(name, names.clone());
                let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
                let hint = match near {
                    Some(near) => format!("did you mean {prefix}.{near}?"),
                    None => format!("the schema declares: {}", names.collect::<Vec<_>>().join(", ")),
                };
                let code = if closed { Code::UnknownField } else { Code::UndeclaredInput };
                if (closed || near.is_some())
                    && !chain.tested
                    && chain.guarded_from.is_none_or(|guarded| guarded > index)
                {
                    report(
                        reader,
                        used,
                        chain,
                        index + 1,
                        code,
                        format!("the schema declares no “{prefix}.{name}”"),
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
            if !given && !self.guarded(used, chain, index) {
                let message = format!("{prefix}.{name} may be absent: the schema does not require it");
                let hint = format!(
                    "write {prefix}.?{name}.orValue('…'), test has({prefix}.{name}), or give it a `default`"
                );
                return report(reader, used, chain, index + 1, Code::Unguarded, message, hint);
            }
            schema = target;
        }
    }

    /// Reports a gate that a step does not have, and a field that what a gate came to does not have.
    pub(super) fn gates(
        &self,
        reader: &mut PipelineReader<'_>,
        used: &ExprUse,
        chain: &FieldChain,
        at: usize,
    ) {
        let Some(name) = chain.path.get(3) else { return };
        let step = &self.drafts[at].step;
        let names = || step.gates.iter().map(|gate| gate.id.as_str());
        if !names().any(|gate| gate == name) {
            // A gate that could not be read was reported.
            if reader.unread_gates.contains(&Some(at)) || self.guarded(used, chain, 3) {
                return;
            }
            let hint = match similar(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if step.gates.is_empty() => "the step has no gates".to_owned(),
                None => format!("its gates are: {}", names().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("“{}” has no gate “{name}”", step.id);
            return report(reader, used, chain, 4, Code::UnknownField, message, hint);
        }
        let Some(field) = chain.path.get(4) else { return };
        if !VERDICT_FIELDS.contains(&field.as_str()) && !self.guarded(used, chain, 4) {
            let hint = match similar(field, VERDICT_FIELDS.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has: {}", VERDICT_FIELDS.join(", ")),
            };
            let message = format!("a gate of a step has no “{field}”");
            report(reader, used, chain, 5, Code::UnknownField, message, hint);
        }
    }
}

/// Reports a field that a root does not have.
pub(super) fn fields(
    reader: &mut PipelineReader<'_>,
    used: &ExprUse,
    chain: &FieldChain,
    known: &[&str],
    what: &str,
) {
    let Some(field) = chain.path.get(1) else { return };
    if !known.contains(&field.as_str()) {
        let hint = match similar(field, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has: {}", known.join(", ")),
        };
        report(reader, used, chain, 2, Code::UnknownField, format!("{what} has no “{field}”"), hint);
    }
}

/// How a message ends about a name that other places have.
pub(super) const AT_THIS_PLACE: &str = " at this place";

/// Reports a problem at the name that ends the first `length` parts of a chain.
pub(super) fn report(
    reader: &mut PipelineReader<'_>,
    used: &ExprUse,
    chain: &FieldChain,
    length: usize,
    code: Code,
    message: String,
    hint: String,
) {
    let path = &chain.path[..length.min(chain.path.len())];
    let at = used.expr.locate(path);
    let width = path.last().map_or(1, String::len);
    let problem = match used.source_map.local_use(at) {
        Some(local) if !is_wrong_everywhere(code, chain, &message) => {
            local.problem(code, format!("{message}; `local.{}` asks for it", local.name))
        }
        _own => used.source_map.problem(code, at..at + width, message),
    };
    reader.problems.push(problem.hint(hint));
}

/// Whether an expression has this problem wherever it stands: then it is a mistake of the local that it comes from.
fn is_wrong_everywhere(code: Code, chain: &FieldChain, message: &str) -> bool {
    let names = [Code::UnknownName, Code::UnknownField, Code::UndeclaredInput];
    // Each probe has evidence of its own.
    names.contains(&code) && chain.path[0] != "evidence" && !message.ends_with(AT_THIS_PLACE)
}

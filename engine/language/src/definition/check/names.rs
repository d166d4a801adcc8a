//! The names in expressions: do they exist, may they be absent, do the types fit.

use super::super::Work;
use super::super::codes::Code;
use super::super::read::{ExprPlace, ExprUse, PipelineReader, SecretUse};
use super::super::similar::similar;
use super::super::trigger_settings::is_fixed;
use super::fields::{
    AT_THIS_PLACE, FAILURE_FIELDS, GATE_FIELDS, OWN_FIELDS, REWORK_FIELDS, STEP_FIELDS, USAGE_FIELDS,
    WORKSPACE_FIELDS, evidence_fields, fields, report,
};
use super::name_check::NameCheck;
use super::roles::{role_problem, unlisted_roles};
use super::run_fields::known;
use super::upstream::Upstream;
use crate::definition::SKIPPED;
use crate::definition::read::Pipeline;
use crate::definition::read::StepDraft;
use crate::expr::patterns::compile_pattern;
use crate::expr::{Expr, FieldChain, step_path};

/// Roots of other places, for a better message.
const ELSEWHERE: [(&str, &str); 18] = [
    ("steps", "no step has run yet when this is computed"),
    ("step", "this belongs to no step"),
    ("workspace", "the workspace is not made yet when this is computed"),
    ("rework", "this belongs to no step"),
    ("answers", "it is there in the work of a step and after it"),
    ("signal", "it is there in `on_signal` and in the `match` of a wait"),
    ("answer", "it is there in the `accept` of a question"),
    ("event", "it is there in triggers and notices"),
    ("actor", "it is there in triggers and notices"),
    ("item", "it is there in the work of a step with `foreach`"),
    ("index", "it is there in the work of a step with `foreach`"),
    ("output", "it is there in gates and routes; of other steps write steps.NAME.output"),
    ("evidence", "it is there in the `policy` of a gate"),
    ("gate", "it is there in the `policy` of a gate"),
    ("failure", "it is there in `on_fail` and `else`"),
    ("attempt", "it is there in the work of a step"),
    ("input", "there is no run yet: what came is `event`"),
    ("local", "the pipeline has no `locals`; declare it: locals: { NAME: … }"),
];

/// Checks every expression of the file against what the pipeline declares.
pub(in super::super) fn names(
    reader: &mut PipelineReader<'_>,
    pipeline: &Pipeline,
    upstream: Option<&Upstream>,
) {
    let drafts = pipeline.drafts.as_slice();
    let steps = drafts.iter().enumerate().rev().map(|(at, draft)| (draft.step.id.as_str(), at)).collect();
    let (declared, input) = (&pipeline.definition, pipeline.definition.input.as_ref());
    let check = NameCheck { drafts, steps, declared, input, upstream };
    for SecretUse { name, span, role } in std::mem::take(&mut reader.secrets) {
        if !declared.secrets.contains_key(&name) {
            let hint = check.secret_hint(&name);
            let message = format!("there is no secret “{name}”");
            reader.report(Code::UnknownName, span, message).hint = Some(hint);
        } else if let Some(problem) = role_problem(declared, &name, &role) {
            reader.report(problem.code, span, problem.message).hint = Some(problem.hint);
        }
    }
    for used in std::mem::take(&mut reader.uses) {
        let before = reader.problems.len();
        patterns(reader, &used);
        for chain in used.expr.chains() {
            check.chain(reader, &used, chain);
        }
        if reader.problems.len() == before {
            check.types(reader, &used);
        }
    }
    unlisted_roles(reader, declared);
}

/// Reports patterns that could match nothing, because they do not compile.
fn patterns(reader: &mut PipelineReader<'_>, used: &ExprUse) {
    for pattern in used.expr.patterns() {
        let Err(error) = compile_pattern(pattern) else { continue };
        let at = used.expr.source().find(pattern.as_str()).unwrap_or(0);
        let place = at..at + pattern.len().max(1);
        let problem = used.source_map.problem(Code::Pattern, place, format!("“{pattern}”: {error}"));
        reader.problems.push(problem);
    }
}

impl<'a> NameCheck<'a> {
    /// The names that expressions have at a place.
    fn roots(&self, used: &ExprUse) -> Vec<&'a str> {
        if used.place == ExprPlace::Trigger {
            return vec!["event", "actor", "config"];
        }
        let mut roots = vec!["input", "run"];
        if used.place == ExprPlace::Config {
            return roots;
        }
        roots.push("config");
        let step: &[&str] = &["steps", "step", "workspace", "rework"];
        match used.place {
            ExprPlace::Config | ExprPlace::Trigger | ExprPlace::Start => {}
            ExprPlace::Workspace => roots.push("steps"),
            ExprPlace::Output => roots.extend(["steps", "workspace"]),
            ExprPlace::Notice => roots.extend(["steps", "workspace", "event", "actor"]),
            ExprPlace::Commit => {
                roots.extend(step);
                roots.push("attempt");
            }
            ExprPlace::Step => roots.extend(step),
            ExprPlace::Else => {
                roots.extend(step);
                roots.push("failure");
            }
            ExprPlace::Work | ExprPlace::Match | ExprPlace::Answer => {
                roots.extend(step);
                roots.extend(["attempt", "answers"]);
                roots.extend(match used.place {
                    ExprPlace::Match => Some("signal"),
                    ExprPlace::Answer => Some("answer"),
                    _ => None,
                });
                if let Some(foreach) = self.draft(used).and_then(|draft| draft.step.foreach.as_ref()) {
                    roots.extend(["item", "index"]);
                    roots.extend(foreach.name.as_deref());
                }
            }
            // An admission is judged before there are steps.
            ExprPlace::Gate if used.step.is_none() => {}
            ExprPlace::Policy(_) if used.step.is_none() => roots.extend(["evidence", "gate"]),
            ExprPlace::Gate => {
                roots.extend(step);
                roots.extend(["output", "answers"]);
            }
            ExprPlace::Policy(_) => {
                roots.extend(step);
                roots.extend(["output", "answers", "evidence", "gate"]);
            }
            ExprPlace::Route => {
                roots.extend(step);
                roots.extend(["output", "answers", "failure"]);
            }
            ExprPlace::Signal if used.step.is_none() => roots.extend(["steps", "workspace", "signal"]),
            ExprPlace::Signal => {
                roots.extend(step);
                roots.extend(["output", "answers", "signal"]);
            }
        }
        roots
    }

    fn chain(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        let root = chain.path[0].as_str();
        if root == "secrets" {
            return self.secret(reader, used, chain);
        }
        let roots = self.roots(used);
        if !roots.contains(&root) {
            return self.unknown_root(reader, used, chain, &roots);
        }
        match root {
            "steps" => self.step(reader, used, chain),
            "input" => self.input(reader, used, chain),
            "config" => self.config(reader, used, chain),
            "run" => self.run(reader, used, chain),
            "workspace" => {
                fields(reader, used, chain, &WORKSPACE_FIELDS, "`workspace`");
                if self.declared.workspace.is_none() {
                    self.null_root(reader, used, chain, "the pipeline declares no workspace");
                } else if self.is_before_workspace(used) {
                    let why = "it is made when the first step begins that works in it, after the texts of its work \
                               are rendered, and no such step is certain to lie before this one";
                    self.null_root(reader, used, chain, why);
                }
            }
            "rework" => {
                fields(reader, used, chain, &REWORK_FIELDS, "`rework`");
                self.null_root(reader, used, chain, "nothing was reworked in the first round");
            }
            "gate" => fields(reader, used, chain, &GATE_FIELDS, "`gate`"),
            "failure" => {
                fields(reader, used, chain, &FAILURE_FIELDS, "`failure`");
                if used.place == ExprPlace::Else {
                    self.null_root(reader, used, chain, "a step that is skipped did not fail");
                }
            }
            "step" => fields(reader, used, chain, &OWN_FIELDS, "`step`"),
            "evidence" => {
                if let ExprPlace::Policy(probe) = used.place
                    && !evidence_fields(probe).is_empty()
                {
                    fields(reader, used, chain, evidence_fields(probe), "this gate's evidence");
                }
            }
            _ => {}
        }
    }

    /// Reports a secret where it may not stand, and one that is not declared.
    fn secret(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        if !used.secrets {
            let message = "a secret has no place here: its value would be recorded".to_owned();
            let hint = "it may stand in `env`, in the `headers` of `http` and in `with`; a process reads its variable"
                .to_owned();
            return report(reader, used, chain, 1, Code::Secret, message, hint);
        }
        match chain.path.get(1) {
            Some(name) if self.declared.secrets.contains_key(name) => {
                if used.expr.secret().is_none() {
                    // No expression may read it: what is made of a value is recorded with the value.
                    let message = "a secret stands by itself between `${` and `}`".to_owned();
                    let hint = format!("write texts around it: Bearer ${{secrets.{name}}}");
                    report(reader, used, chain, 1, Code::Secret, message, hint);
                } else if let Some(problem) = role_problem(self.declared, name, &used.role) {
                    report(reader, used, chain, 2, problem.code, problem.message, problem.hint);
                }
            }
            Some(name) => {
                let (message, hint) = (format!("there is no secret “{name}”"), self.secret_hint(name));
                report(reader, used, chain, 2, Code::UnknownName, message, hint);
            }
            None => {
                let message = "a secret is named: secrets.NAME".to_owned();
                let hint = self.secret_hint("");
                report(reader, used, chain, 1, Code::Secret, message, hint);
            }
        }
    }

    fn secret_hint(&self, name: &str) -> String {
        let names = self.declared.secrets.keys().map(String::as_str);
        match similar(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.declared.secrets.is_empty() => {
                format!("declare it: secrets: {{ {name}: {{ env: {name} }} }}")
            }
            None => format!("secrets: {}", names.collect::<Vec<_>>().join(", ")),
        }
    }

    /// Reports settings that are not declared; what stands in them no schema says.
    fn config(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        let Some(name) = chain.path.get(1) else { return };
        let lists_skipped = name == SKIPPED && !self.declared.config_records.is_empty();
        if let Some(sources) = self.declared.config.get(name) {
            if used.place == ExprPlace::Trigger && !is_fixed(sources) {
                let message =
                    format!("`config.{name}` is read at a path with the input of a run, and here is none");
                let hint =
                    "give these settings a fixed path, or settings of their own to the triggers".to_owned();
                report(reader, used, chain, 2, Code::UnknownName, message, hint);
            }
            return;
        }
        if lists_skipped {
            return;
        }
        let names = self.declared.config.keys().map(String::as_str);
        let hint = match similar(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.declared.config.is_empty() => {
                format!("declare them: config: {{ {name}: [PATH] }}")
            }
            None => format!("settings: {}", names.collect::<Vec<_>>().join(", ")),
        };
        let message = format!("there are no settings “{name}”");
        report(reader, used, chain, 2, Code::UnknownName, message, hint);
    }

    fn unknown_root(
        &self,
        reader: &mut PipelineReader<'_>,
        used: &ExprUse,
        chain: &FieldChain,
        roots: &[&str],
    ) {
        let name = chain.path[0].as_str();
        let is_input = self
            .input
            .and_then(|schema| schema.get("properties")?.get(name))
            .is_some_and(|_| roots.contains(&"input"));
        if is_input {
            let hint = format!("of the input write input.{name}");
            let message = format!("there is no name “{name}”");
            return report(reader, used, chain, 1, Code::UnknownName, message, hint);
        }
        if let Some((_, why)) = ELSEWHERE.iter().find(|(root, _)| *root == name) {
            return report(
                reader,
                used,
                chain,
                1,
                Code::UnknownName,
                format!("there is no “{name}”{AT_THIS_PLACE}"),
                (*why).to_owned(),
            );
        }
        let upper = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let is_step = self.steps.contains_key(name);
        let hint = if used.shell
            && chain.path.len() == 1
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
        report(reader, used, chain, 1, Code::UnknownName, format!("there is no name “{name}”"), hint);
    }

    /// Reports a field of a root that may be null as a whole.
    pub(super) fn null_root(
        &self,
        reader: &mut PipelineReader<'_>,
        used: &ExprUse,
        chain: &FieldChain,
        why: &str,
    ) {
        let root = &chain.path[0];
        let Some(field) = chain.path.get(1) else { return };
        let whole = |chain: &FieldChain| chain.path.len() == 1 && chain.path[0] == *root;
        let asked = used.expr.chains().iter().any(whole)
            || self.conditions(used).any(|when| when.chains().iter().any(whole));
        if asked || self.guarded(used, chain, 1) {
            return;
        }
        let message = format!("{root}.{field} may be absent: {why}");
        let hint = format!("write {root}.?{field}, or {root} == null ? '…' : {root}.{field}");
        report(reader, used, chain, 2, Code::Unguarded, message, hint);
    }

    /// Whether an expression of a step may be asked before there is a workspace.
    fn is_before_workspace(&self, used: &ExprUse) -> bool {
        let (Some(own), Some(draft)) = (used.step, self.draft(used)) else { return false };
        let is_before_work =
            [ExprPlace::Step, ExprPlace::Else, ExprPlace::Work, ExprPlace::Match, ExprPlace::Answer];
        let is_behind_work = !is_before_work.contains(&used.place);
        // Gates without work before them are the first to need it themselves.
        let has_attempts = matches!(draft.step.work, Some(Work::Task(_))) && draft.step.is_in_workspace();
        if draft.finish || (is_behind_work && has_attempts) {
            return false;
        }
        let makes_it = |(at, other): (usize, &StepDraft)| {
            let is_alike = used.place != ExprPlace::Else && other.step.when == draft.step.when;
            let runs = !other.step.standby && (other.step.when.is_none() || is_alike);
            runs && other.step.is_in_workspace() && self.upstream.is_none_or(|all| all.is_certain(own, at))
        };
        !self.drafts.iter().enumerate().any(makes_it)
    }

    fn step(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        let [_, name, field, ..] = chain.path.as_slice() else { return };
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
                chain,
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
                chain,
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
            return report(reader, used, chain, 2, Code::NotUpstream, message, hint);
        }
        if field == "outputs" {
            self.outputs(reader, used, chain, target);
        }
        if field == "gates" {
            self.gates(reader, used, chain, at);
        }
        if field == "usage" && chain.path.get(3).is_some_and(|field| field != "model") {
            known(reader, used, chain, 3, &USAGE_FIELDS, "`usage` of a step");
        }
        self.maybe_null(reader, used, chain, at);
    }

    /// Whether an expression may ask for a step.
    fn visible(&self, used: &ExprUse, target: usize) -> bool {
        let Some(own) = used.step else { return true };
        let Some(draft) = self.drafts.get(own) else { return true };
        if draft.finish {
            return !self.drafts[target].finish || target <= own;
        }
        own == target || self.upstream.is_none_or(|upstream| upstream.contains(own, target))
    }

    fn outputs(
        &self,
        reader: &mut PipelineReader<'_>,
        used: &ExprUse,
        chain: &FieldChain,
        target: &StepDraft,
    ) {
        let Some(name) = chain.path.get(3) else { return };
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
                report(reader, used, chain, 4, Code::UnknownField, message, hint);
            }
            Some(file) if file.optional && !self.guarded(used, chain, 3) => {
                let message = format!("the output “{name}” of “{id}” is optional: it may be absent");
                let hint = format!("read it with {}.outputs.?{name}.orValue('')", step_path(id.as_str()));
                report(reader, used, chain, 4, Code::Unguarded, message, hint);
            }
            Some(_) => {}
        }
    }

    /// Whether the part of a chain at `index` may be absent without harm: it is read as an optional,
    /// or the same expression or the step's `when` asks for it.
    pub(super) fn guarded(&self, used: &ExprUse, chain: &FieldChain, index: usize) -> bool {
        if chain.guarded_from.is_some_and(|guarded| guarded <= index) {
            return true;
        }
        let asks = |other: &FieldChain| {
            (other.tested || other.guarded_from.is_some())
                && other.path.len() > index
                && other.path[..=index] == chain.path[..=index]
                && other.guarded_from.is_some_and(|guarded| guarded <= index)
        };
        used.expr.chains().iter().any(asks)
            || self.conditions(used).any(|when| when.chains().iter().any(asks))
    }

    /// What holds wherever an expression is looked at: the `when` of its step, and that of what it belongs to. An
    /// `else` is looked at where the step's `when` may be false.
    pub(super) fn conditions<'u>(&'u self, used: &'u ExprUse) -> impl Iterator<Item = &'u Expr> {
        let is_within = used.place != ExprPlace::Else;
        let of_step = self.draft(used).filter(|_| is_within).and_then(|draft| draft.step.when.as_ref());
        of_step.into_iter().chain(&used.guard)
    }
}

//! The fields of `run`: which there are below them, and which may be absent.

use super::super::Work;
use super::super::codes::Code;
use super::super::read::{ExprPlace, ExprUse, PipelineReader};
use super::super::similar::similar;
use super::fields::{CANCELLED_FIELDS, FAILURE_FIELDS, RUN_FIELDS, USAGE_FIELDS, fields, report};
use super::name_check::NameCheck;
use crate::expr::FieldChain;

impl NameCheck<'_> {
    /// Reports a field that the run does not have, and one that may be absent and is taken for granted.
    pub(super) fn run(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        fields(reader, used, chain, &RUN_FIELDS, "`run`");
        self.run_end(reader, used, chain);
        self.run_number(reader, used, chain);
        let Some(name) = chain.path.get(2) else { return };
        match chain.path[1].as_str() {
            "usage" => known(reader, used, chain, 2, &USAGE_FIELDS, "`run.usage`"),
            "cancelled" => {
                known(reader, used, chain, 2, &CANCELLED_FIELDS, "`run.cancelled`");
                let asks = |chain: &FieldChain| {
                    let field = chain.path.get(1).map(String::as_str);
                    chain.path[0] == "run"
                        && (matches!(field, Some("outcome" | "status"))
                            || (field == Some("cancelled") && chain.path.len() == 2))
                };
                let is_asked = used.expr.chains().iter().any(asks)
                    || self.conditions(used).any(|when| when.chains().iter().any(asks));
                if is_asked || self.guarded(used, chain, 2) {
                    return;
                }
                let message =
                    format!("run.cancelled.{name} may be absent: a run that is not cancelled has none");
                let hint = format!("write run.cancelled.?{name}, or ask for run.cancelled first");
                report(reader, used, chain, 3, Code::Unguarded, message, hint);
            }
            "search" if !self.declared.search.contains_key(name) => {
                let message = format!("run.search.{name} is none: the pipeline has no such search attribute");
                let known: Vec<&str> = self.declared.search.keys().map(String::as_str).collect();
                let hint = match similar(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `run.search.{near}`?"),
                    None => format!("declare it at the top: search: {{ {name}: {{ type: text }} }}"),
                };
                report(reader, used, chain, 3, Code::UnknownField, message, hint);
            }
            "signals" if !self.is_listened_to(name) && !self.guarded(used, chain, 2) => {
                let message =
                    format!("run.signals.{name} may be absent: nothing in the pipeline listens to “{name}”");
                let hint = format!("write run.signals.?{name}.orValue(0)");
                report(reader, used, chain, 3, Code::Unguarded, message, hint);
            }
            _other => {}
        }
    }

    /// Reports a number that no run of the pipeline has, and one that is asked for before it is given.
    fn run_number(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        if chain.path.get(1).is_none_or(|field| field != "number") {
            return;
        }
        if self.declared.number.is_none() {
            let message = "run.number is null: the pipeline does not number its runs".to_owned();
            let hint = "write number: true at the top of the pipeline, or number: { key: \"…\" }".to_owned();
            return report(reader, used, chain, 2, Code::Unguarded, message, hint);
        }
        let is_judged_before = |place| matches!(place, ExprPlace::Gate | ExprPlace::Policy(_));
        let is_early = matches!(used.place, ExprPlace::Config | ExprPlace::Start)
            || (used.step.is_none() && is_judged_before(used.place));
        if is_early {
            let message =
                "run.number is not given yet: a start that is refused or finds its key held takes none"
                    .to_owned();
            let hint =
                "use it in `workspace`, steps, notices and `output`; the `labels` of a step may hold it"
                    .to_owned();
            report(reader, used, chain, 2, Code::UnknownName, message, hint);
        }
    }

    /// Whether something in the pipeline listens to a signal: its count is there from the start.
    fn is_listened_to(&self, signal: &str) -> bool {
        let of_step = |draft: &crate::definition::read::StepDraft| {
            let step = &draft.step;
            step.on_signal.contains_key(signal)
                || step.gates.iter().any(|gate| gate.wake.iter().any(|wake| wake.signal() == signal))
                || matches!(&step.work, Some(Work::Wait(wait)) if wait.signal.as_deref() == Some(signal))
        };
        self.declared.on_signal.contains_key(signal) || self.drafts.iter().any(of_step)
    }

    /// Reports who asks in `on_finish` for a status that is always the same there, and who takes a failure for
    /// granted.
    fn run_end(&self, reader: &mut PipelineReader<'_>, used: &ExprUse, chain: &FieldChain) {
        let finishing = self.draft(used).is_some_and(|draft| draft.finish);
        match chain.path.get(1).map(String::as_str) {
            Some("status") if finishing => {
                let message =
                    "`run.status` does not say how the run ends: in `on_finish` it has not ended yet";
                let hint = "write run.outcome: it is succeeded, failed or cancelled".to_owned();
                report(reader, used, chain, 2, Code::OnFinish, message.to_owned(), hint);
            }
            Some("failure") if chain.path.len() > 2 => {
                let field = chain.path[2].as_str();
                if field != "step" && !FAILURE_FIELDS.contains(&field) {
                    let message = format!("`run.failure` has no “{field}”");
                    let hint = format!("it has: {}, step", FAILURE_FIELDS.join(", "));
                    return report(reader, used, chain, 3, Code::UnknownField, message, hint);
                }
                let when = self.draft(used).and_then(|draft| draft.step.when.as_ref());
                let asks = |chain: &FieldChain| {
                    let field = chain.path.get(1).map(String::as_str);
                    chain.path[0] == "run"
                        && (field == Some("outcome") || (field == Some("failure") && chain.path.len() == 2))
                };
                let is_asked = used.expr.chains().iter().any(asks)
                    || when.is_some_and(|when| when.chains().iter().any(asks));
                if is_asked || self.guarded(used, chain, 2) {
                    return;
                }
                let message =
                    format!("run.failure.{field} may be absent: a run that did not fail has no failure");
                let hint = format!("write run.failure.?{field}, or ask for run.outcome first");
                report(reader, used, chain, 3, Code::Unguarded, message, hint);
            }
            _other => {}
        }
    }
}

/// Reports a part of a chain that is none of some fields.
pub(super) fn known(
    reader: &mut PipelineReader<'_>,
    used: &ExprUse,
    chain: &FieldChain,
    at: usize,
    fields: &[&str],
    what: &str,
) {
    let Some(field) = chain.path.get(at) else { return };
    if fields.contains(&field.as_str()) {
        return;
    }
    let hint = match similar(field, fields.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has: {}", fields.join(", ")),
    };
    report(reader, used, chain, at + 1, Code::UnknownField, format!("{what} has no “{field}”"), hint);
}

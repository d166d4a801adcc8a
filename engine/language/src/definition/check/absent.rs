//! Outputs that may be null: of which steps, why, and which expressions ask first.

use super::super::Join;
use super::super::codes::Code;
use super::super::read::{ExprPlace, ExprUse, PipelineReader};
use super::fields::report;
use super::name_check::NameCheck;
use super::tolerated::may_be_tolerated;
use crate::expr::{Expr, FieldChain, step_path};

impl NameCheck<'_> {
    /// Reports what fails where an output is null as a whole: a field of it, or what takes the whole of it.
    pub(super) fn maybe_null(
        &self,
        reader: &mut PipelineReader<'_>,
        used: &ExprUse,
        chain: &FieldChain,
        at: usize,
    ) {
        let target = &self.drafts[at];
        let (name, field) = (target.step.id.as_str(), chain.path[2].as_str());
        let next = chain.path.get(3);
        let is_fine = match next {
            Some(_) => self.guarded(used, chain, 3),
            None => !chain.fails_on_null || chain.guarded_from.is_some(),
        };
        if is_fine {
            return;
        }
        let own = used.step == Some(at);
        let is_passed_over = || self.upstream.is_some_and(|upstream| upstream.may_be_passed_over(at));
        let tolerated = may_be_tolerated(target);
        let has_else = target.step.otherwise.is_some();
        let why = match (field, tolerated) {
            ("last", _) if own => "it has no earlier round at first",
            ("failure", _) => "it has one only after it failed",
            ("output", _) if own && used.place != ExprPlace::Else => return,
            ("output", _) if own => "it is what `else` stands for",
            ("output", _) if has_else && self.anytime(used) => "it may not have run yet",
            ("output", _) if has_else && !self.certain(used, at) => {
                "with `needs: {any: …}` it may not have ended"
            }
            ("output", _) if has_else => return,
            ("output", _) if target.step.standby => "it is a standby step, skipped until a rework names it",
            ("output", _) if target.step.when.is_some() => "its `when` may skip it",
            ("output", Some(why)) => why,
            ("output", _) if is_passed_over() => match target.step.join {
                Join::Succeeded => "it is skipped where something that it needs does not succeed",
                Join::Any | Join::Done => "it is skipped where nothing that it needs succeeded",
            },
            ("output", _) if self.anytime(used) => "it may not have run yet",
            ("output", _) if !self.certain(used, at) => {
                "another step of `needs: {any: …}` may be enough, and this one has not ended"
            }
            _ => return,
        };
        if self.asks_how_it_ended(used, at, next.is_none()) || self.runs_only_after(used, at) {
            return;
        }
        let step = step_path(name);
        let path = format!("{step}.{field}");
        let hint = match next {
            Some(next) => format!("read it with {path}.?{next}, or ask for {step}.status first"),
            None => format!("ask first: {path} == null ? … : …, or for {step}.status"),
        };
        let message = format!("{path} may be null: {why}");
        report(reader, used, chain, 4, Code::Unguarded, message, hint);
    }

    /// Whether an expression may be asked at any time of the run.
    fn anytime(&self, used: &ExprUse) -> bool {
        used.step.is_none() && matches!(used.place, ExprPlace::Signal | ExprPlace::Notice)
    }

    /// Whether a step has ended for certain when an expression is asked.
    fn certain(&self, used: &ExprUse, target: usize) -> bool {
        let Some(own) = used.step.filter(|own| self.drafts.get(*own).is_some_and(|draft| !draft.finish))
        else {
            return true;
        };
        self.upstream.is_none_or(|upstream| upstream.is_certain(own, target))
    }

    /// Whether the step of an expression begins only where this one step succeeded.
    fn runs_only_after(&self, used: &ExprUse, target: usize) -> bool {
        used.place != ExprPlace::Else
            && self.draft(used).is_some_and(|draft| {
                let id = &self.drafts[target].step.id;
                match draft.step.join {
                    Join::Succeeded => draft.step.needs.contains(id),
                    Join::Any => draft.step.needs.as_slice() == std::slice::from_ref(id),
                    Join::Done => false,
                }
            })
    }

    /// Whether the expression, or the step's `when`, asks how a step ended; or both steps have the
    /// same `when`. Of a step that is skipped for what it needs, how that ended will do; of an output that is
    /// taken as a whole, whether it has some field.
    fn asks_how_it_ended(&self, used: &ExprUse, at: usize, is_whole: bool) -> bool {
        let is_passed_over = self.upstream.filter(|upstream| upstream.may_be_passed_over(at));
        let tells =
            |other: usize| other == at || is_passed_over.is_some_and(|upstream| upstream.contains(at, other));
        let asks = |chain: &FieldChain| {
            let [root, step, field, rest @ ..] = chain.path.as_slice() else { return false };
            let is_asked = match (field.as_str(), rest) {
                ("status", _) => true,
                ("output", []) => !chain.fails_on_null,
                // `has(…)` and `.?` take a null for what has no fields; `in` does not.
                ("output", _) if is_whole => {
                    !chain.fails_on_null && chain.guarded_from.is_some_and(|from| from <= 3)
                }
                _other => false,
            };
            root == "steps" && is_asked && self.position(step).is_some_and(tells)
        };
        let holds =
            |when: &Expr| when.chains().iter().any(asks) || Some(when) == self.drafts[at].step.when.as_ref();
        used.expr.chains().iter().any(asks) || self.conditions(used).any(holds)
    }
}

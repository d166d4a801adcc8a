//! What a run claims from its start on: its identity, its slots and its budgets, rendered.

use super::super::refusal::Refusal;
use super::beginning::{Beginning, failed};
use crate::budgets::zone_name;
use crate::event::{BudgetTerms, OriginKind, SlotKind, WantedSlot};
use crate::input::Fork;
use everfold_language::definition::{Budget, OnLimit, Setting};
use everfold_language::expr::Loaded;
use everfold_language::expr::functions::to_text;
use everfold_language::expr::{EvalError, Scope};

/// A key is part of messages and lists.
pub const KEY_BYTES_MAX: usize = 1024;

impl Beginning {
    /// The run's identity, where it has one.
    ///
    /// # Errors
    /// [`Refusal::Start`]: the expression failed, or gave an empty text; [`Refusal::TooLarge`].
    pub fn identity(&self) -> Result<Option<WantedSlot>, Refusal> {
        let Some(key) = &self.definition().key else { return Ok(None) };
        let loaded = Loaded::default();
        let value = key.value.render(&self.scope(&loaded));
        let value = value.map_err(|error| failed("key", "value", &error))?;
        if value.is_null() {
            return Ok(None);
        }
        let value = to_text(&value);
        if value.trim().is_empty() {
            return Err(Refusal::Start(
                "`key` renders to an empty text, and a run without its key would run beside others; give it an input \
                 that makes one, or let the pipeline say that there is none with null: `${has(input.id) ? input.id : null}`"
                    .to_owned(),
            ));
        }
        let kind = SlotKind::Identity { release: key.release, on_taken: key.on_taken };
        wanted(value, kind).map(Some)
    }

    /// The key by which the run is counted, where the pipeline numbers its runs.
    ///
    /// # Errors
    /// [`Refusal::Start`]: the expression failed, or gave an empty text; [`Refusal::TooLarge`].
    pub fn number_key(&self) -> Result<Option<String>, Refusal> {
        let Some(numbering) = &self.definition().number else { return Ok(None) };
        let Some(key) = &numbering.key else { return Ok(Some(self.definition().name.clone())) };
        let loaded = Loaded::default();
        let key = key.render_text(&self.scope(&loaded)).map_err(|error| failed("number", "key", &error))?;
        if key.trim().is_empty() {
            return Err(Refusal::Start(
                "the `key` of `number` renders to an empty text; give it an input that makes one, or write number: true"
                    .to_owned(),
            ));
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(Refusal::TooLarge { what: "the key of `number`", max: KEY_BYTES_MAX });
        }
        Ok(Some(key))
    }

    /// The slots of a run that goes on from another one. A fork that holds back what acts outside of it ends no other run, either:
    /// it waits where it would have taken the place of one.
    ///
    /// # Errors
    /// As [`Beginning::slots`].
    pub fn slots_of(&self, fork: &Fork) -> Result<Vec<WantedSlot>, Refusal> {
        let mut slots = self.slots()?;
        if fork.origin.how == OriginKind::Fork && fork.effects.is_some() {
            for slot in &mut slots {
                if let SlotKind::Concurrency { on_limit: on_limit @ OnLimit::CancelOldest, .. } =
                    &mut slot.kind
                {
                    *on_limit = OnLimit::Queue;
                }
            }
        }
        Ok(slots)
    }

    /// The slots that the run holds from its admission to its end, in the order of the file. Two on one
    /// key are one, with the smaller limit.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed or a limit is 0; [`Refusal::TooLarge`].
    pub fn slots(&self) -> Result<Vec<WantedSlot>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let mut slots: Vec<WantedSlot> = Vec::new();
        for concurrency in &self.definition().concurrency {
            let applies = concurrency.when.as_ref().map_or(Ok(true), |when| when.eval_bool(&scope));
            if !applies.map_err(|error| failed("concurrency", "when", &error))? {
                continue;
            }
            let key = concurrency.key.render_text(&scope);
            let key = key.map_err(|error| failed("concurrency", "key", &error))?;
            if key.trim().is_empty() {
                continue;
            }
            let limit = concurrency.limit.resolve_within("`limit`", 1..=u32::MAX, &scope);
            let limit = limit.map_err(|error| failed("concurrency", "limit", &error))?;
            if limit == 0 {
                let code = everfold_language::definition::Code::TooSmall;
                return Err(Refusal::Start(format!(
                    "the concurrency limit of “{key}” is 0, and it is at least 1 ({code})"
                )));
            }
            let kind = SlotKind::Concurrency { limit, on_limit: concurrency.on_limit };
            let slot = wanted(key, kind)?;
            match slots.iter_mut().find(|known| known.key == slot.key) {
                None => slots.push(slot),
                Some(known) => {
                    if let SlotKind::Concurrency { limit: known, .. } = &mut known.kind {
                        *known = limit.min(*known);
                    }
                }
            }
        }
        Ok(slots)
    }

    /// The run's budgets, in the order of the file; not one of its own that is left without a limit.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed, or a scope is empty; [`Refusal::TooLarge`].
    pub fn budgets(&self) -> Result<Vec<BudgetTerms>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let render = |budget: &Budget| {
            let failed = |error: EvalError| failed("budget", &budget.id, &error);
            let of = budget.scope.as_ref().map(|of| of.render_text(&scope)).transpose().map_err(failed)?;
            match of.as_deref().map(str::trim) {
                Some("") => {
                    return Err(Refusal::Start(format!("the scope of budget “{}” is empty", budget.id)));
                }
                Some(of) if of.len() > KEY_BYTES_MAX => {
                    return Err(Refusal::TooLarge { what: "the scope of a budget", max: KEY_BYTES_MAX });
                }
                _fine => {}
            }
            let cost = limit(budget.cost.as_ref(), &scope, |it| it.resolve(&scope)).map_err(failed)?;
            let tokens = limit(budget.tokens.as_ref(), &scope, |it| it.resolve(&scope)).map_err(failed)?;
            let wall = limit(budget.wall.as_ref(), &scope, |it| it.resolve(&scope)).map_err(failed)?;
            let reserve = budget.reserve.as_ref().map(|it| it.resolve(&scope)).transpose().map_err(failed)?;
            Ok(BudgetTerms {
                id: budget.id.clone(),
                scope: of.map(|of| of.trim().to_owned()),
                per: budget.per,
                zone: budget.zone.as_deref().map(zone_name),
                cost_micros: cost.map(|money| money.0),
                tokens,
                wall_ms: wall.map(|span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)),
                reserve_micros: reserve.map_or(0, |money| money.0),
                on_over: budget.on_over,
            })
        };
        let is_open = |terms: &BudgetTerms| {
            let limits = (terms.cost_micros, terms.tokens, terms.wall_ms);
            terms.scope.is_some() || limits != (None, None, None)
        };
        let terms: Result<Vec<BudgetTerms>, Refusal> = self.definition().budgets.iter().map(render).collect();
        Ok(terms?.into_iter().filter(is_open).collect())
    }
}

/// A limit of a budget; one that is computed as null is none.
fn limit<T, R>(
    setting: Option<&Setting<T>>,
    scope: &dyn Scope,
    resolve: impl Fn(&Setting<T>) -> Result<R, EvalError>,
) -> Result<Option<R>, EvalError> {
    match setting {
        Some(setting) if !setting.is_null(scope)? => resolve(setting).map(Some),
        _none => Ok(None),
    }
}

fn wanted(key: String, kind: SlotKind) -> Result<WantedSlot, Refusal> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "a key", max: KEY_BYTES_MAX });
    }
    Ok(WantedSlot { key, kind })
}

//! Whether paid work may start.

use crate::event::{BudgetTerms, Measure, Spent};
use everfold_language::definition::Money;

/// How far a budget is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetUse {
    /// What was spent.
    pub spent: Spent,
    /// What is reserved for work that runs, in millionths of a US dollar.
    pub reserved_micros: u64,
    /// By how much the limits were raised.
    pub raised: Spent,
}

/// Whether there is room for another piece of paid work.
///
/// # Errors
/// What is used up.
pub fn room(terms: &BudgetTerms, used: &BudgetUse) -> Result<(), Measure> {
    if let Some(limit) = limit(terms, Measure::Cost, used.raised) {
        let taken = used.spent.cost_micros.saturating_add(used.reserved_micros);
        if taken >= limit || taken.saturating_add(terms.reserve_micros) > limit {
            return Err(Measure::Cost);
        }
    }
    for measure in [Measure::Tokens, Measure::Wall] {
        let is_full = limit(terms, measure, used.raised).is_some_and(|limit| measure.of(used.spent) >= limit);
        if is_full {
            return Err(measure);
        }
    }
    Ok(())
}

/// Whether there is room once the work that runs has ended, should that use up nothing.
#[must_use]
pub fn has_room_behind(terms: &BudgetTerms, used: &BudgetUse) -> bool {
    room(terms, &BudgetUse { reserved_micros: 0, ..*used }).is_ok()
}

/// What is passed beyond its limit, if anything is; used up exactly is not.
#[must_use]
pub fn passed(terms: &BudgetTerms, used: &BudgetUse) -> Option<Measure> {
    let is_passed = |measure: &Measure| {
        let amount = measure.of(used.spent);
        limit(terms, *measure, used.raised).is_some_and(|limit| match measure {
            // Time is not spent by anything that ends: the moment it is used up counts.
            Measure::Wall => amount >= limit,
            Measure::Cost | Measure::Tokens => amount > limit,
        })
    };
    Measure::ALL.into_iter().find(is_passed)
}

/// The limit of a budget, with what it was raised by; `None`: it has none of that.
#[must_use]
pub fn limit(terms: &BudgetTerms, measure: Measure, raised: Spent) -> Option<u64> {
    let own = match measure {
        Measure::Cost => terms.cost_micros,
        Measure::Tokens => terms.tokens,
        Measure::Wall => terms.wall_ms,
    };
    own.map(|own| own.saturating_add(measure.of(raised)))
}

/// An amount for readers.
#[must_use]
pub fn shown(measure: Measure, amount: u64) -> String {
    match measure {
        Measure::Cost => Money(amount).to_string(),
        Measure::Tokens => format!("{amount} tokens"),
        Measure::Wall => everfold_base::duration::format(std::time::Duration::from_millis(amount)),
    }
}

impl Measure {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Cost, Self::Tokens, Self::Wall];

    /// The part of an amount that it is about.
    #[must_use]
    pub fn of(self, spent: Spent) -> u64 {
        match self {
            Self::Cost => spent.cost_micros,
            Self::Tokens => spent.tokens,
            Self::Wall => spent.wall_ms,
        }
    }

    /// The word used in files and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Tokens => "tokens",
            Self::Wall => "wall",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_language::definition::{OnOver, Period};

    fn terms(cost: Option<u64>, tokens: Option<u64>, reserve: u64) -> BudgetTerms {
        BudgetTerms {
            id: "budget".into(),
            scope: None,
            per: Period::Total,
            zone: None,
            cost_micros: cost,
            tokens,
            wall_ms: None,
            reserve_micros: reserve,
            on_over: OnOver::Pause,
        }
    }

    #[test]
    fn l31_work_starts_only_where_spent_reserved_and_reserve_fit_and_something_is_left() {
        let used = |cost_micros, reserved_micros| BudgetUse {
            spent: Spent { cost_micros, ..Spent::default() },
            reserved_micros,
            raised: Spent::default(),
        };
        let plain = terms(Some(100), None, 0);
        assert_eq!(room(&plain, &used(99, 0)), Ok(()), "just below");
        assert_eq!(room(&plain, &used(100, 0)), Err(Measure::Cost), "used up exactly");
        assert_eq!(room(&plain, &used(60, 40)), Err(Measure::Cost), "kept free for others");
        let careful = terms(Some(100), None, 10);
        assert_eq!(room(&careful, &used(90, 0)), Ok(()));
        assert_eq!(room(&careful, &used(91, 0)), Err(Measure::Cost));
        let raised = BudgetUse { raised: Spent { cost_micros: 1, ..Spent::default() }, ..used(91, 0) };
        assert_eq!(room(&careful, &raised), Ok(()));
        assert_eq!(room(&terms(Some(0), None, 0), &used(0, 0)), Err(Measure::Cost), "a limit of nothing");
        let tokens = BudgetUse { spent: Spent { tokens: 7, ..Spent::default() }, ..BudgetUse::default() };
        assert_eq!(room(&terms(None, Some(8), 0), &tokens), Ok(()));
        assert_eq!(room(&terms(None, Some(7), 0), &tokens), Err(Measure::Tokens));
    }
}

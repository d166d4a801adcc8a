//! Budgets of a run, and what it used up.

use std::time::Duration;

use everfold_engine::budgets::shown;
use everfold_engine::definition::{OnOver, Period};
use everfold_engine::event::{Measure, Spent};
use everfold_engine::time::Timestamp;
pub(crate) use everfold_projections::usd;
use serde::{Deserialize, Serialize};

use crate::schema;
use crate::text::span;

/// A budget of a run, or the counter that runs share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BudgetView)]
pub struct BudgetStatus {
    /// Its name in the pipeline.
    pub id: String,
    /// Whose use is counted together; null: this run's.
    pub scope: Option<String>,
    /// Over which time.
    #[schema(value_type = schema::PeriodSchema)]
    pub per: Period,
    /// Where days begin; null: UTC.
    pub zone: Option<String>,
    /// What follows when it is used up.
    #[schema(value_type = schema::OnOverSchema)]
    pub on_over: OnOver,
    /// The limits that count, with what they were raised by; of a shared one the smaller of the run's and its scope's.
    pub limit: AmountsView,
    /// The limits as they were set, without what they were raised by.
    #[serde(default)]
    pub set: SetLimits,
    /// What was spent; of a shared one by all its runs, and where this run is over as its counter said last, but as it is now
    /// where the run failed for want of its room.
    pub spent: AmountsView,
    /// What is kept free for work that runs, in US dollars.
    pub reserved_usd: String,
    /// By how much it was raised.
    pub raised: AmountsView,
    /// What of it is used up, or reserved: `cost`, `tokens` or `wall`; null while there is room.
    #[schema(value_type = Option<schema::MeasureSchema>)]
    pub over: Option<Measure>,
    /// Whether what is reserved for work that runs is all that leaves no room: less of it is spent than its limit.
    #[serde(default)]
    pub is_reserved: bool,
    /// When its period ends; null: never.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub until: Option<Timestamp>,
    /// How full it is, in words.
    pub summary: String,
}

/// Limits as they were set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetLimits {
    /// Those that the pipeline of the run names.
    pub run: AmountsView,
    /// Those that the scope of a shared budget has of its own.
    pub scope: AmountsView,
}

/// Money, tokens and time; null where there is no limit of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AmountsView {
    /// US dollars, as a decimal.
    pub cost_usd: Option<String>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Milliseconds.
    pub wall_ms: Option<u64>,
}

impl AmountsView {
    /// Whether it says something of a measure.
    pub(crate) fn has(&self, measure: Measure) -> bool {
        match measure {
            Measure::Cost => self.cost_usd.is_some(),
            Measure::Tokens => self.tokens.is_some(),
            Measure::Wall => self.wall_ms.is_some(),
        }
    }

    pub(crate) fn of(spent: Spent) -> Self {
        Self {
            cost_usd: Some(usd(spent.cost_micros)),
            tokens: Some(spent.tokens),
            wall_ms: Some(spent.wall_ms),
        }
    }
}

pub(crate) fn budget_view(view: &everfold_engine::state::BudgetView<'_>) -> BudgetStatus {
    let (terms, used) = (view.terms, &view.used);
    let limit = |measure| view.limit(measure);
    let own = |cost: Option<u64>, tokens, wall_ms| AmountsView { cost_usd: cost.map(usd), tokens, wall_ms };
    BudgetStatus {
        id: terms.id.clone(),
        scope: terms.scope.clone(),
        per: terms.per,
        zone: terms.zone.clone(),
        on_over: terms.on_over,
        limit: AmountsView {
            cost_usd: limit(Measure::Cost).map(usd),
            tokens: limit(Measure::Tokens),
            wall_ms: limit(Measure::Wall),
        },
        set: SetLimits {
            run: own(terms.cost_micros, terms.tokens, terms.wall_ms),
            scope: own(view.own.cost_micros, view.own.tokens, view.own.wall_ms),
        },
        spent: AmountsView::of(used.spent),
        reserved_usd: usd(used.reserved_micros),
        raised: AmountsView::of(used.raised),
        over: view.over,
        is_reserved: view.is_reserved(),
        until: view.period.map(|(_, until)| until),
        summary: budget_summary(view),
    }
}

/// How full a budget is, with the time that was used up as other texts have times: it is hardly ever a whole number of
/// seconds.
pub(crate) fn budget_summary(view: &everfold_engine::state::BudgetView<'_>) -> String {
    let (summary, ms) = (view.summary(), view.used.spent.wall_ms);
    match summary.strip_prefix(&shown(Measure::Wall, ms)) {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => {
            format!("{}{rest}", span(Duration::from_millis(ms)))
        }
        _of_another_measure => summary,
    }
}

/// What a run used up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageView {
    /// Tokens read, those from a cache among them.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// US dollars, as a decimal.
    pub cost_usd: String,
}

#[cfg(test)]
mod tests {
    use everfold_engine::budgets::{BudgetUse, OwnLimit};
    use everfold_engine::event::BudgetTerms;
    use everfold_engine::state::BudgetView;

    use super::*;

    #[test]
    fn time_that_was_used_up_is_told_as_other_times_are() {
        let terms = |cost_micros, tokens, wall_ms| BudgetTerms {
            id: "own".to_owned(),
            scope: None,
            per: Period::Total,
            zone: None,
            cost_micros,
            tokens,
            wall_ms,
            reserve_micros: 0,
            on_over: OnOver::Pause,
        };
        let spent = Spent { cost_micros: 2_000_000, tokens: 7, wall_ms: 65_187 };
        let used = BudgetUse { spent, reserved_micros: 0, raised: Spent::default() };
        for (terms, said) in [
            (terms(None, None, Some(20_000)), "1m05s of 20s"),
            (terms(Some(4_000_000), None, Some(20_000)), "2.00 USD of 4.00 USD"),
            (terms(None, Some(9), None), "7 tokens of 9 tokens"),
        ] {
            let own = OwnLimit::default();
            let view = BudgetView { terms: &terms, used, over: None, period: None, own };
            assert_eq!(budget_summary(&view), said);
        }
    }
}

//! A budget that holds a run, in the numbers that somebody needs to raise it.

use serde::Deserialize;

use crate::visible::visible;

/// A budget of a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BudgetOfTask {
    pub(crate) id: String,
    /// Whose use is counted together; none: the run's.
    pub(crate) scope: Option<String>,
    per: String,
    limit: AmountsOfTask,
    spent: AmountsOfTask,
    raised: AmountsOfTask,
    reserved_usd: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AmountsOfTask {
    cost_usd: Option<String>,
    tokens: Option<u64>,
    wall_ms: Option<u64>,
}

/// What is said of one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BudgetLine {
    pub(crate) measure: &'static str,
    /// `0.52 USD of 0.50 USD spent`.
    pub(crate) text: String,
}

impl BudgetOfTask {
    /// Each measure that it limits.
    pub(crate) fn lines(&self) -> Vec<BudgetLine> {
        let mut lines = Vec::new();
        let time = |ms: u64| crate::words::duration(i64::try_from(ms).unwrap_or(i64::MAX));
        if let Some(limit) = &self.limit.cost_usd {
            let spent = self.spent.cost_usd.as_deref().unwrap_or("0");
            let raised = self.raised.cost_usd.as_deref().filter(|raised| !is_zero(raised));
            let mut text = of(&crate::words::usd(spent), &crate::words::usd(limit));
            text.push_str(&raised_words(raised.map(crate::words::usd)));
            if !is_zero(&self.reserved_usd) {
                text.push_str(&format!(", {} kept for what runs", crate::words::usd(&self.reserved_usd)));
            }
            lines.push(BudgetLine { measure: "money", text });
        }
        if let Some(limit) = self.limit.tokens {
            let raised = self.raised.tokens.filter(|raised| *raised > 0).map(crate::words::count);
            let text = of(&crate::words::count(self.spent.tokens.unwrap_or(0)), &crate::words::count(limit));
            lines.push(BudgetLine { measure: "tokens", text: text + &raised_words(raised) });
        }
        if let Some(limit) = self.limit.wall_ms {
            let raised = self.raised.wall_ms.filter(|raised| *raised > 0).map(time);
            let text = of(&time(self.spent.wall_ms.unwrap_or(0)), &time(limit));
            lines.push(BudgetLine { measure: "time", text: text + &raised_words(raised) });
        }
        lines
    }

    /// Whose use it counts, and over which time: `of all runs of team:blue, a month`.
    pub(crate) fn counts(&self) -> String {
        let whose = match &self.scope {
            Some(scope) => format!("of all runs of {}", visible(scope)),
            None => "of this run".to_owned(),
        };
        match self.per.as_str() {
            "" | "total" => format!("{whose}, in all"),
            period => format!("{whose}, a {period}"),
        }
    }
}

fn of(spent: &str, limit: &str) -> String {
    format!("{spent} of {limit} spent")
}

fn raised_words(raised: Option<String>) -> String {
    raised.map(|raised| format!(" ({raised} of it raised)")).unwrap_or_default()
}

fn is_zero(amount: &str) -> bool {
    amount.parse::<f64>().map_or(amount.is_empty(), |amount| amount == 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_budget_says_what_is_spent_of_which_limit_and_who_spends_it() {
        let budget = BudgetOfTask::deserialize(json!({
            "id": "team", "scope": "team:blue", "per": "month",
            "limit": {"cost_usd": "0.75", "tokens": null, "wall_ms": null},
            "spent": {"cost_usd": "0.62", "tokens": 900, "wall_ms": 10},
            "raised": {"cost_usd": "0.25", "tokens": 0, "wall_ms": 0}, "reserved_usd": "0.1",
        }))
        .expect("the budget is whole");
        let text =
            "0.62 USD of 0.75 USD spent (0.25 USD of it raised), 0.10 USD kept for what runs".to_owned();
        assert_eq!(budget.lines(), [BudgetLine { measure: "money", text }]);
        assert_eq!(budget.counts(), "of all runs of team:blue, a month");
    }

    #[test]
    fn a_budget_of_a_run_counts_this_run() {
        let budget = BudgetOfTask::deserialize(json!({
            "id": "calls", "per": "total", "limit": {"tokens": 1000}, "spent": {"tokens": 1200}, "reserved_usd": "0",
        }))
        .expect("the budget is whole");
        assert_eq!(budget.lines()[0].text, "1\u{202f}200 of 1\u{202f}000 spent");
        assert_eq!(budget.counts(), "of this run, in all");
    }
}

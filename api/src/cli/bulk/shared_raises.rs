//! By how much an order to many runs raises the budgets that they share, in all.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use everfold_engine::definition::Money;
use serde::Serialize;

use crate::body::bulk::{BulkRun, SharedRaise};
use crate::text::{count, cut, span};
use crate::view::{AmountsView, usd};

/// A shared budget, and what runs add to it.
#[derive(Debug, Serialize)]
pub(super) struct SharedRaises {
    #[serde(flatten)]
    raise: SharedRaise,
    /// How many runs each add the same.
    runs: usize,
}

/// The shared budgets that an order raises, each with what the runs add in all.
pub(super) fn in_all<'a>(runs: impl Iterator<Item = &'a BulkRun>) -> Vec<SharedRaises> {
    let mut found: BTreeMap<String, SharedRaises> = BTreeMap::new();
    for raise in runs.filter_map(|run| run.shared.as_ref()) {
        let zone = raise.zone.as_deref().unwrap_or_default();
        let key = format!("{:?}@{zone}:{}", raise.per, raise.scope);
        match found.entry(key) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.raise.add = sum(&known.raise.add, &raise.add);
                known.runs += 1;
            }
            Entry::Vacant(free) => {
                free.insert(SharedRaises { raise: raise.clone(), runs: 1 });
            }
        }
    }
    found.into_values().collect()
}

fn sum(one: &AmountsView, other: &AmountsView) -> AmountsView {
    let whole = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
    };
    AmountsView {
        cost_usd: whole(micros(one), micros(other)).map(usd),
        tokens: whole(one.tokens, other.tokens),
        wall_ms: whole(one.wall_ms, other.wall_ms),
    }
}

fn micros(amounts: &AmountsView) -> Option<u64> {
    amounts.cost_usd.as_deref().and_then(Money::parse).map(|Money(micros)| micros)
}

impl SharedRaises {
    /// In a sentence; `grows`: `would grow`, `grew`.
    pub(super) fn sentence(&self, grows: &str) -> String {
        let SharedRaise { scope, per, zone, add } = &self.raise;
        let per = serde_json::to_value(per).ok().and_then(|per| per.as_str().map(str::to_owned));
        let per = per.filter(|per| per != "total").map(|per| format!(" of the {per}")).unwrap_or_default();
        let zone = zone.as_ref().map(|zone| format!(", {zone}")).unwrap_or_default();
        let shared = if self.runs == 1 { "run shares it" } else { "runs share it, and each adds to it" };
        let scope = cut(scope, 60);
        let amount = amount(add);
        format!("the shared budget {scope}{per}{zone} {grows} by {amount} in all: {} {shared}", self.runs)
    }
}

/// What is more than nothing of it.
fn amount(add: &AmountsView) -> String {
    let parts = [
        micros(add).filter(|micros| *micros > 0).map(|micros| Money(micros).to_string()),
        add.tokens.filter(|tokens| *tokens > 0).map(|tokens| count(tokens, "token")),
        add.wall_ms.filter(|ms| *ms > 0).map(|ms| span(Duration::from_millis(ms))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

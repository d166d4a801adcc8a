//! Which decisions are listed: the filters in the address, as routes of REST know them.

use serde::Deserialize;

use super::decision::Decision;
use crate::frame::{Visit, with_query};
use crate::problem::Problem;

/// Decisions on one page.
pub(crate) const PAGE: usize = 50;

/// The verdicts of gates.
pub(crate) const VERDICTS: [&str; 4] = ["pass", "fail", "pending", "skipped"];

/// The filters of the list, as the address has them; what is empty filters nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditFilter {
    pub(crate) gate: String,
    pub(crate) verdict: String,
    pub(crate) pipeline: String,
    pub(crate) run: String,
    pub(crate) actor: String,
    /// A day or a time.
    pub(crate) since: String,
    /// `overrides`, `people`, or `gates`.
    pub(crate) only: String,
    pub(crate) cursor: String,
}

/// A part of the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecisionPart {
    pub(crate) items: Vec<Decision>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ListedDecisions {
    items: Vec<Decision>,
    next_cursor: Option<String>,
}

impl AuditFilter {
    /// Whether the list is that of one run, where people's decisions are listed, too.
    pub(crate) fn is_of_run(&self) -> bool {
        !self.run.is_empty()
    }

    /// Whether something is asked for that only the list of one run knows.
    pub(crate) fn needs_run(&self) -> bool {
        !self.is_of_run() && (!self.actor.is_empty() || matches!(self.only.as_str(), "overrides" | "people"))
    }

    /// Whether anything is filtered.
    pub(crate) fn is_set(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    fn pairs(&self) -> [(&'static str, &str); 7] {
        [
            ("gate", &self.gate),
            ("verdict", &self.verdict),
            ("pipeline", &self.pipeline),
            ("run", &self.run),
            ("actor", &self.actor),
            ("since", &self.since),
            ("only", &self.only),
        ]
    }

    /// The filter that cannot be used, of those by which a list was refused.
    pub(crate) fn refused(&self, problem: &Problem) -> Option<&'static str> {
        let is_no_time = !self.since.is_empty() && crate::words::millis(&time_of(&self.since)).is_none();
        let is_no_verdict = !self.verdict.is_empty() && !VERDICTS.contains(&self.verdict.as_str());
        match problem.status {
            _ if is_no_time => Some("since"),
            _ if is_no_verdict => Some("verdict"),
            404 if self.is_of_run() => Some("run"),
            _ => None,
        }
    }

    /// Why a filter cannot be used.
    pub(crate) fn refusal(&self, name: &str, problem: &Problem) -> String {
        match name {
            "since" => format!("“{}” is no day: write 2026-11-20, or a time of RFC 3339", self.since),
            "verdict" => format!("“{}” is no verdict: there are {}", self.verdict, VERDICTS.join(", ")),
            _ => problem.detail.clone(),
        }
    }

    /// The same without one of the filters.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        match name {
            "since" => rest.since.clear(),
            "verdict" => rest.verdict.clear(),
            "run" => rest.run.clear(),
            _ => {}
        }
        rest
    }

    /// The type of the field for a day: a browser drops from one of days what is none.
    pub(crate) fn since_type(&self) -> &'static str {
        since_type(&self.since)
    }

    /// A verdict that is none, which is shown all the same.
    pub(crate) fn unknown_verdict(&self) -> Option<&str> {
        Some(self.verdict.as_str()).filter(|verdict| !verdict.is_empty() && !VERDICTS.contains(verdict))
    }

    /// An address with these filters.
    pub(crate) fn on(&self, path: &str) -> String {
        let set = self.pairs().into_iter().filter(|(_, value)| !value.is_empty());
        set.fold(path.to_owned(), |path, (name, value)| with_query(&path, name, value))
    }

    /// A part of the list: from a cursor on, so many.
    pub(crate) async fn load(
        &self,
        visit: &Visit,
        cursor: &str,
        limit: usize,
    ) -> Result<DecisionPart, Problem> {
        if self.needs_run() {
            return Ok(DecisionPart::default());
        }
        if self.is_of_run() {
            self.of_run(visit, cursor, limit).await
        } else {
            self.of_gates(visit, cursor, limit).await
        }
    }

    /// Verdicts of gates of all runs.
    async fn of_gates(&self, visit: &Visit, cursor: &str, limit: usize) -> Result<DecisionPart, Problem> {
        let mut path = visit.at_moment(&format!("/audit/gates?limit={limit}"));
        let since = time_of(&self.since);
        let pairs = [
            ("gate", self.gate.as_str()),
            ("verdict", &self.verdict),
            ("pipeline", &self.pipeline),
            ("since", &since),
            ("cursor", cursor),
        ];
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            path = with_query(&path, name, value);
        }
        let page: ListedDecisions = visit.rest.get(&path).await?;
        Ok(DecisionPart { items: page.items, next: page.next_cursor })
    }

    /// Every decision of one run, newest first.
    async fn of_run(&self, visit: &Visit, cursor: &str, limit: usize) -> Result<DecisionPart, Problem> {
        if !self.run.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'@')) {
            return Err(Problem::not_found(format!("there is no run “{}”", self.run)));
        }
        let page: ListedDecisions =
            visit.rest.get(&visit.at_moment(&format!("/runs/{}/audit", self.run))).await?;
        let before: u64 = cursor.parse().unwrap_or(u64::MAX);
        let wanted = page.items.into_iter().rev().filter(|item| item.version < before && self.takes(item));
        let mut items: Vec<Decision> = wanted.take(limit + 1).collect();
        let has_more = items.len() > limit;
        items.truncate(limit);
        for item in &mut items {
            self.run.clone_into(&mut item.short_id);
        }
        let next = items.last().filter(|_| has_more).map(|item| item.version.to_string());
        Ok(DecisionPart { items, next })
    }

    /// Whether a decision of one run is wanted.
    fn takes(&self, item: &Decision) -> bool {
        let is = |wanted: &str, given: Option<&str>| wanted.is_empty() || given == Some(wanted);
        let by = |actor: &str| actor == self.actor || crate::words::actor(actor) == self.actor;
        let of_kind = match self.only.as_str() {
            "overrides" => item.is_override(),
            "people" => item.is_of_person(),
            "gates" => item.is_of_gate(),
            _ => true,
        };
        let since = time_of(&self.since);
        of_kind
            && is(&self.gate, item.gate.as_deref())
            && is(&self.verdict, item.verdict.as_deref())
            && (self.actor.is_empty() || by(&item.actor))
            && (since.is_empty() || item.at >= since)
    }
}

/// The type of a field for a day that holds a text.
pub(crate) fn since_type(text: &str) -> &'static str {
    if text.is_empty() || (text.len() == 10 && crate::words::millis(&time_of(text)).is_some()) {
        "date"
    } else {
        "text"
    }
}

/// A day as the time at which it begins; a time as it is.
pub(crate) fn time_of(text: &str) -> String {
    let text = text.trim();
    let is_day = text.len() == 10 && text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_stand_in_the_address() {
        let filter =
            AuditFilter { gate: "a b".to_owned(), only: "gates".to_owned(), ..AuditFilter::default() };
        assert_eq!(filter.on("/audit"), "/audit?gate=a+b&only=gates");
        assert_eq!(AuditFilter::default().on("/audit"), "/audit");
        assert_eq!(time_of("2026-11-22"), "2026-11-22T00:00:00Z");
    }

    #[test]
    fn the_filter_that_is_refused_is_found_and_what_was_typed_stays() {
        let filter =
            AuditFilter { since: "bogus".to_owned(), run: "zzzz".to_owned(), ..AuditFilter::default() };
        let problem = |status: u16| Problem { status, ..Problem::default() };
        assert_eq!(filter.refused(&problem(422)), Some("since"));
        assert_eq!(filter.without("since").refused(&problem(404)), Some("run"));
        assert_eq!(AuditFilter::default().refused(&problem(503)), None);
        assert_eq!([since_type("2026-11-22"), since_type(""), since_type("bogus")], ["date", "date", "text"]);
    }

    #[test]
    fn people_are_listed_for_one_run() {
        let of_people = AuditFilter { only: "people".to_owned(), ..AuditFilter::default() };
        assert!(of_people.needs_run());
        let of_run = AuditFilter { run: "3b2cabce".to_owned(), ..of_people };
        assert!(!of_run.needs_run());
        assert!(of_run.takes(&Decision { kind: "vote".to_owned(), ..Decision::default() }));
        assert!(!of_run.takes(&Decision { kind: "gate".to_owned(), ..Decision::default() }));
    }
}

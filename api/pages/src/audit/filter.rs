//! Which decisions are listed: the filters in the address, as routes of REST know them.

use serde::Deserialize;

use super::decision::Decision;
use crate::frame::{Visit, with_query};
use crate::problem::Problem;

/// Decisions on one page.
pub(crate) const PAGE: usize = 50;

/// The verdicts of gates.
pub(crate) const VERDICTS: [&str; 4] = ["pass", "fail", "pending", "skipped"];

/// What people decide, and that their time ran out.
const OF_PEOPLE: &str = "vote,part,answer,approval,override,recheck,cancel,expiry";

/// The choices of the field "what", with what each stands for.
pub(crate) const KINDS: [(&str, &str); 12] = [
    ("people", "of people"),
    ("override", "overrides"),
    ("gate", "verdicts of gates"),
    ("vote", "votes"),
    ("approval", "approvals"),
    ("part", "parts of answers"),
    ("answer", "answers"),
    ("recheck", "rechecks"),
    ("unjudged", "gates that a recheck could not judge"),
    ("rework", "rework"),
    ("cancel", "cancellations"),
    ("expiry", "time that ran out"),
];

/// The filters of the list, as the address has them; what is empty filters nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditFilter {
    /// One of [`KINDS`], or several kinds as REST takes them.
    #[serde(alias = "only")]
    pub(crate) kind: String,
    pub(crate) gate: String,
    pub(crate) verdict: String,
    pub(crate) pipeline: String,
    pub(crate) run: String,
    /// An actor; a name alone is a user's.
    pub(crate) actor: String,
    /// A day or a time.
    pub(crate) since: String,
    /// A day, which counts whole, or a time.
    pub(crate) until: String,
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
    /// Whether the list is that of one run.
    pub(crate) fn is_of_run(&self) -> bool {
        !self.run.is_empty()
    }

    /// Whether anything is filtered.
    pub(crate) fn is_set(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("kind", &self.kind),
            ("gate", &self.gate),
            ("verdict", &self.verdict),
            ("pipeline", &self.pipeline),
            ("run", &self.run),
            ("actor", &self.actor),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    /// The filter that cannot be used, of those by which a list was refused.
    pub(crate) fn refused(&self, problem: &Problem) -> Option<&'static str> {
        let is_no_time = |text: &str| !text.is_empty() && crate::words::millis(&time_of(text)).is_none();
        let is_no_verdict = !self.verdict.is_empty() && !VERDICTS.contains(&self.verdict.as_str());
        let is_known = |kind: &str| KINDS.iter().any(|(known, _)| *known == kind);
        match problem.status {
            _ if is_no_time(&self.since) => Some("since"),
            _ if is_no_time(&self.until) => Some("until"),
            _ if is_no_verdict => Some("verdict"),
            _ if !self.kind.is_empty() && !self.kinds().split(',').all(is_known) => Some("kind"),
            404 if self.is_of_run() => Some("run"),
            _ => None,
        }
    }

    /// Why a filter cannot be used.
    pub(crate) fn refusal(&self, name: &str, problem: &Problem) -> String {
        match name {
            "since" => no_day(&self.since),
            "until" => no_day(&self.until),
            "verdict" => format!("“{}” is no verdict: there are {}", self.verdict, VERDICTS.join(", ")),
            "kind" => format!("“{}” is no kind of decision", self.kind),
            _ => problem.detail.clone(),
        }
    }

    /// The same without one of the filters.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        match name {
            "since" => rest.since.clear(),
            "until" => rest.until.clear(),
            "verdict" => rest.verdict.clear(),
            "kind" => rest.kind.clear(),
            "run" => rest.run.clear(),
            _ => {}
        }
        rest
    }

    /// The type of the field for a day: a browser drops from one of days what is none.
    pub(crate) fn since_type(&self) -> &'static str {
        since_type(&self.since)
    }

    /// The same for the last day.
    pub(crate) fn until_type(&self) -> &'static str {
        since_type(&self.until)
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

    /// The kinds, as REST knows them.
    fn kinds(&self) -> &str {
        match self.kind.as_str() {
            "people" => OF_PEOPLE,
            // Words of former addresses.
            "overrides" => "override",
            "gates" => "gate",
            kind => kind,
        }
    }

    /// The actor, as REST knows it.
    fn whole_actor(&self) -> String {
        match self.actor.trim() {
            "" => String::new(),
            actor if actor == "engine" || actor.contains(':') => actor.to_owned(),
            name => format!("user:{name}"),
        }
    }

    /// A part of the list: from a cursor on, so many.
    pub(crate) async fn load(
        &self,
        visit: &Visit,
        cursor: &str,
        limit: usize,
    ) -> Result<DecisionPart, Problem> {
        let mut path = visit.at_moment(&format!("/audit/decisions?limit={limit}"));
        let (actor, since, until) = (self.whole_actor(), time_of(&self.since), end_of(&self.until));
        let pairs = [
            ("kind", self.kinds()),
            ("gate", self.gate.trim()),
            ("verdict", &self.verdict),
            ("pipeline", self.pipeline.trim()),
            ("run", self.run.trim()),
            ("actor", &actor),
            ("since", &since),
            ("until", &until),
            ("cursor", cursor),
        ];
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            path = with_query(&path, name, value);
        }
        let page: ListedDecisions = visit.rest.get(&path).await?;
        Ok(DecisionPart { items: page.items, next: page.next_cursor })
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

fn no_day(text: &str) -> String {
    format!("“{text}” is no day: write 2026-11-20, or a time of RFC 3339")
}

/// A day as the time at which the next one begins; a time as it is.
fn end_of(text: &str) -> String {
    let day = text.trim().parse::<jiff::civil::Date>().ok().filter(|_| text.trim().len() == 10);
    let next = day.and_then(|day| day.tomorrow().ok());
    next.map_or_else(|| time_of(text), |next| format!("{next}T00:00:00Z"))
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
            AuditFilter { gate: "a b".to_owned(), kind: "gate".to_owned(), ..AuditFilter::default() };
        assert_eq!(filter.on("/audit"), "/audit?kind=gate&gate=a+b");
        assert_eq!(AuditFilter::default().on("/audit"), "/audit");
        assert_eq!(time_of("2026-11-22"), "2026-11-22T00:00:00Z");
        let until = AuditFilter { until: "2026-11-30".to_owned(), ..AuditFilter::default() };
        assert_eq!(until.on("/audit/export"), "/audit/export?until=2026-11-30");
        assert_eq!(end_of("2026-11-30"), "2026-12-01T00:00:00Z", "the last day counts whole");
        assert_eq!(end_of("2026-11-30T10:00:00Z"), "2026-11-30T10:00:00Z");
    }

    #[test]
    fn the_filter_that_is_refused_is_found_and_what_was_typed_stays() {
        let filter =
            AuditFilter { since: "bogus".to_owned(), run: "zzzz".to_owned(), ..AuditFilter::default() };
        let problem = |status: u16| Problem { status, ..Problem::default() };
        assert_eq!(filter.refused(&problem(422)), Some("since"));
        assert_eq!(filter.without("since").refused(&problem(404)), Some("run"));
        let until = AuditFilter { until: "soon".to_owned(), ..AuditFilter::default() };
        assert_eq!(until.refused(&problem(422)), Some("until"));
        assert_eq!(until.without("until").refused(&problem(422)), None);
        let of_kind = |kind: &str| AuditFilter { kind: kind.to_owned(), ..AuditFilter::default() };
        assert_eq!(of_kind("vote,bogus").refused(&problem(422)), Some("kind"));
        assert_eq!(of_kind("people").refused(&problem(422)), None);
        assert_eq!(AuditFilter::default().refused(&problem(503)), None);
        assert_eq!([since_type("2026-11-22"), since_type(""), since_type("bogus")], ["date", "date", "text"]);
    }

    #[test]
    fn rest_is_asked_for_kinds_and_for_whole_actors() {
        let asked = |kind: &str, actor: &str| {
            let filter =
                AuditFilter { kind: kind.to_owned(), actor: actor.to_owned(), ..AuditFilter::default() };
            (filter.kinds().to_owned(), filter.whole_actor())
        };
        assert_eq!(asked("overrides", "ada"), ("override".to_owned(), "user:ada".to_owned()));
        assert_eq!(asked("rework", "engine"), ("rework".to_owned(), "engine".to_owned()));
        assert_eq!(asked("people", "token:ci"), (OF_PEOPLE.to_owned(), "token:ci".to_owned()));
    }
}

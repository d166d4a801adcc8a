//! Parts of a filter that cannot be used.
//!
//! Law: a refused part takes nothing else away: the runs of the other parts are shown, and what was typed stands in the
//! filter's field with the reason beside it.

use super::filter::{RunFilter, STATUSES};
use super::query::resolved;
use crate::frame::{Visit, with_query};
use crate::problem::Problem;

/// A part of a filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedPart {
    name: &'static str,
    value: String,
    /// Why it cannot be used.
    pub(crate) why: String,
}

impl RefusedPart {
    /// As a viewer types it.
    pub(crate) fn typed(&self) -> String {
        let name = if self.name == "started_after" { "started" } else { self.name };
        format!("{name}:{}", self.value)
    }

    /// A filter without it.
    fn left_out(&self, filter: &RunFilter) -> RunFilter {
        let others = filter.get(self.name).into_iter().flat_map(|value| value.split(','));
        let others: Vec<&str> = others.filter(|part| self.name == "status" && *part != self.value).collect();
        filter.with(self.name, &others.join(","))
    }
}

/// A filter as far as it can be used.
#[derive(Debug, Clone)]
pub(crate) struct UsedFilter {
    /// The filter of the address without the part that stands in the field.
    pub(crate) kept: RunFilter,
    /// As routes take it: without every refused part.
    pub(crate) asked: RunFilter,
    refused: Vec<RefusedPart>,
}

impl UsedFilter {
    /// The filter of an address, as far as a page can tell.
    pub(crate) fn of(visit: &Visit, filter: &RunFilter) -> Self {
        let mut refused = known_refusals(filter);
        let without = |refused: &[RefusedPart]| {
            refused.iter().fold(filter.clone(), |filter, part| part.left_out(&filter))
        };
        let mut asked = without(&refused);
        match resolved(visit, &asked) {
            Ok(resolved) => asked = resolved,
            Err(why) => {
                let value = filter.get("started_after").unwrap_or_default().to_owned();
                refused.push(RefusedPart { name: "started_after", value, why });
                asked = without(&refused);
            }
        }
        Self { kept: filter.clone(), asked, refused }.with_kept(filter)
    }

    /// The filter without the parts because of which a route refused it.
    ///
    /// # Errors
    /// The problem of the route, where no part of the filter is its reason.
    pub(crate) async fn judged(mut self, visit: &Visit, problem: Problem) -> Result<Self, Problem> {
        if !is_refusal(&problem) {
            return Err(problem);
        }
        let whole = self.kept.clone();
        let asked = self.asked.clone();
        for (name, value) in asked.parts() {
            let alone = with_query("/runs?limit=1", name, value);
            let answer = visit.rest.get::<serde_json::Value>(&visit.at_moment(&alone)).await;
            let Some(refusal) = answer.err().filter(is_refusal) else { continue };
            let part = RefusedPart { name, value: value.to_owned(), why: reason(refusal) };
            self.asked = part.left_out(&self.asked);
            self.refused.push(part);
        }
        if self.asked == asked { Err(problem) } else { Ok(self.with_kept(&whole)) }
    }

    /// The part that stands in the field, with what was typed.
    pub(crate) fn refused(self) -> Option<RefusedPart> {
        self.refused.into_iter().next()
    }

    fn with_kept(mut self, whole: &RunFilter) -> Self {
        self.kept = self.refused.first().map_or_else(|| whole.clone(), |part| part.left_out(whole));
        self
    }
}

/// The parts that are refused by what a page knows itself.
fn known_refusals(filter: &RunFilter) -> Vec<RefusedPart> {
    let statuses = filter.get("status").into_iter().flat_map(|value| value.split(','));
    let unknown = statuses.filter(|status| !STATUSES.contains(status)).map(|status| RefusedPart {
        name: "status",
        value: status.to_owned(),
        why: format!("no run is ever “{status}”: write {}", STATUSES.join(", ")),
    });
    let number = filter.get("number").filter(|number| number.parse::<u64>().is_err());
    let number = number.map(|number| RefusedPart {
        name: "number",
        value: number.to_owned(),
        why: format!("“{number}” is no number of a run: write 7"),
    });
    unknown.chain(number).collect()
}

/// The words of a refusal.
pub(super) fn reason(refusal: Problem) -> String {
    match refusal.hint {
        Some(hint) => format!("{}: {hint}", refusal.detail),
        None => refusal.detail,
    }
}

/// Whether a problem is a refusal of what was asked for.
pub(super) fn is_refusal(problem: &Problem) -> bool {
    matches!(problem.status, 400 | 404 | 409 | 422)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_none_leaves_the_others() {
        let filter = RunFilter::of("status=failed,bogus&q=x&number=seven");
        let refused = known_refusals(&filter);
        let typed: Vec<String> = refused.iter().map(RefusedPart::typed).collect();
        assert_eq!(typed, ["status:bogus", "number:seven"]);
        let left = refused.iter().fold(filter, |filter, part| part.left_out(&filter));
        assert_eq!(left, RunFilter::of("status=failed&q=x"));
    }

    #[test]
    fn a_refused_part_reads_as_it_is_typed() {
        let part = RefusedPart { name: "started_after", value: "bogus".to_owned(), why: String::new() };
        assert_eq!(part.typed(), "started:bogus");
        assert!(part.left_out(&RunFilter::of("started_after=bogus")).is_empty());
    }
}

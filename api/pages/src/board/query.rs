//! What the address of a board or table asks for.

use jiff::Timestamp;

use super::columns::By;
use super::filter::RunFilter;
use crate::frame::Visit;

/// Cards of a column, unless the address says more.
const CARDS: usize = 50;
const CARDS_MAX: usize = 500;

/// What the address of a board or table asks for, beside the moment.
#[derive(Debug, Clone)]
pub(crate) struct BoardQuery {
    pub(crate) filter: RunFilter,
    /// What somebody typed into the filter's field.
    typed: Option<String>,
    pub(crate) by: By,
    pub(crate) cards: usize,
    pub(crate) span: Option<String>,
    pub(crate) part: Option<String>,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

impl BoardQuery {
    pub(crate) fn of(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default();
        let get = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.into_owned())
        };
        let number = |wanted: &str| get(wanted).and_then(|value| value.parse::<i64>().ok());
        Self {
            filter: RunFilter::of(query),
            typed: get("f"),
            by: if get("by").as_deref() == Some("stage") { By::Stage } else { By::Status },
            cards: number("cards")
                .and_then(|cards| usize::try_from(cards).ok())
                .unwrap_or(CARDS)
                .clamp(1, CARDS_MAX),
            span: get("span"),
            part: get("part"),
            from: number("from"),
            to: number("to"),
        }
    }

    /// What somebody typed, as a part of the filter.
    pub(crate) fn typed(&self) -> Option<RunFilter> {
        self.typed.as_deref().map(|typed| self.filter.typed(typed))
    }

    /// What the address holds beside filter and moment.
    fn more(&self) -> Vec<(&'static str, String)> {
        let mut more = Vec::new();
        if self.by == By::Stage {
            more.push(("by", "stage".to_owned()));
        }
        if self.cards != CARDS {
            more.push(("cards", self.cards.to_string()));
        }
        if let Some(span) = &self.span {
            more.push(("span", span.clone()));
        }
        more
    }

    /// What the address holds beside filter and moment, for the fields of a form.
    pub(crate) fn kept(&self) -> Vec<(&'static str, String)> {
        self.more()
    }

    /// The parts of the filter, each with the board without it.
    pub(crate) fn chips(&self) -> Vec<(String, String)> {
        self.filter.chips().into_iter().map(|chip| (chip.text, self.address(&chip.without))).collect()
    }

    /// The board without a filter.
    pub(crate) fn cleared(&self) -> String {
        self.address(&RunFilter::default())
    }

    /// The board with another filter.
    pub(crate) fn address(&self, filter: &RunFilter) -> String {
        self.address_with(filter, "", "")
    }

    /// The board with another filter, and with another value of one of its other parts.
    pub(crate) fn address_with(&self, filter: &RunFilter, name: &'static str, value: &str) -> String {
        let more = self.more();
        let mut pairs: Vec<(&str, &str)> = more
            .iter()
            .filter(|(known, _)| *known != name)
            .map(|(known, value)| (*known, value.as_str()))
            .collect();
        if !name.is_empty() {
            pairs.push((name, value));
        }
        filter.address("/", &pairs)
    }
}

/// A filter as routes take it, at the shown moment.
///
/// # Errors
/// A part of it cannot be read.
pub(crate) fn resolved(visit: &Visit, filter: &RunFilter) -> Result<RunFilter, String> {
    let now = visit.then.as_deref().and_then(|then| then.parse().ok()).unwrap_or_else(Timestamp::now);
    filter.for_rest(now)
}

//! Laws of lists in the order of a field.

use std::cmp::Ordering;

use everfold_base::id::Position;
use everfold_base::time::Timestamp;
use everfold_projections::{
    LookReport, Models, RUN_FIELDS, RUN_STATUSES, RowFilter, RunExpression, RunFilter, RunOrder, RunRow,
    RunSort,
};
use proptest::prelude::*;

use crate::folded_log::{choices, folded, log};

/// The moment up to which what goes on has lasted.
const NOW: Timestamp = Timestamp(1_790_000_060_000);

/// What a plain sort compares of a row, written down by hand; `None`: the row does not have it.
type Compared = fn(&RunRow) -> Option<(f64, String)>;

fn number(number: impl TryInto<i64>) -> Option<(f64, String)> {
    number.try_into().ok().map(|number| (number as f64, String::new()))
}

fn text(text: &str) -> Option<(f64, String)> {
    Some((0.0, text.to_lowercase()))
}

const FIELDS: [(&str, Compared); 15] = [
    ("title", |row| row.title.as_deref().and_then(text)),
    ("pipeline", |row| text(&row.pipeline)),
    ("status", |row| number(RUN_STATUSES.iter().position(|status| *status == row.shown.status)?)),
    ("elapsed", |row| number(row.shown.ended_at.unwrap_or(NOW).0 - row.started_at.0)),
    ("cost", |row| number(row.shown.usage.cost_micros)),
    ("usage.input_tokens", |row| number(row.shown.usage.input_tokens)),
    ("updated_at", |row| number(row.updated_at.0)),
    ("moved_at", |row| number(row.shown.moved_at.0)),
    ("ended_at", |row| number(row.shown.ended_at?.0)),
    ("step_counts.succeeded", |row| number(row.step_counts?.succeeded)),
    ("labels.by", |row| text(row.shown.labels.get("by")?)),
    ("search.kind", |row| text(row.shown.search.get("kind")?.json().as_str()?)),
    ("search.amount", |row| number(row.shown.search.get("amount")?.json().as_i64()?)),
    ("search.due", |row| {
        let Timestamp(due) = row.shown.search.get("due")?.json().as_str()?.parse().ok()?;
        number(due)
    }),
    ("failure.kind", |row| {
        let kind = row.shown.failure.as_ref()?.failure.kind;
        number(everfold_base::failure::FailureKind::ALL.iter().position(|other| *other == kind)?)
    }),
];

/// All rows by a plain sort: those without the field last, the newest of equal ones first.
fn plainly(models: &Models, at: Option<Position>, compared: Compared, is_descending: bool) -> Vec<RunRow> {
    let list = models.runs().unwrap().list(&RunFilter::default(), RunOrder::Newest, None, 1_000, at);
    let mut rows = list.unwrap().items;
    rows.sort_by(|one, other| match (compared(one), compared(other)) {
        (Some(one), Some(other)) => {
            let order = one.partial_cmp(&other).unwrap();
            if is_descending { order.reverse() } else { order }
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
    rows
}

fn sort(field: &str, is_descending: bool) -> RunSort {
    RunSort::parse(&format!("{}{field}", if is_descending { "-" } else { "" })).unwrap()
}

/// Every part of a list, each of the position of the first.
fn pages(models: &Models, filter: &RunFilter, sort: &RunSort, at: Option<Position>) -> Vec<RunRow> {
    let (mut rows, mut skipped, mut at) = (Vec::new(), 0, at);
    loop {
        let page = models.runs().unwrap().sorted(filter, sort, skipped, 3, at, NOW).unwrap();
        assert!(page.items.len() == 3 || page.next.is_none());
        assert!(page.sort.complete);
        rows.extend(page.items);
        at = Some(page.position);
        match page.next {
            Some(next) => skipped = next,
            None => return rows,
        }
    }
}

fn asked(text: &str) -> RunFilter {
    let filter = RowFilter::compile(text, &RUN_FIELDS, NOW).unwrap();
    RunFilter { asked: Some(RunExpression::new(filter, NOW, [].into())), ..RunFilter::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The parts of a sorted list together are what a plain sort of all rows gives, now and as of any position; with a
    /// filter, too.
    #[test]
    fn a_sorted_list_is_a_plain_sort_of_all(choices in choices(160), at in any::<prop::sample::Index>()) {
        let (_, log) = log(&choices, 9);
        let models = folded(&log);
        for at in [None, Some(Position(at.index(log.len() + 1) as u64))] {
            for (field, compared) in FIELDS {
                for is_descending in [false, true] {
                    let sort = sort(field, is_descending);
                    let wanted = plainly(&models, at, compared, is_descending);
                    let found = pages(&models, &RunFilter::default(), &sort, at);
                    prop_assert_eq!(&found, &wanted, "{} {} at {:?}", field, is_descending, at);
                    let open: Vec<RunRow> =
                        wanted.into_iter().filter(|row| row.shown.ended_at.is_none()).collect();
                    let found = pages(&models, &asked("ended_at == null"), &sort, at);
                    prop_assert_eq!(&found, &open, "{} {} at {:?}", field, is_descending, at);
                }
            }
        }
    }

    /// Later parts are of the position of the first, whatever was recorded meanwhile: none repeats a run or misses one.
    #[test]
    fn the_parts_of_a_sorted_list_are_one_list_while_runs_go_on(
        choices in choices(120),
        at in any::<prop::sample::Index>(),
    ) {
        let (_, log) = log(&choices, 7);
        let (before, after) = (folded(&log[..at.index(log.len() + 1)]), folded(&log));
        for (field, _) in FIELDS {
            let sort = sort(field, true);
            let first = before.runs().unwrap().sorted(&RunFilter::default(), &sort, 0, 3, None, NOW).unwrap();
            let mut parts = first.items;
            if let Some(skipped) = first.next {
                let rest = after.runs().unwrap();
                let rest = rest.sorted(&RunFilter::default(), &sort, skipped, 1_000, Some(first.position), NOW);
                parts.extend(rest.unwrap().items);
            }
            prop_assert_eq!(parts, pages(&before, &RunFilter::default(), &sort, None), "{}", field);
        }
    }
}

#[test]
fn what_is_sorted_is_bounded_and_the_answer_says_of_how_many() {
    let (_, log) = log(&[(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0), (5, 0, 0)], 6);
    let models = folded(&log);
    let runs = models.runs().unwrap();
    let newest = runs.list(&RunFilter::default(), RunOrder::Newest, None, 4, None).unwrap().items;
    let by_start = |rows_max: usize| {
        let sort = RunSort::parse("started_at").unwrap().within(rows_max);
        runs.sorted(&RunFilter::default(), &sort, 0, 100, None, NOW).unwrap()
    };
    let part = by_start(4);
    assert_eq!(part.sort, LookReport { looked_at: 4, complete: false });
    assert_eq!(part.items.into_iter().rev().collect::<Vec<_>>(), newest, "the newest are sorted");
    assert_eq!(part.next, None);
    assert_eq!(by_start(6).sort, LookReport { looked_at: 6, complete: true });
    // What an index rules out is not looked at.
    let teams = RunFilter { labels: vec![("team".into(), Some("t1".into()))], ..RunFilter::default() };
    let sort = RunSort::parse("-cost").unwrap();
    let position = Some(Position(0));
    let none = runs.sorted(&teams, &sort, 0, 100, position, NOW).unwrap();
    assert_eq!((none.items.len(), none.sort), (0, LookReport { looked_at: 0, complete: true }));
}

#[test]
fn an_order_that_rows_do_not_have_is_refused_with_those_that_they_have() {
    for (text, hint) in [
        ("costs", "did you mean `cost`?"),
        ("-titel", "did you mean `title`?"),
        ("sideways", "an order is started or ended, or a field: id, short_id, pipeline"),
        ("labels", "labels.KEY, search.NAME; with `-` before it the largest come first"),
        ("awaits[].step", "an order is started or ended"),
        ("set_aside", "an order is started or ended"),
        ("--cost", "did you mean `cost`?"),
        ("", "an order is started or ended"),
        ("failure", "an order is started or ended"),
    ] {
        let refused = RunSort::parse(text).unwrap_err();
        assert_eq!(refused.message, format!("“{text}” is no order of runs"));
        assert!(refused.hint.contains(hint), "{text}: {}", refused.hint);
    }
}

//! Laws of figures of runs by group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_base::id::{Position, RunId};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_projections::{
    GroupingError, LookReport, Models, RUN_FIELDS, RowFilter, RunExpression, RunFilter, RunGrouping,
    RunOrder, RunRow,
};
use proptest::prelude::*;
use serde_json::json;

use crate::folded_log::{choices, folded, log};

/// The moment up to which what goes on has lasted.
const NOW: Timestamp = Timestamp(1_790_000_060_000);

/// A field, and its value by hand.
type Valued = (&'static str, fn(&RunRow) -> Value);

const FIELDS: [Valued; 6] = [
    ("pipeline", |row| json!(row.pipeline)),
    ("status", |row| json!(row.shown.status.as_str())),
    ("labels.by", |row| json!(row.shown.labels.get("by"))),
    ("search.kind", |row| json!(row.shown.search.get("kind").map(|kind| kind.json()))),
    ("failure.kind", |row| json!(row.shown.failure.as_ref().map(|failed| failed.failure.kind.as_str()))),
    ("step_counts.succeeded", |row| json!(row.step_counts.map(|counts| counts.succeeded))),
];

fn rows(models: &Models, at: Option<Position>) -> Vec<RunRow> {
    let list = models.runs().unwrap().list(&RunFilter::default(), RunOrder::Newest, None, 1_000, at);
    list.unwrap().items
}

fn asked(text: &str) -> RunFilter {
    let filter = RowFilter::compile(text, &RUN_FIELDS, NOW).unwrap();
    RunFilter { asked: Some(RunExpression::new(filter, NOW, [].into())), ..RunFilter::default() }
}

/// The runs of each group by hand: the begin of its stretch of time, and the values as one JSON text.
fn plainly<'a>(
    rows: &'a [RunRow],
    fields: &[Valued],
    bucket: Option<i64>,
) -> BTreeMap<(Option<i64>, String), Vec<&'a RunRow>> {
    let mut groups: BTreeMap<(Option<i64>, String), Vec<&RunRow>> = BTreeMap::new();
    for row in rows {
        let values: Vec<Value> = fields.iter().map(|(_, value)| value(row)).collect();
        let began = bucket.map(|millis| row.started_at.0 - row.started_at.0.rem_euclid(millis));
        groups.entry((began, json!(values).to_string())).or_default().push(row);
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Groups are those that a plain look at all rows makes, with its figures, now and as of any position; with a filter,
    /// too.
    #[test]
    fn groups_are_those_of_a_plain_look_at_all_rows(
        choices in choices(160),
        at in any::<prop::sample::Index>(),
        taken in prop::sample::subsequence(FIELDS.to_vec(), 0..=4),
        minutes in prop::option::of(1_i64..10),
        is_filtered in any::<bool>(),
    ) {
        let (_, log) = log(&choices, 9);
        let models = folded(&log);
        let names: Vec<&str> = taken.iter().map(|(name, _)| *name).collect();
        let bucket = minutes.map(|minutes| Duration::from_secs(60 * minutes.unsigned_abs()));
        let grouping = RunGrouping::parse(&names, bucket).unwrap();
        for at in [None, Some(Position(at.index(log.len() + 1) as u64))] {
            let mut rows = rows(&models, at);
            let mut filter = RunFilter::default();
            if is_filtered {
                rows.retain(|row| row.shown.ended_at.is_some());
                filter = asked("ended_at != null");
            }
            let wanted = plainly(&rows, &taken, minutes.map(|minutes| minutes * 60_000));
            let found = models.runs().unwrap().grouped(&filter, &grouping, at, NOW).unwrap();
            prop_assert!(found.report.complete);
            prop_assert_eq!(found.groups.len(), wanted.len());
            prop_assert!(found.groups.is_sorted_by_key(|group| (group.began, u64::MAX - group.figures.count)));
            for group in &found.groups {
                let key = (group.began.map(|began| began.0), json!(group.values).to_string());
                let rows = &wanted[&key];
                let figures = &group.figures;
                prop_assert_eq!(figures.count, rows.len() as u64);
                prop_assert_eq!(figures.by_status.values().sum::<u64>(), figures.count);
                for (status, count) in &figures.by_status {
                    let plain = rows.iter().filter(|row| row.shown.status == *status).count();
                    prop_assert_eq!(*count, plain as u64);
                }
                let cost: u64 = rows.iter().map(|row| row.shown.usage.cost_micros).sum();
                prop_assert_eq!(figures.usage.cost_micros, cost);
                let took = |row: &&RunRow| Some(u64::try_from(row.shown.ended_at?.0 - row.started_at.0).unwrap());
                let mut times: Vec<u64> = rows.iter().filter_map(took).collect();
                times.sort_unstable();
                let Some(elapsed) = &figures.elapsed else {
                    prop_assert!(times.is_empty());
                    continue;
                };
                prop_assert_eq!((elapsed.runs, elapsed.total_ms), (times.len() as u64, times.iter().sum()));
                prop_assert_eq!(elapsed.max_ms, times[times.len() - 1]);
                let not_above = |ms: u64| times.iter().filter(|time| **time <= ms).count();
                prop_assert!(times.contains(&elapsed.p50_ms) && 2 * not_above(elapsed.p50_ms) >= times.len());
                prop_assert!(100 * not_above(elapsed.p95_ms) >= 95 * times.len());
            }
            prop_assert_eq!(found.total.count, rows.len() as u64);
        }
    }
}

#[test]
fn what_makes_no_groups_is_refused_with_what_does() {
    let refused = |names: &[&str], seconds: Option<u64>| match RunGrouping::parse(
        names,
        seconds.map(Duration::from_secs),
    )
    .unwrap_err()
    {
        GroupingError::Refused { message, hint } => (message, hint),
        GroupingError::Read(error) => panic!("{error}"),
    };
    for name in
        ["cost", "elapsed", "started_at", "labels", "active_steps", "awaits", "set_aside", "", "nosuch"]
    {
        let (message, hint) = refused(&[name], None);
        assert_eq!(message, format!("runs are not grouped by “{name}”"));
        assert!(hint.contains("runs are grouped by id, short_id, pipeline"), "{hint}");
        assert!(
            hint.ends_with(", labels.KEY, search.NAME")
                && !hint.contains("cost")
                && !hint.contains("set_aside"),
            "{hint}"
        );
    }
    assert!(refused(&["statsu"], None).1.starts_with("did you mean `status`? "));
    let twice = RunGrouping::parse(&["status", "pipeline", "status"], None).unwrap();
    assert_eq!(twice.names(), ["status", "pipeline"]);
    let five = ["status", "pipeline", "title", "started_by", "failure.kind"];
    assert_eq!(refused(&five, None).0, "runs are grouped by 4 fields at most, not by 5");
    assert_eq!(refused(&[], Some(59)).0, "stretches of 59s are too short");
}

#[test]
fn an_answer_has_so_many_groups_and_is_of_so_many_rows() {
    let choices: Vec<(usize, usize, u8)> = (0..6).map(|run| (run, 0, 0)).collect();
    let (_, log) = log(&choices, 6);
    let models = folded(&log);
    let grouping = RunGrouping::parse(&["id"], None).unwrap();
    let of = |grouping: RunGrouping| {
        models.runs().unwrap().grouped(&RunFilter::default(), &grouping, None, NOW).unwrap()
    };
    let all = of(grouping.clone());
    assert_eq!((all.groups.len(), all.report), (6, LookReport { looked_at: 6, complete: true }));
    let newest = of(grouping.within(4));
    assert_eq!((newest.total.count, newest.report), (4, LookReport { looked_at: 4, complete: false }));
    let ids: BTreeSet<RunId> = rows(&models, None)[..4].iter().map(|row| row.id).collect();
    let found = newest.groups.iter().map(|group| group.values[0].as_str().unwrap().parse().unwrap());
    assert_eq!(found.collect::<BTreeSet<RunId>>(), ids, "the newest are counted");
}

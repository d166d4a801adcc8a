//! Laws of lists that are asked for by an expression.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use everfold_base::id::Position;
use everfold_base::time::Timestamp;
use everfold_core::event::SearchValue;
use everfold_core::state::RunStatus;
use everfold_projections::{
    Models, RUN_FIELDS, RowFilter, RunExpression, RunFilter, RunOrder, RunRow, ScanReport,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::folded_log::{choices, folded, log};
use crate::random_run::RandomRun;

/// The moment that the expressions call `now`.
const NOW: Timestamp = Timestamp(1_790_000_060_000);

/// What an expression says of a row; `None`: neither.
type Truth = Arc<dyn Fn(&RunRow) -> Option<bool>>;

/// An expression with what it says, worked out by hand.
#[derive(Clone)]
struct Asked {
    text: String,
    truth: Truth,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn asked(text: &str, truth: impl Fn(&RunRow) -> Option<bool> + 'static) -> Asked {
    Asked { text: text.to_owned(), truth: Arc::new(truth) }
}

fn certain(text: &str, truth: impl Fn(&RunRow) -> bool + 'static) -> Asked {
    asked(text, move |row| Some(truth(row)))
}

fn label<'a>(row: &'a RunRow, key: &str) -> Option<&'a str> {
    row.shown.labels.get(key).map(String::as_str)
}

fn found(row: &RunRow, name: &str) -> Value {
    row.shown.search.get(name).map_or(Value::Null, SearchValue::json)
}

fn code(row: &RunRow) -> Option<&str> {
    row.shown.failure.as_ref().map(|failed| failed.failure.kind.as_str())
}

fn awaited_by(row: &RunRow, role: &str) -> bool {
    row.shown.awaits.iter().any(|awaits| awaits.roles.iter().any(|of| of == role))
}

/// Expressions without parts.
fn plain() -> Vec<Asked> {
    let failed = RunStatus::Failed;
    vec![
        certain("status == 'running'", |row| row.shown.status == RunStatus::Running),
        certain("'failed' == status", move |row| row.shown.status == failed),
        certain("status != 'running'", |row| row.shown.status != RunStatus::Running),
        certain("status in ['waiting', 'failed', 'can' + 'celled']", move |row| {
            [RunStatus::Waiting, failed, RunStatus::Cancelled].contains(&row.shown.status)
        }),
        certain("pipeline == 'everything'", |_| true),
        certain("pipeline in ['nothing', 'none']", |_| false),
        certain("labels.team == 't1'", |row| label(row, "team") == Some("t1")),
        certain("labels['team'] != 't1'", |row| label(row, "team") != Some("t1")),
        certain("labels.by != null", |row| label(row, "by").is_some()),
        certain("has(labels.by)", |row| label(row, "by").is_some()),
        certain("'by' in labels", |row| label(row, "by").is_some()),
        certain("has(labels.by) == true", |row| label(row, "by").is_some()),
        certain("false == has(labels.by)", |row| label(row, "by").is_none()),
        certain("has(search.amount) in [true]", |row| !found(row, "amount").is_null()),
        certain("labels.team in ['t0', 't2']", |row| label(row, "team") != Some("t1")),
        certain("labels.other == 'x'", |_| false),
        certain("labels.other != 'x'", |_| true),
        certain("search.kind == 'even'", |row| found(row, "kind") == json!("even")),
        certain("search.kind in ['odd', 'x'] || search.kind == null", |row| {
            found(row, "kind") != json!("even")
        }),
        certain("search.amount == 3", |row| found(row, "amount") == json!(3)),
        certain("search.amount == 3.0", |row| found(row, "amount") == json!(3)),
        asked("search.amount > 2", |row| Some(found(row, "amount").as_i64()? > 2)),
        asked("2.5 >= search.amount", |row| Some(2.5 >= found(row, "amount").as_f64()?)),
        certain("search.amount != 3", |row| found(row, "amount") != json!(3)),
        certain("has(search.amount) && 'amount' in search", |row| !found(row, "amount").is_null()),
        certain("search.share == 1", |row| found(row, "share").as_f64() == Some(1.0)),
        certain("search.big == true", |row| found(row, "big") == json!(true)),
        certain("search.big", |row| found(row, "big") == json!(true)),
        certain("search.due == timestamp('2026-09-21T16:13:22+02:00')", |row| {
            found(row, "due") == json!(Timestamp(1_790_000_002_000).to_string())
        }),
        certain("search.due < now - duration('57500ms')", |row| {
            let SearchValue::Time(due) = row.shown.search["due"] else { panic!("no time") };
            due < Timestamp(1_790_000_002_500)
        }),
        asked("'blue' in search.tags", |row| Some(found(row, "tags").as_array()?.contains(&json!("blue")))),
        certain("search.nothing == 'x'", |_| false),
        asked("search.tags.exists(tag, tag == 'blue')", |row| {
            Some(found(row, "tags").as_array()?.contains(&json!("blue")))
        }),
        certain("search.exists(name, name == 'amount')", |row| !found(row, "amount").is_null()),
        certain("search.exists(name, 'amount' == name)", |row| !found(row, "amount").is_null()),
        certain("search.exists(name, name in ['amount', 'x'])", |row| !found(row, "amount").is_null()),
        certain("search.exists(name, name <= 'amount')", |row| {
            row.shown.search.keys().any(|name| name.as_str() <= "amount")
        }),
        certain("labels.exists(key, key == 'by')", |row| label(row, "by").is_some()),
        certain("started_at > timestamp('2026-09-21T14:13:22.500Z')", |row| {
            row.started_at > Timestamp(1_790_000_002_500)
        }),
        certain("started_at >= now - duration('57500ms')", |row| {
            row.started_at >= Timestamp(1_790_000_002_500)
        }),
        certain("now - duration('57500ms') > started_at", |row| {
            row.started_at < Timestamp(1_790_000_002_500)
        }),
        certain("started_at > now - duration('1d')", |row| row.started_at > Timestamp(NOW.0 - 86_400_000)),
        certain("'a' in active_steps", |row| row.shown.steps.iter().any(|step| step.as_str() == "a")),
        certain("active_steps.exists(step, step == 'a')", |row| {
            row.shown.steps.iter().any(|step| step.as_str() == "a")
        }),
        certain("awaits.exists(a, 'product' in a.roles)", |row| awaited_by(row, "product")),
        certain("awaits.exists(a, a.kind == 'approval')", |row| {
            row.shown.awaits.iter().any(|of| of.kind == everfold_projections::AwaitedActionKind::Approval)
        }),
        certain("size(awaits) == 0", |row| row.shown.awaits.is_empty()),
        certain("cost > 0.02", |row| row.shown.usage.cost_micros > 20_000),
        certain("cost >= 0", |_| true),
        certain("failure.kind == 'rejected'", |row| code(row) == Some("rejected")),
        certain("failure.kind != null", |row| code(row).is_some()),
        certain("failure == null", |row| row.shown.failure.is_none()),
        certain("elapsed < duration('30s')", |row| {
            row.shown.ended_at.unwrap_or(NOW).since(row.started_at).as_secs() < 30
        }),
        certain("step_counts.succeeded > 0", |row| row.step_counts.unwrap().succeeded > 0),
        certain("version % 2 == 0", |row| row.version.0 % 2 == 0),
        certain("set_aside == null", |row| row.id != RandomRun::begin(2).run),
        certain("set_aside == 'its event 7 cannot be read'", |row| row.id == RandomRun::begin(2).run),
        certain("parent == null && origin.run == null && number == null", |_| true),
        certain("parent.top == '0198c1f0-0000-7000-8000-0000dead0000'", |_| false),
        asked("title.contains('3')", |row| row.title.as_ref().map(|title| title.contains('3'))),
        asked("title.matches('Gr..e [0-4]')", |row| {
            row.title.as_ref().map(|title| ["0", "1", "2", "3", "4"].iter().any(|end| title.ends_with(end)))
        }),
        asked("ended_at < now", |row| row.shown.ended_at.map(|ended| ended < NOW)),
    ]
}

fn expressions() -> impl Strategy<Value = Asked> {
    let plain = plain();
    let leaf = (0..plain.len()).prop_map(move |which| plain[which].clone());
    leaf.prop_recursive(4, 12, 2, |part| {
        prop_oneof![
            (part.clone(), part.clone()).prop_map(|(left, right)| {
                let text = format!("({}) && ({})", left.text, right.text);
                asked(&text, move |row| match ((left.truth)(row), (right.truth)(row)) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _unknown => None,
                })
            }),
            (part.clone(), part.clone()).prop_map(|(left, right)| {
                let text = format!("({}) || ({})", left.text, right.text);
                asked(&text, move |row| match ((left.truth)(row), (right.truth)(row)) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _unknown => None,
                })
            }),
            part.prop_map(|part| {
                let text = format!("!({})", part.text);
                asked(&text, move |row| (part.truth)(row).map(|truth| !truth))
            }),
        ]
    })
}

fn compiled(text: &str) -> RowFilter {
    RowFilter::compile(text, &RUN_FIELDS, NOW).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn filter(of: RowFilter, rows_max: usize) -> RunFilter {
    let aside = BTreeMap::from([(RandomRun::begin(2).run, "its event 7 cannot be read".to_owned())]);
    RunFilter { asked: Some(RunExpression::new(of, NOW, aside).within(rows_max)), ..RunFilter::default() }
}

/// Every part of a list; whether a part ended at the bound of rows.
fn pages(
    models: &Models,
    filter: &RunFilter,
    order: RunOrder,
    at: Option<Position>,
    rows_max: u64,
) -> Vec<RunRow> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = models.runs().unwrap().list(filter, order, cursor, 2, at).unwrap();
        let ScanReport { looked_at, more, .. } = page.scan.unwrap();
        assert!(looked_at <= rows_max, "{looked_at} rows were looked at");
        assert!(page.items.len() == 2 || more || page.next.is_none());
        assert!(page.next.is_some() || !more);
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

const ORDERS: [RunOrder; 4] = [RunOrder::Newest, RunOrder::Oldest, RunOrder::EndedLast, RunOrder::EndedFirst];

fn all(models: &Models, order: RunOrder, at: Option<Position>) -> Vec<RunRow> {
    models.runs().unwrap().list(&RunFilter::default(), order, None, 1_000, at).unwrap().items
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// All parts of the answer, however short the way of each, are the rows that the expression is true of; with
    /// indexes and without.
    #[test]
    fn an_expression_finds_what_looking_at_every_row_finds(
        choices in choices(160),
        asked in prop::collection::vec(expressions(), 12),
        rows_max in 1_usize..6,
    ) {
        let (_, log) = log(&choices, 9);
        let models = folded(&log);
        for asked in asked {
            let compiled = compiled(&asked.text);
            for order in ORDERS {
                let fits = |row: &RunRow| (asked.truth)(row) == Some(true);
                let wanted: Vec<_> = all(&models, order, None).into_iter().filter(fits).collect();
                for filter in [filter(compiled.clone(), rows_max), filter(compiled.by_scan(), rows_max)] {
                    let found = pages(&models, &filter, order, None, rows_max as u64);
                    prop_assert_eq!(&found, &wanted, "{:?} {:?}", asked, order);
                }
            }
        }
    }

    /// As of a position the answer is that of a fold that stopped there.
    #[test]
    fn an_expression_of_the_past_finds_what_it_would_have_found_then(
        choices in choices(120),
        asked in prop::collection::vec(expressions(), 6),
        at in any::<prop::sample::Index>(),
    ) {
        let (_, log) = log(&choices, 7);
        let at = at.index(log.len() + 1);
        let (whole, stopped) = (folded(&log), folded(&log[..at]));
        for asked in asked {
            let filter = filter(compiled(&asked.text), 3);
            for order in ORDERS {
                let past = pages(&whole, &filter, order, Some(Position(at as u64)), 3);
                prop_assert_eq!(past, pages(&stopped, &filter, order, None, 3), "{:?} at {}", asked, at);
            }
        }
    }
}

fn by_index(text: &str) -> Vec<String> {
    let models = Models::in_memory().unwrap();
    let filter = filter(compiled(text), 10);
    let page = models.runs().unwrap().list(&filter, RunOrder::Newest, None, 10, None).unwrap();
    page.scan.unwrap().by_index
}

#[test]
fn indexes_answer_what_they_hold_and_the_answer_says_which() {
    let run = "0198c1f0-0000-7000-8000-0000dead0000";
    for (text, fields) in [
        ("status == 'failed' && cost > 2.0 && labels.team == 'blue'", vec!["labels.team", "status"]),
        ("status == 'failed' || labels.team == 'blue'", vec!["labels.team", "status"]),
        ("status == 'failed' || cost > 2.0", vec![]),
        ("!(status in ['failed', 'cancelled']) && has(labels.x)", vec!["labels.x", "status"]),
        ("!(labels.x == 'y')", vec![]),
        ("started_at > now - duration('7d') && failure.code == 'TIMEOUT'", vec!["started_at"]),
        ("started_at < now - duration('7d')", vec![]),
        ("started_at > now - duration('7d') || status == 'failed'", vec![]),
        ("'build' in active_steps && awaits.exists(a, 'qa' in a.roles)", vec!["active_steps", "awaits"]),
        ("pipeline in ['a', 'b'] && number == 3", vec!["number", "pipeline"]),
        (&format!("parent.top == '{run}' || parent.run == '{run}'"), vec!["parent.run", "parent.top"]),
        ("search.amount > 2 && search.kind == 'even'", vec!["search.amount", "search.kind"]),
        ("'blue' in search.tags || search.big == true", vec!["search.big", "search.tags"]),
        ("search.tags == ['blue']", vec![]),
        ("search.amount != 3", vec![]),
        // No run is written like that: each row says so.
        ("parent.top == 'dead0000'", vec![]),
    ] {
        assert_eq!(by_index(text), fields, "{text}");
    }
}

#[test]
fn an_index_spares_the_rows_that_it_rules_out() {
    let (_, log) = log(&[(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0), (5, 0, 0)], 6);
    let models = folded(&log);
    let looked_at = |of: RowFilter| {
        let runs = models.runs().unwrap();
        let page = runs.list(&filter(of, 100), RunOrder::Newest, None, 100, None).unwrap();
        (page.items.len(), page.scan.unwrap().looked_at)
    };
    let team = compiled("labels.team == 't1' && cost >= 0");
    assert_eq!((looked_at(team.clone()), looked_at(team.by_scan())), ((2, 2), (2, 6)));
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_place_before_a_row_is_read() {
    let refused = |text: &str| {
        let error = RowFilter::compile(text, &RUN_FIELDS, NOW).unwrap_err();
        format!("{error}; {}", error.hint.as_deref().unwrap_or_default())
    };
    for (text, wanted) in [
        (
            "statsu == 'failed'",
            "line 1, column 1: rows of runs have no field “statsu”; did you mean `status`?",
        ),
        (
            "cost > 2.0 &&\n  failure.cod == 'X'",
            "line 2, column 11: rows of runs have no field “failure.cod”; did you mean `failure.code`?",
        ),
        ("label.team == 'x'", "no field “label.team”; did you mean `labels.team`?"),
        ("run.status == 'failed'", "did you mean `status`?"),
        (
            "awaits.exists(a, a.kin == 'approval')",
            "line 1, column 20: rows of runs have no field “awaits[].kin”; did you mean `awaits[].kind`?",
        ),
        (
            "cost > 1.0 && size(awaits.filter(a, a.step == a.stp)) > 1",
            "line 1, column 49: rows of runs have no field “awaits[].stp”; did you mean `awaits[].step`?",
        ),
        ("size(labels.team + labl.x) > 1", "line 1, column 25: rows of runs have no field “labl.x”"),
        (
            "started_at > now - duration('999999d')",
            "line 1, column 30: “999999d” is longer than a duration may be; write at most 3650d",
        ),
        ("elapsed > duration('1.5d')", "line 1, column 21: “1.5d” is not a duration; write a whole number"),
        ("cost > 1.0 || title.matches('[')", "line 1, column 30: “[”: pattern: unclosed character class"),
        ("title.replaceRegex('(', 'x') == ''", "line 1, column 19: “(”: pattern: unclosed group"),
        ("input.amount > 3", "no field “input.amount”; rows hold no inputs"),
        ("awaits.signal == 'go'", "rows hold what people are asked for"),
        ("zebra == 1", "no field “zebra”; the fields are id, short_id, pipeline"),
        (
            "status == 'faild'",
            "line 1, column 11: “faild” is never the value of `status`; did you mean 'failed'?",
        ),
        (
            "!(failure.kind in ['timeout', 'tiemout'])",
            "“tiemout” is never the value of `failure.kind`; did you mean 'timeout'?",
        ),
        ("cost > '2'", "a number with a fraction and a text have no order"),
        ("started_at > '2026-11-20'", "a time and a text have no order; write timestamp("),
        ("elapsed > 60", "a duration and a whole number have no order; write duration("),
        ("duration > duration('1h')", "the name of a type and a duration have no order"),
        ("status == 3", "are never equal"),
        // What a loop gives: names of a map are texts, items of a list are what that holds.
        ("labels.exists(k, k == 5)", "a text and a whole number are never equal; write string(n)"),
        ("search.exists(k, k > 5)", "a text and a whole number have no order"),
        ("active_steps.all(s, s != 5)", "a text and a whole number are never equal"),
        ("awaits.exists(a, a.kind == 5)", "a text and a whole number are never equal"),
        ("awaits.exists(a, a.roles.exists(r, r == 5))", "a text and a whole number are never equal"),
        ("cost", "a filter is true or false, this is a number with a fraction"),
        ("started_at > now - duration('7 days')", "a value in it cannot be computed"),
        ("status = 'failed'", "line 1, column 8"),
        ("", "the expression is empty"),
    ] {
        assert!(refused(text).contains(wanted), "{text}: {}", refused(text));
    }
}

#[test]
fn a_costly_expression_ends_a_part_early_and_every_row_is_looked_at_once() {
    let (_, log) = log(&[(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)], 4);
    let models = folded(&log);
    let numbers = (0..300).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    // Near a million parts of the expression for each row: the allowance suffices for few of them.
    let text = format!("[{numbers}].all(a, [{numbers}].all(b, a + b >= 0 && version > 0))");
    let filter = filter(compiled(&text), 100);
    let (mut cursor, mut looked_at, mut parts) = (None, 0, 0);
    loop {
        let page = models.runs().unwrap().list(&filter, RunOrder::Newest, cursor, 100, None).unwrap();
        let scan = page.scan.unwrap();
        looked_at += scan.looked_at;
        parts += 1;
        assert!(scan.looked_at > 0, "each part goes on");
        assert_eq!(scan.more, page.next.is_some());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(looked_at, 4);
    assert!(parts > 1, "{parts} part for all rows");
}

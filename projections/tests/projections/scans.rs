//! Laws of rows as they are stored.

use std::sync::Arc;

use everfold_base::envelope::Envelope;
use everfold_base::id::Position;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_projections::{
    FieldValue, FilterRow as _, Models, RUN_FIELDS, RunFilter, RunOrder, RunRow, StoredRow,
};
use proptest::prelude::*;

use crate::folded_log::{apply, choices, log};
use crate::laws::filters;
use crate::random_run::RandomRun;

/// The moment up to which what goes on has lasted.
const NOW: Timestamp = Timestamp(1_790_000_060_000);

/// Every part of a scan.
fn scanned(models: &Models, filter: &RunFilter, part: usize, at: Position) -> Vec<StoredRow> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let scan = models.runs().unwrap().scan(filter, cursor, part, at).unwrap();
        rows.extend(scan.rows);
        cursor = scan.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

fn listed(models: &Models, filter: &RunFilter, at: Position) -> Vec<RunRow> {
    models.runs().unwrap().list(filter, RunOrder::Newest, None, 10_000, Some(at)).unwrap().items
}

/// A value as expressions have it.
fn json(value: FieldValue<'_>) -> Value {
    match value {
        FieldValue::Absent => Value::Null,
        FieldValue::Whole(number) => number.into(),
        FieldValue::Number(number) => number.into(),
        FieldValue::Text(text) => text.into(),
        FieldValue::Time(time) => serde_json::to_value(time).unwrap(),
    }
}

/// How many values of fields were read without the whole row; each must be that of the whole row.
fn compared(row: &StoredRow, whole: &RunRow) -> usize {
    assert_eq!((row.id().unwrap(), &*row.whole().unwrap()), (whole.id, whole));
    let fields = whole.fields(NOW, None);
    let mut read = 0;
    for name in RUN_FIELDS.known.iter().map(|field| field.name).filter(|name| !name.contains("[]")) {
        let Some(value) = row.value(name, NOW).unwrap() else { continue };
        let mut path = name.split('.');
        let root = fields.field(path.next().unwrap());
        let wanted = path.try_fold(&root, |value, part| value.get(part)).cloned().unwrap_or_default();
        let value = match (name, json(value)) {
            ("elapsed", Value::Number(number)) => format!("{number}ms").into(),
            (_, value) => value,
        };
        assert_eq!(value, wanted, "{name} of {whole:?}");
        read += 1;
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn stored_rows_are_those_of_the_list_and_have_their_values(choices in choices(160), cut in any::<prop::sample::Index>()) {
        let (_, log) = log(&choices, 7);
        let mut models = Models::in_memory().unwrap();
        let (first, then) = log.split_at(cut.index(log.len()));
        apply(&mut models, first);
        models.checkpoint().unwrap();
        apply(&mut models, then);
        let last = Position(log.len() as u64);
        let mut read = 0;
        for at in [last, Position(last.0 / 2 + 1), Position(cut.index(log.len()) as u64 + 1)] {
            for filter in filters() {
                let (rows, wanted) = (scanned(&models, &filter, 2, at), listed(&models, &filter, at));
                prop_assert_eq!(rows.len(), wanted.len(), "{:?} at {}", filter, at.0);
                read += rows.iter().zip(&wanted).map(|(row, whole)| compared(row, whole)).sum::<usize>();
                let ids: Vec<_> = wanted.iter().map(|row| row.id).collect();
                let named = models.runs().unwrap().stored(&ids, at).unwrap();
                let named: Vec<RunRow> = named.iter().map(|row| (*row.whole().unwrap()).clone()).collect();
                prop_assert_eq!(named, wanted);
            }
        }
        prop_assert!(read > 0);
    }
}

/// Rows that are read one after the other come from many blocks at once.
#[test]
fn rows_that_are_read_in_their_order_are_those_that_are_read_alone() {
    const RUNS: u64 = 700;
    let mut models = Models::in_memory().unwrap();
    let mut position = 0;
    let mut tell = |models: &mut Models, event: &Envelope| {
        position += 1;
        apply(models, &[Arc::new(Envelope { position: Position(position), ..event.clone() })]);
    };
    tell(&mut models, &RandomRun::definition_saved());
    for number in 0..RUNS {
        let mut run = RandomRun::begin(number);
        // Every third one goes on, and some stretches of them do.
        if number % 3 != 0 && !(200..300).contains(&number) {
            run.cancel();
            while !run.state.is_ended() {
                run.step(0, 1);
            }
        }
        run.events.iter().for_each(|event| tell(&mut models, event));
        if [100, 450, 640].contains(&number) {
            models.checkpoint().unwrap();
        }
    }
    let all = RunFilter::default();
    for order in [RunOrder::Newest, RunOrder::Oldest] {
        let rows = models.runs().unwrap().list(&all, order, None, 10_000, None).unwrap().items;
        assert_eq!(rows.len(), RUNS as usize);
        for row in &rows {
            assert_eq!(models.runs().unwrap().get(row.id, None).unwrap().as_ref(), Some(row));
        }
    }
    let wanted = listed(&models, &all, Position(position));
    for part in [1, 9, 1_000] {
        let rows = scanned(&models, &all, part, Position(position));
        let rows: Vec<RunRow> = rows.iter().map(|row| (*row.whole().unwrap()).clone()).collect();
        assert_eq!(rows, wanted, "in parts of {part}");
    }
}

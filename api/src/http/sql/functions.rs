//! What queries may call beside SQLite's own functions: the moment of the query, and moments before it.

use std::sync::Arc;

use everfold_engine::duration;
use everfold_engine::time::Timestamp;
use everfold_sql::{SqlFunction, SqlValue};

/// `now()`, `ago('7d')`, `moment('2026-11-20T09:00:00+01:00')`: times as columns have them.
pub(in crate::http) fn functions(now: Timestamp) -> Vec<SqlFunction> {
    let text = |time: Timestamp| Ok(SqlValue::Text(time.to_string()));
    vec![
        SqlFunction { name: "now", arguments: 0, call: Arc::new(move |_| text(now)) },
        SqlFunction {
            name: "ago",
            arguments: 1,
            call: Arc::new(move |given| {
                let span = duration::parse(given[0]).map_err(|error| format!("ago(): {error}"))?;
                let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                text(Timestamp(now.0.saturating_sub(millis)))
            }),
        },
        SqlFunction {
            name: "moment",
            arguments: 1,
            call: Arc::new(move |given| {
                let time = given[0].parse::<Timestamp>();
                text(time.map_err(|error| format!("moment(): “{}” is no time: {error}", given[0]))?)
            }),
        },
    ]
}

//! How the tables of SQL are read, and what takes too much.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;
use crate::sql::{asked, played};

async fn first(api: &Api, sql: &str) -> Value {
    asked(api, sql, None).await.1["rows"][0][0].clone()
}

#[tokio::test]
async fn signals_that_a_fork_took_over_are_among_its_signals() {
    let api = played().await;
    let run = first(&api, "select run from signals").await;
    let run = run.as_str().unwrap();
    let version = first(&api, &format!("select version from runs where id = '{run}'")).await;
    let (status, fork) = api.post(&format!("/api/v1/runs/{run}/fork"), json!({ "version": version })).await;
    assert!(status < 300, "{fork}");
    let fork = fork["id"].as_str().unwrap();
    let view = api.until(fork, "waiting").await;
    let (_, by_name) =
        asked(&api, &format!("select name, count(*) from signals('{fork}') group by name"), None).await;
    assert_eq!(
        (&view["signals"], &by_name["rows"]),
        (&json!({ "news": 1 }), &json!([["news", 1]])),
        "{view}"
    );
    let places = async |table: &str, condition: &str| {
        let sql = format!("select version, position from {table}('{fork}') where {condition}");
        asked(&api, &sql, None).await.1["rows"].clone()
    };
    assert_eq!(places("signals", "true").await, places("events", "type = 'SignalReceived'").await);
}

#[tokio::test]
async fn what_takes_too_much_is_told_from_what_cannot_be_answered() {
    let api = Api::new();
    let counted = |calls: &str, rows: u32| {
        format!(
            "with recursive c(x) as (select 1 union all select x + 1 from c limit {rows}) select {calls} from c"
        )
    };
    for (sql, code) in [
        (counted("p50(x)", 1_000_001), "EF0286"),
        (counted("group_concat(printf('%1000d', x))", 2_000), "EF0286"),
        (format!("select 1{}", " union all select 1".repeat(50)), "EF0286"),
        (format!("select '{}'", "x".repeat(70_000)), "EF0286"),
        (format!("select 'a' like '{}'", "%".repeat(201)), "EF0286"),
        ("select moment('too many numbers')".to_owned(), "EF0285"),
        ("select p50('a')".to_owned(), "EF0285"),
        ("select 1 union select 1, 2".to_owned(), "EF0285"),
    ] {
        let (status, problem) = asked(&api, &sql, None).await;
        assert_eq!((status, problem["code"].as_str().unwrap()), (422, code), "{}: {problem}", &sql[..20]);
        assert!(code == "EF0285" || problem["hint"].is_string(), "{problem}");
    }
}

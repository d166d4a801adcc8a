//! How the tables of SQL are read: what stands in a condition reads no other rows, and the answer says by which columns.
//! What takes too much is refused.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;
use crate::sql::{asked, played};

/// The rows of an answer, and how a table was read for it: by which columns, and how many rows.
async fn read(api: &Api, sql: &str, table: &str) -> (usize, Vec<String>, usize) {
    let (status, answer) = asked(api, sql, None).await;
    assert_eq!((status, &answer["truncated"]), (200, &Value::Null), "{sql}: {answer}");
    let of_table = |reads: &&Value| reads["table"] == table;
    let reads: Vec<&Value> = answer["reads"].as_array().unwrap().iter().filter(of_table).collect();
    let [reads] = reads.as_slice() else { panic!("{sql}: {answer}") };
    let by = serde_json::from_value(reads["by"].clone()).unwrap();
    (answer["rows"].as_array().unwrap().len(), by, reads["rows"].as_u64().unwrap() as usize)
}

async fn first(api: &Api, sql: &str) -> Value {
    asked(api, sql, None).await.1["rows"][0][0].clone()
}

#[tokio::test]
async fn a_condition_on_a_column_that_rows_are_found_by_reads_no_other_rows() {
    let api = played().await;
    let run = first(&api, "select id from runs where title = 'n3'").await;
    let run = run.as_str().unwrap();
    let other = first(&api, "select id from runs where title = 'n4'").await;
    let other = other.as_str().unwrap();
    let begin = first(&api, "select position from runs where title = 'n3'").await;
    let some = "select id from runs where title in ('n1', 'a6')";
    for (table, condition, by, is_any) in [
        ("events", format!("position = {begin}"), "position", true),
        ("events", "position in (25, 26, 27)".to_owned(), "position", true),
        ("events", "position between 25 and 30".to_owned(), "position", true),
        ("events", "position > 25 and position < 30".to_owned(), "position", true),
        ("events", format!("run = '{run}' and position = {begin}"), "position", true),
        ("events", format!("run = '{run}' and version <= 3"), "run version", true),
        ("events", format!("run = '{run}' and version in (2, 3)"), "run version", true),
        ("events", format!("run = '{run}' and version < 1"), "run version", false),
        ("events", format!("run in ({some}) and version = 2"), "run version", true),
        ("runs", "pipeline in ('counted', 'other')".to_owned(), "pipeline", true),
        (
            "runs",
            "pipeline in ('counted', 'asking') and status in ('failed', 'blocked')".to_owned(),
            "pipeline status",
            true,
        ),
        ("runs", "number in (1, 2)".to_owned(), "number", false),
        ("runs", format!("parent_run in ('{run}', '{other}')"), "parent_run", false),
        ("runs", format!("parent_top in ('{run}', '{other}')"), "parent_top", false),
        ("labels", "key in ('item', 'n')".to_owned(), "key", true),
        ("labels", "key = 'team' and value in ('blue', 'green')".to_owned(), "key value", true),
        ("labels", format!("run in ({some}) and key = 'team'"), "key run", true),
        ("search", "name in ('n', 'kind')".to_owned(), "name", true),
        ("decisions", format!("run in ({some})"), "run", true),
        ("decisions", "pipeline in ('counted', 'other')".to_owned(), "pipeline", true),
        (
            "decisions",
            "verdict in ('pass', 'pending') and kind in ('gate', 'vote')".to_owned(),
            "kind verdict",
            true,
        ),
        (
            "gates",
            "gate in ('even', 'odd') and actor in ('engine', 'user:ada')".to_owned(),
            "actor gate",
            true,
        ),
        ("tasks", format!("run in ({some})"), "run", true),
        ("attempts", format!("run in ({some})"), "run", true),
        ("deliveries", "source in ('shop', 'other')".to_owned(), "source", true),
    ] {
        let sql = format!("select * from {table} where {condition}");
        let (rows, found_by, read) = read(&api, &sql, table).await;
        assert_eq!((found_by.join(" "), read), (by.to_owned(), rows), "{condition}");
        assert_eq!(rows > 0, is_any, "{condition}");
    }
}

/// The tables that are found by run.
const OF_RUNS: [&str; 14] = [
    "labels",
    "search",
    "steps",
    "attempts",
    "step_times",
    "events",
    "signals",
    "decisions",
    "gates",
    "votes",
    "tasks",
    "spend",
    "model_spend",
    "role_spend",
];

#[tokio::test]
async fn a_join_with_runs_begins_where_they_have_a_condition_and_goes_on_by_run() {
    let api = played().await;
    for (condition, by, runs) in [
        ("r.pipeline = 'counted'", "pipeline", 6),
        ("r.pipeline in ('counted', 'none')", "pipeline", 6),
        ("r.pipeline = 'counted' and r.started_at > ago('7d')", "pipeline started_at", 6),
        ("r.status = 'failed'", "status", 3),
        ("r.pipeline = 'counted' and r.status = 'failed'", "pipeline status", 3),
    ] {
        for table in OF_RUNS {
            for from in [
                format!("runs r join {table} t on t.run = r.id"),
                format!("{table} t join runs r on r.id = t.run"),
            ] {
                let sql = format!("select t.run from {from} where {condition}");
                let (status, answer) = asked(&api, &sql, None).await;
                assert_eq!(status, 200, "{sql}: {answer}");
                let rows = answer["rows"].as_array().unwrap().len();
                let read = |read: &Value| json!([read["table"], read["by"], read["rows"]]);
                let mut found: Vec<Value> = answer["reads"].as_array().unwrap().iter().map(read).collect();
                found.sort_by_key(|read| read[0] == "runs");
                let by: Vec<&str> = by.split(' ').collect();
                assert_eq!(found, [json!([table, ["run"], rows]), json!(["runs", by, runs])], "{sql}");
            }
        }
    }
}

#[tokio::test]
async fn rows_keep_their_order_where_a_column_may_have_one_of_several_values() {
    let api = played().await;
    let sql = "select id from runs where pipeline in ('counted', 'asking') order by position desc limit 2";
    assert_eq!(read(&api, sql, "runs").await, (2, vec!["pipeline".to_owned()], 2));
}

#[tokio::test]
async fn an_answer_names_no_column_by_which_nothing_was_found() {
    let api = played().await;
    let run = first(&api, "select id from runs where title = 'n3'").await;
    let many = (0..1_001).map(|n| format!("'p{n}'")).collect::<Vec<_>>().join(",");
    for (table, condition, by) in [
        ("labels", "value = 'blue'".to_owned(), ""),
        ("events", "version = 1".to_owned(), ""),
        ("events", format!("run = {run} and position > 5").replace('"', "'"), "run"),
        ("runs", "started_at < '2100'".to_owned(), ""),
        ("runs", "started_at >= '2001' and started_at < '2100'".to_owned(), "started_at"),
        ("runs", format!("id = {run} and status = 'failed'").replace('"', "'"), "id"),
        ("runs", format!("pipeline in ({many})"), ""),
    ] {
        let sql = format!("select * from {table} where {condition}");
        assert_eq!(
            read(&api, &sql, table).await.1.join(" "),
            by,
            "{table} {}",
            &condition[..20.min(condition.len())]
        );
    }
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

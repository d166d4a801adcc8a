//! SQL over the lists: it says what REST says, of now and of any moment, and does nothing but read.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const COUNTED: &str = "\
name: counted
input: { type: object, required: [n], properties: { n: { type: integer } } }
labels: { team: \"${input.n > 2 ? 'blue' : 'red'}\", n: \"${input.n}\" }
search:
  n: \"${input.n}\"
  half: \"${double(input.n) / 2.0}\"
  kind: \"${input.n % 2 == 0 ? 'even' : 'odd'}\"
  due: { type: time, value: \"2026-11-2${input.n}T09:00:00Z\" }
  large: \"${input.n > 3}\"
  tags: [numbers, \"n${input.n}\"]
steps:
  - id: pass
    gates:
      - { id: even, expression: \"input.n % 2 == 0\", code: ODD, on_fail: { fail: { code: ODD, message: is odd } } }
";

const ASKING: &str = "\
name: asking
input: { type: object, required: [n], properties: { n: { type: integer } } }
labels: { item: \"ET-${input.n}\", team: blue }
steps:
  - { id: analyst, stage: analysis, function: everfold.noop, gates: [{ id: even, expression: \"input.n % 2 == 0\", on_fail: block }] }
  - { id: approve, stage: review, approval: { title: \"Number ${input.n}?\", roles: [lead] } }
";

/// Runs that ended well and badly, runs that wait, votes, signals and deliveries.
pub(crate) async fn played() -> Api {
    let api = Api::new();
    for n in 1..=6 {
        for (definition, title) in [(COUNTED, "n"), (ASKING, "a")] {
            let body =
                json!({ "definition": definition, "input": { "n": n }, "title": format!("{title}{n}") });
            let (status, run) = api.post("/api/v1/runs", body).await;
            assert_eq!(status, 201, "{run}");
            let end = match (title, n % 2) {
                ("n", 0) => "succeeded",
                ("n", _) => "failed",
                (_, 0) => "waiting",
                _odd => "blocked",
            };
            api.until(run["id"].as_str().unwrap(), end).await;
        }
    }
    let (_, inbox) = api.get("/api/v1/inbox?limit=100").await;
    let approval = |task: &&Value| task["kind"] == "approval";
    for task in inbox["items"].as_array().unwrap().iter().filter(approval).take(2) {
        let body = json!({ "decision": "approve", "comment": "looks right" });
        let (status, run) = api.post(&format!("/api/v1/inbox/{}", task["id"].as_str().unwrap()), body).await;
        assert_eq!(status, 200, "{run}");
        api.until(run["id"].as_str().unwrap(), "succeeded").await;
    }
    let waiting = rows(&api, "select id from runs where status = 'waiting'").await;
    let run = waiting[0][0].as_str().unwrap();
    let (status, answer) =
        api.post(&format!("/api/v1/runs/{run}/signals/news"), json!({ "payload": { "x": 1 } })).await;
    assert_eq!(status, 200, "{answer}");
    for (id, name) in [("d1", "push"), ("d2", "issue"), ("d3", "push")] {
        let body = json!({ "body": json!({ "event": name }).to_string(), "id": id });
        let (status, answer) = api.post("/api/v1/hooks/shop/deliveries", body).await;
        assert_eq!(status, 201, "{answer}");
    }
    api
}

pub(crate) async fn asked(api: &Api, sql: &str, at: Option<u64>) -> (u16, Value) {
    let mut body = json!({ "sql": sql, "limit": 10_000 });
    if let Some(at) = at {
        body["at"] = json!(at.to_string());
    }
    api.post("/api/v1/query", body).await
}

async fn rows(api: &Api, sql: &str) -> Vec<Vec<Value>> {
    let (status, answer) = asked(api, sql, None).await;
    assert_eq!((status, &answer["truncated"]), (200, &Value::Null), "{sql}: {answer}");
    serde_json::from_value(answer["rows"].clone()).unwrap()
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn position(api: &Api) -> u64 {
    api.get("/api/v1/moment").await.1["position"].as_u64().unwrap()
}

/// A question in both languages: an expression of lists, and a condition of SQL. Both leave out what is neither true nor
/// false, so they are equal where `!` and `not` are of the whole of what has a value.
fn question() -> impl Strategy<Value = (String, String)> {
    let same = |text: String| (text.clone(), text);
    let status = (
        prop_oneof![Just("=="), Just("!=")],
        prop_oneof![Just("failed"), Just("waiting"), Just("succeeded"), Just("blocked")],
    )
        .prop_map(|(how, word)| {
            (format!("status {how} '{word}'"), format!("status {} '{word}'", how.replace("==", "=")))
        });
    let statuses =
        Just(("status in ['failed', 'waiting']".to_owned(), "status in ('failed', 'waiting')".to_owned()));
    let pipeline = prop_oneof![Just("counted"), Just("asking"), Just("nosuch")]
        .prop_map(|name| (format!("pipeline == '{name}'"), format!("pipeline = '{name}'")));
    let team = prop_oneof![Just("blue"), Just("red")].prop_map(|team| {
        let sql = format!("id in (select run from labels where key = 'team' and value = '{team}')");
        (format!("labels.team == '{team}'"), sql)
    });
    let label =
        Just(("has(labels.item)".to_owned(), "json_extract(labels, '$.item') is not null".to_owned()));
    let number = (prop_oneof![Just(">"), Just("<="), Just("==")], 0..8_u8).prop_map(|(how, n)| {
        let sql = format!(
            "id in (select run from search where name = 'n' and number {} {n})",
            how.replace("==", "=")
        );
        (format!("search.n {how} {n}"), sql)
    });
    let kind = prop_oneof![Just("even"), Just("odd")].prop_map(|kind| {
        (format!("search.kind == '{kind}'"), format!("json_extract(search, '$.kind') = '{kind}'"))
    });
    let due = (1..8_u8).prop_map(|day| {
        let sql = format!(
            "id in (select run from search where name = 'due' and value < '2026-11-2{day}T09:00:00.000Z')"
        );
        (format!("search.due < timestamp('2026-11-2{day}T09:00:00Z')"), sql)
    });
    let tag = (1..8_u8).prop_map(|n| {
        let sql = format!(
            "exists (select 1 from search s, json_each(s.value) t where s.run = runs.id and s.name = 'tags' and t.value = 'n{n}')"
        );
        (format!("'n{n}' in search.tags"), sql)
    });
    let title = (1..7_u8).prop_map(|n| (format!("title == 'n{n}'"), format!("title = 'n{n}'")));
    let code = Just(("failure.code == 'ODD'".to_owned(), "failure_code = 'ODD'".to_owned()));
    let failed = Just(("step_counts.failed > 0".to_owned(), "steps_failed > 0".to_owned()));
    let version = (prop_oneof![Just(">"), Just("<="), Just(">=")], 3..16_u8)
        .prop_map(move |(how, version)| same(format!("version {how} {version}")));
    let position = (1..400_u16).prop_map(move |position| same(format!("position > {position}")));
    let open = Just(("ended_at == null".to_owned(), "ended_at is null".to_owned()));
    let step = prop_oneof![Just("analyst"), Just("approve")].prop_map(|step| {
        let sql = format!("exists (select 1 from json_each(active_steps) where value = '{step}')");
        (format!("'{step}' in active_steps"), sql)
    });
    let leaf = prop_oneof![
        status, statuses, pipeline, team, label, number, kind, due, tag, title, code, failed, version,
        position, open, step
    ];
    leaf.prop_recursive(2, 8, 2, |part| {
        prop_oneof![
            (part.clone(), part.clone())
                .prop_map(|(a, b)| (format!("({} && {})", a.0, b.0), format!("({} and {})", a.1, b.1))),
            (part.clone(), part)
                .prop_map(|(a, b)| (format!("({} || {})", a.0, b.0), format!("({} or {})", a.1, b.1))),
        ]
    })
}

#[tokio::test]
async fn sql_says_of_runs_what_their_list_says_for_generated_questions_at_generated_moments() {
    let api = played().await;
    let last = position(&api).await;
    let mut runner = TestRunner::new(Config::default());
    let questions = (question(), 0..4_u8, 1..=last, 1..14_usize);
    for _ in 0..150 {
        let ((filter, sql), order, at, limit) = questions.new_tree(&mut runner).unwrap().current();
        let at = (order > 0).then_some(at);
        let (sort, order_by) = [
            ("-started", "position desc"),
            ("started", "position"),
            ("-title", "title desc, position desc"),
            ("version", "version, position desc"),
        ][usize::from(order)];
        let moment = at.map(|at| format!("&at={at}")).unwrap_or_default();
        let path = format!("/api/v1/runs?filter={}&sort={sort}&limit={limit}{moment}", encoded(&filter));
        let (status, page) = api.get(&path).await;
        assert_eq!(status, 200, "{filter}: {page}");
        let by_rest: Vec<&Value> = page["items"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
        let query = format!("select id from runs where {sql} order by {order_by} limit {limit}");
        let (status, answer) = asked(&api, &query, at).await;
        assert_eq!(status, 200, "{query}: {answer}");
        let by_sql: Vec<&Value> = answer["rows"].as_array().unwrap().iter().map(|row| &row[0]).collect();
        assert_eq!(by_sql, by_rest, "{filter} at {at:?} by {sort}\n{query}\n{answer}");

        let path = format!("/api/v1/stats?by=status&filter={}{moment}", encoded(&filter));
        let (_, stats) = api.get(&path).await;
        let query = format!("select status, count(*) from runs where {sql} group by status");
        let (_, counts) = asked(&api, &query, at).await;
        let groups = stats["grouped"]["groups"].as_array().unwrap();
        assert_eq!(counts["rows"].as_array().unwrap().len(), groups.len(), "{query}: {stats}");
        for group in groups {
            let row = json!([group["values"]["status"], group["count"]]);
            assert!(counts["rows"].as_array().unwrap().contains(&row), "{query}: {row} of {counts}");
        }
    }
}

/// The value of a path in a row's JSON.
fn at_path(row: &Value, path: &str) -> Value {
    path.split('.').try_fold(row, |at, part| at.get(part)).cloned().unwrap_or_default()
}

/// Compares all rows of a table with those of a list, by columns that have a field's value.
async fn same_rows(api: &Api, table: &str, key: &str, list: Vec<Value>, columns: &[(&str, &str)]) {
    let names: Vec<&str> = columns.iter().map(|(column, _)| *column).collect();
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let found = rows(api, &format!("select {} from {table} order by {key}", names.join(", "))).await;
    let mut wanted: Vec<Vec<Value>> =
        list.iter().map(|row| columns.iter().map(|(_, path)| at_path(row, path)).collect()).collect();
    let by = columns.iter().position(|(column, _)| *column == key).unwrap();
    wanted.sort_by(|one, other| match (one[by].as_u64(), other[by].as_u64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _texts => one[by].as_str().cmp(&other[by].as_str()),
    });
    assert!(!wanted.is_empty(), "{table}");
    assert_eq!(found, wanted, "{table}");
}

async fn items(api: &Api, path: &str) -> Vec<Value> {
    let (status, page) = api.get(path).await;
    assert_eq!(status, 200, "{path}: {page}");
    assert!(page["next_cursor"].is_null(), "{path}");
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_table_has_the_rows_of_its_list() {
    let api = played().await;
    let runs = items(&api, "/api/v1/runs?limit=100").await;
    let columns = [
        ("id", "id"),
        ("short_id", "short_id"),
        ("pipeline", "pipeline"),
        ("title", "title"),
        ("status", "status"),
        ("labels", "labels"),
        ("search", "search"),
        ("started_by", "started_by"),
        ("started_at", "started_at"),
        ("ended_at", "ended_at"),
        ("moved_at", "moved_at"),
        ("updated_at", "updated_at"),
        ("active_steps", "active_steps"),
        ("awaits", "awaits"),
        ("input_tokens", "usage.input_tokens"),
        ("failure_kind", "failure.kind"),
        ("failure_code", "failure.code"),
        ("failure_message", "failure.message"),
        ("failure_step", "failure.step"),
        ("note", "note"),
        ("steps_total", "step_counts.total"),
        ("steps_open", "step_counts.open"),
        ("steps_failed", "step_counts.failed"),
        ("parent_run", "parent.run"),
        ("origin_run", "origin.run"),
        ("version", "version"),
        ("position", "position"),
        ("since", "since"),
        ("set_aside", "set_aside"),
    ];
    same_rows(&api, "runs", "position", runs.clone(), &columns).await;
    let tasks = items(&api, "/api/v1/inbox?limit=100").await;
    let columns = [
        ("id", "id"),
        ("run", "run"),
        ("step", "step"),
        ("round", "round"),
        ("kind", "kind"),
        ("title", "title"),
        ("terms_roles", "terms.roles"),
        ("votes", "votes"),
        ("message", "message"),
        ("since", "since"),
        ("position", "position"),
    ];
    same_rows(&api, "tasks", "position", tasks, &columns).await;
    let decisions = items(&api, "/api/v1/audit/decisions?limit=100").await;
    let columns = [
        ("run", "run"),
        ("pipeline", "pipeline"),
        ("title", "title"),
        ("version", "version"),
        ("position", "position"),
        ("at", "at"),
        ("actor", "actor"),
        ("step", "step"),
        ("kind", "kind"),
        ("gate", "gate"),
        ("verdict", "verdict"),
        ("reason", "reason"),
        ("tolerated", "tolerated"),
        ("vote", "vote"),
        ("comment", "comment"),
        ("decision", "decision"),
        ("attempt", "attempt"),
        ("route", "route"),
    ];
    same_rows(&api, "decisions", "position", decisions.clone(), &columns).await;
    let gates = items(&api, "/api/v1/audit/gates?limit=100").await;
    let columns = [
        ("position", "position"),
        ("gate", "gate"),
        ("verdict", "verdict"),
        ("evidence", "evidence"),
        ("attempt", "attempt"),
        ("policy_hash", "policy_hash"),
    ];
    same_rows(&api, "gates", "position", gates, &columns).await;
    let votes = decisions.into_iter().filter(|row| row["kind"] == "vote").collect();
    same_rows(
        &api,
        "votes",
        "position",
        votes,
        &[("position", "position"), ("vote", "vote"), ("comment", "comment")],
    )
    .await;
    let hooks = items(&api, "/api/v1/hooks?limit=100").await;
    let columns =
        [("id", "id"), ("source", "source"), ("received_at", "received_at"), ("handled", "handled")];
    same_rows(&api, "deliveries", "id", hooks, &columns).await;
    assert!(rows(&api, "select * from notices").await.is_empty());
    let labels = runs.iter().map(|run| run["labels"].as_object().unwrap().len()).sum::<usize>();
    assert_eq!(rows(&api, "select count(*) from labels").await, [[json!(labels)]]);
    let of_third = "select s.name, s.type, s.value, s.number from search s join runs r on r.id = s.run where r.title = 'n3' order by s.name";
    let wanted = json!([
        ["due", "time", "2026-11-23T09:00:00.000Z", null],
        ["half", "number", "1.5", 1.5],
        ["kind", "text", "odd", null],
        ["large", "bool", "false", null],
        ["n", "number", "3", 3.0],
        ["tags", "list", r#"["numbers","n3"]"#, null],
    ]);
    assert_eq!(json!(rows(&api, of_third).await), wanted);

    let run = runs.iter().find(|run| run["title"] == "a2").unwrap()["id"].as_str().unwrap();
    let attempts = items(&api, &format!("/api/v1/runs/{run}/timeline")).await;
    let columns = [
        ("step", "step"),
        ("round", "round"),
        ("attempt", "attempt"),
        ("kind", "kind"),
        ("scheduled_at", "scheduled_at"),
        ("started_at", "started_at"),
        ("ended_at", "end.at"),
        ("failure_kind", "end.failure.kind"),
        ("head", "end.commit"),
    ];
    same_rows(&api, &format!("attempts('{run}')"), "step", attempts, &columns).await;
    let events = items(&api, &format!("/api/v1/runs/{run}/events?limit=1000")).await;
    let columns = [
        ("version", "version"),
        ("position", "position"),
        ("actor", "actor"),
        ("type", "event.type"),
        ("event", "event"),
        ("hash", "hash"),
    ];
    same_rows(&api, &format!("events('{run}')"), "version", events, &columns).await;
    let (_, view) = api.get(&format!("/api/v1/runs/{run}")).await;
    let columns = [
        ("id", "id"),
        ("stage", "stage"),
        ("kind", "kind"),
        ("status", "status"),
        ("round", "round"),
        ("started_at", "started_at"),
        ("ended_at", "ended_at"),
        ("gates", "gates"),
    ];
    same_rows(&api, &format!("steps('{run}')"), "id", view["steps"].as_array().unwrap().clone(), &columns)
        .await;
    assert_eq!(
        rows(&api, "select name, json_extract(payload, '$.x') from signals").await,
        [[json!("news"), json!(1)]]
    );
    // A run is found by each of its names, and without one all runs are gone through.
    let short = &run[run.len() - 8..];
    let by_short = rows(&api, &format!("select count(*) from events('{short}')")).await;
    assert_eq!(by_short, rows(&api, &format!("select count(*) from events where run = '{run}'")).await);
    assert_eq!(rows(&api, "select count(distinct run) from attempts").await, [[json!(6)]]);
    assert_eq!(rows(&api, "select count(distinct run) from events").await, [[json!(12)]]);
    let joined = "select r.title, s.id from runs r join steps s on s.run = r.id where r.status = 'blocked' and s.status = 'blocked' order by 1";
    assert_eq!(rows(&api, joined).await, [["a1", "analyst"], ["a3", "analyst"], ["a5", "analyst"]]);
}

#[tokio::test]
async fn a_key_and_an_index_are_used_and_the_answer_says_so() {
    let api = played().await;
    let id = rows(&api, "select id from runs where title = 'n3'").await[0][0].as_str().unwrap().to_owned();
    let reads = async |sql: &str| asked(&api, sql, None).await.1["reads"].clone();
    assert_eq!(
        reads(&format!("select title from runs where id = '{id}'")).await,
        json!([{ "table": "runs", "by": ["id"], "scans": 1, "rows": 1 }])
    );
    assert_eq!(
        reads("select title from runs where status = 'failed'").await,
        json!([{ "table": "runs", "by": ["status"], "scans": 1, "rows": 3 }])
    );
    assert_eq!(reads("select * from labels where key = 'item'").await[0]["rows"], 6);
    assert_eq!(reads("select * from search where name = 'n'").await[0]["rows"], 6);
    assert_eq!(reads("select * from gates where verdict = 'fail'").await[0]["rows"], 6);
    assert_eq!(reads("select title from runs order by position desc limit 2").await[0]["rows"], 2);
    let joined =
        "select r.title from labels l join runs r on r.id = l.run where l.key = 'item' and l.value = 'ET-2'";
    let by = reads(joined).await;
    assert_eq!(
        (&by[0]["rows"], &by[1]["rows"], &by[1]["by"]),
        (&json!(1), &json!(1), &json!(["id"])),
        "{by}"
    );
}

#[tokio::test]
async fn a_query_of_the_past_knows_nothing_that_came_later() {
    let api = played().await;
    let middle = rows(&api, "select position from runs where title = 'n4'").await[0][0].as_u64().unwrap();
    let then = async |sql: &str| asked(&api, sql, Some(middle)).await;
    let (_, answer) =
        then("select title, ended_at from runs where title like 'n%' order by position desc limit 1").await;
    assert_eq!((&answer["rows"], &answer["position"]), (&json!([["n4", null]]), &json!(middle)), "{answer}");
    for table in [
        "runs",
        "labels",
        "search",
        "decisions",
        "gates",
        "votes",
        "tasks",
        "attempts",
        "step_times",
        "steps",
        "events",
        "signals",
        "spend",
    ] {
        let (status, answer) = then(&format!("select count(*) from {table}")).await;
        assert_eq!(status, 200, "{answer}");
        let now = rows(&api, &format!("select count(*) from {table}")).await[0][0].as_u64().unwrap();
        assert!(answer["rows"][0][0].as_u64().unwrap() <= now, "{table}: {answer}");
    }
    let (_, answer) = then("select max(position) from events").await;
    assert_eq!(answer["rows"], json!([[middle]]));
    let (_, now) = then("select now() = max(committed_at), ago('1h') < now() from events").await;
    assert_eq!(now["rows"], json!([[1, 1]]));
    for table in ["deliveries", "notices"] {
        let (status, problem) = then(&format!("select * from {table}")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0285")), "{problem}");
    }
    let body = json!({ "sql": "select count(*) from runs", "at": "2001-01-01T00:00:00Z" });
    assert_eq!(api.post("/api/v1/query", body).await.1["rows"], json!([[0]]));
}

#[tokio::test]
async fn a_query_that_cannot_be_answered_is_refused_with_its_place_and_what_to_do() {
    let api = played().await;
    let refused = async |sql: &str| {
        let (status, problem) = asked(&api, sql, None).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0285")), "{sql}: {problem}");
        (
            problem["detail"].as_str().unwrap().to_owned(),
            problem["hint"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (what, hint) = refused("select id from runs where statsu = 'failed'").await;
    assert_eq!(what, "sql: line 1, column 27: there is no column “statsu”");
    assert!(hint.starts_with("did you mean `status` of `runs`?"), "{hint}");
    let (_, hint) = refused("select failure.code from runs").await;
    assert!(hint.starts_with("did you mean `failure_code` of `runs`?"), "{hint}");
    let (what, hint) = refused("select * from rnus").await;
    assert_eq!(what, "sql: there is no table “rnus”");
    assert!(hint.starts_with("did you mean `runs`? the tables are runs, labels, search, steps"), "{hint}");
    let (_, hint) = refused("select coutn(*) from runs").await;
    assert!(hint.starts_with("did you mean `count`?"), "{hint}");
    let (_, hint) = refused("select current_timestamp").await;
    assert!(hint.starts_with("did you mean `now`?"), "{hint}");
    let (what, _) = refused("select id from runs where status = \"failed\"").await;
    assert!(what.contains("there is no column “failed”"), "{what}");
    let (what, hint) = refused("select id from runs where started_at > 'yesterday'").await;
    assert!(what.contains("times are written as") && hint.contains("ago('7d')"), "{what} {hint}");
    let (what, _) = refused("select ago('sometimes')").await;
    assert!(what.contains("ago(): "), "{what}");
    let (status, problem) = asked(&api, "select * from steps('zzzz')", None).await;
    assert_eq!((status, &problem["code"]), (404, &json!("EF0201")), "{problem}");
    for body in [
        json!({}),
        json!({ "sql": "select 1", "limit": 0 }),
        json!({ "sql": "select 1", "limit": 100_001 }),
        json!({ "sql": "select 1", "more": 1 }),
    ] {
        let (status, problem) = api.post("/api/v1/query", body).await;
        assert_eq!(status, 422, "{problem}");
    }
    let cut = api.post("/api/v1/query", json!({ "sql": "select id from runs", "limit": 5 })).await.1;
    assert_eq!((cut["rows"].as_array().unwrap().len(), &cut["truncated"]), (5, &json!("rows")));
}

#[tokio::test]
async fn hostile_queries_write_nothing_and_read_nothing_else() {
    let api = played().await;
    let (before, runs) = (position(&api).await, rows(&api, "select count(*) from runs").await);
    for sql in [
        "insert into runs values (1)",
        "delete from runs",
        "update runs set status = 'succeeded'",
        "drop table runs",
        "create table t as select * from runs",
        "attach '/tmp/everfold-sql-never.db' as x",
        "pragma query_only = off",
        "pragma writable_schema = on",
        "vacuum into '/tmp/everfold-sql-never.db'",
        "select load_extension('/lib/libc.so.6')",
        "select writefile('/tmp/everfold-sql-never.db', 'x')",
        "select readfile('/etc/passwd')",
        "select * from sqlite_master",
        "select * from pragma_database_list",
        "select * from pragma_module_list",
        "select 1; delete from runs",
        "select 1\u{0}; delete from runs",
        "explain delete from runs",
        "with x as (select 1) insert into runs select * from x",
        "select * from tokens",
        "select zeroblob(1000000000)",
        "select printf('%.*c', 1000000000, 'x')",
        "values (randomblob(1000000000))",
    ] {
        let (status, problem) = asked(&api, sql, None).await;
        assert!((400..500).contains(&status), "{sql}: {status} {problem}");
    }
    assert!(!std::path::Path::new("/tmp/everfold-sql-never.db").exists());
    assert_eq!((position(&api).await, rows(&api, "select count(*) from runs").await), (before, runs));
    // No column of any table says what the log keeps of tokens and of other streams than those of runs.
    let (_, schema) = api.get("/api/v1/query").await;
    for table in schema["tables"].as_array().unwrap() {
        let name = table["name"].as_str().unwrap();
        let (status, answer) = asked(&api, &format!("select * from {name}"), None).await;
        assert_eq!(status, 200, "{answer}");
        let shown: Vec<&str> = table["columns"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|column| column["found_by"] != "argument")
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        let found: Vec<&str> = answer["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert_eq!(found, shown, "{name}");
    }
}

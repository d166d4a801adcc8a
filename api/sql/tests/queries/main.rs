//! Queries over a small table whose answers are known: what is pushed down, what is refused, what ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod joins;
mod things;

use std::sync::Arc;

use everfold_sql::{
    BoundReached, ColumnLookup, NotAllowed, ScannedRows, SourceError, SqlColumn, SqlError, SqlLimits,
    SqlQuery, SqlTable, SqlType, SqlValue, TableScan, UnknownKind,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use things::{LOOKS, Things, ask, column, fails, query, rows, things};

#[test]
fn a_key_and_an_index_are_asked_for_and_nothing_else_is_read() {
    let table = Arc::new(Things::new(things(100)));
    let answer = query("select size from things where id = 't3'", vec![table.clone()], LOOKS).unwrap();
    assert_eq!(answer.rows, [[json!(5)]]);
    assert_eq!((answer.reads[0].rows, answer.reads[0].by.as_slice()), (1, &["id".to_owned()][..]));
    let sql = "select count(*) from things where color in ('red', 'blue') and made_at >= '2026-11-20'";
    let answer = query(sql, vec![table.clone()], LOOKS).unwrap();
    assert_eq!(answer.reads[0].by, ["color", "made_at"]);
    assert_eq!(answer.reads[0].scans, 1, "the values of IN are asked for together");
    let asked = table.asked.lock().unwrap();
    let texts =
        |texts: &[&str]| texts.iter().map(|text| SqlValue::Text((*text).to_owned())).collect::<Vec<_>>();
    let of_color = asked[1].conditions.iter().find(|condition| condition.column == 1).unwrap();
    let mut values = of_color.values.clone();
    values.sort_by_key(|value| value.as_text().map(str::to_owned));
    assert_eq!(values, texts(&["blue", "red"]));
}

#[test]
fn a_table_whose_rows_come_in_no_order_is_asked_for_each_value_of_in() {
    let table = Arc::new(Things { descends_by: None, ..Things::new(things(100)) });
    let sql = "select count(*) from things where color in ('red', 'blue', 'red', null)";
    let answer = query(sql, vec![table.clone()], LOOKS).unwrap();
    assert_eq!((answer.rows[0][0].as_u64(), answer.reads[0].rows, answer.reads[0].scans), (Some(67), 67, 2));
    let several =
        table.asked.lock().unwrap().iter().filter(|scan| scan.conditions[0].values.len() > 1).count();
    assert_eq!(several, 0);
    let sql = "select id from things where color in ('blue', 'red') order by nr desc limit 3";
    let answer = query(sql, vec![table.clone()], LOOKS).unwrap();
    assert_eq!(answer.rows, [["t99"], ["t97"], ["t96"]]);
    // A column by which nothing is found is no reason to read each row several times.
    let sql = "select count(*) from things where size in (1, 2)";
    assert_eq!(query(sql, vec![table], LOOKS).unwrap().reads[0].scans, 1);
}

#[test]
fn an_argument_of_a_table_is_a_hidden_column_that_shows_what_was_given() {
    let mut table = Things::new(things(3));
    table.columns.push(column("of", SqlType::Text, ColumnLookup::Argument));
    let table = Arc::new(table);
    let ask = |sql| query(sql, vec![table.clone()], LOOKS).unwrap();
    assert_eq!(ask("select id, of from things('x') where nr = 1").rows, [["t1", "x"]]);
    assert_eq!(ask("select * from things('x')").columns.len(), 7);
    assert_eq!(ask("select count(*) from things").rows, [[json!(3)]]);
}

#[test]
fn an_answer_names_the_columns_that_the_table_found_rows_by_and_no_others() {
    let by = |sql| ask(sql).unwrap().reads[0].by.clone();
    assert!(by("select id from things where made_at < '2026-11-20'").is_empty());
    assert_eq!(by("select id from things where made_at between '2026-11-19' and '2026-11-20'"), ["made_at"]);
    assert!(by("select id from things where size = 1").is_empty());
}

#[test]
fn a_query_that_is_too_large_is_told_from_one_that_is_no_query() {
    let counted = |calls: &str, rows: u32| {
        format!(
            "with recursive c(x) as (select 1 union all select x + 1 from c limit {rows}) select {calls} from c"
        )
    };
    for sql in [
        counted("p50(x)", 1_000_001),
        format!("select 1{}", " union all select 1".repeat(50)),
        format!("select {}1{}", "abs(".repeat(101), ")".repeat(101)),
        format!("select 'a' like '{}'", "%".repeat(201)),
        format!("select * from {}", vec!["things"; 65].join(",")),
        format!("select {}", vec!["1"; 201].join(",")),
    ] {
        let error = fails(&sql);
        assert!(matches!(error, SqlError::TooLarge(_)), "{}: {error:?}", &sql[..40]);
    }
    assert!(matches!(fails(&format!("select '{}'", "x".repeat(70_000))), SqlError::TooLong { .. }));
    assert!(matches!(
        fails(&counted("group_concat(printf('%1000d', x))", 2_000)),
        SqlError::ValueTooLong { .. }
    ));
    // Words of the query are no words of SQLite.
    for sql in [
        "select \"too many numbers\"",
        "select sum(x) from (select 9223372036854775807 as x union all select 1)",
    ] {
        let error = fails(sql);
        assert!(matches!(error, SqlError::Unknown { .. } | SqlError::Invalid { .. }), "{sql}: {error:?}");
    }
}

#[test]
fn a_limit_reads_no_more_rows_than_it_shows_where_rows_come_in_the_order_that_is_asked_for() {
    let answer = ask("select id from things order by nr desc limit 3").unwrap();
    assert_eq!(answer.rows, [["t99"], ["t98"], ["t97"]]);
    assert!(answer.reads[0].rows <= 4, "{:?}", answer.reads);
    assert_eq!(rows("select id from things order by nr limit 1"), [["t0"]]);
}

#[test]
fn what_several_conditions_find_is_no_row_twice_and_none_too_few() {
    let both = rows("select id from things where id = 't3' or color = 'red' or id in ('t4', 't6')");
    let plain = rows("select id from things where +id = 't3' or +color = 'red' or +id in ('t4', 't6')");
    let sorted = |mut rows: Vec<Vec<Value>>| {
        rows.sort_by_key(|row| row[0].to_string());
        rows
    };
    assert_eq!(sorted(both), sorted(plain));
}

#[test]
fn values_are_of_the_types_that_their_columns_declare() {
    let answer = ask("select id, color, tags, is_big, json_extract(tags, '$[0]') from things where nr = 2");
    let answer = answer.unwrap();
    assert_eq!(answer.rows, [vec![json!("t2"), Value::Null, json!([2, "x"]), json!(false), json!(2)]]);
    assert_eq!(answer.columns[2].of, Some(SqlType::Json));
    assert_eq!(answer.columns[4].of, None);
}

#[test]
fn comparisons_that_an_index_would_answer_otherwise_are_those_of_sqlite() {
    assert_eq!(rows("select count(*) from things where color = 'RED' collate nocase"), [[json!(34)]]);
    assert_eq!(rows("select count(*) from things where size = '5'"), [[json!(9)]]);
    assert!(rows("select id from things where color = null").is_empty());
    assert_eq!(rows("select count(*) from things where color is null"), [[json!(33)]]);
    assert!(rows("select id from things where id in (null)").is_empty());
    assert_eq!(rows("select count(*) from things where color not in ('red')"), [[json!(33)]]);
}

#[test]
fn a_moment_that_is_written_otherwise_is_compared_as_that_moment_wherever_it_stands() {
    // The fifth has made_at of the fifth day, and so on by 28 days.
    for same in ["2026-11-05", "2026-11-05 00:00:00", "2026-11-05T00:00:00Z", "2026-11-05T05:30:00+05:30"] {
        for condition in [
            format!("made_at < '{same}'"),
            format!("not (made_at >= '{same}')"),
            format!("case when made_at >= '{same}' then 0 else 1 end"),
            format!("+made_at < '{same}'"),
            format!("'{same}' > made_at"),
        ] {
            let found = rows(&format!("select count(*) from things where {condition}"));
            assert_eq!(found, [[json!(16)]], "{condition}");
        }
        assert_eq!(
            rows(&format!("select count(*) from things where made_at = '{same}'")),
            [[json!(4)]],
            "{same}"
        );
    }
    assert_eq!(
        rows("select count(*) from things where made_at in ('2026-11-05', '2026-11-05 00:00')"),
        [[json!(4)]]
    );
}

#[test]
fn what_is_no_moment_is_refused_and_not_compared_with_one() {
    for wrong in ["yesterday", "20", ""] {
        let error = fails(&format!("select id from things where made_at >= '{wrong}'"));
        assert!(matches!(&error, SqlError::NoTime { column, .. } if column == "made_at"), "{wrong}: {error}");
    }
    assert!(matches!(fails("select id from things where made_at < 5"), SqlError::NoTime { .. }));
    assert_eq!(rows("select count(*) from things where made_at < '2026-11-02'"), [[json!(4)]]);
    assert_eq!(rows("select count(*) from things where made_at < null"), [[json!(0)]]);
}

#[test]
fn whatever_is_no_reading_is_refused_by_its_name() {
    for sql in [
        "insert into things values (1)",
        "delete from things",
        "update things set size = 1",
        "create table t (x)",
        "create temp table t (x)",
        "create virtual table t using fts5(x)",
        "drop table things",
        "attach 'file:/tmp/everfold-never?mode=rwc' as f",
        "attach ':memory:' as f",
        "detach main",
        "pragma user_version = 4",
        "pragma table_list",
        "vacuum",
        "vacuum into '/tmp/everfold-never'",
        "begin",
        "commit",
        "savepoint s",
        "reindex",
        "analyze",
        "select load_extension('x')",
        "select readfile('/etc/passwd')",
        "select writefile('/tmp/everfold-never', 'x')",
        "select edit('x')",
        "select randomblob(1000000000)",
        "select zeroblob(1000000000)",
        "select sqlite_version()",
        "select fts3_tokenizer('x')",
        "select * from sqlite_master",
        "select count(*) from sqlite_schema",
        "select * from pragma_database_list",
        "select count(*) from pragma_function_list()",
        "select * from dbstat",
        "select count(*) from dbstat",
        "select json_patch('{}', '{}')",
        "with x as (select 1) delete from things",
        "explain insert into things values (1)",
    ] {
        let error = fails(sql);
        let is_refused = matches!(
            &error,
            SqlError::NotAllowed(_)
                | SqlError::Unknown { .. }
                | SqlError::Invalid { .. }
                | SqlError::TooLarge(_)
        );
        assert!(is_refused, "{sql}: {error:?}");
    }
    assert!(matches!(fails("pragma user_version"), SqlError::NotAllowed(NotAllowed::Statement(_))));
    assert!(matches!(fails("select load_extension('x')"), SqlError::NotAllowed(NotAllowed::Function(_))));
    assert!(matches!(fails("select name from sqlite_master"), SqlError::NotAllowed(NotAllowed::Table(_))));
    assert!(!std::path::Path::new("/tmp/everfold-never").exists());
}

#[test]
fn what_does_more_than_to_read_is_named_by_its_verb() {
    for (sql, verb) in [
        ("delete from things", "DELETE"),
        ("/* all */ -- of them\n; Delete from things where id = 't1'", "DELETE"),
        ("create temp table x (a)", "CREATE"),
        ("create table x as select * from things", "CREATE"),
        ("update things set size = 1", "UPDATE"),
        ("insert into things values (1)", "INSERT"),
        ("replace into nosuch values (1)", "REPLACE"),
        ("drop table things", "DROP"),
        ("vacuum", "VACUUM"),
        ("begin", "BEGIN"),
        ("pragma user_version", "PRAGMA"),
        ("delete from", "DELETE"),
    ] {
        let error = fails(sql);
        assert!(
            matches!(&error, SqlError::NotAllowed(NotAllowed::Statement(of)) if of == verb),
            "{sql}: {error}"
        );
        assert_eq!(error.to_string(), format!("only reading is allowed, by one SELECT; {verb} does more"));
    }
    let hidden = fails("with x as (select 1) delete from things");
    assert!(hidden.to_string().starts_with("only reading is allowed"), "{hidden}");
    assert_eq!(rows("select 'delete'"), [[json!("delete")]]);
}

#[test]
fn what_json_has_no_number_for_is_a_text() {
    assert_eq!(
        rows("select 1e999, -1e999, sum(x), 1e999 - 1e999 from (select 1e999 as x union all select 1)"),
        [[json!("Infinity"), json!("-Infinity"), json!("Infinity"), Value::Null]]
    );
    assert_eq!(rows("select 1.5, 1e308"), [[json!(1.5), json!(1e308)]]);
}

#[test]
fn one_statement_is_answered_and_no_other_one_behind_it() {
    assert_eq!(rows("select 1;  \n"), [[json!(1)]]);
    assert_eq!(rows("select 1; -- and a remark"), [[json!(1)]]);
    let error = fails("select 1; select 2");
    assert!(matches!(&error, SqlError::Several { place } if place.column == 11), "{error}");
    assert!(matches!(fails("select 1; drop table things"), SqlError::Several { .. }));
    assert!(matches!(fails("select 1; nonsense"), SqlError::Several { .. }));
    for empty in ["", "  ", ";", "-- a remark"] {
        assert!(matches!(fails(empty), SqlError::NoStatement(_)), "{empty}");
    }
    assert!(matches!(fails("select 1\0; drop table things"), SqlError::NoStatement(_)));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let error = fails("select id\nfrom things where statsu = 1");
    assert_eq!(error.to_string(), "line 2, column 19: there is no column “statsu”");
    assert!(matches!(fails("select * from thigns"), SqlError::Unknown { kind: UnknownKind::Table, .. }));
    assert!(matches!(
        fails("select smu(size) from things"),
        SqlError::Unknown { kind: UnknownKind::Function, .. }
    ));
    let text = fails("select id from things where color = \"red\"");
    assert!(
        matches!(&text, SqlError::Unknown { kind: UnknownKind::Column, name, .. } if name == "red"),
        "{text}"
    );
    assert!(fails("selct 1").to_string().starts_with("line 1, column 1: "));
    assert!(fails("select shout('')").to_string().contains("takes a text with letters"));
    assert_eq!(rows("select shout('ab'), shout(null)"), [vec![json!("AB"), Value::Null]]);
}

#[test]
fn every_query_ends_within_its_bounds() {
    let endless = "with recursive n(x) as (select 1 union all select x + 1 from n)";
    for sql in [
        format!("{endless} select count(*) from n"),
        format!("{endless} select max(x) from n where x < 0"),
        "select count(*) from things a, things b, things c, things d, things e, things f".to_owned(),
        "select count(*) from things a join things b join things c join things d on a.size < d.size, things e"
            .to_owned(),
    ] {
        let error = query(&sql, vec![Arc::new(Things::new(things(100)))], 2_000).unwrap_err();
        assert!(matches!(error, SqlError::OverTime), "{sql}: {error:?}");
    }
    for sql in [
        format!("{endless} select group_concat(x, '--------------------------------') from n"),
        format!("{endless} select json_group_array(hex(x)) from n"),
        "select printf('%2000000d', 1)".to_owned(),
        "select replace(printf('%100000d', 1), ' ', printf('%100000d', 1))".to_owned(),
        "select hex(hex(hex(hex(hex(printf('%100000d', 1))))))".to_owned(),
        "select length(replace(replace(replace(printf('%1000d', 1), ' ', printf('%1000d', 1)), ' ', '12345678'), '1', '12345678'))"
            .to_owned(),
        "select concat(printf('%900000d', 1), printf('%900000d', 1))".to_owned(),
        "select format('%.*c', 100000000, 'x')".to_owned(),
    ] {
        let error = query(&sql, vec![Arc::new(Things::new(things(100)))], 5_000).unwrap_err();
        let is_bound = matches!(error, SqlError::ValueTooLong { .. } | SqlError::OverTime | SqlError::Invalid { .. });
        assert!(is_bound, "{sql}: {error:?}");
    }
    let deep = |open: &str, close: &str, times: usize| {
        format!("select {}1{}", open.repeat(times), close.repeat(times))
    };
    for sql in [
        deep("(", ")", 20_000),
        deep("abs(", ")", 5_000),
        deep("(select ", ")", 2_000),
        deep("- ", "", 20_000),
        deep("case when 1 then ", " end", 3_000),
        format!("select 1{}", " union select 1".repeat(3_000)),
        format!("select {}", vec!["1"; 10_000].join(",")),
        format!("select 1 where {}", vec!["1"; 9_000].join(" and ")),
        format!("select * from {}", vec!["things"; 500].join(",")),
        format!("select '{}'", "x".repeat(70_000)),
        format!("{}select 1{}", "select * from (".repeat(3_000), ")".repeat(3_000)),
        format!(
            "with {} select 1",
            (0..4_000).map(|n| format!("a{n} as (select 1)")).collect::<Vec<_>>().join(",")
        ),
    ] {
        let short = &sql[..60];
        // Some of them SQLite takes: then the answer is there.
        match ask(&sql) {
            Ok(_)
            | Err(
                SqlError::TooLarge(_)
                | SqlError::TooLong { .. }
                | SqlError::Invalid { .. }
                | SqlError::OverMemory { .. }
                | SqlError::ValueTooLong { .. },
            ) => {}
            Err(error) => panic!("{short}: {error:?}"),
        }
    }
}

#[test]
fn an_answer_that_is_cut_off_says_so() {
    let limits = |rows, answer_bytes| SqlLimits { rows, answer_bytes, ..SqlLimits::default() };
    let answer = |sql, limits| {
        let tables: Vec<Arc<dyn SqlTable>> = vec![Arc::new(Things::new(things(100)))];
        SqlQuery { sql, tables, functions: Vec::new(), limits, is_over: Arc::new(|| false) }.answer().unwrap()
    };
    let cut = answer("select id from things", limits(7, 1_000_000));
    assert_eq!((cut.rows.len(), cut.truncated), (7, Some(BoundReached::Rows)));
    let whole = answer("select id from things", limits(100, 1_000_000));
    assert_eq!((whole.rows.len(), whole.truncated), (100, None));
    let cut = answer("select id, printf('%1000d', 1) from things", limits(100, 10_000));
    assert_eq!((cut.rows.len(), cut.truncated), (9, Some(BoundReached::Bytes)));
}

struct Broken;

impl SqlTable for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn columns(&self) -> &[SqlColumn] {
        static COLUMNS: std::sync::LazyLock<Vec<SqlColumn>> =
            std::sync::LazyLock::new(|| vec![column("id", SqlType::Text, ColumnLookup::Key)]);
        &COLUMNS
    }

    fn rows(&self) -> u64 {
        1
    }

    fn scan(&self, scan: &TableScan) -> Result<ScannedRows, SourceError> {
        if scan.conditions.is_empty() {
            panic!("a mistake of the program");
        }
        Err("the disk is away".into())
    }
}

#[test]
fn a_table_that_cannot_be_read_gives_its_own_error_and_a_panic_of_it_stays_within() {
    let ask = |sql| query(sql, vec![Arc::new(Broken)], LOOKS).unwrap_err();
    let error = ask("select * from broken where id = 'x'");
    assert!(
        matches!(&error, SqlError::Table { source, .. } if source.to_string() == "the disk is away"),
        "{error}"
    );
    let error = ask("select * from broken");
    assert!(error.to_string().contains("ended in a panic"), "{error}");
}

/// Conditions as they are generated: over columns with and without an index.
fn condition() -> impl Strategy<Value = String> {
    let color = prop_oneof![Just("'red'"), Just("'blue'"), Just("'green'"), Just("null"), Just("5")];
    let of_color = (prop_oneof![Just("="), Just("<>"), Just("is"), Just("<")], color)
        .prop_map(|(how, color)| format!("color {how} {color}"));
    let of_id = (0..120_u32, 0..120_u32).prop_map(|(one, other)| format!("id in ('t{one}', 't{other}')"));
    let of_size = (prop_oneof![Just(">"), Just("<="), Just("=")], -6..7_i64)
        .prop_map(|(how, size)| format!("size {how} {size}"));
    let clock = prop_oneof![Just("T00:00:00.000Z"), Just(""), Just(" 00:00"), Just("T12:00:00+12:00")];
    let of_time = (prop_oneof![Just(">"), Just(">="), Just("<"), Just("<="), Just("=")], 1..29_u32, clock)
        .prop_map(|(how, day, clock)| format!("made_at {how} '2026-11-{day:02}{clock}'"));
    let leaf = prop_oneof![of_color, of_id, of_size, of_time];
    leaf.prop_recursive(3, 12, 3, |part| {
        prop_oneof![
            (part.clone(), part.clone()).prop_map(|(one, other)| format!("({one} and {other})")),
            (part.clone(), part.clone()).prop_map(|(one, other)| format!("({one} or {other})")),
            part.prop_map(|part| format!("not ({part})")),
        ]
    })
}

/// The same without anything that an index could answer: a `+` before each column.
fn unindexed(condition: &str) -> String {
    ["color", "id", "size", "made_at"].iter().fold(condition.to_owned(), |text, column| {
        text.replace(&format!("{column} "), &format!("+{column} "))
    })
}

proptest! {
    #[test]
    fn conditions_find_by_index_what_they_find_in_each_row(
        condition in condition(),
        order in prop_oneof![Just("nr desc"), Just("nr"), Just("size, id desc"), Just("made_at desc, id")],
        limit in 0..130_usize,
    ) {
        let by_index = format!("select id from things where {condition} order by {order} limit {limit}");
        let each = format!("select id from things where {} order by +{order} limit {limit}", unindexed(&condition));
        prop_assert_eq!(rows(&by_index), rows(&each), "{}", condition);
    }

    #[test]
    fn any_text_has_an_answer_or_an_error_and_changes_nothing(
        words in proptest::collection::vec(prop_oneof![
            Just("select"), Just("from"), Just("things"), Just("where"), Just("id"), Just("color"), Just("="),
            Just("("), Just(")"), Just("*"), Just("'red'"), Just(","), Just("join"), Just("on"), Just("group by"),
            Just("order by"), Just("limit"), Just("5"), Just("with recursive"), Just("as"), Just("union all"),
            Just("values"), Just("exists"), Just("in"), Just("not"), Just("null"), Just("over"), Just("count(*)"),
            Just("json_each(tags)"), Just("attach"), Just("pragma"), Just("insert into"), Just(";"), Just("\""),
            Just("case when"), Just("then"), Just("end"), Just("like"), Just("glob"), Just("'%a%'"), Just("->>"),
            Just("explain query plan"), Just("/*"), Just("--"), Just("\n"), Just("natural"), Just("left"), Just("1e999"),
            Just("-9223372036854775808"), Just("x'00ff'"), Just("cast"), Just("collate nocase"), Just("?1"), Just(":a"),
        ], 0..40),
    ) {
        let sql = words.join(" ");
        let table = Things::new(things(20));
        let _answered_or_refused = query(&sql, vec![Arc::new(table)], 2_000);
        prop_assert_eq!(rows("select count(*) from things"), vec![vec![json!(100)]]);
    }
}

//! `sql`: one SELECT over the lists, and the tables that it may ask.

use std::io::Read as _;

use serde_json::{Map, Value};

use crate::body::query::{QueryAnswer, QueryBody, QueryTable, QueryTablesAnswer};
use crate::cli::args::{RowsForm, SqlArgs};
use crate::cli::context::CommandContext;
use crate::cli::moments::moment_param;
use crate::cli::output::{columns, note};
use crate::cli::table::{Cell, TableColumn, fitted_rows};
use crate::fault::{Code, Fault};
use crate::text::{count, plain};

/// The longest query that is read from stdin, in bytes; the server takes shorter ones.
const SQL_BYTES_MAX: u64 = 1024 * 1024;

pub(crate) async fn run(context: &CommandContext, args: SqlArgs) -> Result<u8, Fault> {
    if args.schema {
        return schema(context, &args.sql).await;
    }
    let sql = match args.sql.as_slice() {
        [] => {
            return Err(Fault::new(Code::Usage, "sql needs a SELECT")
                .hint("everfold sql \"select status, count(*) from runs group by status\"; --schema shows the tables"));
        }
        [one] if one == "-" => from_stdin()?,
        words => words.join(" "),
    };
    let at = moment_param("--at", args.at.as_ref())?;
    let body = QueryBody { sql, at, limit: args.limit };
    let answer: QueryAnswer = context.client.post("/api/v1/query", &body).await?;
    if context.json && args.format == RowsForm::Table {
        context.out.json(&answer)?;
        return Ok(0);
    }
    match args.format {
        RowsForm::Table => context.out.line(rows_table(&answer, columns())),
        RowsForm::Ndjson => {
            refuse_one_name(&answer)?;
            for row in &answer.rows {
                context.out.json_line(&named(&answer, row))?;
            }
        }
        RowsForm::Csv => context.out.bytes(csv(&answer).as_bytes()),
    }
    say_bounds(&answer);
    Ok(0)
}

fn from_stdin() -> Result<String, Fault> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(SQL_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Fault::new(Code::File, format!("stdin: {error}")))?;
    Ok(text)
}

/// Refuses columns of one name: a map would hold the last of them alone.
fn refuse_one_name(answer: &QueryAnswer) -> Result<(), Fault> {
    let mut names: Vec<&str> = answer.columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Fault::new(Code::Invalid, format!("two columns are called “{}”", pair[0])).hint(
            "name one of them otherwise: `select a.id as first, b.id as second`; or take --format csv",
        )),
    }
}

/// A row under the names of its columns.
fn named(answer: &QueryAnswer, row: &[Value]) -> Value {
    let names = answer.columns.iter().map(|column| column.name.clone());
    names.zip(row.iter().cloned()).collect::<Map<_, _>>().into()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn rows_table(answer: &QueryAnswer, within: Option<usize>) -> String {
    let heads: Vec<String> = answer.columns.iter().map(|column| plain(&column.name)).collect();
    let shrink = vec![TableColumn::text(""); heads.len()];
    let cells = |row: &Vec<Value>| row.iter().map(|value| Cell::from(text(value))).collect();
    let rows: Vec<Vec<Cell>> = answer.rows.iter().map(cells).collect();
    fitted_rows(&heads, &shrink, &rows, within)
}

/// RFC 4180: lines end with CR LF, and what holds a comma, a quote or a line's end stands in quotes.
fn csv(answer: &QueryAnswer) -> String {
    let field = |text: String| match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    };
    let line = |fields: Vec<String>| fields.into_iter().map(field).collect::<Vec<_>>().join(",") + "\r\n";
    let head = line(answer.columns.iter().map(|column| column.name.clone()).collect());
    let rows = answer.rows.iter().map(|row| line(row.iter().map(text).collect()));
    std::iter::once(head).chain(rows).collect()
}

fn say_bounds(answer: &QueryAnswer) {
    let shown = count(answer.rows.len() as u64, "row");
    match answer.truncated.as_deref() {
        Some("rows") => note(format!("there are more than these {shown}: --limit N shows up to 100000")),
        Some(_) => {
            note(format!("the answer is cut off behind {shown}: ask for fewer columns, or for fewer rows"))
        }
        None => {}
    }
}

async fn schema(context: &CommandContext, only: &[String]) -> Result<u8, Fault> {
    let mut answer: QueryTablesAnswer = context.client.get("/api/v1/query").await?;
    if let Some(name) = only.iter().find(|name| answer.tables.iter().all(|table| table.name != **name)) {
        let names: Vec<&str> = answer.tables.iter().map(|table| table.name.as_str()).collect();
        return Err(Fault::new(Code::BadQuery, format!("there is no table “{name}”"))
            .hint(format!("the tables are {}", names.join(", "))));
    }
    answer.tables.retain(|table| only.is_empty() || only.contains(&table.name));
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    let tables: Vec<String> = answer.tables.iter().map(|table| table_text(table, columns())).collect();
    context.out.line(tables.join("\n\n"));
    if only.is_empty() {
        context.out.line(format!("\nFunctions: {}", answer.functions.join(" ")));
    }
    Ok(0)
}

fn table_text(table: &QueryTable, within: Option<usize>) -> String {
    let heads = ["COLUMN", "TYPE", "FOUND BY", "ABOUT"].map(str::to_owned);
    let shrink =
        [TableColumn::fixed(""), TableColumn::fixed(""), TableColumn::fixed(""), TableColumn::text("")];
    let row = |column: &crate::body::query::QueryTableColumn| {
        let found = column.found_by.clone().unwrap_or_default();
        [column.name.clone(), column.r#type.clone(), found, column.about.clone()].map(Cell::from).to_vec()
    };
    let rows: Vec<Vec<Cell>> = table.columns.iter().map(row).collect();
    format!(
        "{}: {} ({})\n{}",
        table.name,
        table.about,
        table.route,
        fitted_rows(&heads, &shrink, &rows, within)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> QueryAnswer {
        serde_json::from_value(json!({
            "columns": [{ "name": "title", "type": "text" }, { "name": "n", "type": null }, { "name": "labels", "type": "json" }],
            "rows": [["a, \"b\"", 3, { "team": "blue" }], [null, 1.5, {}]],
            "truncated": null, "position": 7, "now": "2026-11-20T09:00:00.000Z", "reads": [],
        }))
        .unwrap()
    }

    #[test]
    fn lines_of_two_columns_with_one_name_are_refused() {
        assert!(refuse_one_name(&answer()).is_ok());
        let mut twice = answer();
        twice.columns[2].name = "title".to_owned();
        assert_eq!(refuse_one_name(&twice).unwrap_err().message, "two columns are called “title”");
    }

    #[test]
    fn rows_are_a_table_or_csv_or_a_line_each() {
        insta::assert_snapshot!(rows_table(&answer(), None), @r#"
        title   n    labels
        a, "b"  3    {"team":"blue"}
                1.5  {}
        "#);
        assert_eq!(
            csv(&answer()),
            "title,n,labels\r\n\"a, \"\"b\"\"\",3,\"{\"\"team\"\":\"\"blue\"\"}\"\r\n,1.5,{}\r\n"
        );
        assert_eq!(
            named(&answer(), &answer().rows[0]),
            json!({ "title": "a, \"b\"", "n": 3, "labels": { "team": "blue" } })
        );
    }
}

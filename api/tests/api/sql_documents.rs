//! The queries and requests that the documentation shows have answers.

use serde_json::Value;

use crate::fixtures::in_memory::Api;
use crate::sql::{asked, encoded, played};

/// The fenced blocks of a page that are of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut parts = text.split("```");
    let (mut found, _before) = (Vec::new(), parts.next());
    while let (Some(block), Some(_text)) = (parts.next(), parts.next()) {
        found.extend(block.strip_prefix(&format!("{language}\n")).map(str::to_owned));
    }
    found
}

#[tokio::test]
async fn every_query_of_the_reference_and_of_the_cookbook_has_an_answer() {
    let api = played().await;
    let mut count = 0;
    for page in ["reference/sql.md", "guides/questions.md"] {
        for sql in blocks(page, "sql") {
            let (status, answer) = asked(&api, &sql, None).await;
            assert_eq!(status, 200, "{page}: {sql}\n{answer}");
            count += 1;
        }
    }
    assert!(count >= 30, "{count} queries");
}

/// `curl -G "$EVERFOLD_SERVER/api/v1/runs" --data-urlencode "filter=…"` as a path.
fn path_of(curl: &str) -> Option<String> {
    let words = shlex::split(curl)?;
    let url = words.iter().find_map(|word| word.strip_prefix("$EVERFOLD_SERVER"))?;
    let pairs = words.iter().enumerate().filter(|(at, _)| *at > 0 && words[at - 1] == "--data-urlencode");
    let pairs: Vec<String> = pairs
        .filter_map(|(_, pair)| pair.split_once('='))
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    Some(if pairs.is_empty() { url.to_owned() } else { format!("{url}?{}", pairs.join("&")) })
}

#[tokio::test]
async fn every_request_of_the_cookbook_has_an_answer() {
    let api = played().await;
    let mut count = 0;
    for block in blocks("guides/questions.md", "sh") {
        for line in block.replace("\\\n", " ").lines().filter(|line| line.starts_with("curl")) {
            let path = path_of(line).unwrap_or_else(|| panic!("{line}"));
            let (status, answer) = api.get(&path).await;
            assert_eq!(status, 200, "{line}: {answer}");
            count += 1;
        }
    }
    assert!(count >= 20, "{count} requests");
}

/// The reference has every table with every column.
#[tokio::test]
async fn the_reference_lists_every_table_with_its_columns() {
    let api = Api::new();
    let (status, schema) = api.get("/api/v1/query").await;
    assert_eq!(status, 200);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/sql.md");
    let (begin, end) = ("<!-- tables -->\n", "<!-- end of tables -->");
    let page = std::fs::read_to_string(path).unwrap();
    let mut text = String::new();
    for table in schema["tables"].as_array().unwrap() {
        let word = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let (name, about, route) = (word(table, "name"), word(table, "about"), word(table, "route"));
        text += &format!(
            "\n### {name}\n\n{about} As `{route}`.\n\n| column | type | found by | |\n|---|---|---|---|\n"
        );
        for column in table["columns"].as_array().unwrap() {
            let [name, of, found, about] =
                ["name", "type", "found_by", "about"].map(|part| word(column, part));
            text += &format!("| `{name}` | {of} | {found} | {about} |\n");
        }
    }
    text.push('\n');
    let (before, rest) = page.split_once(begin).unwrap();
    let (written, after) = rest.split_once(end).unwrap();
    if written != text && std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{begin}{text}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(written, text, "run it with UPDATE_DOCS=1, and look at what it wrote");
}

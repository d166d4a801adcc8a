//! The pages say what is true: every example is read, every link leads somewhere, the reference has
//! every key and every code.
//!
//! A fenced `yaml` block is a whole pipeline; one that cannot be has no name, and is best marked
//! `yaml fragment`: a list of steps, or keys of the top level. A first line `# file: PATH` gives a block the name under which
//! other blocks of its page find it, or of its group: `docs/a.md` is the index of the pages in `docs/a/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use everfold_language::definition::{FileSource, codes, parse, schema, value_of};

use super::fixtures::plain_numbers;

/// A fenced block of a page.
struct Block {
    page: String,
    /// Of its first line, from 1.
    line: usize,
    info: String,
    text: String,
}

impl Block {
    fn file(&self) -> Option<&str> {
        self.text.lines().next()?.strip_prefix("# file: ").map(str::trim)
    }

    /// A whole pipeline, and how many lines of it stand before the block's first.
    fn whole(&self) -> (String, usize) {
        if self.text.lines().any(|line| line.starts_with("name:")) {
            return (self.text.clone(), 0);
        }
        if self.text.starts_with("- ") {
            let steps: String = self.text.lines().map(|line| format!("  {line}\n")).collect();
            return (format!("name: example\nworkspace: {{ dir: . }}\nsteps:\n{steps}"), 3);
        }
        (format!("name: example\n{}steps:\n  - id: a\n    command: make\n", self.text), 1)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Every page of the documentation, by its path from the project's folder.
fn pages() -> BTreeMap<String, String> {
    let mut open = vec![root().join("docs")];
    let mut pages = BTreeMap::from([("README.md".to_owned(), root().join("README.md"))]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                pages.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), path);
            }
        }
    }
    pages.into_iter().map(|(name, path)| (name, std::fs::read_to_string(path).unwrap())).collect()
}

fn blocks(page: &str, text: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                let (page, info) = (page.to_owned(), info.trim().to_owned());
                open = Some(Block { page, line: at + 2, info, text: String::new() });
            }
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block is not closed");
    blocks
}

/// The page, or the index of the group that it belongs to.
fn group(page: &str, pages: &BTreeMap<String, String>) -> String {
    let index = page.rsplit_once('/').map(|(folder, _)| format!("{folder}.md"));
    index.filter(|index| pages.contains_key(index)).unwrap_or_else(|| page.to_owned())
}

/// The files that the blocks of a page, or of a group of pages, are; a prompt that is only mentioned is there, too.
struct Shown(BTreeMap<String, String>);

impl FileSource for Shown {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let mentioned = || path.starts_with("prompts/").then(|| "Do it.\n".to_owned());
        Ok(self.0.get(path.trim_start_matches("./")).cloned().or_else(mentioned))
    }
}

#[test]
fn every_example_of_the_pages_is_a_pipeline() {
    let (mut read, mut wrong) = (0, Vec::new());
    let pages = pages();
    let mut groups: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    for (page, text) in &pages {
        groups.entry(group(page, &pages)).or_default().extend(blocks(page, text));
    }
    for blocks in groups.values() {
        let files = blocks.iter().filter_map(|block| Some((block.file()?.to_owned(), block.text.clone())));
        let files = Shown(files.collect());
        for block in blocks.iter().filter(|block| matches!(block.info.as_str(), "yaml" | "yaml fragment")) {
            read += 1;
            let (whole, before) = block.whole();
            let problems = match parse(&whole, "example.yaml", &files) {
                Ok(checked) => {
                    // What a builder writes down is JSON: no example means something else in it.
                    let json = format!("{:#}", value_of(&plain_numbers(&whole)).unwrap_or_default());
                    let again = parse(&json, "example.json", &files).map(|again| again.definition.hash());
                    let place = format!("{}:{}", block.page, block.line);
                    assert_eq!(again.as_ref().ok(), Some(&checked.definition.hash()), "{place}: {again:?}");
                    checked.warnings
                }
                Err(problems) => problems.0,
            };
            // That steps may share a worktree is pointed out rightly where the page is about it.
            for problem in problems.iter().filter(|problem| problem.code.as_str() != "EF0183") {
                let line = (problem.line + block.line).saturating_sub(before + 1);
                wrong.push(format!("{}:{line}: {} ({})", block.page, problem.message, problem.code));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read >= 40, "{read} examples");
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let mut wrong = Vec::new();
    let pages = pages();
    for (page, text) in &pages {
        let folder = Path::new(page).parent().unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let target = if path.is_empty() { root().join(page) } else { root().join(folder).join(path) };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{page}: {link}"));
                continue;
            };
            if !anchor.is_empty() && !anchors(&std::fs::read_to_string(target).unwrap()).contains(anchor) {
                wrong.push(format!("{page}: {link}: there is no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Headings as links name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let name = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(name).collect()
}

/// The reference of the language: its index and the pages of its group, as one text.
fn reference() -> String {
    let pages = pages();
    let of_it = pages.iter().filter(|(page, _)| group(page, &pages) == "docs/reference/pipeline.md");
    of_it.map(|(_, text)| text.as_str()).collect()
}

/// Every map of the language whose keys the schema lists, wherever it stands in it.
fn keys(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Object(properties)) = fields.get("properties") {
                found.extend(properties.keys().cloned());
            }
            fields.values().for_each(|value| keys(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn the_reference_names_every_key_of_the_language() {
    let (page, mut all) = (reference(), BTreeSet::new());
    keys(&schema(), &mut all);
    assert!(all.len() > 100, "{all:?}");
    let words: BTreeSet<&str> = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let missing: Vec<&String> = all.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_reference_names_every_code_of_the_language() {
    let page = reference();
    let missing: Vec<&str> =
        codes().into_iter().map(|(code, _, _)| code).filter(|code| !page.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_decision_has_its_number_a_status_a_date_and_a_line_in_the_index() {
    let pages = pages();
    let index = &pages["docs/decisions/README.md"];
    let records = pages.iter().filter_map(|(page, text)| {
        let file = page.strip_prefix("docs/decisions/")?;
        Some((file.split('-').next()?.parse::<usize>().ok()?, file, text))
    });
    let form = regex::Regex::new(
        r"^# ([0-9]+)\. .+\n\n- Status: (accepted|(amended|superseded) by \[[0-9]+\]\(.+\))\n- Date: 20[0-9]{2}-[0-9]{2}-[0-9]{2}",
    );
    let form = form.unwrap();
    for (at, (number, file, text)) in records.enumerate() {
        assert_eq!(number, at + 1, "{file}: the numbers have a hole or a double");
        let head = form.captures(text).unwrap_or_else(|| panic!("{file}: no title, status and date"));
        assert_eq!(head[1].parse(), Ok(number), "{file}");
        assert!(index.contains(&format!("[{number}]({file})")), "{file} is not in the index");
    }
}

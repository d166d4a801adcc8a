//! `/runs/{run}/artefacts`: the files that the steps gave, each in all its versions, shown and compared.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::address::address;
use super::code::{CodeLine, left_out, lines};
use super::file::{picture, read};
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::line_diff::{self, LineDifference};
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};
use crate::{markdown, words};

/// The largest file that is shown as text, in bytes.
const SHOWN_BYTES_MAX: usize = 1024 * 1024;
/// Files that the list shows.
const LISTED_MAX: usize = 500;
/// Artefacts that one page reads.
const PART: usize = 1_000;
/// Parts that are gone through for a file that the address names.
const PARTS_MAX: usize = 20;

/// A file as `GET /runs/{run}/artefacts` gives it.
#[derive(Debug, Clone, Deserialize)]
struct ArtefactFact {
    version: u64,
    at: String,
    step: String,
    round: u64,
    attempt: u64,
    name: String,
    path: String,
    hash: String,
    size_bytes: u64,
}

/// A file in all its versions.
struct FileLine {
    path: String,
    name: String,
    step: String,
    versions: Vec<ArtefactFact>,
}

impl FileLine {
    fn newest(&self) -> Option<&ArtefactFact> {
        self.versions.last()
    }

    /// What the engine keeps of its own, such as the prompt of an agent.
    fn is_own(&self) -> bool {
        self.name.starts_with("everfold.")
    }

    fn title(&self) -> &str {
        match self.name.as_str() {
            "everfold.prompt" => "prompt",
            name => name,
        }
    }
}

/// What people decided on the bytes.
#[derive(Debug, Clone)]
struct DecidedOn {
    words: String,
    tone: &'static str,
    version: u64,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct ArtefactsQuery {
    /// The file that is shown: the version of its event, and its name there.
    version: String,
    name: String,
    /// The version that it is compared with; `none`: with none.
    with: String,
    /// `split` or `unified`.
    style: String,
    /// `text`: lines also of what could be shown otherwise.
    view: String,
    /// Where the shown part of the list begins.
    cursor: String,
}

impl ArtefactsQuery {
    /// Takes out what is no version, and says what that was.
    fn refuse_no_numbers(&mut self) -> Option<String> {
        let is_number = |text: &str| text.parse::<u64>().is_ok();
        let mut refused = Vec::new();
        if !self.version.is_empty() && !is_number(&self.version) {
            let no_version = std::mem::take(&mut self.version);
            refused.push(format!("“{no_version}” is no version: the newest file is shown."));
        }
        if !self.with.is_empty() && self.with != "none" && !is_number(&self.with) {
            let no_version = std::mem::take(&mut self.with);
            refused.push(format!("“{no_version}” is no version to compare with."));
        }
        (!refused.is_empty()).then(|| refused.join(" "))
    }
}

/// A file as it is shown.
enum ShownArtefact {
    Markdown(String),
    Picture(String),
    Text(Vec<CodeLine>, usize),
    Differs(LineDifference),
    /// It cannot be shown; why.
    Not(String),
    /// Why its bytes cannot be had here.
    Refused(String),
}

struct OpenedArtefact {
    artefact: ArtefactFact,
    with: Option<ArtefactFact>,
    others: Vec<ArtefactFact>,
    shown: ShownArtefact,
    /// Whether there is a view beside the lines.
    has_views: bool,
    decided: Vec<DecidedOn>,
}

#[derive(Template)]
#[template(path = "tabs/artefacts.html")]
struct ArtefactsPage {
    frame: Frame,
    head: RunHead,
    query: ArtefactsQuery,
    /// What of the address cannot be used.
    refused: Option<String>,
    files: Vec<FileLine>,
    total: usize,
    /// Where the list goes on.
    next: Option<String>,
    opened: Option<OpenedArtefact>,
}

impl ArtefactsPage {
    fn path(&self, artefact: &ArtefactFact, more: &[(&str, &str)]) -> String {
        let version = artefact.version.to_string();
        let mut pairs = vec![("version", version.as_str()), ("name", &artefact.name)];
        if !self.query.cursor.is_empty() {
            pairs.push(("cursor", &self.query.cursor));
        }
        pairs.extend_from_slice(more);
        self.frame.to(address(&self.head.tab_path("/artefacts"), &pairs))
    }

    fn compare(&self, artefact: &ArtefactFact, with: &ArtefactFact) -> String {
        self.path(artefact, &[("with", &with.version.to_string()), ("style", &self.query.style)])
    }

    fn style(&self, opened: &OpenedArtefact, style: &str) -> String {
        let with = opened.with.as_ref().map(|with| with.version.to_string()).unwrap_or_default();
        self.path(&opened.artefact, &[("with", &with), ("style", style)])
    }

    fn file_path(&self, artefact: &ArtefactFact, download: &str) -> String {
        let path = format!("/runs/{}/artefacts/{}", self.head.facts.short_id, artefact.hash);
        address(&path, &[("name", &artefact.path), ("download", download)])
    }

    /// The next part of the list.
    fn more(&self) -> Option<String> {
        let next = self.next.as_deref()?;
        Some(self.frame.to(address(&self.head.tab_path("/artefacts"), &[("cursor", next)])))
    }

    /// The first part of the list, where another one is shown.
    fn first(&self) -> Option<String> {
        let is_first = self.query.cursor.is_empty();
        (!is_first).then(|| self.frame.to(self.head.tab_path("/artefacts")))
    }

    fn is_open(&self, file: &FileLine) -> bool {
        let open = self.opened.as_ref().map(|opened| &opened.artefact);
        open.is_some_and(|open| open.path == file.path && open.name == file.name && open.step == file.step)
    }

    fn is_split(&self) -> bool {
        self.query.style != "unified"
    }

    fn event_path(&self, version: &u64) -> String {
        format!(
            "{}#v{version}",
            self.frame.to(format!("/runs/{}/events?version={version}", self.head.facts.short_id))
        )
    }
}

/// The longest history of a run, in events, whose files are listed anew with each change.
const LIVE_EVENTS_MAX: u64 = 10_000;

#[derive(Deserialize)]
struct ArtefactList {
    items: Vec<ArtefactFact>,
    next_cursor: Option<String>,
}

impl ArtefactList {
    /// The part of the list that the address names; where it names a file alone, the part that has it, as far as that is
    /// looked for. A part that says to go on without having anything is passed over.
    async fn load(visit: &Visit, run: &str, query: &mut ArtefactsQuery) -> Result<Self, Problem> {
        let first = visit.at_moment(&format!("/runs/{run}/artefacts?limit={PART}"));
        let version: Option<u64> = query.version.parse().ok();
        let is_pinned = !query.cursor.is_empty();
        let mut parts = 0;
        loop {
            let path = match query.cursor.as_str() {
                "" => first.clone(),
                cursor => with_query(&first, "cursor", cursor),
            };
            let part: Self = visit.rest.get(&path).await?;
            parts += 1;
            let is_it = |version| part.items.iter().any(|item| item.version == version);
            let goes_on =
                part.items.is_empty() || (!is_pinned && version.is_some_and(|version| !is_it(version)));
            match &part.next_cursor {
                Some(next) if goes_on && parts < PARTS_MAX => query.cursor.clone_from(next),
                _end => return Ok(part),
            }
        }
    }
}

/// `GET /runs/{run}/artefacts`.
pub(crate) async fn page(
    visit: Visit,
    Path(run): Path<String>,
    Query(mut query): Query<ArtefactsQuery>,
) -> Result<Response, Problem> {
    let refused = query.refuse_no_numbers();
    let head = RunHead::load(&visit, &run, RunTab::Artefacts).await?;
    let list = ArtefactList::load(&visit, &head.facts.id, &mut query).await?;
    let next = list.next_cursor;
    let mut files = files(list.items);
    let total = files.len();
    files.sort_by_key(FileLine::is_own);
    let asked = asked(&files, &query);
    let opened = match asked {
        Some((artefact, others)) => Some(open(&visit, &head, &query, artefact, others).await),
        None => None,
    };
    files.truncate(LISTED_MAX);
    let mut frame = head.frame(&visit);
    // Much of the history is read for the list.
    frame.live &= head.facts.version <= LIVE_EVENTS_MAX;
    Ok(Html(ArtefactsPage { frame, head, query, refused, files, total, next, opened }).into_response())
}

/// The files by step, name and path, in the order in which they came first.
fn files(items: Vec<ArtefactFact>) -> Vec<FileLine> {
    let mut at: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut files: Vec<FileLine> = Vec::new();
    for item in items {
        let key = (item.step.clone(), item.name.clone(), item.path.clone());
        let place = *at.entry(key).or_insert_with(|| {
            let (path, name, step) = (item.path.clone(), item.name.clone(), item.step.clone());
            files.push(FileLine { path, name, step, versions: Vec::new() });
            files.len() - 1
        });
        files[place].versions.push(item);
    }
    files
}

/// The file that the address names, with its other versions; else the newest one that no engine keeps for itself.
fn asked(files: &[FileLine], query: &ArtefactsQuery) -> Option<(ArtefactFact, Vec<ArtefactFact>)> {
    let version: Option<u64> = query.version.parse().ok();
    let named = |file: &FileLine| {
        let of = file
            .versions
            .iter()
            .find(|it| Some(it.version) == version && (query.name.is_empty() || it.name == query.name));
        of.map(|it| (it.clone(), file.versions.clone()))
    };
    if version.is_some() {
        return files.iter().find_map(named);
    }
    let newest =
        files.iter().filter(|file| !file.is_own()).max_by_key(|file| file.newest().map(|it| it.version));
    newest.and_then(|file| Some((file.newest()?.clone(), file.versions.clone())))
}

async fn open(
    visit: &Visit,
    head: &RunHead,
    query: &ArtefactsQuery,
    artefact: ArtefactFact,
    others: Vec<ArtefactFact>,
) -> OpenedArtefact {
    let with: Option<ArtefactFact> = query.with.parse().ok().and_then(|version: u64| {
        others.iter().find(|it| it.version == version && it.version != artefact.version).cloned()
    });
    let decided = decided_on(visit, head, &artefact.hash).await.unwrap_or_default();
    let bytes = read(visit, &head.facts.id, &artefact.hash).await;
    let (shown, has_views) = match (&bytes, &with) {
        (Err(problem), _) => {
            (ShownArtefact::Refused(format!("{}: {}", problem.title, problem.detail)), false)
        }
        (Ok(bytes), None) => shown(&artefact, bytes, query.view == "text"),
        (Ok(bytes), Some(with)) => (compared(visit, head, with, &artefact, bytes).await, false),
    };
    OpenedArtefact { artefact, with, others, shown, has_views, decided }
}

fn shown(artefact: &ArtefactFact, bytes: &[u8], as_lines: bool) -> (ShownArtefact, bool) {
    if picture(bytes).is_some() {
        return (ShownArtefact::Picture(artefact.path.clone()), false);
    }
    let text = match text_of(bytes) {
        Ok(text) => text,
        Err(why) => return (ShownArtefact::Not(why), false),
    };
    let is_of = |ends: &[&str]| {
        let path = artefact.path.to_lowercase();
        ends.iter().any(|end| path.ends_with(end))
    };
    let is_markdown = is_of(&[".md", ".markdown"]) && text.len() <= markdown::MARKDOWN_BYTES_MAX;
    let json: Option<Value> = is_of(&[".json"]).then(|| serde_json::from_str(text).ok()).flatten();
    match json {
        _ if is_markdown && !as_lines => (ShownArtefact::Markdown(markdown::rendered(text)), true),
        Some(json) if !as_lines => (as_text(&words::json(&json)), true),
        json => (as_text(text), is_markdown || json.is_some()),
    }
}

fn as_text(text: &str) -> ShownArtefact {
    ShownArtefact::Text(lines(text), left_out(text))
}

fn text_of(bytes: &[u8]) -> Result<&str, String> {
    if bytes.len() > SHOWN_BYTES_MAX {
        return Err(format!("{} are too much to be shown", words::bytes(bytes.len() as u64)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _no_text => Err("it is no text and no picture that a browser shows".to_owned()),
    }
}

async fn compared(
    visit: &Visit,
    head: &RunHead,
    with: &ArtefactFact,
    artefact: &ArtefactFact,
    bytes: &[u8],
) -> ShownArtefact {
    let other = match read(visit, &head.facts.id, &with.hash).await {
        Ok(other) => other,
        Err(problem) => return ShownArtefact::Refused(format!("{}: {}", problem.title, problem.detail)),
    };
    // What came first stands on the left, whichever was asked for.
    let (before, after) =
        if with.version < artefact.version { (&other[..], bytes) } else { (bytes, &other[..]) };
    match (text_of(before), text_of(after)) {
        (Ok(before), Ok(after)) => {
            ShownArtefact::Differs(LineDifference::of(before, after, line_diff::ROWS_MAX))
        }
        (Err(why), _) | (_, Err(why)) => ShownArtefact::Not(why),
    }
}

/// What people decided when they were shown exactly these bytes.
async fn decided_on(visit: &Visit, head: &RunHead, hash: &str) -> Result<Vec<DecidedOn>, Problem> {
    let list: Value = visit.rest.get(&format!("/runs/{}/audit", head.facts.id)).await?;
    let items = list["items"].as_array().into_iter().flatten();
    let of = |item: &Value| {
        let version = item["version"].as_u64().filter(|version| *version <= head.facts.version)?;
        let parts = item["seen"]["parts"].as_array()?;
        parts.iter().find(|part| part["hash"] == hash)?;
        let by: Vec<&str> =
            item["by"].as_array().into_iter().flatten().filter_map(Value::as_str).map(words::actor).collect();
        let (word, tone) = match item["decision"].as_str()? {
            "approve" => ("approved", "approved"),
            "reject" => ("rejected", "rejected"),
            other => (other, "rejected"),
        };
        let step = item["step"].as_str().unwrap_or_default();
        let round = item["round"].as_u64().unwrap_or(1);
        let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
        Some(DecidedOn { words: format!("{word} in {step} {round}{by}"), tone, version })
    };
    Ok(items.filter_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefact(version: u64, name: &str, path: &str) -> ArtefactFact {
        ArtefactFact {
            version,
            at: String::new(),
            step: "write".to_owned(),
            round: version,
            attempt: 1,
            name: name.to_owned(),
            path: path.to_owned(),
            hash: String::new(),
            size_bytes: 1,
        }
    }

    #[test]
    fn versions_of_a_file_are_one_line_and_the_newest_of_the_steps_own_is_open() {
        let files = files(vec![
            artefact(1, "plan", "plan.md"),
            artefact(2, "plan", "plan.md"),
            artefact(3, "everfold.prompt", "prompt.md"),
        ]);
        assert_eq!(files.iter().map(|file| file.versions.len()).collect::<Vec<_>>(), [2, 1]);
        let open = |query: ArtefactsQuery| asked(&files, &query).map(|(artefact, _)| artefact.version);
        assert_eq!(open(ArtefactsQuery::default()), Some(2));
        assert_eq!(open(ArtefactsQuery { version: "3".to_owned(), ..ArtefactsQuery::default() }), Some(3));
        assert_eq!(open(ArtefactsQuery { version: "9".to_owned(), ..ArtefactsQuery::default() }), None);
    }

    #[test]
    fn what_is_no_text_is_not_shown_as_text() {
        let of = |path: &str, bytes: &[u8]| shown(&artefact(1, "x", path), bytes, false).0;
        assert!(matches!(of("a.md", b"\xff\xfe"), ShownArtefact::Not(_)));
        assert!(matches!(of("a.png", b"<script>"), ShownArtefact::Text(..)));
        assert!(matches!(of("a.txt", b"\x89PNG\r\n\x1a\n"), ShownArtefact::Picture(_)));
        assert!(matches!(of("a.json", b"{\"a\":1}"), ShownArtefact::Text(lines, _) if lines.len() == 3));
        assert!(matches!(of("a.md", b"# x"), ShownArtefact::Markdown(_)));
    }
}

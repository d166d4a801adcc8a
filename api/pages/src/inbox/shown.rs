//! What an approval shows: texts and files, as people read them and as lines that remarks name.
//!
//! Law: what is shown is what the task's digest is over: a file is read by the hash that the task names, never by its path.

use axum::body::{Body, Bytes};
use axum::http::Method;
use futures::future::join_all;
use serde_json::Value;

use super::task::{Seen, SeenPart};
use crate::frame::Visit;
use crate::line_diff::{LineChange, LineDifference};
use crate::markdown::{MARKDOWN_BYTES_MAX, MarkdownBlock};
use crate::problem::Problem;
use crate::visible::visible_line;

/// Files whose bytes one page reads; the others are named with their hashes.
const FILES_MAX: usize = 12;
/// Lines of one text on the page.
const LINES_MAX: usize = 2_000;
/// The longest text that is compared, in bytes.
const COMPARED_BYTES_MAX: usize = 512 * 1024;

/// One thing that is shown.
#[derive(Debug, Clone)]
pub(crate) struct ShownPart {
    /// Its number in what the task shows; a remark names it.
    pub(crate) number: usize,
    /// The path of a file; else what it is.
    pub(crate) name: String,
    pub(crate) is_file: bool,
    pub(crate) hash: Option<String>,
    /// What a former round showed in this place.
    pub(crate) since_then: SinceThen,
    pub(crate) body: ShownBody,
    /// What changed since the former round, where both texts can be read.
    pub(crate) changes: Vec<ShownLine>,
}

/// How a part compares with what the former round showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SinceThen {
    /// There was no former round, or it showed nothing of that name.
    New,
    /// Other bytes; the hash of those of then.
    Changed(Option<String>),
    /// The same bytes.
    Same,
}

/// How a part is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShownBody {
    /// A text; where it is Markdown, also as its blocks, of HTML that is safe.
    Text { lines: Vec<ShownLine>, cut: usize, prose: Vec<MarkdownBlock> },
    /// A picture, by its address.
    Picture(String),
    /// The file was not there when people were asked.
    Missing,
    /// Why its bytes are not shown, which can be had.
    Unread(&'static str),
    /// Why its bytes can neither be shown nor had here.
    Refused(String),
}

/// A line with its number; none: a line of a former text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownLine {
    pub(crate) number: Option<usize>,
    pub(crate) text: String,
    /// The class of a line of a comparison; empty: plain.
    pub(crate) class: &'static str,
}

impl ShownPart {
    /// The element that remarks lead to.
    pub(crate) fn element(&self) -> String {
        format!("shown-{}", self.number)
    }

    /// The first digits of its hash.
    pub(crate) fn short_hash(&self) -> &str {
        self.hash.as_deref().and_then(|hash| hash.get(..12)).unwrap_or_default()
    }

    /// The file itself, by the hash that is decided on.
    pub(crate) fn whole_path(&self, run: &str) -> Option<String> {
        let hash = self.hash.as_deref().filter(|_| self.is_file)?;
        Some(crate::frame::with_query(&format!("/runs/{run}/artefacts/{hash}"), "name", &self.name))
    }

    /// The class of its comparison with the former round.
    pub(crate) fn is_changed(&self) -> bool {
        matches!(self.since_then, SinceThen::Changed(_))
    }

    /// Whether the former round showed the same.
    pub(crate) fn is_same(&self) -> bool {
        self.since_then == SinceThen::Same
    }
}

/// The things that are shown, in their order, with the bytes of files. `former` is what the round before showed.
pub(crate) async fn load(
    visit: &Visit,
    run: &str,
    show: &Value,
    seen: Option<&Seen>,
    former: &[SeenPart],
) -> Vec<ShownPart> {
    let mut parts = parts(show, seen, former);
    let files: Vec<usize> = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| part.is_file && part.hash.is_some())
        .map(|(at, _)| at)
        .take(FILES_MAX)
        .collect();
    let read = files.iter().map(|at| filled(visit, run, &parts[*at]));
    let filled = join_all(read).await;
    for (at, part) in files.into_iter().zip(filled) {
        parts[at] = part;
    }
    parts
}

/// A file's part with its bytes, and with what changed since the former round.
async fn filled(visit: &Visit, run: &str, part: &ShownPart) -> ShownPart {
    let mut part = part.clone();
    let bytes = match bytes(visit, run, part.hash.as_deref().unwrap_or_default()).await {
        Ok(bytes) => bytes,
        Err(problem) if problem.status == 413 => {
            part.body = ShownBody::Refused("It is too large to be shown here.".to_owned());
            return part;
        }
        Err(problem) if problem.status == 404 => {
            part.body = ShownBody::Unread(
                "Its hash is recorded and its bytes are not: a file of more than 8 MiB is not kept, nor one that holds a secret, or that may. It lies in the workspace.",
            );
            return part;
        }
        Err(problem) => {
            part.body =
                ShownBody::Refused(format!("It cannot be read: {}: {}.", problem.title, problem.detail));
            return part;
        }
    };
    if picture_type(&bytes).is_some() {
        part.body = ShownBody::Picture(picture_path(run, part.hash.as_deref().unwrap_or_default()));
        return part;
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        part.body = ShownBody::Unread("It is no text.");
        return part;
    };
    if let SinceThen::Changed(Some(then)) = &part.since_then
        && let Ok(old) = self::bytes(visit, run, then).await
        && let Ok(old) = std::str::from_utf8(&old)
    {
        part.changes = changes(old, text);
    }
    part.body = body_of(&part.name, text);
    part
}

/// The bytes that an event of a run names by their hash.
pub(crate) async fn bytes(visit: &Visit, run: &str, hash: &str) -> Result<Bytes, Problem> {
    if hash.is_empty() || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Problem::not_found("this is no hash"));
    }
    let request = visit.rest.request(Method::GET, &format!("/runs/{run}/artefacts/{hash}"), Body::empty())?;
    crate::rest::taken_in(visit.rest.send(request).await).await
}

/// Where a picture of a run is served as one.
fn picture_path(run: &str, hash: &str) -> String {
    format!("/inbox/pictures/{run}/{hash}")
}

/// The type of a picture that a page shows, by its first bytes: those that can hold no script.
pub(crate) fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn parts(show: &Value, seen: Option<&Seen>, former: &[SeenPart]) -> Vec<ShownPart> {
    let list: Vec<&Value> = match show {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().collect(),
        other => vec![other],
    };
    let known = seen.map(|seen| seen.parts.as_slice()).unwrap_or_default();
    list.into_iter().enumerate().map(|(number, shown)| part(number, shown, known, former)).collect()
}

fn part(number: usize, shown: &Value, known: &[SeenPart], former: &[SeenPart]) -> ShownPart {
    let text = crate::words::json(shown);
    if let Some(file) = known.iter().find(|part| part.kind == "file" && part.what == text) {
        let body = match &file.hash {
            Some(_) => ShownBody::Unread("Its bytes are not shown here."),
            None => ShownBody::Missing,
        };
        let since_then = compared(file, former);
        return ShownPart {
            number,
            name: text,
            is_file: true,
            hash: file.hash.clone(),
            since_then,
            body,
            changes: Vec::new(),
        };
    }
    let name = if is_diff(&text) { "Diff" } else { "Text" };
    ShownPart {
        number,
        name: name.to_owned(),
        is_file: false,
        hash: None,
        since_then: SinceThen::New,
        body: body_of("", &text),
        changes: Vec::new(),
    }
}

fn compared(part: &SeenPart, former: &[SeenPart]) -> SinceThen {
    match former.iter().find(|old| old.kind == part.kind && old.what == part.what) {
        None => SinceThen::New,
        Some(old) if old.hash == part.hash => SinceThen::Same,
        Some(old) => SinceThen::Changed(old.hash.clone()),
    }
}

/// A text as it is shown: a diff by its lines, Markdown as prose and as lines.
pub(crate) fn body_of(path: &str, text: &str) -> ShownBody {
    let is_diff = is_diff(text);
    let lines = text.lines().take(LINES_MAX).enumerate().map(|(at, text)| ShownLine {
        number: Some(at + 1),
        class: if is_diff { diff_class(text) } else { "" },
        text: visible_line(text),
    });
    let reads_as_prose =
        !is_diff && (path.is_empty() || path.ends_with(".md") || path.ends_with(".markdown"));
    let is_short = text.len() <= MARKDOWN_BYTES_MAX;
    let prose = if reads_as_prose && is_short { crate::markdown::blocks(text) } else { Vec::new() };
    ShownBody::Text { lines: lines.collect(), cut: text.lines().count().saturating_sub(LINES_MAX), prose }
}

/// The lines that differ between two texts, with some around them.
fn changes(old: &str, new: &str) -> Vec<ShownLine> {
    if old.len() + new.len() > COMPARED_BYTES_MAX {
        return Vec::new();
    }
    let difference = LineDifference::of(old, new, LINES_MAX);
    let plain = |text: &str| ShownLine { number: None, text: text.to_owned(), class: "diff-place" };
    let mut lines = Vec::new();
    for hunk in &difference.hunks {
        if !lines.is_empty() {
            lines.push(plain("⋯"));
        }
        lines.extend(hunk.lines.iter().map(|line| {
            let (sign, class) = match line.change {
                LineChange::Gone => ("-", "diff-removed"),
                LineChange::New => ("+", "diff-added"),
                LineChange::Same => (" ", ""),
            };
            ShownLine { number: line.after, text: format!("{sign}{}", line.text()), class }
        }));
    }
    if difference.left_out > 0 {
        lines.push(plain(&format!("⋯ {}", difference.left_out_words())));
    }
    lines
}

/// Whether a text is a unified diff.
fn is_diff(text: &str) -> bool {
    text.starts_with("diff --git ") || (text.starts_with("--- ") && text.contains("\n+++ "))
}

fn diff_class(line: &str) -> &'static str {
    match line.as_bytes().first() {
        _ if line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ") => "diff-head",
        Some(b'+') => "diff-added",
        Some(b'-') => "diff-removed",
        Some(b'@') => "diff-place",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(hash: &str) -> SeenPart {
        SeenPart { kind: "file".to_owned(), what: "plan.md".to_owned(), hash: Some(hash.to_owned()) }
    }

    #[test]
    fn a_file_says_whether_it_changed_since_the_round_before() {
        let now = Seen { parts: vec![seen("b")], ..Seen::default() };
        let show = json!(["plan.md", "a text"]);
        let of = |former: &[SeenPart]| parts(&show, Some(&now), former)[0].since_then.clone();
        assert_eq!(of(&[]), SinceThen::New);
        assert_eq!(of(&[seen("a")]), SinceThen::Changed(Some("a".to_owned())));
        assert_eq!(of(&[seen("b")]), SinceThen::Same);
        assert!(parts(&show, Some(&now), &[])[0].is_file);
        assert!(!parts(&show, Some(&now), &[])[1].is_file);
    }

    #[test]
    fn a_file_leads_to_the_bytes_that_are_decided_on() {
        let now = Seen { parts: vec![seen("b")], ..Seen::default() };
        let parts = parts(&json!(["plan.md", "a text"]), Some(&now), &[]);
        assert_eq!(
            parts[0].whole_path("3b2cabce").as_deref(),
            Some("/runs/3b2cabce/artefacts/b?name=plan.md")
        );
        assert_eq!(parts[1].whole_path("3b2cabce"), None);
    }

    #[test]
    fn lines_of_a_diff_are_told_apart() {
        let text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same";
        let ShownBody::Text { lines, prose, .. } = body_of("", text) else {
            panic!("a text is shown as a text")
        };
        let classes: Vec<&str> = lines.iter().map(|line| line.class).collect();
        assert_eq!(
            classes,
            ["diff-head", "diff-head", "diff-head", "diff-place", "diff-removed", "diff-added", ""]
        );
        assert!(prose.is_empty());
    }

    #[test]
    fn a_comparison_names_the_lines_of_the_new_text() {
        let lines = changes("one\ntwo\nthree\n", "one\n2\nthree\n");
        let told: Vec<(Option<usize>, &str)> =
            lines.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(told, [(Some(1), " one"), (None, "-two"), (Some(2), "+2"), (Some(3), " three")]);
    }

    #[test]
    fn only_pictures_that_hold_no_script_are_pictures() {
        assert_eq!(picture_type(b"\x89PNG\r\n"), Some("image/png"));
        assert_eq!(picture_type(b"<svg onload=alert(1)>"), None);
    }
}

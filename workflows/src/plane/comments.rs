//! `plane.comments`: what people said of an issue, the newest first.
//!
//! Law: comments of the engine itself and of those that are named as bots are none of people. That comments cannot be
//! read is no failure of the last attempt: there are none then, with the reason.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::{PlaneClient, issue_path};
use super::comment::SOURCE;
use super::parameters::{IssuePlace, given, one_try, text_or_null};
use super::text::{text_of_both, without_controls};
use crate::function::Call;

/// The longest text of one.
const TEXT_CHARS_MAX: usize = 300;
/// The longest text of all together, and of what was said elsewhere.
const SAID_CHARS_MAX: usize = 10_000;
/// Comments that are given.
const COMMENTS_MAX: usize = 50;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(description = "", deny_unknown_fields)]
pub(super) struct CommentsParameters {
    #[serde(flatten)]
    place: IssuePlace,
    /// ids or names of users whose comments are left out
    #[serde(default)]
    bots: Vec<String>,
    /// a time; comments before it are left out
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    since: Option<String>,
    /// what they are read for, in a word: it is given back
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    cause: Option<String>,
    /// what a person said elsewhere: it counts as the newest comment; empty or null: nothing
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    said: Option<String>,
    /// the output `until` of the call before: only what was written behind it counts, so each comment once
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    after: Option<String>,
    /// work that failed is done again: where nothing newer was said, the newest of `former` counts once more
    #[serde(default)]
    again: bool,
    /// the output of the call for that work before, or null
    #[serde(default)]
    former: Value,
    /// attempts of a round, with `retry`: before the last one a read that fails, and may go well later, is a failure
    #[serde(default = "one_try")]
    tries: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct CommentsOutput {
    newest: Option<PlaneComment>,
    /// All of them, the newest first, at most 50.
    comments: Vec<PlaneComment>,
    /// All that they say, the oldest first, each whole, a blank line between: for who works on. At most 10,000
    /// characters; what is older is left out.
    text: String,
    /// Why none could be read.
    reason: Option<String>,
    /// When the newest comment was written that is known by now, by the clock of Plane.
    until: Option<String>,
    /// What they were read for.
    cause: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(description = "")]
struct PlaneComment {
    /// Without tags, at most 300 characters.
    text: String,
    /// The name of its author, else the id.
    author: Option<String>,
    /// When it was written.
    at: Option<String>,
}

/// Gives the comments.
pub(super) async fn comments(
    client: PlaneClient,
    call: Call,
    with: CommentsParameters,
) -> Result<CommentsOutput, Failure> {
    let since = given(with.since.as_deref()).map(|since| time("since", since)).transpose()?;
    let known = given(with.after.as_deref()).map(|after| time("after", after)).transpose()?;
    let path = format!("{}/comments/", issue_path(&with.place));
    let found = client.list(&with.place.site, &path, "comments of the issue").await;
    let (items, reason) = match found {
        Ok(items) => (items, None),
        Err(error) if error.is_passing() && call.attempt() < with.tries => return Err(error.of(&call)),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let mut said = of_people(&items, &with.bots, since);
    let newest_at = said.first().and_then(|said| written_at(&said.comment));
    said.retain(|said| known.is_none_or(|known| written_at(&said.comment).is_some_and(|at| at > known)));
    let here = as_comment(with.said.as_deref());
    let former = |field: &Value| as_comment(field.as_str().filter(|_| with.again));
    let text = match &here {
        None if said.is_empty() => former(&with.former["text"]).map(|former| former.text).unwrap_or_default(),
        here => all_of(&said, here.as_ref()),
    };
    let comments: Vec<PlaneComment> = said.into_iter().map(|said| said.comment).collect();
    let newest = here.or_else(|| comments.first().cloned());
    let newest = newest.or_else(|| former(&with.former["newest"]["text"]));
    let until = known.max(newest_at).map(|at| at.to_string());
    Ok(CommentsOutput { newest, comments, text, reason, until, cause: with.cause })
}

/// A comment, and all of its text.
struct WholeComment {
    comment: PlaneComment,
    whole: String,
}

/// What all say, given the newest first, and behind it what was said elsewhere.
fn all_of(said: &[WholeComment], here: Option<&PlaneComment>) -> String {
    let mut left = SAID_CHARS_MAX;
    let newest_first = here.map(|here| &here.text).into_iter().chain(said.iter().map(|said| &said.whole));
    let mut texts: Vec<String> = newest_first
        .map_while(|whole| {
            let text: String = whole.chars().take(left).collect();
            left = left.saturating_sub(text.chars().count() + 2);
            (!text.is_empty()).then_some(text)
        })
        .collect();
    texts.reverse();
    texts.join("\n\n")
}

fn time(name: &str, text: &str) -> Result<jiff::Timestamp, Failure> {
    text.parse().map_err(|_| {
        Failure::new(FailureKind::Validation, format!("`with.{name}` is no time"))
            .with_hint("a time is written as 2026-11-20T10:00:00Z")
    })
}

fn written_at(comment: &PlaneComment) -> Option<jiff::Timestamp> {
    comment.at.as_deref()?.parse().ok()
}

/// What a person said elsewhere, as a comment.
fn as_comment(said: Option<&str>) -> Option<PlaneComment> {
    let text: String = said?.trim().chars().take(SAID_CHARS_MAX).collect();
    (!text.is_empty()).then_some(PlaneComment { text, author: None, at: None })
}

/// The comments of people since a time, the newest first.
fn of_people(items: &[Value], bots: &[String], since: Option<jiff::Timestamp>) -> Vec<WholeComment> {
    let at = |item: &Value| item["created_at"].as_str()?.parse::<jiff::Timestamp>().ok();
    let is_wanted = |item: &&Value| since.is_none_or(|since| at(item).is_some_and(|at| at >= since));
    let mut wanted: Vec<&Value> =
        items.iter().filter(|item| !is_of_bot(item, bots)).filter(is_wanted).collect();
    wanted.sort_by_key(|item| std::cmp::Reverse(at(item)));
    wanted.into_iter().filter_map(comment).take(COMMENTS_MAX).collect()
}

/// Whether the engine wrote it, or one who is named.
fn is_of_bot(item: &Value, bots: &[String]) -> bool {
    let detail = &item["actor_detail"];
    let names = [&item["actor"], &item["created_by"], &detail["id"], &detail["display_name"]];
    let is_named = names.into_iter().filter_map(Value::as_str).any(|name| bots.iter().any(|bot| bot == name));
    is_named || item["external_source"] == SOURCE || detail["is_bot"] == true
}

/// The comment in words; one that says nothing is none.
fn comment(item: &Value) -> Option<WholeComment> {
    let own = |field: &str| given(item[field].as_str());
    let html = own("comment_html").or_else(|| own("comment"));
    let whole = without_controls(&in_one_line(&text_of_both(own("comment_stripped"), html)?));
    let text: String = whole.chars().take(TEXT_CHARS_MAX).collect();
    let author = given(item["actor_detail"]["display_name"].as_str())
        .or_else(|| own("actor"))
        .or_else(|| own("created_by"))
        .map(str::to_owned);
    let at = own("created_at").map(str::to_owned);
    (!text.is_empty()).then_some(WholeComment { comment: PlaneComment { text, author, at }, whole })
}

/// With one blank for all between words.
fn in_one_line(stripped: &str) -> String {
    stripped.split_whitespace().collect::<Vec<_>>().join(" ")
}

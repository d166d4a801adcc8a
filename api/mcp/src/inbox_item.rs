//! An item of the inbox: its version, by which a decision says what it is on, and what is sent to decide.
//!
//! Law: a decision is on what its caller saw. The version changes with everything that an item shows or keeps of an
//! answer; a decision that names another one is refused before it is sent, and an approval is sent with the digest of the
//! item whose version it was, so that the route refuses what changed in between.

use serde_json::{Map, Value, json};

use crate::answer::picked;
use crate::fit::without_empty;

/// The digits of a version.
const VERSION_DIGITS: usize = 12;

/// An item as the inbox lists it, or as the run that awaits it shows it.
#[derive(Debug, Clone)]
pub(crate) struct InboxItem {
    kind: String,
    id: String,
    fields: Value,
}

impl InboxItem {
    /// An item of the list.
    pub(crate) fn listed(item: &Value) -> Option<Self> {
        let text = |name: &str| item[name].as_str().map(str::to_owned);
        let mut fields = item.clone();
        if let (Some(terms), Some(fields)) = (item["terms"].as_object(), fields.as_object_mut()) {
            for name in ["options", "items", "roles", "changes"] {
                if let Some(value) = terms.get(name) {
                    fields.insert(name.to_owned(), value.clone());
                }
            }
        }
        Some(Self { kind: text("kind")?, id: text("id")?, fields })
    }

    /// What a run awaits of people; `None`: it awaits something else.
    pub(crate) fn awaited(short_id: &str, awaits: &Value) -> Option<Self> {
        let kind = awaits["kind"].as_str()?;
        let (kind, id) = match kind {
            "approval" | "question" => (kind, awaits["task"].as_str()?.to_owned()),
            "unblock" => ("blocked", format!("{short_id}:{}", awaits["step"].as_str()?)),
            "budget" => ("budget", format!("{short_id}:{}", awaits["budget"].as_str()?)),
            _other => return None,
        };
        Some(Self { kind: kind.to_owned(), id, fields: awaits.clone() })
    }

    /// Its name: the run, the step, the round.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// approval, question, blocked or budget.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// A field.
    pub(crate) fn field(&self, name: &str) -> &Value {
        &self.fields[name]
    }

    /// The digest of all that an approval shows.
    fn digest(&self) -> Option<&str> {
        self.fields["seen"]["digest"].as_str()
    }

    /// Names the item as it stands.
    pub(crate) fn version(&self) -> String {
        let asked = match self.digest() {
            Some(digest) => json!(digest),
            None => picked(&self.fields, &["title", "text", "since", "draft", "message", "reason"]),
        };
        let said = without_empty(json!([self.kind, self.id, asked])).to_string();
        let mut version = blake3::hash(said.as_bytes()).to_string();
        version.truncate(VERSION_DIGITS);
        version
    }

    /// What is shown of it.
    pub(crate) fn outline(&self) -> Value {
        let mut shown = picked(
            &self.fields,
            &[
                "short_id",
                "pipeline",
                "run_title",
                "step",
                "title",
                "text",
                "message",
                "reason",
                "budget",
                "options",
                "items",
                "show",
                "value",
                "roles",
                "changes",
                "votes",
                "comments",
                "draft",
                "since",
                "expires_at",
            ],
        );
        if let Value::Object(fields) = &mut shown {
            fields.insert("task".to_owned(), json!(self.id));
            fields.insert("kind".to_owned(), json!(self.kind));
            fields.insert("version".to_owned(), json!(self.version()));
        }
        shown
    }

    /// The body of a vote on it.
    pub(crate) fn vote(&self, decision: &str, comment: Option<&str>, value: Option<&Value>) -> Value {
        let mut body = Map::new();
        body.insert("decision".to_owned(), json!(decision));
        if let Some(comment) = comment {
            body.insert("comment".to_owned(), json!(comment));
        }
        if let Some(value) = value {
            body.insert("value".to_owned(), value.clone());
        }
        if let Some(digest) = self.digest() {
            body.insert("seen".to_owned(), json!(digest));
        }
        Value::Object(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval(digest: &str, since: &str) -> Value {
        json!({
            "kind": "approval", "task": "5b80:sign:1", "id": "5b80:sign:1", "step": "sign", "title": "Ship it?",
            "seen": { "digest": digest, "parts": [], "kept": [] }, "since": since, "show": ["3 files"],
        })
    }

    #[test]
    fn the_list_and_the_run_give_an_item_the_same_version() {
        let both = approval("ab12", "2026-11-24T08:00:00Z");
        let listed = InboxItem::listed(&both).unwrap();
        let awaited = InboxItem::awaited("5b80", &both).unwrap();
        assert_eq!(listed.version(), awaited.version());
        assert_eq!(listed.version().len(), VERSION_DIGITS);
    }

    #[test]
    fn a_version_changes_with_what_is_shown_and_a_vote_names_the_digest() {
        let one = InboxItem::listed(&approval("ab12", "2026-11-24T08:00:00Z")).unwrap();
        let other = InboxItem::listed(&approval("cd34", "2026-11-24T08:00:00Z")).unwrap();
        assert_ne!(one.version(), other.version());
        let vote = one.vote("approve", Some("well done"), None);
        assert_eq!(vote, json!({ "decision": "approve", "comment": "well done", "seen": "ab12" }));
    }

    #[test]
    fn a_saved_part_of_an_answer_gives_a_question_another_version() {
        let question = json!({ "kind": "question", "id": "5b80:ask:1", "title": "Which?", "since": "2026-11-24T08:00:00Z" });
        let mut saved = question.clone();
        saved["draft"] = json!({ "items": { "who": "sales" } });
        let [one, other] = [question, saved].map(|item| InboxItem::listed(&item).unwrap().version());
        assert_ne!(one, other);
    }
}

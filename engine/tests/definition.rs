//! Pipeline files: what is read, what is refused, and how it is said.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "definition/support.rs"]
mod support;

#[path = "definition/absent.rs"]
mod absent;
#[path = "definition/built.rs"]
mod built;
#[path = "definition/builtin.rs"]
mod builtin;
#[path = "definition/canonical.rs"]
mod canonical;
#[path = "definition/documents.rs"]
mod documents;
#[path = "definition/editor.rs"]
mod editor;
#[path = "definition/laws.rs"]
mod laws;
#[path = "definition/literals.rs"]
mod literals;
#[path = "definition/messages.rs"]
mod messages;
#[path = "definition/rules.rs"]
mod rules;

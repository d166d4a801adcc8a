//! Pipeline files: what is read, what is refused, and how it is said.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod builder;
mod built_words;
mod canonical_document;
mod case_schema;
mod checked_pipeline;
mod credentials;
mod documentation;
mod expression_loops;
mod expression_names;
mod fixtures;
mod include;
mod inline_steps;
mod json_schema;
mod key_checks;
mod literal_checks;
mod locals;
mod loop_bounds;
mod nullable_outputs;
mod numbered_runs;
mod parser_laws;
mod problem_messages;
mod reminders;
mod secret_roles;
mod signal_routes;
mod templates;

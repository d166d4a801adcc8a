//! A form made of the JSON Schema of a pipeline's input.
//!
//! Law: what a schema says that has no field of its own is written as JSON, so no input is beyond the form. The form
//! checks only what it must understand to read a field; whether the input fits its schema is said by REST, whose errors
//! are shown at the fields that they name.
//!
//! `field.rs` holds a field, `form.rs` all of them; `fields.rs` makes fields of a schema, `typed.rs` reads what was typed, `once_each.rs` JSON in it, `pattern.rs` writes patterns as HTML wants them;
//! `templates/pipelines/schema_form.html` draws them.

mod field;
mod fields;
mod form;
mod once_each;
mod pattern;
#[cfg(test)]
mod tests;
mod typed;

pub(crate) use field::{FieldKind, SchemaPart};
pub(crate) use form::SchemaForm;

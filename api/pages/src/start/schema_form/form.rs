//! The form of one input.

use serde_json::{Map, Value};

use super::field::{FieldKind, ROOT, SchemaField, SchemaPart, is_within};
use super::fields;
use crate::form::Fields;
use crate::problem::Problem;

/// A form for one input.
#[derive(Debug, Clone)]
pub(crate) struct SchemaForm {
    root: SchemaField,
}

impl SchemaForm {
    /// The form for a schema; null: anything goes. The fields begin with the values of an input, else with defaults.
    pub(crate) fn new(schema: &Value, input: Option<&Value>) -> Self {
        Self { root: fields::root(schema, input) }
    }

    /// The form with what was typed, and the input that it makes; none: the fields say why. `input` is what the form
    /// began with.
    pub(crate) fn sent(schema: &Value, input: Option<&Value>, typed: &Fields) -> (Self, Option<Value>) {
        let mut form = Self::new(schema, input);
        form.root.take(typed);
        let value = form.root.read();
        let is_sound = form.parts().iter().all(|part| match part {
            SchemaPart::Field(field) | SchemaPart::Open(field) => field.errors.is_empty(),
            SchemaPart::Close => true,
        });
        if !is_sound {
            form.root.look();
        }
        (form, is_sound.then(|| value.unwrap_or_else(|| Value::Object(Map::new()))))
    }

    /// Shows each error of a refusal at the field that it names, and takes it out of the problem.
    pub(crate) fn take_errors(&mut self, problem: &mut Problem) {
        problem.errors.retain(|error| {
            let text = |name: &str| error.get(name).and_then(Value::as_str);
            let Some(message) = text("message") else { return true };
            // Of a start the place stands apart, of a restart or fork before the message.
            let before = message.split_once(": ").filter(|(place, _)| is_within(place, ROOT));
            let Some((path, message)) = text("path").map(|path| (path, message)).or(before) else {
                return true;
            };
            let Some(field) = self.root.named_by(path, message) else { return true };
            let hint = text("hint").filter(|hint| !hint.contains("-i ")).map(|hint| format!(": {hint}"));
            field.errors.push(format!("{message}{}", hint.unwrap_or_default()));
            false
        });
    }

    /// The parts of the form in their order.
    pub(crate) fn parts(&self) -> Vec<SchemaPart<'_>> {
        let mut parts = Vec::new();
        match &self.root.kind {
            FieldKind::Group(fields) => fields.iter().for_each(|field| field.add_parts(&mut parts)),
            _single => parts.push(SchemaPart::Field(&self.root)),
        }
        parts
    }

    /// Whether the input has no field that could be typed.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.root.kind, FieldKind::Group(fields) if fields.is_empty())
    }

    /// What is wrong with the input as a whole.
    pub(crate) fn errors(&self) -> &[String] {
        match &self.root.kind {
            FieldKind::Group(_) => &self.root.errors,
            _shown_at_the_field => &[],
        }
    }

    /// Of the input that the form makes, the fields that are others than at first: names of the outermost object.
    pub(crate) fn changed<'a>(input: &Value, value: &'a Value) -> Vec<(&'a String, &'a Value)> {
        let Value::Object(fields) = value else { return Vec::new() };
        fields.iter().filter(|(name, value)| input.get(name.as_str()) != Some(*value)).collect()
    }
}

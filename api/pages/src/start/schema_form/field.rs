//! The fields of a form.

use serde_json::Value;

/// The name of the whole input among the fields of a form, and in the errors of REST.
pub(super) const ROOT: &str = "input";

/// One field, or a group of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SchemaField {
    /// Its name in the form: a JSON pointer below `input`.
    pub(crate) name: String,
    /// Its name in the errors of REST: `input.platforms`.
    pub(super) path: String,
    /// Its name in the object around it.
    pub(crate) key: String,
    /// The title of its schema, or its key.
    pub(crate) label: String,
    /// What its schema says to readers.
    pub(crate) description: Option<String>,
    /// What may stand in it, for readers: `1 to 5`.
    pub(crate) limits: Option<String>,
    /// Whether the object around it must have it.
    pub(crate) is_required: bool,
    /// Whether the form cannot be sent without it.
    pub(crate) must_be_filled: bool,
    /// What holds without it.
    pub(crate) default: Option<String>,
    pub(crate) kind: FieldKind,
    /// What stands in it.
    pub(crate) text: String,
    /// What stood in it at first.
    pub(super) first_text: String,
    /// Whether the input that the form begins with has it.
    pub(super) was_given: bool,
    /// What is wrong with it.
    pub(crate) errors: Vec<String>,
}

/// How a field is typed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum FieldKind {
    /// A text of one line; `of` is the type of the HTML input.
    Line { of: &'static str, pattern: Option<String>, min: Option<u64>, max: Option<u64> },
    /// A text of any number of lines.
    Text { min: Option<u64>, max: Option<u64> },
    /// A number.
    Number { is_whole: bool, min: Option<String>, max: Option<String> },
    /// Yes or no: a box. It is always given.
    Flag,
    /// One of several values.
    Choice(Vec<SchemaChoice>),
    /// Always this value.
    Fixed(Value),
    /// A list of scalars, one a line.
    Lines(ItemKind),
    /// An object.
    Group(Vec<SchemaField>),
    /// Anything, as JSON.
    #[default]
    Json,
    /// The fields that the schema of an object does not name, as a map of JSON.
    Others,
}

/// What the items of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    Text,
    Number,
    Whole,
    Flag,
}

/// One of several values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SchemaChoice {
    /// The value as JSON.
    pub(crate) json: String,
    /// The value, or its title.
    pub(crate) label: String,
}

/// What a template draws, in its order: groups are opened and closed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SchemaPart<'a> {
    Open(&'a SchemaField),
    Field(&'a SchemaField),
    Close,
}

impl SchemaField {
    pub(super) fn add_parts<'a>(&'a self, parts: &mut Vec<SchemaPart<'a>>) {
        match &self.kind {
            FieldKind::Group(fields) => {
                parts.push(SchemaPart::Open(self));
                fields.iter().for_each(|field| field.add_parts(parts));
                parts.push(SchemaPart::Close);
            }
            _single => parts.push(SchemaPart::Field(self)),
        }
    }

    /// The innermost field that an error is about: by its path, or by what its message says is missing there.
    pub(super) fn named_by(&mut self, path: &str, message: &str) -> Option<&mut SchemaField> {
        let rest = path.strip_prefix(self.path.as_str())?;
        let is_about_inside = rest.starts_with(['.', '[']);
        if !rest.is_empty() && !is_about_inside {
            return None;
        }
        let missing = message.strip_prefix('“').and_then(|text| text.strip_suffix("” is missing"));
        let FieldKind::Group(fields) = &self.kind else { return Some(self) };
        let inner = fields.iter().position(|field| match missing {
            Some(key) if rest.is_empty() => field.key == key,
            _by_path => is_within(path, &field.path),
        });
        let Some(at) = inner else { return Some(self) };
        let FieldKind::Group(fields) = &mut self.kind else { return None };
        // What is missing is named by what is around it.
        if fields[at].path.len() > path.len() {
            Some(&mut fields[at])
        } else {
            fields[at].named_by(path, message)
        }
    }

    /// The id of its element.
    pub(crate) fn id(&self) -> String {
        let name = form_urlencoded::byte_serialize(self.name.as_bytes()).collect::<String>();
        format!("field-{name}")
    }

    /// The ids of what describes it, for `aria-describedby`; empty: nothing does.
    pub(crate) fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if self.has_hint() {
            ids.push(format!("{}-hint", self.id()));
        }
        if !self.errors.is_empty() {
            ids.push(format!("{}-errors", self.id()));
        }
        ids.join(" ")
    }

    /// Whether something is said about it.
    pub(crate) fn has_hint(&self) -> bool {
        self.description.is_some() || self.limits.is_some() || self.default.is_some()
    }

    /// How high its box is at first, in lines.
    pub(crate) fn rows(&self) -> usize {
        let least = match &self.kind {
            FieldKind::Text { .. } => 1,
            FieldKind::Lines(_) => 2,
            _json => 3,
        };
        self.text.lines().count().clamp(least, 12)
    }

    /// Whether its first choice is to leave it out.
    pub(crate) fn may_be_absent(&self) -> bool {
        !self.is_required || self.text.is_empty()
    }
}

pub(super) fn is_within(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

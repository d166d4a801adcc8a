//! The fields of a list's rows, as expressions name them.

use everfold_language::definition::similar;
use everfold_language::expr::{ITEM, Type};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum FieldType {
    /// A text.
    Text,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// A whole number.
    Whole,
    /// A number with a fraction.
    Number,
    /// A moment.
    Time,
    /// A duration.
    Span,
    /// A list of texts.
    Texts,
    /// A list of maps, whose fields stand in the table as `NAME[].FIELD`.
    Items,
    /// A map of texts under any names.
    TextMap,
    /// A map of values of any type under any names.
    ValueMap,
    /// True or false.
    Flag,
}

impl FieldType {
    /// In a word, as tables of fields name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Word(_) => "word",
            Self::Whole => "whole number",
            Self::Number => "number",
            Self::Time => "time",
            Self::Span => "duration",
            Self::Texts => "list of texts",
            Self::Items => "list",
            Self::TextMap => "map of texts",
            Self::ValueMap => "map of values",
            Self::Flag => "true or false",
        }
    }

    /// Whether its values have an order.
    #[must_use]
    pub fn has_order(self) -> bool {
        match self {
            Self::Text | Self::Word(_) | Self::Whole | Self::Number | Self::Time | Self::Span => true,
            Self::Texts | Self::Items | Self::TextMap | Self::ValueMap | Self::Flag => false,
        }
    }

    fn of_expression(self) -> Type {
        match self {
            Self::Text | Self::Word(_) => Type::Text,
            Self::Whole => Type::Int,
            Self::Number => Type::Double,
            Self::Time => Type::Time,
            Self::Span => Type::Span,
            Self::Texts | Self::Items => Type::List,
            Self::TextMap | Self::ValueMap => Type::Map,
            Self::Flag => Type::Bool,
        }
    }
}

/// A field of a row.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name: `status`, `failure.code`, `awaits[].kind`.
    pub name: &'static str,
    /// What it holds.
    pub of: FieldType,
    /// How it is compared for an index to answer; `None`: each row is looked at.
    pub index: Option<&'static str>,
}

/// The fields of a list's rows.
#[derive(Debug, Clone, Copy)]
pub struct RowFields {
    /// What the list is of: `runs`.
    pub list: &'static str,
    /// All of them.
    pub known: &'static [Field],
    /// Names that are asked for and are no fields, and what to ask instead.
    pub absent: &'static [(&'static str, &'static str)],
}

/// What stands at a path.
#[derive(Clone, Copy)]
enum AtPath {
    Field(FieldType),
    /// A value of a map or a list, of this type.
    Entry(Type),
    /// A map of fields.
    Parts,
}

/// A path as tables of fields write it.
pub(crate) fn written(path: &[String]) -> String {
    path.join(".").replace(&format!(".{ITEM}"), ITEM)
}

impl RowFields {
    fn find(&self, path: &[String]) -> Option<AtPath> {
        let name = written(path);
        if let Some(field) = self.known.iter().find(|field| field.name == name) {
            return Some(AtPath::Field(field.of));
        }
        let is_part = |field: &Field| {
            field.name.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.') || rest.starts_with(ITEM))
        };
        if self.known.iter().any(is_part) {
            return Some(AtPath::Parts);
        }
        let (last, whole) = path.split_last()?;
        match self.find(whole)? {
            AtPath::Field(FieldType::TextMap) => Some(AtPath::Entry(Type::Text)),
            AtPath::Field(FieldType::ValueMap) => Some(AtPath::Entry(Type::Any)),
            AtPath::Field(FieldType::Texts) if last == ITEM => Some(AtPath::Entry(Type::Text)),
            AtPath::Entry(Type::Any) if last == ITEM => Some(AtPath::Entry(Type::Any)),
            _other => None,
        }
    }

    /// What rows are sorted by at a path; `None`: no field with an order stands there.
    pub(crate) fn sorts_by(&self, path: &[String]) -> Option<FieldType> {
        match self.find(path)? {
            AtPath::Field(of) => (of.has_order() && !written(path).contains(ITEM)).then_some(of),
            AtPath::Entry(_) => Some(FieldType::Text),
            AtPath::Parts => None,
        }
    }

    /// The names of the fields that rows are sorted by, without those of maps.
    #[must_use]
    pub fn sorting(&self) -> Vec<&'static str> {
        let sorting = self.known.iter().filter(|field| field.of.has_order() && !field.name.contains(ITEM));
        sorting.map(|field| field.name).collect()
    }

    /// The type of what stands at a path.
    pub(crate) fn type_of(&self, path: &[String]) -> Type {
        if path == ["now"] {
            return Type::Time;
        }
        match self.find(path) {
            Some(AtPath::Field(of)) => of.of_expression(),
            Some(AtPath::Entry(of)) => of,
            Some(AtPath::Parts) => Type::Map,
            None => Type::Any,
        }
    }

    /// Whether a path leads to what a list holds: `'x' in active_steps` asks for that.
    pub(crate) fn is_in_list(&self, path: &[String]) -> bool {
        let list = path.split_last().and_then(|(_, list)| self.find(list));
        matches!(list, Some(AtPath::Field(FieldType::Texts | FieldType::Items) | AtPath::Entry(Type::Any)))
    }

    /// The words that a field may have.
    pub(crate) fn words(&self, path: &[String]) -> Option<Vec<&'static str>> {
        match self.find(path)? {
            AtPath::Field(FieldType::Word(words)) => Some(words()),
            _other => None,
        }
    }

    /// Why there is no such field: `None` where there is; else what is said, and what to do.
    pub(crate) fn unknown(&self, path: &[String]) -> Option<(String, String)> {
        if path == ["now"] || self.find(path).is_some() {
            return None;
        }
        let name = written(path);
        let what = format!("rows of {} have no field “{name}”", self.list);
        let absent = self.absent.iter().find(|(absent, _)| {
            name.strip_prefix(absent).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        if let Some((_, hint)) = absent {
            return Some((what, (*hint).to_owned()));
        }
        Some(match self.near(path, &name) {
            Some(near) => (what, format!("did you mean `{near}`? The fields are {}", self.names())),
            None => (what, format!("the fields are {}", self.names())),
        })
    }

    /// The field that a mistyped one most likely stands for.
    fn near(&self, path: &[String], name: &str) -> Option<String> {
        if let Some(near) = similar(name, self.known.iter().map(|field| field.name)) {
            return Some(near.to_owned());
        }
        let (root, rest) = path.split_first()?;
        // `run.status`, as pipelines have it.
        if !rest.is_empty() && self.find(rest).is_some() {
            return Some(written(rest));
        }
        let roots = self.known.iter().filter_map(|field| field.name.split(['.', '[']).next());
        let near: Vec<String> =
            std::iter::once(similar(root, roots)?.to_owned()).chain(rest.to_vec()).collect();
        self.find(&near).map(|_| written(&near))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.known.iter().map(|field| field.name).chain(["now"]).collect();
        names.join(", ")
    }
}

//! What was typed into the fields, as JSON.

use serde_json::{Map, Number, Value};

use super::field::{FieldKind, ItemKind, SchemaField};
use super::once_each::OnceEach;
use crate::form::Fields;

impl SchemaField {
    /// Takes what was typed.
    pub(super) fn take(&mut self, typed: &Fields) {
        match &mut self.kind {
            FieldKind::Group(fields) => fields.iter_mut().for_each(|field| field.take(typed)),
            FieldKind::Fixed(_) => {}
            // A box that is not ticked is not sent.
            FieldKind::Flag => {
                self.text = if typed.is_set(&self.name) { "true".to_owned() } else { String::new() }
            }
            _typed => {
                let text = typed.all(&self.name).next().unwrap_or_default();
                self.text = text.replace("\r\n", "\n");
            }
        }
    }

    /// The value that stands in it; none: it is left out, or its errors say why not.
    pub(super) fn read(&mut self) -> Option<Value> {
        if let FieldKind::Group(fields) = &mut self.kind {
            let is_untouched = !self.was_given && fields.iter().all(|field| !field.is_touched());
            let read = object(fields);
            return (self.is_required || !is_untouched).then_some(Value::Object(read));
        }
        match read_one(&self.kind, &self.text) {
            Ok(Some(value)) => Some(value),
            Ok(None) => self.blank(),
            Err(why) => {
                self.errors.push(why);
                None
            }
        }
    }

    /// Says what is wrong in it as far as no server need be asked: beside a field that cannot be read, so that all faults
    /// come at once.
    pub(super) fn look(&mut self) {
        if let FieldKind::Group(fields) = &mut self.kind {
            fields.iter_mut().for_each(Self::look);
        } else if self.errors.is_empty() {
            self.errors.extend(fault(&self.kind, &self.text, self.must_be_filled));
        }
    }

    fn is_touched(&self) -> bool {
        match &self.kind {
            FieldKind::Group(fields) => self.was_given || fields.iter().any(Self::is_touched),
            _single => self.was_given || self.text != self.first_text,
        }
    }

    /// What an empty field means: what was there and was taken away is empty from now on.
    fn blank(&self) -> Option<Value> {
        let was_filled = !self.first_text.is_empty();
        match &self.kind {
            FieldKind::Line { pattern, min, .. } => {
                let may_be_blank = min.is_none_or(|min| min == 0) && pattern.is_none();
                (was_filled || self.was_given || (self.is_required && may_be_blank)).then(|| "".into())
            }
            FieldKind::Text { min, .. } => {
                let may_be_blank = min.is_none_or(|min| min == 0);
                (was_filled || self.was_given || (self.is_required && may_be_blank)).then(|| "".into())
            }
            FieldKind::Lines(_) => {
                (was_filled || self.was_given || self.is_required).then(|| Value::Array(Vec::new()))
            }
            _other => None,
        }
    }
}

fn object(fields: &mut [SchemaField]) -> Map<String, Value> {
    let mut read = Map::new();
    let own: Vec<String> = fields.iter().map(|field| field.key.clone()).collect();
    for field in fields {
        match field.read() {
            Some(Value::Object(others)) if field.kind == FieldKind::Others => {
                let twice = others.keys().find(|key| own.contains(*key));
                field.errors.extend(twice.map(|key| format!("“{key}” has a field of its own")));
                read.extend(others);
            }
            Some(value) => {
                read.insert(field.key.clone(), value);
            }
            None => {}
        }
    }
    read
}

/// What is wrong with a text that can be read.
fn fault(kind: &FieldKind, text: &str, must_be_filled: bool) -> Option<String> {
    let is_typed = !matches!(kind, FieldKind::Flag | FieldKind::Fixed(_));
    if text.trim().is_empty() {
        return (must_be_filled && is_typed).then(|| "this is needed".to_owned());
    }
    let length = text.chars().count() as u64;
    let is_outside = |min: &Option<u64>, max: &Option<u64>| {
        if let Some(min) = min.filter(|min| length < *min) {
            return Some(format!("this has {length} characters, and at least {min} are needed"));
        }
        max.filter(|max| length > *max)
            .map(|max| format!("this has {length} characters, and at most {max} are allowed"))
    };
    match kind {
        FieldKind::Number { min, max, .. } => {
            let number: f64 = text.trim().parse().ok()?;
            let bound = |bound: &Option<String>| bound.as_ref().and_then(|bound| bound.parse::<f64>().ok());
            match (bound(min), bound(max)) {
                (Some(min), _) if number < min => Some(format!("{number} is less than {min}")),
                (_, Some(max)) if number > max => Some(format!("{number} is more than {max}")),
                _ => None,
            }
        }
        FieldKind::Line { of: "email", .. } if !text.contains('@') => Some(format!("“{text}” is no address")),
        FieldKind::Line { of: "date", .. } if text.parse::<jiff::civil::Date>().is_err() => {
            Some(format!("“{text}” is no day"))
        }
        FieldKind::Line { min, max, .. } | FieldKind::Text { min, max } => is_outside(min, max),
        _other => None,
    }
}

/// The value of a text; none: there is none.
fn read_one(kind: &FieldKind, text: &str) -> Result<Option<Value>, String> {
    let trimmed = text.trim();
    match kind {
        FieldKind::Flag => Ok(Some(Value::Bool(!text.is_empty()))),
        FieldKind::Fixed(value) => Ok(Some(value.clone())),
        FieldKind::Line { .. } | FieldKind::Text { .. } if text.is_empty() => Ok(None),
        FieldKind::Line { .. } | FieldKind::Text { .. } => Ok(Some(text.into())),
        FieldKind::Lines(of) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let items = lines.map(|line| item(*of, line)).collect::<Result<Vec<Value>, String>>()?;
            Ok((!items.is_empty()).then_some(Value::Array(items)))
        }
        _rest if trimmed.is_empty() => Ok(None),
        FieldKind::Number { is_whole, .. } => number(trimmed, *is_whole).map(Some),
        FieldKind::Choice(choices) if !choices.iter().any(|choice| choice.json == trimmed) => {
            Err(format!("“{trimmed}” is none of the choices"))
        }
        FieldKind::Others => match json(trimmed)? {
            Value::Object(others) => Ok(Some(Value::Object(others))),
            _other => Err("this is no map".to_owned()),
        },
        FieldKind::Choice(_) | FieldKind::Json | FieldKind::Group(_) => json(trimmed).map(Some),
    }
}

fn json(text: &str) -> Result<Value, String> {
    let value = serde_json::from_str(text).map(|OnceEach(value)| value);
    value.map_err(|error| format!("this is no JSON: {error}; texts stand in quotes"))
}

fn number(text: &str, is_whole: bool) -> Result<Value, String> {
    let number: Option<Number> = serde_json::from_str(text).ok();
    match number {
        Some(number) if is_whole && !(number.is_i64() || number.is_u64()) => {
            Err(format!("“{text}” is no whole number"))
        }
        Some(number) => Ok(Value::Number(number)),
        None => Err(format!("“{text}” is no number")),
    }
}

fn item(of: ItemKind, line: &str) -> Result<Value, String> {
    match of {
        ItemKind::Text => Ok(line.into()),
        ItemKind::Whole => number(line.trim(), true),
        ItemKind::Number => number(line.trim(), false),
        ItemKind::Flag => match line.trim() {
            "true" | "yes" => Ok(true.into()),
            "false" | "no" => Ok(false.into()),
            other => Err(format!("“{other}” is neither true nor false")),
        },
    }
}

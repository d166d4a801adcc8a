//! JSON values in which texts may hold `${CEL}`.
//!
//! A text that is one whole `${…}` keeps the value's type; elsewhere texts stand as they are, other
//! values as canonical JSON, and null as nothing. `$${` is a literal `${`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use cel::parser::pratt_parser::{Lexer, TokenKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::arguments::to_text;
use super::compiled::{Expr, Reference};
use super::error::ExprError;
use super::reference_values::ReferenceValues;
use super::values::{EvalError, Scope};
use everfold_base::json::depth;

/// Deeper than a pipeline file can be, because its values stand inside others here.
const DEPTH_MAX: usize = 96;
/// Longest text that a template gives.
const RENDERED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most that the values in a template have together: one that repeats a large value is judged before memory is full.
const ALL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A JSON value with expressions in it. Cheap to clone; equal when the sources are equal.
#[derive(Clone)]
pub struct Template(Arc<CompiledTemplate>);

struct CompiledTemplate {
    source: Value,
    node: TemplateNode,
    references: Vec<Reference>,
}

enum TemplateNode {
    Constant(Value),
    Whole(Expr),
    Text(Vec<TextPart>),
    List(Vec<TemplateNode>),
    Map(BTreeMap<String, TemplateNode>),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum TextPart {
    /// As written, `$${` already turned into `${`.
    Literal(String),
    /// `${…}`.
    Expr {
        /// What stands between the braces.
        expr: Expr,
        /// Where the expression's text stands in the source, in bytes, without `${` and `}`.
        place: Range<usize>,
    },
}

/// What stands in the place of a secret wherever it is recorded or shown.
pub const MASK: &str = "***";

/// A text that holds secrets, in a value in which they are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// Where it stands: a JSON pointer into the value.
    pub at: String,
    /// What it is made of, in order.
    pub of: Vec<Piece>,
}

/// A piece of a text that holds secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The value of a secret.
    Secret {
        /// Its name.
        secret: String,
    },
}

impl Template {
    /// Compiles a value.
    ///
    /// # Errors
    /// The first [`ExprError`]; its offset counts from the start of the text that holds it.
    pub fn parse(source: &Value) -> Result<Self, ExprError> {
        let node = compile(source, 0)?;
        let mut references = Vec::new();
        node.references(&mut references);
        references.sort();
        references.dedup();
        Ok(Self(Arc::new(CompiledTemplate { source: source.clone(), node, references })))
    }

    /// Compiles a text.
    ///
    /// # Errors
    /// [`ExprError`], with the offset in the text.
    pub fn text(source: &str) -> Result<Self, ExprError> {
        Self::parse(&Value::String(source.to_owned()))
    }

    /// A value in which nothing is replaced, whatever its texts hold.
    ///
    /// Its source has `$${` for each `${`.
    #[must_use]
    pub fn constant(value: &Value) -> Self {
        Self::parse(&escape(value)).expect("an escaped value holds no expression")
    }

    /// The value as written.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.0.source
    }

    /// Everything that rendering may ask the scope for, sorted.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// Whether there is no expression in it.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.0.node.is_constant()
    }

    /// Every expression in it, in the order of the source.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expr> {
        let mut expressions = Vec::new();
        self.0.node.expressions(&mut expressions);
        expressions
    }

    /// The value with every expression replaced.
    ///
    /// # Errors
    /// - [`EvalError::Needs`]: all values that must be loaded first, over all expressions.
    /// - [`EvalError::Failed`]: the first expression that gives no value.
    pub fn render(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        let values = ReferenceValues::gather(self.references(), &self.headline(), scope)?;
        self.bounded(self.0.node.render(&values, &mut Room(ALL_BYTES_MAX))?)
    }

    /// The rendered value as text: a text as it is, null as nothing, others as canonical JSON.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_text(&self, scope: &dyn Scope) -> Result<String, EvalError> {
        self.render(scope).map(|value| to_text(&value))
    }

    /// The value with every expression replaced, but for secrets: each stands there as `***`, and the
    /// [`Hidden`] entry beside the value says what it is made of. No secret's value has to be known for that.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_hiding(&self, scope: &dyn Scope) -> Result<(Value, Vec<Hidden>), EvalError> {
        let values = ReferenceValues::gather(self.references(), &self.headline(), scope)?;
        let (mut hidden, mut at) = (Vec::new(), String::new());
        let value = self.0.node.render_hiding(&values, &mut Room(ALL_BYTES_MAX), &mut at, &mut hidden)?;
        Ok((self.bounded(value)?, hidden))
    }

    /// What an expression gives may lie deep in the template: both together are bounded as a value is.
    fn bounded(&self, value: Value) -> Result<Value, EvalError> {
        let nests = matches!(self.0.node, TemplateNode::List(_) | TemplateNode::Map(_));
        if nests && depth(&value) > everfold_base::json::DEPTH_MAX {
            let message = super::json_value::too_deep(everfold_base::json::DEPTH_MAX);
            return Err(EvalError::Failed { expression: self.headline(), message, code: None });
        }
        Ok(value)
    }

    fn headline(&self) -> String {
        self.expressions().first().map_or_else(String::new, |expr| expr.source().to_owned())
    }
}

fn escape(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${", "$${")),
        Value::Array(items) => Value::Array(items.iter().map(escape).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), escape(value))).collect())
        }
        leaf => leaf.clone(),
    }
}

fn compile(source: &Value, depth: usize) -> Result<TemplateNode, ExprError> {
    if depth > DEPTH_MAX {
        return Err(ExprError::new(0, format!("values are nested at most {DEPTH_MAX} deep")));
    }
    Ok(match source {
        Value::String(text) if text.contains("${") => {
            let mut parts = parts(text)?;
            match parts.as_slice() {
                [TextPart::Expr { .. }] => match parts.remove(0) {
                    TextPart::Expr { expr, .. } => TemplateNode::Whole(expr),
                    TextPart::Literal(text) => TemplateNode::Constant(Value::String(text)),
                },
                [TextPart::Literal(text)] => TemplateNode::Constant(Value::String(text.clone())),
                _ => TemplateNode::Text(parts),
            }
        }
        Value::Array(items) => {
            let nodes = items.iter().map(|item| compile(item, depth + 1)).collect::<Result<Vec<_>, _>>()?;
            if nodes.iter().all(TemplateNode::is_plain) {
                TemplateNode::Constant(source.clone())
            } else {
                TemplateNode::List(nodes)
            }
        }
        Value::Object(fields) => {
            let nodes = fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), compile(value, depth + 1)?)))
                .collect::<Result<BTreeMap<_, _>, ExprError>>()?;
            if nodes.values().all(TemplateNode::is_plain) {
                TemplateNode::Constant(source.clone())
            } else {
                TemplateNode::Map(nodes)
            }
        }
        leaf => TemplateNode::Constant(leaf.clone()),
    })
}

/// Splits a text into literal pieces and expressions.
///
/// # Errors
/// [`ExprError`], with the offset in the text.
pub fn parts(text: &str) -> Result<Vec<TextPart>, ExprError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        literal.push_str(&text[at..dollar]);
        let rest = &text[dollar..];
        if rest.starts_with("$${") {
            literal.push_str("${");
            at = dollar + 3;
        } else if rest.starts_with("${") {
            let place = expression_place(text, dollar)?;
            let expr = Expr::parse(&text[place.clone()])
                .map_err(|error| ExprError { offset: place.start + error.offset, ..error })?;
            if !literal.is_empty() {
                parts.push(TextPart::Literal(std::mem::take(&mut literal)));
            }
            at = place.end + 1;
            parts.push(TextPart::Expr { expr, place });
        } else {
            literal.push('$');
            at = dollar + 1;
        }
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(TextPart::Literal(literal));
    }
    Ok(parts)
}

/// Where the expression of the `${` at `dollar` stands: up to the brace that closes it.
fn expression_place(text: &str, dollar: usize) -> Result<Range<usize>, ExprError> {
    let start = dollar + 2;
    let rest = &text[start..];
    let mut lexer = Lexer::new(rest);
    let mut depth = 0_usize;
    loop {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokLeftBrace => depth += 1,
            TokenKind::TokRightBrace if depth == 0 => return Ok(start..start + token.start),
            TokenKind::TokRightBrace => depth -= 1,
            TokenKind::TokError if token.end > token.start && token.end < rest.len() => {
                let what = lexer.get_error().map_or_else(String::new, |error| error.message.clone());
                let offset = start + token.start.min(rest.len());
                return Err(ExprError::new(offset, format!("inside `${{`: {what}"))
                    .hint("write $${ for a literal ${"));
            }
            TokenKind::TokEnd | TokenKind::TokError => {
                return Err(
                    ExprError::new(dollar, "`${` is not closed by `}`").hint("write $${ for a literal ${")
                );
            }
            _ => {}
        }
    }
}

impl TemplateNode {
    fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
            || match self {
                Self::List(nodes) => nodes.iter().all(Self::is_constant),
                Self::Map(nodes) => nodes.values().all(Self::is_constant),
                _ => false,
            }
    }

    /// Constant and equal to its source: holds no `$${` either.
    fn is_plain(&self) -> bool {
        match self {
            Self::Constant(Value::String(text)) => !text.contains("${"),
            Self::Constant(_) => true,
            _ => false,
        }
    }

    fn references(&self, found: &mut Vec<Reference>) {
        let mut expressions = Vec::new();
        self.expressions(&mut expressions);
        found.extend(expressions.into_iter().flat_map(Expr::references).cloned());
    }

    fn expressions<'a>(&'a self, found: &mut Vec<&'a Expr>) {
        match self {
            Self::Constant(_) => {}
            Self::Whole(expr) => found.push(expr),
            Self::Text(parts) => found.extend(parts.iter().filter_map(|part| match part {
                TextPart::Expr { expr, .. } => Some(expr),
                TextPart::Literal(_) => None,
            })),
            Self::List(nodes) => nodes.iter().for_each(|node| node.expressions(found)),
            Self::Map(nodes) => nodes.values().for_each(|node| node.expressions(found)),
        }
    }

    fn render(&self, values: &ReferenceValues, room: &mut Room) -> Result<Value, EvalError> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Whole(expr) => {
                let value = expr.eval_with(values)?;
                room.take(bytes_of(&value), || expr.source().to_owned())?;
                Ok(value)
            }
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        TextPart::Literal(literal) => text.push_str(literal),
                        TextPart::Expr { expr, .. } => text.push_str(&to_text(&expr.eval_with(values)?)),
                    }
                    if text.len() > RENDERED_BYTES_MAX {
                        return Err(EvalError::Failed {
                            expression: text.chars().take(40).collect(),
                            message: format!("the text is longer than {RENDERED_BYTES_MAX} bytes"),
                            code: None,
                        });
                    }
                }
                room.take(text.len(), || text.chars().take(40).collect())?;
                Ok(Value::String(text))
            }
            Self::List(nodes) => nodes.iter().map(|node| node.render(values, room)).collect(),
            Self::Map(nodes) => nodes
                .iter()
                .map(|(key, node)| Ok((key.clone(), node.render(values, room)?)))
                .collect::<Result<serde_json::Map<_, _>, _>>()
                .map(Value::Object),
        }
    }
}

impl TemplateNode {
    fn render_hiding(
        &self,
        values: &ReferenceValues,
        room: &mut Room,
        at: &mut String,
        hidden: &mut Vec<Hidden>,
    ) -> Result<Value, EvalError> {
        let length = at.len();
        Ok(match self {
            Self::Whole(expr) if expr.secret().is_some() => {
                let secret = expr.secret().unwrap_or_default();
                hidden.push(Hidden { at: at.clone(), of: vec![Piece::Secret { secret }] });
                Value::String(MASK.to_owned())
            }
            Self::Text(parts) if parts.iter().any(TextPart::is_secret) => {
                let (mut text, mut of) = (String::new(), Vec::new());
                for part in parts {
                    let piece = match part {
                        TextPart::Literal(literal) => Piece::Text(literal.clone()),
                        TextPart::Expr { expr, .. } => match expr.secret() {
                            Some(secret) => Piece::Secret { secret },
                            None => Piece::Text(to_text(&expr.eval_with(values)?)),
                        },
                    };
                    text.push_str(match &piece {
                        Piece::Text(text) => text,
                        Piece::Secret { .. } => MASK,
                    });
                    of.push(piece);
                }
                room.take(text.len(), || text.chars().take(40).collect())?;
                hidden.push(Hidden { at: at.clone(), of });
                Value::String(text)
            }
            Self::List(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for (index, node) in nodes.iter().enumerate() {
                    at.push_str(&format!("/{index}"));
                    items.push(node.render_hiding(values, room, at, hidden)?);
                    at.truncate(length);
                }
                Value::Array(items)
            }
            Self::Map(nodes) => {
                let mut fields = serde_json::Map::new();
                for (key, node) in nodes {
                    at.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
                    fields.insert(key.clone(), node.render_hiding(values, room, at, hidden)?);
                    at.truncate(length);
                }
                Value::Object(fields)
            }
            open => open.render(values, room)?,
        })
    }
}

/// How many bytes the rest of a template may give.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize, expression: impl FnOnce() -> String) -> Result<(), EvalError> {
        let left = self.0.checked_sub(bytes).ok_or_else(|| EvalError::Failed {
            expression: expression(),
            message: format!("the values are longer than {ALL_BYTES_MAX} bytes together"),
            code: None,
        })?;
        self.0 = left;
        Ok(())
    }
}

/// What a value has, roughly: the bytes of its texts and keys, and eight for each value.
fn bytes_of(value: &Value) -> usize {
    8 + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes_of).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + bytes_of(value)).sum(),
    }
}

impl TextPart {
    fn is_secret(&self) -> bool {
        matches!(self, Self::Expr { expr, .. } if expr.secret().is_some())
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({})", self.source())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(deserializer)?;
        Self::parse(&source).map_err(|error| {
            serde::de::Error::custom(format_args!("in {source} at byte {}: {error}", error.offset))
        })
    }
}

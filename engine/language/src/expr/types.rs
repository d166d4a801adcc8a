//! The types of expressions, as far as they are known without values.
//!
//! Law: a problem is reported only where evaluation would certainly fail or compare things that are
//! never equal. What is not known is [`Type::Any`] and never reported.

use cel::common::ast::{CallExpr, Expr as Node, IdedExpr, LiteralValue, operators};

use super::compiled::{Expr, ITEM, chain_of};
use super::names::TYPES;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Not known.
    Any,
    /// Null.
    Null,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number with a fraction.
    Double,
    /// Text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
    /// A moment.
    Time,
    /// A duration.
    Span,
    /// The name of a type.
    Kind,
}

impl Type {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Null => "null",
            Self::Bool => "a bool",
            Self::Int => "a whole number",
            Self::Double => "a number with a fraction",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Time => "a time",
            Self::Span => "a duration",
            Self::Kind => "the name of a type",
        }
    }

    fn is(self, wanted: Self) -> bool {
        self == Self::Any || self == wanted
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double | Self::Any)
    }
}

/// Why an expression can give no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeProblem {
    /// What does not go together.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// The type of the value at a chain of names.
pub type Lookup<'a> = dyn Fn(&[String]) -> Type + 'a;

impl Expr {
    /// The expression's type, given those of the names in it.
    ///
    /// # Errors
    /// [`TypeProblem`] where two parts can never go together.
    pub fn infer(&self, lookup: &Lookup<'_>) -> Result<Type, TypeProblem> {
        Inference { lookup, bound: Vec::new() }.of(&self.0.tree)
    }
}

/// The type of a part of an expression, where it has one; names that loops give may be anything.
pub(super) fn type_of(node: &IdedExpr, bound: &[String], lookup: &Lookup<'_>) -> Type {
    let bound =
        bound.iter().map(|name| BoundName { name: name.clone(), of: Type::Any, list: None }).collect();
    Inference { lookup, bound }.of(node).unwrap_or(Type::Any)
}

struct Inference<'a> {
    lookup: &'a Lookup<'a>,
    bound: Vec<BoundName>,
}

/// A name that a loop gives.
struct BoundName {
    name: String,
    of: Type,
    /// The list that it is an item of.
    list: Option<Vec<String>>,
}

fn problem<T>(message: impl Into<String>, hint: Option<&str>) -> Result<T, TypeProblem> {
    Err(TypeProblem { message: message.into(), hint: hint.map(str::to_owned) })
}

impl Inference<'_> {
    fn of(&mut self, node: &IdedExpr) -> Result<Type, TypeProblem> {
        let bound: Vec<String> = self.bound.iter().map(|bound| bound.name.clone()).collect();
        if let Some(chain) = chain_of(node, &bound) {
            return Ok(match chain {
                chain if chain.tested => Type::Bool,
                chain if chain.guarded_from.is_some() => Type::Any,
                chain => (self.lookup)(&chain.path),
            });
        }
        if let Some(of) = self.field_of_item(node) {
            return Ok(of);
        }
        match &node.expr {
            Node::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::Int(_) => Type::Int,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::Text,
                LiteralValue::Bytes(_) | LiteralValue::UInt(_) => Type::Any,
            }),
            Node::Ident(name) => {
                let found = self.bound.iter().rev().find(|bound| bound.name == *name);
                Ok(match found {
                    Some(bound) => bound.of,
                    None if TYPES.contains(&name.as_str()) => Type::Kind,
                    None => Type::Any,
                })
            }
            Node::List(list) => {
                for element in &list.elements {
                    self.of(element)?;
                }
                Ok(Type::List)
            }
            Node::Map(_) => Ok(Type::Map),
            Node::Select(select) => {
                let operand = self.of(&select.operand)?;
                if matches!(operand, Type::Any | Type::Map | Type::Null) {
                    return Ok(if select.test { Type::Bool } else { Type::Any });
                }
                problem(format!("{} has no field “{}”", operand.words(), select.field), None)
            }
            Node::Comprehension(comprehension) => {
                let range = self.of(&comprehension.iter_range)?;
                let start = self.of(&comprehension.accu_init)?;
                let item = self.item(&comprehension.iter_range, range, &comprehension.iter_var);
                let depth = self.bound.len();
                let name = comprehension.accu_var.clone();
                self.bound.push(BoundName { name, of: start, list: None });
                self.bound.push(item);
                self.of(&comprehension.loop_step)?;
                let result = self.of(&comprehension.result)?;
                self.bound.truncate(depth);
                Ok(result)
            }
            Node::Call(call) => self.call(call),
            Node::Struct(_) | Node::Unspecified => Ok(Type::Any),
        }
    }

    /// The name that a loop gives to each item of what it goes over.
    fn item(&self, range: &IdedExpr, of: Type, name: &str) -> BoundName {
        let item = |of, list| BoundName { name: name.to_owned(), of, list };
        let range = match &range.expr {
            Node::Call(call) if call.func_name == super::bounds::RANGE => call.args.first(),
            _bare => Some(range),
        };
        match (of, range.and_then(|range| self.path(range))) {
            // The names in a map that is no literal are texts.
            (Type::Map, Some(_)) => item(Type::Text, None),
            (Type::List, Some(list)) => {
                let path: Vec<String> = list.iter().cloned().chain([ITEM.to_owned()]).collect();
                item((self.lookup)(&path), Some(list))
            }
            _unknown => item(Type::Any, None),
        }
    }

    /// The path of a field, also of an item's; `None`: it is something else, or may not be there.
    fn path(&self, node: &IdedExpr) -> Option<Vec<String>> {
        let mut chain = chain_of(node, &[]).filter(|chain| !chain.tested && chain.guarded_from.is_none())?;
        match self.bound.iter().rev().find(|bound| bound.name == chain.path[0]) {
            None => Some(chain.path),
            Some(bound) => {
                let list = bound.list.as_ref()?;
                Some(list.iter().cloned().chain([ITEM.to_owned()]).chain(chain.path.drain(1..)).collect())
            }
        }
    }

    /// The type of a field of an item, where it is known what list that is of.
    fn field_of_item(&self, node: &IdedExpr) -> Option<Type> {
        let chain = chain_of(node, &[]).filter(|chain| chain.path.len() > 1)?;
        self.bound.iter().rev().find(|bound| bound.name == chain.path[0])?.list.as_ref()?;
        Some(match self.path(node) {
            Some(path) => (self.lookup)(&path),
            None if chain.tested => Type::Bool,
            None => Type::Any,
        })
    }

    fn call(&mut self, call: &CallExpr) -> Result<Type, TypeProblem> {
        let arguments = call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .map(|argument| self.of(argument))
            .collect::<Result<Vec<_>, _>>()?;
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                if !condition.is(Type::Bool) {
                    return problem(
                        format!("`?:` asks for true or false, this is {}", condition.words()),
                        None,
                    );
                }
                Ok(if yes == no { *yes } else { Type::Any })
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, arguments) => {
                let sign = match call.func_name.as_str() {
                    operators::LOGICAL_AND => "&&",
                    operators::LOGICAL_OR => "||",
                    _ => "!",
                };
                match arguments.iter().find(|argument| !argument.is(Type::Bool)) {
                    Some(other) => {
                        problem(format!("`{sign}` goes with true and false, this is {}", other.words()), None)
                    }
                    None => Ok(Type::Bool),
                }
            }
            (operators::ADD, [left, right]) => sum(*left, *right),
            (operators::SUBSTRACT, [left, right]) => difference(*left, *right),
            (operators::MULTIPLY, [left, right]) => arithmetic("*", *left, *right),
            (operators::DIVIDE, [left, right]) => arithmetic("/", *left, *right),
            (operators::MODULO, [left, right]) => arithmetic("%", *left, *right),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [left, right],
            ) => {
                let fine = left.is(*right) || *right == Type::Any || (left.is_number() && right.is_number());
                let orderable =
                    |kind: &Type| !matches!(kind, Type::List | Type::Map | Type::Null | Type::Kind);
                if fine && orderable(left) && orderable(right) {
                    return Ok(Type::Bool);
                }
                problem(
                    format!("{} and {} have no order", left.words(), right.words()),
                    conversion(*left, *right),
                )
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                let null = *left == Type::Null || *right == Type::Null;
                let fine = left.is(*right) || *right == Type::Any || (left.is_number() && right.is_number());
                if fine || null {
                    return Ok(Type::Bool);
                }
                problem(
                    format!("{} and {} are never equal", left.words(), right.words()),
                    conversion(*left, *right),
                )
            }
            (operators::IN, [_, container]) => match container {
                Type::Any | Type::List | Type::Map => Ok(Type::Bool),
                other => problem(
                    format!("`in` looks into a list or a map, this is {}", other.words()),
                    (*other == Type::Text).then_some("write text.contains(part)"),
                ),
            },
            (operators::INDEX, [container, _]) => match container {
                Type::Any | Type::List | Type::Map | Type::Null => Ok(Type::Any),
                other => problem(format!("{} has no parts to take with […]", other.words()), None),
            },
            (operators::NEGATE, [number]) => Ok(*number),
            (super::bounds::RANGE, [range]) => match range {
                Type::Any | Type::List | Type::Map => Ok(*range),
                other => {
                    problem(format!("a loop goes over a list or a map, this is {}", other.words()), None)
                }
            },
            (name, _) => Ok(result_of(name.trim_start_matches('@'))),
        }
    }
}

fn sum(left: Type, right: Type) -> Result<Type, TypeProblem> {
    match (left, right) {
        // A time plus anything that fits is a time; a duration may be added to either.
        (Type::Any, Type::Span) | (Type::Span, Type::Any) => Ok(Type::Any),
        (Type::Any, known) | (known, Type::Any) => Ok(known),
        (Type::Time, Type::Span) | (Type::Span, Type::Time) => Ok(Type::Time),
        (left, right)
            if left == right
                && matches!(left, Type::Int | Type::Double | Type::Text | Type::List | Type::Span) =>
        {
            Ok(left)
        }
        (left, right) => problem(
            format!("`+` does not go with {} and {}", left.words(), right.words()),
            conversion(left, right),
        ),
    }
}

fn difference(left: Type, right: Type) -> Result<Type, TypeProblem> {
    match (left, right) {
        (Type::Any, Type::Time | Type::Span) | (Type::Time, Type::Any) => Ok(Type::Any),
        (Type::Time, Type::Time) | (Type::Span, Type::Span | Type::Any) => Ok(Type::Span),
        (Type::Time, Type::Span) => Ok(Type::Time),
        (left, right) => arithmetic("-", left, right),
    }
}

fn arithmetic(sign: &str, left: Type, right: Type) -> Result<Type, TypeProblem> {
    match (left, right) {
        (Type::Any, known) | (known, Type::Any) if known.is_number() => Ok(known),
        (Type::Int, Type::Int) => Ok(Type::Int),
        (Type::Double, Type::Double) => Ok(Type::Double),
        (left, right) => problem(
            format!("`{sign}` does not go with {} and {}", left.words(), right.words()),
            conversion(left, right),
        ),
    }
}

fn conversion(left: Type, right: Type) -> Option<&'static str> {
    let has = |wanted| left == wanted || right == wanted;
    if has(Type::Int) && has(Type::Double) {
        Some("write double(n) for the whole number")
    } else if has(Type::Text) && has(Type::Time) {
        Some("write timestamp('2026-11-20T09:00:00Z')")
    } else if (has(Type::Text) || has(Type::Int)) && has(Type::Span) {
        Some("write duration('90m')")
    } else if has(Type::Text) && (has(Type::Int) || has(Type::Double)) {
        Some("write string(n), or int(text)")
    } else {
        None
    }
}

fn result_of(function: &str) -> Type {
    match function {
        "matches" | "contains" | "startsWith" | "endsWith" | "bool" | "hasValue" | "not_strictly_false"
        | "has" => Type::Bool,
        "size" | "int" => Type::Int,
        "double" => Type::Double,
        "trim" | "lowerAscii" | "upperAscii" | "join" | "replace" | "substring" | "slug" | "pad" | "hash"
        | "toJson" | "basename" | "string" | "replaceRegex" | "html" | "stripHtml" | "url" | "tokens"
        | "money" | "span" | "model" => Type::Text,
        "split" | "lines" | "sortBy" => Type::List,
        "timestamp" => Type::Time,
        "duration" => Type::Span,
        _ => Type::Any,
    }
}

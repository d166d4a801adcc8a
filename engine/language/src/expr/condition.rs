//! What an expression says in forms that an index can answer.
//!
//! Law: a [`FieldCondition`] says no more than the expression: a record that it is false of is one that the expression is
//! not true of. What has no such form is [`FieldCondition::Other`], which may be true of any record.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr as Node, LiteralValue, operators};
use cel::parser::Expression as IdedNode;
use serde_json::Value;

use super::allowance::Allowance;
use super::compiled::{Expr, FieldChain};
use super::record::Chains;
use super::types::{Lookup, Type};
use super::values::{EvalError, Scope};

/// A condition on the fields of a record; paths of items of lists have the part `[]`.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldCondition {
    /// Each of them.
    All(Vec<FieldCondition>),
    /// One of them.
    Any(Vec<FieldCondition>),
    /// Not that.
    Not(Box<FieldCondition>),
    /// A field compared with a value.
    Compare {
        /// The field.
        path: Vec<String>,
        /// How.
        how: Comparison,
        /// With what; a time as its text.
        with: Value,
    },
    /// The field is one of these values.
    OneOf {
        /// The field.
        path: Vec<String>,
        /// The values.
        values: Vec<Value>,
    },
    /// A list has the value, or a map the key.
    Holds {
        /// The list or map.
        path: Vec<String>,
        /// The value or key.
        value: Value,
    },
    /// The field is there.
    Has {
        /// The field.
        path: Vec<String>,
    },
    /// True of an item of a list.
    OfItem(Box<FieldCondition>),
    /// Something else.
    Other,
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::Unequal,
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::LessOrEqual,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::GreaterOrEqual,
            _other => return None,
        })
    }

    /// The same with its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Equal | Self::Unequal => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

impl Expr {
    /// What the expression says of a record. `constants` are names that are no fields of it.
    ///
    /// # Errors
    /// A value that a field is compared with, and that no field is part of, cannot be computed.
    pub fn condition(&self, types: &Lookup<'_>, constants: &dyn Scope) -> Result<FieldCondition, EvalError> {
        let allowance = Allowance::of_rows();
        ConditionReader { expr: self, types, constants, allowance, chains: Chains::default() }
            .of(&self.0.tree)
    }
}

struct ConditionReader<'a> {
    expr: &'a Expr,
    types: &'a Lookup<'a>,
    constants: &'a dyn Scope,
    allowance: Allowance,
    /// The loops around a node.
    chains: Chains,
}

impl ConditionReader<'_> {
    fn of(&mut self, node: &IdedNode) -> Result<FieldCondition, EvalError> {
        if let Some(chain) = self.field(node) {
            return Ok(if chain.tested {
                FieldCondition::Has { path: chain.path }
            } else {
                FieldCondition::Other
            });
        }
        match &node.expr {
            Node::Call(call) if call.target.is_none() => self.call(call),
            Node::Comprehension(loops) => self.exists(loops),
            _other => Ok(FieldCondition::Other),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result<FieldCondition, EvalError> {
        let parts =
            |reader: &mut Self| call.args.iter().map(|part| reader.of(part)).collect::<Result<_, _>>();
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, _) => parts(self).map(FieldCondition::All),
            (operators::LOGICAL_OR, _) => parts(self).map(FieldCondition::Any),
            (operators::LOGICAL_NOT, [part]) => Ok(FieldCondition::Not(Box::new(self.of(part)?))),
            (operators::IN, [value, list]) => {
                if let (Some(field), Some(Value::Array(values))) = (self.value(value), self.constant(list)?) {
                    return Ok(FieldCondition::OneOf { path: field.path, values });
                }
                Ok(match (self.constant(value)?, self.value(list)) {
                    (Some(value), Some(field)) => FieldCondition::Holds { path: field.path, value },
                    _unknown => FieldCondition::Other,
                })
            }
            (operator, [left, right]) => {
                let Some(how) = Comparison::of(operator) else { return Ok(FieldCondition::Other) };
                if let (Some(field), Some(with)) = (self.value(left), self.constant(right)?) {
                    return Ok(FieldCondition::Compare { path: field.path, how, with });
                }
                Ok(match (self.value(right), self.constant(left)?) {
                    (Some(field), Some(with)) => {
                        FieldCondition::Compare { path: field.path, how: how.turned(), with }
                    }
                    _unknown => FieldCondition::Other,
                })
            }
            _other => Ok(FieldCondition::Other),
        }
    }

    /// `list.exists(x, …)`
    fn exists(&mut self, loops: &ComprehensionExpr) -> Result<FieldCondition, EvalError> {
        let is_false =
            matches!(&loops.accu_init.expr, Node::Literal(LiteralValue::Boolean(flag)) if !*flag.inner());
        let of_item = match &loops.loop_step.expr {
            Node::Call(call) if is_false && call.func_name == operators::LOGICAL_OR => call.args.last(),
            _other => None,
        };
        let Some(of_item) = of_item else { return Ok(FieldCondition::Other) };
        let depth = self.chains.bound.len();
        self.chains.enter(&loops.iter_range, &loops.accu_var, &loops.iter_var);
        let range = self.chains.bound.last().and_then(|(_, range)| range.as_deref());
        // A map gives its keys, which are values of no field.
        let is_map = range.is_some_and(|range| (self.types)(range) == Type::Map);
        let found = if is_map { Ok(FieldCondition::Other) } else { self.of(of_item) };
        self.chains.bound.truncate(depth);
        found.map(|found| FieldCondition::OfItem(Box::new(found)))
    }

    /// The field that a node is; one that is asked for with `.?` is an optional value.
    fn field(&self, node: &IdedNode) -> Option<FieldChain> {
        let chain = self.chains.path(node).filter(|chain| chain.tested || chain.guarded_from.is_none())?;
        (!self.is_constant(&chain)).then_some(chain)
    }

    /// The field whose value a node is: `has(field)` is none.
    fn value(&self, node: &IdedNode) -> Option<FieldChain> {
        self.field(node).filter(|chain| !chain.tested)
    }

    fn is_constant(&self, chain: &FieldChain) -> bool {
        matches!(self.constants.get(&[&chain.path[0]]), Ok(Some(_)))
    }

    /// The value of a node that no field is part of.
    fn constant(&mut self, node: &IdedNode) -> Result<Option<Value>, EvalError> {
        let mut within = self.chains.inside();
        within.collect(node);
        if within.has_bound || !within.of_fields.iter().all(|chain| self.is_constant(chain)) {
            return Ok(None);
        }
        self.expr.part(node, self.types).eval_within(self.constants, &self.allowance).map(Some)
    }
}

//! A compiled expression: what is evaluated, and what it refers to.
//!
//! Law: names every value that the expression can ever ask for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{Expr as Node, LiteralValue, operators};
use cel::parser::Expression as IdedNode;
use serde::{Serialize, Serializer};

use super::names::{HAS, TYPES};
use super::token::locate;
use super::value_use::ValueUses;

/// The part of a path that stands for the items of a list.
pub const ITEM: &str = "[]";
/// Longest expression in bytes.
pub const SOURCE_BYTES_MAX: usize = 4 * 1024;
pub(super) const NODES_MAX: usize = 2_000;
/// Evaluation recurses; this depth fits a thread's stack of 2 MiB many times over.
pub(super) const DEPTH_MAX: usize = 32;

/// A compiled CEL expression. Cheap to clone; equal when the sources are equal.
#[derive(Clone)]
pub struct Expr(pub(super) Arc<CompiledExpr>);

pub(super) struct CompiledExpr {
    pub(super) source: Arc<str>,
    pub(super) tree: IdedNode,
    /// The tree with the charges of its bounds: what is evaluated.
    pub(super) evaluated: IdedNode,
    pub(super) references: Vec<Reference>,
    pub(super) chains: Vec<FieldChain>,
    pub(super) uses: ValueUses,
    /// Own functions that the expression calls, so that evaluation registers no others.
    pub(super) functions: BTreeSet<&'static str>,
    /// The patterns that stand in it as texts.
    pub(super) patterns: Vec<String>,
    /// The texts of `duration('…')` that end in days and are no duration.
    pub(super) bad_days: Vec<String>,
    /// The names that its loops give to items.
    pub(super) variables: BTreeSet<String>,
}

/// A value that an expression asks its scope for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A root name: `input`, `item`; `run` as a whole.
    Name(String),
    /// A field of the run: `run.FIELD`.
    Run {
        /// Its field: `title`, `usage`.
        field: String,
    },
    /// A field of a step: `steps.ID.FIELD`.
    Step {
        /// The step.
        step: String,
        /// Its field: `output`, `status`.
        field: String,
    },
}

impl Reference {
    /// The path as [`super::Scope::get`] takes it.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::Run { field } => vec!["run", field],
            Self::Step { step, field } => vec!["steps", step, field],
        }
    }
}

/// A chain of fields that an expression follows from a root, as far as it is known statically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChain {
    /// The names from the root on: `["input", "repo"]`.
    pub path: Vec<String>,
    /// The first part of `path` (an index) whose absence is no error: reached by `.?` or tested by `has`.
    pub guarded_from: Option<usize>,
    /// The chain stands in `has(…)` or is the key of an `in`.
    pub tested: bool,
    /// What takes the value at the end of the chain fails on null: `[…]`, a loop, `size`, `in`, arithmetic.
    pub fails_on_null: bool,
}

impl Expr {
    /// The text as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Everything that evaluation may ask the scope for, sorted.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// The name of the secret that the expression is, where it is nothing else.
    #[must_use]
    pub fn secret(&self) -> Option<String> {
        let chain = chain_of(&self.0.tree, &[])?;
        match chain.path.as_slice() {
            [root, name] if root == "secrets" && chain.guarded_from.is_none() => Some(name.clone()),
            _other => None,
        }
    }

    /// The patterns that stand in it as texts, in the order of the calls.
    #[must_use]
    pub(crate) fn patterns(&self) -> &[String] {
        &self.0.patterns
    }

    /// The names that its loops give to items.
    #[must_use]
    pub(crate) fn variables(&self) -> &BTreeSet<String> {
        &self.0.variables
    }

    /// The chains of fields that the expression follows, in the order of the text.
    #[must_use]
    pub fn chains(&self) -> &[FieldChain] {
        &self.0.chains
    }

    /// Where a chain of names stands in the text, in bytes; 0 where it cannot be found.
    #[must_use]
    pub fn locate(&self, path: &[String]) -> usize {
        locate(self.source(), path)
    }
}

pub(super) fn reference(chain: &FieldChain) -> Reference {
    match chain.path.as_slice() {
        [root, step, field, ..] if root == "steps" => {
            Reference::Step { step: step.clone(), field: field.clone() }
        }
        [root, field, ..] if root == "run" => Reference::Run { field: field.clone() },
        path => Reference::Name(path[0].clone()),
    }
}

/// The static chain that ends in this node, if its root is a name of the scope and not bound by a loop.
pub(super) fn chain_of(node: &IdedNode, bound: &[String]) -> Option<FieldChain> {
    match &node.expr {
        Node::Ident(name) => {
            let name = name.trim_start_matches('.');
            let free =
                !bound.iter().any(|bound| bound == name) && !TYPES.contains(&name) && !name.starts_with('@');
            let path = vec![name.to_owned()];
            free.then_some(FieldChain { path, guarded_from: None, tested: false, fails_on_null: false })
        }
        Node::Select(select) => {
            let mut chain = chain_of(&select.operand, bound)?;
            if select.test {
                chain.guarded_from.get_or_insert(chain.path.len());
                chain.tested = true;
            }
            chain.path.push(select.field.clone());
            Some(chain)
        }
        Node::Call(call) if call.target.is_none() && call.args.len() == 2 => {
            let optional = match call.func_name.as_str() {
                operators::INDEX => false,
                operators::OPT_INDEX | operators::OPT_SELECT | HAS => true,
                _ => return None,
            };
            let Node::Literal(LiteralValue::String(key)) = &call.args[1].expr else { return None };
            let mut chain = chain_of(&call.args[0], bound)?;
            chain.tested |= call.func_name == HAS;
            if optional {
                chain.guarded_from.get_or_insert(chain.path.len());
            }
            chain.path.push(key.inner().to_owned());
            Some(chain)
        }
        _ => None,
    }
}

/// How a step is written in an expression: `steps.build`, `steps['fix-ci']`.
#[must_use]
pub fn step_path(step: &str) -> String {
    let plain = step.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { format!("steps.{step}") } else { format!("steps['{step}']") }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Expr {}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({:?})", self.source())
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source())
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.source())
    }
}

//! How a text becomes a compiled expression.
//!
//! Law: a compiled expression is small (bytes, nodes, depth) and calls known functions only.

use cel::parser::PrattParser;
use serde::{Deserialize, Deserializer};

use super::bounds::{BOUNDS, bounded};
use super::compiled::{CompiledExpr, DEPTH_MAX, Expr, NODES_MAX, Reference, SOURCE_BYTES_MAX, reference};
use super::error::ExprError;
use super::interned;
use super::token::{accept_question_dot, syntax_error};
use super::value_use::ValueUses;
use super::walk::ExprWalk;

impl Expr {
    /// Compiles a text.
    ///
    /// # Errors
    /// [`ExprError`] for bad syntax, an unknown function, a step field that is not named statically,
    /// and for an expression over the limits: 4 KiB, 2,000 nodes, 32 levels.
    pub fn parse(source: &str) -> Result<Self, ExprError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(ExprError::new(0, format!("an expression has at most {SOURCE_BYTES_MAX} bytes"))
                .hint("move the computation into the step's command"));
        }
        if source.trim().is_empty() {
            return Err(ExprError::new(0, "the expression is empty"));
        }
        if let Some(same) = interned::find(source) {
            return Ok(same);
        }
        let text = accept_question_dot(source);
        let mut tree = PrattParser::new()
            .max_recursion_depth(DEPTH_MAX as u16)
            .max_expression_node_count(NODES_MAX)
            .error_recovery_limit(1)
            .enable_optional_syntax(true)
            .enable_ident_escape_syntax(true)
            .parse(&text)
            .map_err(|errors| syntax_error(source, &errors))?;
        let ExprWalk { chains, mut functions, patterns, bad_days, variables, .. } =
            ExprWalk::over(source, &mut tree)?;
        let (evaluated, has_charges) = bounded(&tree);
        functions.extend(BOUNDS.into_iter().filter(|_| has_charges));
        let mut references: Vec<Reference> = chains.iter().map(reference).collect();
        references.sort();
        references.dedup();
        Ok(interned::keep(CompiledExpr {
            source: source.into(),
            uses: ValueUses::of(&tree),
            evaluated,
            tree,
            references,
            chains,
            functions,
            patterns,
            bad_days,
            variables,
        }))
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Self::parse(&source).map_err(|error| {
            serde::de::Error::custom(format_args!("`{source}` at byte {}: {error}", error.offset))
        })
    }
}

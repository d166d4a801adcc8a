//! Texts in an expression with which every evaluation fails: patterns that do not compile, durations that are none.
//!
//! Law: reading an expression does not refuse them, because definitions that were stored with them are read for ever;
//! who takes a new expression asks for them.

use super::compiled::Expr;
use super::error::ExprError;
use super::patterns::compile_pattern;

impl Expr {
    /// The first pattern that does not compile, or duration that is none, among the texts that stand in the expression.
    #[must_use]
    pub fn bad_literal(&self) -> Option<ExprError> {
        let place = |text: &str| self.source().find(text).unwrap_or(0);
        let patterns = self.0.patterns.iter().filter_map(|pattern| {
            let error = compile_pattern(pattern).err()?;
            Some(ExprError::new(place(pattern), format!("“{pattern}”: {error}")))
        });
        let days = self.0.bad_days.iter().filter_map(|text| {
            let error = everfold_base::duration::parse(text).err()?;
            Some(ExprError::new(place(text), error.to_string()))
        });
        patterns.chain(days).min_by_key(|error| error.offset)
    }
}

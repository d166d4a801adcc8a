//! Why a text that is given as a policy judges nothing, with its place.

use everfold_language::expr::{Expr, line_and_column};

/// Why a text is no policy that can judge anything, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct PolicyError {
    /// What is wrong.
    pub message: String,
    /// The line of the text, from 1 on.
    pub line: usize,
    /// The column in characters, from 1 on.
    pub column: usize,
    /// What to write instead.
    pub hint: Option<String>,
}

impl PolicyError {
    /// Reads the expression of a policy.
    pub(super) fn parsed(policy: &str) -> Result<Expr, Self> {
        Expr::parse(policy).map_err(|error| {
            let (line, column) = line_and_column(policy, error.offset);
            Self { message: error.message, line, column, hint: error.hint }
        })
    }

    /// Of a name that an expression uses.
    pub(super) fn at(expression: &Expr, path: &[&str], message: String) -> Self {
        // What is wrong is the step behind `steps`, else the first name.
        let names = if path.first() == Some(&"steps") { 2 } else { 1 };
        let names: Vec<String> = path.iter().take(names).map(|name| (*name).to_owned()).collect();
        let (line, column) = line_and_column(expression.source(), expression.locate(&names));
        Self { message, line, column, hint: None }
    }
}

//! The tokens of an expression: where things stand in its text.
//!
//! The parser gives places for syntax errors only; everything else is found among the tokens.

use std::ops::Range;

use cel::parser::pratt_parser::{Lexer, Token, TokenKind};

use super::error::ExprError;

/// `a?.b` is read as CEL's `a.?b`; the text keeps its length, so that places stay right.
pub(super) fn accept_question_dot(source: &str) -> String {
    if !source.contains("?.") {
        return source.to_owned();
    }
    let tokens = tokens(source);
    let mut text = source.as_bytes().to_vec();
    for window in tokens.windows(4) {
        let [before, question, dot, name] = window else { continue };
        let chain = matches!(
            before.kind,
            TokenKind::TokIdent | TokenKind::TokRightBracket | TokenKind::TokRightParen
        );
        let adjacent = before.end == question.start && question.end == dot.start && dot.end == name.start;
        if chain
            && adjacent
            && question.kind == TokenKind::TokQuestion
            && dot.kind == TokenKind::TokDot
            && name.kind == TokenKind::TokIdent
        {
            text[question.start] = b'.';
            text[dot.start] = b'?';
        }
    }
    String::from_utf8(text).unwrap_or_else(|_| source.to_owned())
}

/// The tokens of a text without white space and comments, up to the first one that is none.
fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(source);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokEnd | TokenKind::TokError => return tokens,
            TokenKind::TokWhitespace | TokenKind::TokComment => {}
            _ => tokens.push(token),
        }
        if token.end >= source.len() {
            return tokens;
        }
    }
}

/// Where a chain of names stands, in bytes; 0 where it cannot be found.
pub(super) fn locate(source: &str, path: &[String]) -> usize {
    let tokens = tokens(source);
    let is_name = |token: &Token, name: &str| {
        let text = &source[token.start..token.end];
        text == name || text.trim_matches(['\'', '"', '`']) == name
    };
    'starts: for start in 0..tokens.len() {
        let mut at = start;
        let mut last = start;
        for (index, name) in path.iter().enumerate() {
            if index > 0 {
                while tokens.get(at).is_some_and(|token| {
                    matches!(
                        token.kind,
                        TokenKind::TokDot
                            | TokenKind::TokQuestion
                            | TokenKind::TokLeftBracket
                            | TokenKind::TokRightBracket
                    )
                }) {
                    at += 1;
                }
            }
            match tokens.get(at) {
                Some(token) if is_name(token, name) => last = at,
                _ => continue 'starts,
            }
            at += 1;
        }
        let member = start > 0 && tokens[start - 1].kind == TokenKind::TokDot;
        if !path.is_empty() && !member {
            return tokens[last].start;
        }
    }
    0
}

/// A name in an expression, with the field that is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldUse {
    /// From the name to the field.
    pub(crate) place: Range<usize>,
    /// The field; `None`: the name stands without one.
    pub(crate) field: Option<String>,
}

/// Where a name stands that is no field of another one, in order.
pub(crate) fn field_uses(source: &str, root: &str) -> Vec<FieldUse> {
    let tokens = tokens(source);
    let text = |at: usize| tokens.get(at).map(|token| &source[token.start..token.end]);
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let is_field = |at: usize| {
        at > 0
            && (kind(at - 1) == Some(&TokenKind::TokDot)
                || at > 1
                    && kind(at - 2) == Some(&TokenKind::TokDot)
                    && kind(at - 1) == Some(&TokenKind::TokQuestion))
    };
    let names =
        (0..tokens.len()).filter(|at| kind(*at) == Some(&TokenKind::TokIdent) && text(*at) == Some(root));
    names
        .filter(|at| !is_field(*at))
        .map(|at| {
            let has_field =
                kind(at + 1) == Some(&TokenKind::TokDot) && kind(at + 2) == Some(&TokenKind::TokIdent);
            let last = if has_field { at + 2 } else { at };
            let field = text(last).filter(|_| has_field).map(str::to_owned);
            FieldUse { place: tokens[at].start..tokens[last].end, field }
        })
        .collect()
}

/// The parser's first error, in our words.
pub(super) fn syntax_error(source: &str, errors: &cel::ParseErrors) -> ExprError {
    // An error that only says that the parser gave up does not name the mistake.
    let gave_up = |error: &&cel::ParseError| error.msg.contains("error recovery");
    let specific = errors.errors.iter().find(|error| !gave_up(error));
    let Some(error) = specific.or_else(|| errors.errors.first()) else {
        return ExprError::new(0, "this is no CEL expression");
    };
    let (line, column) = error.pos;
    let offset = source
        .split_inclusive('\n')
        .take(usize::try_from(line - 1).unwrap_or(0))
        .map(str::len)
        .sum::<usize>()
        + usize::try_from(column - 1).unwrap_or(0);
    let offset = (0..=offset.min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
    let found = ExprError::new(offset, in_own_words(error.msg.trim_start_matches("Syntax error: ")));
    let rest = source[offset..].trim_start();
    if rest.starts_with("=") && !rest.starts_with("==") {
        return found.hint("`==` compares");
    }
    if rest.starts_with("and ") || rest.starts_with("or ") || rest.starts_with("not ") {
        return found.hint("CEL writes `&&`, `||` and `!`");
    }
    if rest.starts_with('|') {
        return found.hint("CEL has no filters: call a function, as in `slug(name)` or `name.trim()`");
    }
    found
}

/// What the parser says, in the words of this project.
fn in_own_words(said: &str) -> String {
    if let Some((found, wanted)) =
        said.strip_prefix("mismatched input ").and_then(|rest| rest.split_once(" expecting "))
    {
        let found = found.trim_matches('\'');
        return match (found, wanted.trim_matches('\'')) {
            ("<EOF>", "expression") => "the expression breaks off: a value is missing at its end".to_owned(),
            ("<EOF>", wanted) => format!("the expression breaks off: “{wanted}” is missing"),
            (found, "<EOF>") => {
                format!("“{found}” does not belong here: the expression is complete before it")
            }
            (found, "expression") => format!("a value is wanted here, this is “{found}”"),
            (found, wanted) => format!("“{wanted}” is wanted here, this is “{found}”"),
        };
    }
    if let Some(word) = said.strip_prefix("reserved identifier: ") {
        return format!("“{word}” is a word of CEL, and no name");
    }
    match said {
        "unexpected token" => "this does not belong here",
        "unexpected single '&', expected '&&'" => "one `&` means nothing: `&&` is “and”",
        "unexpected single '|', expected '||'" => "one `|` means nothing: `||` is “or”",
        "expected identifier" | "expected identifier after '.'" | "expected struct field name" => {
            "a name is wanted here"
        }
        "unsupported syntax '.?'" | "unsupported syntax '?'" => "a `?` has no place here",
        "unsupported syntax: '`'" | "unexpected quoted identifier" => {
            "a name in backquotes has no place here"
        }
        "unterminated quoted identifier" => "a name in backquotes is not closed",
        "invalid int literal" | "invalid uint literal" | "invalid double literal" => {
            "this number is too large"
        }
        "floating point literal missing digits after decimal separator" => {
            "a digit is missing after the point"
        }
        "floating point literal missing digits after exponent separator" => {
            "a digit is missing after the `e`"
        }
        "integral literal missing digits after hexadecimal separator" => "a digit is missing after `0x`",
        said if said.starts_with("error recovery") => "this is no CEL expression",
        said if said.starts_with("expression count exceeds") => "the expression has too many parts",
        said if said.to_ascii_lowercase().starts_with("recursion limit") => "the expression is too deep",
        said if said.contains("escape") || said.contains("literal") || said.contains("unicode") => {
            return format!("this text is not written as CEL writes texts: {said}");
        }
        other => return other.to_owned(),
    }
    .to_owned()
}

/// Where a function of that name is called.
pub(super) fn locate_call(source: &str, name: &str) -> usize {
    let tokens = tokens(source);
    tokens
        .windows(2)
        .find(|pair| &source[pair[0].start..pair[0].end] == name && pair[1].kind == TokenKind::TokLeftParen)
        .map_or(0, |pair| pair[0].start)
}

//! Shell strings: each `${…}` becomes a reference to a variable, never code.
//!
//! A small lexer follows the shell's quoting. Outside quotes an expression becomes `"${VAR}"`, inside
//! double quotes and here-documents `${VAR}`; where the shell expands nothing (single quotes, a
//! quoted here-document, after a backslash) or would compute with the text (`$((…))`), it is an error.

use std::collections::BTreeMap;
use std::ops::Range;

use super::codes::Code;
use crate::expr::{TextPart, parts};

/// A shell string as a process runs it.
#[derive(Debug, PartialEq)]
pub(super) struct Script {
    /// The text as the source of a template: references are escaped with `$${`.
    pub(super) text: String,
    /// The expressions by variable, each as one whole `${…}`.
    pub(super) vars: BTreeMap<String, String>,
}

/// What is wrong with a shell string.
#[derive(Debug, PartialEq)]
pub(super) struct ShellError {
    pub(super) code: Code,
    /// The place in the text, in bytes.
    pub(super) place: Range<usize>,
    pub(super) message: String,
    pub(super) hint: String,
}

/// What the shell is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShellContext {
    /// The top level, or `$(…)`: open parentheses and `case` words inside it are counted.
    Code {
        substitution: bool,
        parentheses: usize,
        cases: usize,
    },
    Double,
    Single,
    Backtick,
    /// `${…}` of the shell itself, written `$${…}`.
    Parameter {
        quoted: bool,
    },
    Arithmetic {
        parentheses: usize,
    },
    Comment,
}

struct Heredoc {
    word: String,
    quoted: bool,
    tabs: bool,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: String,
    states: Vec<(ShellContext, usize)>,
    heredocs: Vec<Heredoc>,
    expressions: BTreeMap<usize, (Range<usize>, String)>,
    vars: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
    errors: Vec<ShellError>,
}

/// Compiles a shell string whose expressions are known to compile.
pub(super) fn compile(text: &str) -> Result<Script, Vec<ShellError>> {
    let mut expressions = BTreeMap::new();
    for part in parts(text).unwrap_or_default() {
        if let TextPart::Expr { expr, place } = part {
            let whole = place.start - 2..place.end + 1;
            expressions.insert(whole.start, (whole, expr.source().to_owned()));
        }
    }
    let mut lexer = Lexer {
        text,
        at: 0,
        out: String::with_capacity(text.len() + 64),
        states: vec![(ShellContext::Code { substitution: false, parentheses: 0, cases: 0 }, 0)],
        heredocs: Vec::new(),
        expressions,
        vars: BTreeMap::new(),
        names: BTreeMap::new(),
        errors: Vec::new(),
    };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.finish();
    if lexer.errors.is_empty() { Ok(Script { text: lexer.out, vars: lexer.vars }) } else { Err(lexer.errors) }
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn state(&self) -> ShellContext {
        self.states.last().map_or(ShellContext::Comment, |(state, _)| *state)
    }

    fn copy(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        let end = (end..=self.text.len()).find(|end| self.text.is_char_boundary(*end)).unwrap_or(end);
        self.out.push_str(&self.text[self.at..end]);
        self.at = end;
    }

    fn push(&mut self, state: ShellContext, bytes: usize) {
        self.states.push((state, self.at));
        self.copy(bytes);
    }

    fn pop(&mut self, bytes: usize) {
        if self.states.len() > 1 {
            self.states.pop();
        }
        self.copy(bytes);
    }

    fn error(&mut self, code: Code, place: Range<usize>, message: &str, hint: &str) {
        self.errors.push(ShellError { code, place, message: message.to_owned(), hint: hint.to_owned() });
    }

    fn step(&mut self) {
        if let Some((place, source)) = self.expressions.get(&self.at).cloned() {
            return self.expression(&place, &source);
        }
        let state = self.state();
        let rest = self.rest();
        if rest.starts_with("$${") && state != ShellContext::Single && state != ShellContext::Comment {
            let quoted =
                state == ShellContext::Double || matches!(state, ShellContext::Parameter { quoted: true });
            return self.push(ShellContext::Parameter { quoted }, 3);
        }
        match state {
            ShellContext::Single if rest.starts_with('\'') => self.pop(1),
            ShellContext::Comment if rest.starts_with('\n') => {
                self.states.pop();
            }
            ShellContext::Single | ShellContext::Comment => self.copy(1),
            ShellContext::Double => match rest.as_bytes()[0] {
                b'"' => self.pop(1),
                _ => self.expansion(),
            },
            ShellContext::Backtick => match rest.as_bytes()[0] {
                b'`' => self.pop(1),
                b'\'' => self.push(ShellContext::Single, 1),
                b'"' => self.push(ShellContext::Double, 1),
                _ => self.expansion(),
            },
            ShellContext::Parameter { quoted } => match rest.as_bytes()[0] {
                b'}' => self.pop(1),
                b'\'' if !quoted => self.push(ShellContext::Single, 1),
                b'"' => self.push(ShellContext::Double, 1),
                _ => self.expansion(),
            },
            ShellContext::Arithmetic { parentheses } => self.arithmetic(parentheses),
            ShellContext::Code { substitution, parentheses, cases } => {
                self.code(substitution, parentheses, cases)
            }
        }
    }

    /// What begins inside double quotes, too.
    fn expansion(&mut self) {
        let rest = self.rest();
        if rest.starts_with('\\') {
            self.backslash();
        } else if rest.starts_with("$((") {
            self.push(ShellContext::Arithmetic { parentheses: 0 }, 3);
        } else if rest.starts_with("$(") {
            self.push(ShellContext::Code { substitution: true, parentheses: 0, cases: 0 }, 2);
        } else if rest.starts_with('`') {
            self.push(ShellContext::Backtick, 1);
        } else {
            self.copy(1);
        }
    }

    fn backslash(&mut self) {
        if let Some((place, _)) = self.expressions.get(&(self.at + 1)).cloned() {
            self.error(
                Code::SingleQuotes,
                place.clone(),
                "a backslash stands before this expression",
                "write $${ for a literal ${, or take the backslash away",
            );
            self.at = place.end;
            return;
        }
        let width = self.rest().chars().nth(1).map_or(0, char::len_utf8);
        self.copy(1 + width);
    }

    fn arithmetic(&mut self, parentheses: usize) {
        let rest = self.rest();
        match rest.as_bytes()[0] {
            b')' if parentheses == 0 && rest.starts_with("))") => self.pop(2),
            b')' => {
                self.replace_state(ShellContext::Arithmetic { parentheses: parentheses.saturating_sub(1) });
                self.copy(1);
            }
            b'(' => {
                self.replace_state(ShellContext::Arithmetic { parentheses: parentheses + 1 });
                self.copy(1);
            }
            _ => self.expansion(),
        }
    }

    fn replace_state(&mut self, state: ShellContext) {
        if let Some(last) = self.states.last_mut() {
            last.0 = state;
        }
    }

    fn code(&mut self, substitution: bool, parentheses: usize, cases: usize) {
        let state = |parentheses, cases| ShellContext::Code { substitution, parentheses, cases };
        let rest = self.rest();
        let word_start =
            self.at == 0 || self.text[..self.at].ends_with([' ', '\t', '\n', ';', '|', '&', '(', ')']);
        if word_start {
            let word =
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            let length = word.len();
            match word {
                "case" => {
                    self.replace_state(state(parentheses, cases + 1));
                    return self.copy(length);
                }
                "esac" => {
                    self.replace_state(state(parentheses, cases.saturating_sub(1)));
                    return self.copy(length);
                }
                _ => {}
            }
        }
        match rest.as_bytes()[0] {
            b'\'' => self.push(ShellContext::Single, 1),
            b'"' => self.push(ShellContext::Double, 1),
            b'#' if word_start => self.push(ShellContext::Comment, 1),
            b'(' => {
                self.replace_state(state(parentheses + 1, cases));
                self.copy(1);
            }
            b')' if parentheses > 0 => {
                self.replace_state(state(parentheses - 1, cases));
                self.copy(1);
            }
            b')' if substitution && cases == 0 => self.pop(1),
            b'<' if rest.starts_with("<<<") => self.copy(3),
            b'<' if rest.starts_with("<<") => self.heredoc(),
            b'\n' if !self.heredocs.is_empty() => {
                self.copy(1);
                for heredoc in std::mem::take(&mut self.heredocs) {
                    self.heredoc_body(&heredoc);
                }
            }
            b'$' if rest.starts_with("$'") => self.push(ShellContext::Single, 2),
            _ => self.expansion(),
        }
    }

    /// `<<WORD`: remembers the word; its body begins after the line.
    fn heredoc(&mut self) {
        let start = self.at;
        self.copy(2);
        let tabs = self.rest().starts_with('-');
        if tabs {
            self.copy(1);
        }
        while self.rest().starts_with([' ', '\t']) {
            self.copy(1);
        }
        let mut word = String::new();
        let mut quoted = false;
        let mut quote = None;
        while let Some(c) = self.rest().chars().next() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => {
                    quoted = true;
                    quote = Some(c);
                }
                (None, '\\') => quoted = true,
                (None, c) if c.is_whitespace() || ";|&<>()".contains(c) => break,
                (_, c) => word.push(c),
            }
            self.copy(c.len_utf8());
        }
        if word.is_empty() {
            self.error(Code::Shell, start..self.at, "`<<` without a word", "write cat <<END … END");
            return;
        }
        self.heredocs.push(Heredoc { word, quoted, tabs });
    }

    fn heredoc_body(&mut self, heredoc: &Heredoc) {
        let start = self.at;
        while self.at < self.text.len() {
            let line = self.rest().split('\n').next().unwrap_or_default();
            let bare = if heredoc.tabs { line.trim_start_matches('\t') } else { line };
            let length = line.len();
            if bare == heredoc.word {
                return self.copy(length);
            }
            let end = (self.at + length + 1).min(self.text.len());
            while self.at < end {
                match self.expressions.get(&self.at).cloned() {
                    Some((place, _)) if heredoc.quoted => {
                        self.error(
                            Code::SingleQuotes,
                            place.clone(),
                            "an expression in a quoted here-document, where the shell expands nothing",
                            &format!("write <<{} without quotes, or $${{ for a literal ${{", heredoc.word),
                        );
                        self.at = place.end;
                    }
                    Some((_, source)) => {
                        let name = self.variable(&source);
                        self.reference(&name, false);
                        self.at = self.expressions[&self.at].0.end;
                    }
                    None if self.rest().starts_with('\\') && !heredoc.quoted => self.backslash(),
                    None => self.copy(1),
                }
            }
        }
        let message = format!("the here-document “{}” is not closed", heredoc.word);
        self.error(
            Code::Shell,
            start.saturating_sub(1)..start,
            &message,
            "its word stands alone on the last line",
        );
    }

    fn expression(&mut self, place: &Range<usize>, source: &str) {
        match self.state() {
            ShellContext::Single => self.error(
                Code::SingleQuotes,
                place.clone(),
                "an expression in single quotes, where the shell expands nothing",
                "use double quotes, or write $${ for a literal ${",
            ),
            ShellContext::Arithmetic { .. } => self.error(
                Code::Shell,
                place.clone(),
                "the shell would compute with this value's text",
                "compute in the expression instead, as in ${input.n + 1}",
            ),
            // The rest of a comment is nothing to the shell.
            ShellContext::Comment => self.out.push('_'),
            state => {
                let quote = matches!(
                    state,
                    ShellContext::Code { .. }
                        | ShellContext::Backtick
                        | ShellContext::Parameter { quoted: false }
                );
                let name = self.variable(source);
                self.reference(&name, quote);
            }
        }
        self.at = place.end;
    }

    fn variable(&mut self, source: &str) -> String {
        let next = format!("EVERFOLD_VAR_{}", self.names.len() + 1);
        let name = self.names.entry(source.to_owned()).or_insert(next).clone();
        self.vars.insert(name.clone(), format!("${{{source}}}"));
        name
    }

    fn reference(&mut self, name: &str, quote: bool) {
        let mark = if quote { "\"" } else { "" };
        self.out.push_str(&format!("{mark}$${{{name}}}{mark}"));
    }

    fn finish(&mut self) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            let message = format!("the here-document “{}” has no body", heredoc.word);
            let end = self.text.len();
            self.error(Code::Shell, end..end, &message, "its text begins on the next line");
        }
        let open = self.states.iter().skip(1).find_map(|(state, at)| match state {
            ShellContext::Single => Some((*at, "a single quote")),
            ShellContext::Double => Some((*at, "a double quote")),
            ShellContext::Backtick => Some((*at, "a backtick")),
            ShellContext::Code { .. } => Some((*at, "`$(`")),
            ShellContext::Parameter { .. } => Some((*at, "`$${`")),
            ShellContext::Arithmetic { .. } => Some((*at, "`$((`")),
            ShellContext::Comment => None,
        });
        if let Some((at, what)) = open {
            self.error(
                Code::Shell,
                at..at + 1,
                &format!("{what} is not closed"),
                "the shell would refuse this string",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Result<String, String> {
        match compile(text) {
            Ok(script) => Ok(script.text.replace("$${", "${").replace("EVERFOLD_VAR_", "V")),
            Err(errors) => {
                Err(errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; "))
            }
        }
    }

    #[test]
    fn expressions_become_quoted_references() {
        for (text, expected) in [
            ("./build.sh ${item}", "./build.sh \"${V1}\""),
            ("echo \"a ${item} b\"", "echo \"a ${V1} b\""),
            ("echo ${item}-${input.x} ${item}", "echo \"${V1}\"-\"${V2}\" \"${V1}\""),
            ("x=$(cat ${item})", "x=$(cat \"${V1}\")"),
            ("echo \"$(cat ${item})\"", "echo \"$(cat \"${V1}\")\""),
            (
                "echo \"$(case a in a) echo ${item};; esac) ${item}\"",
                "echo \"$(case a in a) echo \"${V1}\";; esac) ${V1}\"",
            ),
            ("echo `cat ${item}`", "echo `cat \"${V1}\"`"),
            ("cat <<END\nhi ${item} 'x'\nEND\necho ${item}", "cat <<END\nhi ${V1} 'x'\nEND\necho \"${V1}\""),
            ("cat <<-END\n\t${item}\n\tEND\n", "cat <<-END\n\t${V1}\n\tEND\n"),
            ("echo it\\'s ${item}", "echo it\\'s \"${V1}\""),
            ("echo a#b ${item} # it's a comment", "echo a#b \"${V1}\" # it's a comment"),
            (
                "echo $HOME $${HOME:-${item}} \"$${A:-${item}}\"",
                "echo $HOME ${HOME:-\"${V1}\"} \"${A:-${V1}}\"",
            ),
            ("grep x <<< ${item}", "grep x <<< \"${V1}\""),
            ("echo $((1 + 2)) 'a$b'", "echo $((1 + 2)) 'a$b'"),
            ("(cd x && echo ${item})", "(cd x && echo \"${V1}\")"),
            ("echo ${'a b'.replace(\"b\", '}')}", "echo \"${V1}\""),
        ] {
            assert_eq!(shell(text), Ok(expected.to_owned()), "{text}");
        }
        let script = compile("echo ${input.x}").unwrap();
        assert_eq!(script.text, "echo \"$${EVERFOLD_VAR_1}\"");
        assert_eq!(script.vars["EVERFOLD_VAR_1"], "${input.x}");
    }

    #[test]
    fn expressions_where_the_shell_expands_nothing_are_errors() {
        for (text, expected) in [
            ("echo '${item}'", "single quotes"),
            ("echo \"a\" 'b ${item}'", "single quotes"),
            ("cat <<'END'\n${item}\nEND\n", "quoted here-document"),
            ("cat <<\\END\n${item}\nEND\n", "quoted here-document"),
            ("echo \\${item}", "backslash"),
            ("echo $((${item} + 1))", "compute"),
            ("echo 'a", "a single quote is not closed"),
            ("echo \"a", "a double quote is not closed"),
            ("echo $(a", "`$(` is not closed"),
            ("cat <<END\nx\n", "not closed"),
            ("cat <<END", "no body"),
        ] {
            let error = shell(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

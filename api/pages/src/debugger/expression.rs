//! The names that an expression reads, as they stand in its text. Nothing is evaluated here.

/// Words that are no names.
const WORDS: [&str; 4] = ["true", "false", "null", "in"];

/// The names of an expression with the fields below them, each once: `steps['a-b'].output` is `steps`, `a-b`, `output`.
/// Texts, functions and methods are no names; a field whose name is computed ends its path.
pub(super) fn names(expression: &str) -> Vec<Vec<String>> {
    let mut reader = NameReader { characters: expression.chars().collect(), at: 0 };
    let mut found: Vec<Vec<String>> = Vec::new();
    while let Some(character) = reader.now() {
        if matches!(character, '\'' | '"') {
            reader.text();
        } else if character.is_ascii_digit() {
            reader.word_or_number();
        } else if is_begin(character) {
            if let Some(path) = reader.path()
                && !found.contains(&path)
            {
                found.push(path);
            }
        } else {
            reader.at += 1;
            // A field of what is computed is no name.
            if character == '.' && reader.now().is_some_and(is_begin) {
                reader.word_or_number();
            }
        }
    }
    found
}

/// The expressions within `${…}` of a text; `$${` is none.
pub(super) fn inner_expressions(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(begin) = rest.find("${") {
        let is_literal = rest[..begin].ends_with('$');
        rest = &rest[begin + 2..];
        if is_literal {
            continue;
        }
        let end = closing(rest).unwrap_or(rest.len());
        found.push(rest[..end].trim().to_owned());
        rest = &rest[end..];
    }
    found
}

/// Where the brace closes that was open before a text.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            _other => {}
        }
    }
    None
}

fn is_begin(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

/// Reads an expression from its begin to its end.
struct NameReader {
    characters: Vec<char>,
    at: usize,
}

impl NameReader {
    fn now(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn ahead(&self, by: usize) -> Option<char> {
        self.characters.get(self.at + by).copied()
    }

    fn word_or_number(&mut self) -> String {
        let begin = self.at;
        while self.now().is_some_and(|character| character.is_alphanumeric() || character == '_') {
            self.at += 1;
        }
        self.characters[begin..self.at].iter().collect()
    }

    /// What stands within quotes, from the first one on.
    fn text(&mut self) -> String {
        let quote = self.now();
        self.at += 1;
        let mut text = String::new();
        while let Some(character) = self.now() {
            self.at += 1;
            if Some(character) == quote {
                break;
            }
            if character == '\\' {
                text.extend(self.now());
                self.at += 1;
            } else {
                text.push(character);
            }
        }
        text
    }

    /// A name and the fields behind it; none: a function or a word of the language.
    fn path(&mut self) -> Option<Vec<String>> {
        let first = self.word_or_number();
        if self.now() == Some('(') || WORDS.contains(&first.as_str()) {
            return None;
        }
        let mut path = vec![first];
        while let Some(field) = self.field() {
            path.push(field);
        }
        Some(path)
    }

    /// A field behind a name: `.a`, `.?a`, `?.a`, `['a']`, `[0]`; none: the path ends here.
    fn field(&mut self) -> Option<String> {
        match (self.now()?, self.ahead(1)) {
            ('.', Some('?')) | ('?', Some('.')) => {
                self.at += 2;
                self.dotted()
            }
            ('.', Some(_)) => {
                self.at += 1;
                self.dotted()
            }
            ('[', Some(_)) => self.bracketed(),
            _other => None,
        }
    }

    /// The text or the number within brackets; none: the name of the field is computed, and read for itself.
    fn bracketed(&mut self) -> Option<String> {
        let begin = self.at;
        self.at += if self.ahead(1) == Some('?') { 2 } else { 1 };
        let field = match self.now() {
            Some('\'' | '"') => Some(self.text()),
            Some(digit) if digit.is_ascii_digit() => Some(self.word_or_number()),
            _computed => None,
        };
        let is_closed = self.now() == Some(']');
        self.at = if field.is_some() && is_closed { self.at + 1 } else { begin };
        field.filter(|_| is_closed)
    }

    /// The name behind a dot; none: a method, which is read over.
    fn dotted(&mut self) -> Option<String> {
        if !self.now().is_some_and(is_begin) {
            return None;
        }
        let name = self.word_or_number();
        (self.now() != Some('(')).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(expression: &str) -> Vec<String> {
        names(expression).into_iter().map(|path| path.join("/")).collect()
    }

    #[test]
    fn names_are_read_with_their_fields() {
        assert_eq!(read("input.version != '0.0.1'"), ["input/version"]);
        assert_eq!(
            read("steps['a-b'].output.n > 2 && has(input.?x) || input?.y.orValue(false)"),
            ["steps/a-b/output/n", "input/x", "input/y"]
        );
        assert_eq!(read("'input.a' == \"it's input.b\" && 1.5 < input.c"), ["input/c"]);
    }

    #[test]
    fn a_method_ends_a_path_and_what_it_is_given_is_read() {
        assert_eq!(
            read("input.list.filter(x, x.n == input.max).size() > 0"),
            ["input/list", "x", "x/n", "input/max"]
        );
        assert_eq!(
            read("input.list[input.at].name in [steps.a.status, 'b']"),
            ["input/list", "input/at", "steps/a/status"]
        );
    }

    #[test]
    fn a_text_has_expressions_within_it() {
        assert_eq!(inner_expressions("${steps.list.output}"), ["steps.list.output"]);
        assert_eq!(inner_expressions("a ${input.a} $${no} ${ {'x': '}'}.x }"), ["input.a", "{'x': '}'}.x"]);
        assert!(inner_expressions("plain").is_empty());
    }

    #[test]
    fn an_expression_that_breaks_off_is_read_to_its_end() {
        for text in ["input.", "input[", "input['a", "a.?", "steps[input", "'", "${", "x\\", "'\\"] {
            names(text);
            inner_expressions(text);
        }
    }
}

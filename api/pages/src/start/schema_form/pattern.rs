//! Patterns of JSON Schema as the attribute `pattern` of HTML.

/// The pattern for a whole text, as a browser reads it with the flag `v`; none: a browser might refuse it, and only the
/// server checks.
pub(super) fn html(pattern: &str) -> Option<String> {
    let known_to_one_only = ["(?", "\\z", "\\A", "\\Z", "\\p", "\\P", "\\x{", "&&", "--", "~~", "[["];
    if known_to_one_only.iter().any(|part| pattern.replace("(?:", "").contains(part)) {
        return None;
    }
    let mut written = String::new();
    let mut signs = pattern.chars().peekable();
    let mut is_in_class = false;
    let mut is_first = false;
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => {
                written.push(sign);
                written.push(signs.next()?);
            }
            '[' if !is_in_class => {
                is_in_class = true;
                written.push(sign);
                if signs.peek() == Some(&'^') {
                    written.extend(signs.next());
                }
                is_first = true;
                continue;
            }
            ']' if is_in_class && !is_first => {
                is_in_class = false;
                written.push(sign);
            }
            // A dash at an end of a class means itself; a browser wants it escaped, like other signs there.
            '-' if is_in_class && (is_first || signs.peek() == Some(&']')) => written.push_str("\\-"),
            '(' | ')' | '[' | ']' | '{' | '}' | '/' | '|' if is_in_class => written.extend(['\\', sign]),
            _plain => written.push(sign),
        }
        is_first = false;
    }
    // HTML wants the whole text to fit, JSON Schema a part of it.
    (!is_in_class).then(|| format!("[\\s\\S]*(?:{written})[\\s\\S]*"))
}

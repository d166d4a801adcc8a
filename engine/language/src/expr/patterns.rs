//! Patterns: regular expressions that run in linear time and stay small.

use serde_json::{Value, json};

use super::arguments::{TEXT_BYTES_MAX, bounded, text};

const PATTERN_BYTES_MAX: usize = 1024;
const PATTERN_PROGRAM_BYTES_MAX: usize = 256 * 1024;

/// Whether a pattern is found in a text.
pub(super) fn matches(arguments: &[Value]) -> Result<Value, String> {
    let (whole, pattern) = (text(arguments, 0)?, text(arguments, 1)?);
    Ok(json!(compile_pattern(pattern)?.is_match(whole)))
}

/// Compiles a pattern that runs in linear time and stays small.
pub(crate) fn compile_pattern(pattern: &str) -> Result<regex::Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("a pattern has at most {PATTERN_BYTES_MAX} bytes"));
    }
    regex::RegexBuilder::new(pattern)
        .size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .nest_limit(64)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let line = text.lines().last().unwrap_or("it does not compile").trim();
            format!("pattern: {}", line.trim_start_matches("error: "))
        })
}

/// The text with each match of a pattern replaced; `$1` and `${name}` in the replacement are its groups, `$$` is `$`.
pub(super) fn replace_regex(arguments: &[Value]) -> Result<Value, String> {
    let (whole, pattern, with) = (text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?);
    let (pattern, groups) = (compile_pattern(pattern)?, with.matches('$').count());
    let (mut replaced, mut end) = (String::new(), 0);
    for found in pattern.captures_iter(whole) {
        let Some(at) = found.get(0) else { continue };
        if with.len().saturating_add(groups.saturating_mul(at.len())) > TEXT_BYTES_MAX {
            return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
        }
        replaced.push_str(&whole[end..at.start()]);
        found.expand(with, &mut replaced);
        end = at.end();
        if replaced.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    replaced.push_str(&whole[end..]);
    bounded(replaced)
}

//! CompiledPatterns: regular expressions that run in linear time and stay small.

use std::collections::VecDeque;
use std::sync::Arc;

use regex::Regex;
use serde_json::{Value, json};

use super::arguments::{TEXT_BYTES_MAX, bounded, text};

const PATTERN_BYTES_MAX: usize = 1024;
const PATTERN_PROGRAM_BYTES_MAX: usize = 256 * 1024;

/// Compiled patterns that one evaluation keeps.
const KEPT_MAX: usize = 32;

/// The compiled patterns of one evaluation, the newest last: a loop compiles each of them once.
#[derive(Default)]
pub(super) struct CompiledPatterns(VecDeque<(String, Arc<Regex>)>);

impl CompiledPatterns {
    /// The pattern, compiled. `charge` is asked before one is compiled that is not kept.
    ///
    /// # Errors
    /// That of `charge`; the pattern is wrong or too large.
    pub(super) fn compiled<E>(
        &mut self,
        pattern: &str,
        charge: impl FnOnce() -> Result<(), E>,
    ) -> Result<Result<Arc<Regex>, String>, E> {
        if let Some((_, kept)) = self.0.iter().find(|(text, _)| text == pattern) {
            return Ok(Ok(Arc::clone(kept)));
        }
        charge()?;
        let compiled = compile_pattern(pattern).map(Arc::new);
        if let Ok(regex) = &compiled {
            if self.0.len() == KEPT_MAX {
                self.0.pop_front();
            }
            self.0.push_back((pattern.to_owned(), Arc::clone(regex)));
        }
        Ok(compiled)
    }
}

/// The pattern among the arguments of a function that takes one.
pub(super) fn pattern_of(arguments: &[Value]) -> Result<&str, String> {
    text(arguments, 0)?;
    text(arguments, 1)
}

/// Whether a pattern is found in a text.
pub(super) fn matches(arguments: &[Value], pattern: &Regex) -> Result<Value, String> {
    Ok(json!(pattern.is_match(text(arguments, 0)?)))
}

/// Compiles a pattern that runs in linear time and stays small.
pub(crate) fn compile_pattern(pattern: &str) -> Result<Regex, String> {
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
pub(super) fn replace_regex(arguments: &[Value], pattern: &Regex) -> Result<Value, String> {
    let (whole, with) = (text(arguments, 0)?, text(arguments, 2)?);
    let groups = with.matches('$').count();
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

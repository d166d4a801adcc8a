//! `[redact]` of the settings: what is masked by its form.

use std::collections::BTreeMap;

use everfold_language::definition::similar;
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::key_names::words_of;
use super::rules::{BuiltInName, DISCORD, KEYS, NAMED_FIELD, PRIVATE_KEY, RULES};

/// Own patterns, and own names of fields.
const COUNT_MAX: usize = 64;
/// The text of one pattern.
const PATTERN_BYTES_MAX: usize = 1024;
/// What a pattern may become when it is compiled.
const COMPILED_BYTES_MAX: usize = 512 * 1024;
const NAME_BYTES_MAX: usize = 64;

/// What is masked by its form, in all that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactSettings {
    /// Whether the built-in set is searched for.
    pub built_in: bool,
    /// Names of the built-in set that are not searched for.
    pub except: Vec<String>,
    /// Own patterns by name: regular expressions, within one line.
    pub patterns: BTreeMap<String, String>,
    /// Own names of fields, headers and variables whose values are masked.
    pub keys: Vec<String>,
}

impl Default for RedactSettings {
    fn default() -> Self {
        Self { built_in: true, except: Vec::new(), patterns: BTreeMap::new(), keys: Vec::new() }
    }
}

/// A pattern that is searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActivePattern {
    /// As `except` names it.
    pub name: String,
    /// Whether it is of the built-in set.
    pub built_in: bool,
}

impl RedactSettings {
    /// Checks what a file says.
    ///
    /// # Errors
    /// A text that names the entry and says what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let counts = [("patterns", self.patterns.len()), ("keys", self.keys.len())];
        for (what, count) in counts.into_iter().chain([("except", self.except.len())]) {
            if count > COUNT_MAX {
                return Err(format!("{what}: {count} entries; there may be {COUNT_MAX}"));
            }
        }
        for name in &self.except {
            if !built_in_names().contains(&name.as_str()) {
                let near = similar(name, built_in_names().into_iter());
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(format!("except: there is no built-in pattern {name}{hint}"));
            }
        }
        for (name, pattern) in &self.patterns {
            if !is_name(name) || built_in_names().contains(&name.as_str()) {
                return Err(format!(
                    "patterns.{name}: a name has 1 to {NAME_BYTES_MAX} small letters, digits and dashes, and is none of the built-in set"
                ));
            }
            let regex = compiled(pattern).map_err(|problem| format!("patterns.{name}: {problem}"))?;
            if regex.is_match(b"") {
                return Err(format!("patterns.{name}: it matches the empty text; require a character"));
            }
        }
        for key in &self.keys {
            if key.len() > NAME_BYTES_MAX || words_of(key).is_empty() {
                return Err(format!(
                    "keys: “{key}” is no name of a field: write up to {NAME_BYTES_MAX} letters, digits, `-` and `_`"
                ));
            }
        }
        Ok(())
    }

    /// All that is searched for.
    #[must_use]
    pub fn active(&self) -> Vec<ActivePattern> {
        let built_in = built_in_names().into_iter().filter(|name| self.searches(name));
        let built_in = built_in.map(|name| ActivePattern { name: name.to_owned(), built_in: true });
        let own = self.patterns.keys().map(|name| ActivePattern { name: name.clone(), built_in: false });
        built_in.chain(own).collect()
    }

    /// The names of fields whose values are masked.
    #[must_use]
    pub fn active_keys(&self) -> Vec<String> {
        let built_in = KEYS.iter().filter(|_| self.searches(NAMED_FIELD)).map(|key| (*key).to_owned());
        built_in.chain(self.keys.iter().cloned()).collect()
    }

    /// Whether a built-in rule is searched for.
    pub(super) fn searches(&self, name: &str) -> bool {
        self.built_in && !self.except.iter().any(|it| it == name)
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_part)
}

/// The names of the built-in set, each once, in the order of their rules.
fn built_in_names() -> Vec<BuiltInName> {
    let mut names: Vec<BuiltInName> =
        RULES.iter().map(|rule| rule.name).chain([DISCORD, PRIVATE_KEY, NAMED_FIELD]).collect();
    names.dedup();
    names
}

/// An own pattern.
pub(super) fn compiled(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("it has {} bytes; there may be {PATTERN_BYTES_MAX}", pattern.len()));
    }
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| format!("no regular expression that can be searched for: {error}"))
}

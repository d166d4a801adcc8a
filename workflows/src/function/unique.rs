//! `everfold.unique`: a name that no other step has in its scope.
//!
//! Law: the engine gives and records the name; a repeat of the step, also after a crash, gets the same one.

use std::collections::BTreeSet;

use everfold_core::unique_names::{NAME_BYTES_MAX, OTHERS_MAX, USED_MAX, WantedName, WhenTaken};
use everfold_ports::{NameFailure, NameRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::declare::Function;
use super::error::StepError;

/// The scope of names that name none.
const DEFAULT_SCOPE: &str = "default";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
struct WantedParameters {
    /// the name that is wanted
    #[schemars(length(min = 1))]
    name: String,
    /// a name is given once in a scope; default: default
    #[serde(default = "default_scope")]
    #[schemars(length(min = 1))]
    scope: String,
    /// names that are tried next where it is taken
    #[serde(default)]
    or: Vec<String>,
    /// names that are in use elsewhere
    #[serde(default)]
    used: BTreeSet<String>,
    /// what follows where all of them are taken
    #[serde(default)]
    then: Counting,
}

/// How names are counted up.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Counting {
    /// NAME-2, NAME-3
    #[default]
    Suffix,
    /// the number at its end, with its width: ET-006, ET-007
    Next,
}

#[derive(Debug, Serialize, JsonSchema)]
struct GivenName {
    name: String,
    /// It is another one than was wanted.
    changed: bool,
}

fn default_scope() -> String {
    DEFAULT_SCOPE.to_owned()
}

pub(super) fn function() -> Function {
    Function::built_in("everfold.unique", unique)
        .summary("Gives a name that no other step has in its scope, and keeps it for the step.")
        .idempotent()
}

async fn unique(call: Call, with: WantedParameters) -> Result<GivenName, StepError> {
    let WantedParameters { name, scope, or, used, then } = with;
    check(&call, &name, &scope, &or, &used)?;
    let when_taken = match then {
        Counting::Suffix => WhenTaken::Suffix,
        Counting::Next => WhenTaken::Next,
    };
    let wanted = WantedName { name: name.clone(), wish: None, others: or, used, when_taken, is_path: false };
    let given = call.unique_name(NameRequest { scope: scope.clone(), wanted }).await;
    match given {
        Ok(given) => Ok(GivenName { changed: given != name, name: given }),
        Err(error @ NameFailure::Full(_)) => Err(StepError::conflict(format!("{scope}: {error}"))
            .code("SCOPE_FULL")
            .hint("choose another `scope`, such as one for each repository or year")),
        Err(error) => Err(StepError::new(error.to_string())),
    }
}

/// Refuses names that are too long, too many, or hold a secret.
fn check(
    call: &Call,
    name: &str,
    scope: &str,
    or: &[String],
    used: &BTreeSet<String>,
) -> Result<(), StepError> {
    let written = [("name", name), ("scope", scope)].into_iter();
    for (what, text) in written.chain(or.iter().map(|name| ("or", name.as_str()))) {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            let message =
                format!("`with.{what}`: a name has 1 to {NAME_BYTES_MAX} bytes, not {}", text.len());
            return Err(StepError::validation(message));
        }
        if call.holds_secret(text) {
            let message = format!("`with.{what}` holds a secret, and names are recorded");
            return Err(StepError::validation(message).hint("make the name of something that is not secret"));
        }
    }
    for (what, count, max) in [("or", or.len(), OTHERS_MAX), ("used", used.len(), USED_MAX)] {
        if count > max {
            let message = format!("`with.{what}` holds {count} names, and may hold {max}");
            return Err(StepError::validation(message));
        }
    }
    Ok(())
}

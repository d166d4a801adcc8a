//! `KEY=VALUE` arguments.

use crate::fault::{Code, Fault};

/// Splits `KEY=VALUE` texts.
pub(crate) fn pairs(flag: &str, texts: &[String]) -> Result<Vec<(String, String)>, Fault> {
    let split = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Fault::new(Code::Usage, format!("{flag} takes KEY=VALUE, not “{text}”"))),
    };
    texts.iter().map(split).collect()
}

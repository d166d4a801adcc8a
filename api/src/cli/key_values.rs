//! `KEY=VALUE` arguments.

use crate::fault::{Code, Fault};

/// Splits `KEY=VALUE` texts; each key may stand once.
pub(crate) fn pairs(flag: &str, texts: &[String]) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(texts.len());
    for text in texts {
        let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Fault::new(Code::Usage, format!("{flag} takes KEY=VALUE, not “{text}”")));
        };
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(Fault::new(Code::Usage, format!("{flag} is given “{key}” twice"))
                .hint("leave one of the two values out"));
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let given = pairs("-i", &texts(&["a=1", "b=a=1"])).unwrap();
        assert_eq!(given, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "a=1".to_owned())]);
        let refused = pairs("-i", &texts(&["a=1", "b=2", "a=2"])).unwrap_err();
        assert_eq!(refused.to_string(), "-i is given “a” twice");
    }
}

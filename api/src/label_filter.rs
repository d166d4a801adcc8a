//! Labels as a filter names them: `KEY` or `KEY:VALUE`, several with commas between them.
//!
//! Law: whatever a key or value holds can be asked for: `\` before a colon, a comma or a `\` takes the sign as it is.

/// The labels of a filter's text.
pub(crate) fn labels(text: &str) -> Vec<(String, Option<String>)> {
    let (mut labels, mut key, mut value) = (Vec::new(), String::new(), None::<String>);
    let mut chars = text.chars();
    loop {
        let next = chars.next();
        match next {
            None | Some(',') => {
                let label = (std::mem::take(&mut key), value.take());
                // A comma too many names no label.
                if !label.0.is_empty() || label.1.is_some() {
                    labels.push(label);
                }
                if next.is_none() {
                    return labels;
                }
            }
            Some(':') if value.is_none() => value = Some(String::new()),
            Some(sign) => {
                let sign = if sign == '\\' { chars.next().unwrap_or(sign) } else { sign };
                value.as_mut().unwrap_or(&mut key).push(sign);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_the_filter_are_taken_as_they_are_behind_a_backslash() {
        let label = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        for (text, wanted) in [
            ("team", vec![label("team", None)]),
            ("team:blue,repo", vec![label("team", Some("blue")), label("repo", None)]),
            ("url:http://a:1", vec![label("url", Some("http://a:1"))]),
            (r"a\:b:c", vec![label("a:b", Some("c"))]),
            (r"k:x\,y,a\:b", vec![label("k", Some("x,y")), label("a:b", None)]),
            (r"path:C\\x", vec![label("path", Some(r"C\x"))]),
            ("k:", vec![label("k", Some(""))]),
            (":e", vec![label("", Some("e"))]),
            ("", vec![]),
            (",team,", vec![label("team", None)]),
        ] {
            assert_eq!(labels(text), wanted, "{text}");
        }
    }
}

//! What stands in the fields of a start beside the input.

use std::collections::BTreeMap;

use crate::form::Fields;

/// Title, labels and priority as they were typed.
#[derive(Debug, Clone, Default)]
pub(super) struct TypedStart {
    pub(super) title: String,
    /// One `KEY: VALUE` a line.
    pub(super) labels: String,
    pub(super) priority: String,
}

impl TypedStart {
    pub(super) fn sent(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).unwrap_or_default().replace("\r\n", "\n");
        Self { title: text("title"), labels: text("labels"), priority: text("priority").trim().to_owned() }
    }

    /// The labels, or which line is none.
    pub(super) fn label_map(&self) -> Result<BTreeMap<String, String>, String> {
        let lines = self.labels.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| match line.split_once(':') {
                Some((key, value)) if !key.trim().is_empty() => {
                    Ok((key.trim().to_owned(), value.trim().to_owned()))
                }
                _ => Err(format!("labels: “{line}” is no KEY: VALUE")),
            })
            .collect()
    }

    /// The priority, where one is typed.
    pub(super) fn priority_number(&self) -> Result<Option<i32>, String> {
        match self.priority.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| format!("priority: “{text}” is no whole number")),
        }
    }

    /// Whether one of the rarer fields is filled, so that they are to be seen.
    pub(super) fn has_more(&self) -> bool {
        !self.labels.is_empty() || !self.priority.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_one_a_line_and_a_value_may_hold_colons() {
        let typed = TypedStart::sent(&Fields::read(
            b"labels=team%3A+blue%0D%0A%0D%0Aurl%3Ahttp%3A%2F%2Fa&priority=+-3+",
        ));
        let labels = typed.label_map();
        let expected = [("team".to_owned(), "blue".to_owned()), ("url".to_owned(), "http://a".to_owned())];
        assert_eq!(labels, Ok(expected.into()));
        assert_eq!(typed.priority_number(), Ok(Some(-3)));
    }

    #[test]
    fn what_is_no_label_is_named() {
        let typed =
            TypedStart { labels: "blue".to_owned(), priority: "high".to_owned(), ..TypedStart::default() };
        assert_eq!(typed.label_map(), Err("labels: “blue” is no KEY: VALUE".to_owned()));
        assert!(typed.priority_number().is_err());
    }
}

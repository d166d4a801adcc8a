//! What is wrong with the parameters of a function `notify.*` as a pipeline writes them, before anything is sent.
//!
//! Law: only what no value of its expressions could mend: a name that is none, a parameter that must be there, a value of
//! another type. What stands in `${…}` is known when it is called, and checked then. No value is repeated in a message.

use everfold_base::failure::Failure;
use everfold_base::json::Value;

use super::parameters::{invalid, known};

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    Number,
    Flag,
    Texts,
    List,
    /// A map whose values are texts.
    TextMap,
    TextOrNumber,
    TextOrTexts,
    TextOrMap,
    Anything,
}

impl Takes {
    fn words(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Word(words) => words.join(" or "),
            Self::Number => "a whole number".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Texts => "a list of texts".to_owned(),
            Self::List => "a list".to_owned(),
            Self::TextMap => "a map of texts".to_owned(),
            Self::TextOrNumber => "a text or a number".to_owned(),
            Self::TextOrTexts => "a text or a list of texts".to_owned(),
            Self::TextOrMap => "a text or a map".to_owned(),
            Self::Anything => "anything".to_owned(),
        }
    }

    fn fits(self, value: &Value) -> bool {
        if is_computed(value) {
            return true;
        }
        let is_text = |value: &Value| value.is_string() || is_computed(value);
        let is_texts = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(is_text));
        match self {
            Self::Text => value.is_string(),
            Self::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Number => value.as_i64().is_some(),
            Self::Flag => value.is_boolean(),
            Self::Texts => is_texts(value),
            Self::List => value.is_array(),
            Self::TextMap => value.as_object().is_some_and(|fields| fields.values().all(is_text)),
            Self::TextOrNumber => value.is_string() || value.is_number(),
            Self::TextOrTexts => value.is_string() || is_texts(value),
            Self::TextOrMap => value.is_string() || value.is_object(),
            Self::Anything => true,
        }
    }
}

/// A parameter: its name, what it may be, whether it must be there.
type Parameter = (&'static str, Takes, bool);

const LOG: &[Parameter] = &[("text", Takes::Text, false), ("file", Takes::Text, false)];
const COMMAND: &[Parameter] = &[("argv", Takes::Texts, true), ("text", Takes::Text, false)];
const HTTP: &[Parameter] = &[
    ("url", Takes::Text, true),
    ("headers", Takes::TextMap, false),
    ("body", Takes::Anything, false),
    ("sign", Takes::TextOrMap, false),
    ("text", Takes::Text, false),
    ("format", Takes::Word(&["json", "cloudevents"]), false),
];
const SLACK: &[Parameter] =
    &[("url", Takes::Text, true), ("text", Takes::Text, false), ("blocks", Takes::List, false)];
const TELEGRAM: &[Parameter] = &[
    ("token", Takes::Text, true),
    ("chat", Takes::TextOrNumber, true),
    ("text", Takes::Text, false),
    ("silent", Takes::Flag, false),
    ("thread", Takes::Number, false),
    ("api", Takes::Text, false),
];
const EMAIL: &[Parameter] = &[
    ("to", Takes::TextOrTexts, true),
    ("subject", Takes::Text, false),
    ("text", Takes::Text, false),
    ("from", Takes::Text, false),
    ("reply_to", Takes::Text, false),
];

/// The parameters of a function, and whether it takes others, too.
fn parameters(function: &str) -> Option<(&'static [Parameter], bool)> {
    Some(match function {
        "notify.log" => (LOG, true),
        "notify.command" => (COMMAND, true),
        "notify.http" => (HTTP, false),
        "notify.slack" => (SLACK, false),
        "notify.telegram" => (TELEGRAM, false),
        "notify.email" => (EMAIL, false),
        _other => return None,
    })
}

/// What is wrong with the parameters of a call as they are written; of a function that is none of this module's nothing.
#[must_use]
pub fn misfits(function: &str, with: Option<&Value>) -> Vec<Failure> {
    let Some((parameters, is_open)) = parameters(function) else { return Vec::new() };
    let with = with.unwrap_or(&Value::Null);
    if is_computed(with) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let names: Vec<&str> = parameters.iter().map(|(name, ..)| *name).collect();
    if !is_open && let Err(unknown) = known(with, function, &names) {
        found.push(unknown);
    }
    for (name, takes, is_required) in parameters {
        match with.get(name).filter(|value| !value.is_null()) {
            None if *is_required => {
                let message = format!("{function} needs `with.{name}`, {}", takes.words());
                found.push(invalid(message).with_hint(format!("it takes {}", names.join(", "))));
            }
            Some(value) if !takes.fits(value) => {
                found.push(invalid(format!("`with.{name}` of {function} is {}", takes.words())));
            }
            _there_or_left_out => {}
        }
    }
    found
}

/// Whether an expression may give the value any type.
fn is_computed(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.replace("$${", "").contains("${"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::functions::{names, to};
    use super::*;

    fn said(function: &str, with: Value) -> Vec<String> {
        misfits(function, Some(&with)).into_iter().map(|failure| failure.message).collect()
    }

    #[test]
    fn names_types_and_what_is_missing_are_told_before_the_call() {
        assert_eq!(
            said("notify.slack", json!({ "ulr": "https://x", "blocks": "b" })),
            [
                "notify.slack takes no `ulr`; did you mean `url`?",
                "notify.slack needs `with.url`, a text",
                "`with.blocks` of notify.slack is a list",
            ]
        );
        assert_eq!(
            said("notify.http", json!({ "url": 7, "format": "xml", "headers": { "a": 1 } })),
            [
                "`with.url` of notify.http is a text",
                "`with.headers` of notify.http is a map of texts",
                "`with.format` of notify.http is json or cloudevents",
            ]
        );
        assert_eq!(
            said("notify.telegram", json!({ "token": "1:a", "chat": true, "silent": "yes", "thread": 1.5 })),
            [
                "`with.chat` of notify.telegram is a text or a number",
                "`with.silent` of notify.telegram is true or false",
                "`with.thread` of notify.telegram is a whole number",
            ]
        );
        assert_eq!(
            said("notify.email", json!({ "to": ["a@b.c", 5] })),
            ["`with.to` of notify.email is a text or a list of texts"]
        );
        assert_eq!(
            said("notify.command", json!({ "argv": "echo" })),
            ["`with.argv` of notify.command is a list of texts"]
        );
        assert_eq!(misfits("notify.command", None).len(), 1);
    }

    #[test]
    fn what_an_expression_gives_is_known_when_it_is_called() {
        for (function, with) in [
            (
                "notify.telegram",
                json!({ "token": "${secrets.BOT}", "chat": "${config.chat}", "silent": "${true}", "thread": "${1}" }),
            ),
            (
                "notify.http",
                json!({ "url": "https://${config.host}/x", "headers": "${config.headers}", "body": [1], "sign": { "env": "S" } }),
            ),
            ("notify.command", json!({ "argv": ["echo", "${run.id}"], "anything": 1 })),
            ("notify.email", json!("${config.mail}")),
            ("notify.log", json!({ "colour": "red" })),
            ("notify.log", Value::Null),
            ("shop.order", json!({ "ulr": 1 })),
        ] {
            assert_eq!(said(function, with.clone()), [] as [&str; 0], "{function} {with}");
        }
        // What is escaped is a text.
        assert_eq!(said("notify.slack", json!({ "url": "x", "blocks": "$${x}" })).len(), 1);
    }

    #[test]
    fn every_function_of_the_module_has_its_parameters() {
        for name in names() {
            let (parameters, _) = parameters(name).unwrap();
            let to = to(name).unwrap();
            assert!(parameters.iter().any(|(parameter, ..)| *parameter == to), "{name}");
        }
    }
}

//! Subscriptions to events of all runs: `[[subscriptions]]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use everfold_engine::definition::{SecretSource, WILDCARD, similar};
use everfold_engine::driver::NoticeSubscription;
use everfold_engine::event::RunEvent;
use everfold_engine::expr::{Expr, Reference, Template};
use everfold_engine::json::Value;
use everfold_workflows::secret::SettingsSecret;
use serde::Deserialize;
use serde_json::json;

/// Each is a task of its own.
const SUBSCRIPTIONS_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 64;
/// What expressions may name.
const NAMES: [&str; 3] = ["event", "actor", "run"];

/// One subscription to events of all runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionSettings {
    /// Its name.
    pub name: String,
    /// Types of events, or `*`.
    pub events: TextList,
    /// Pipelines, by name; one that ends in `*` stands for all that begin so.
    #[serde(default)]
    pub pipeline: TextList,
    /// Labels that the run has.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// CEL over `event`, `actor` and `run`.
    #[serde(default)]
    pub when: Option<String>,
    /// The function that tells.
    pub function: String,
    /// Where to: an address, a chat, a list of receivers, a program.
    #[serde(default)]
    pub to: Option<Value>,
    /// The function's other parameters.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
}

/// One text, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TextList {
    /// None.
    #[default]
    #[serde(skip)]
    None,
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl TextList {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(one) => vec![one.clone()],
            Self::More(all) => all.clone(),
        }
    }
}

impl SubscriptionSettings {
    /// The names of the secrets that it is given.
    fn secrets(&self) -> Result<Vec<String>, String> {
        let with = self.with().map_err(|error| format!("with: {error}"))?;
        let (mut secrets, mut others) = (Vec::new(), with.references().to_vec());
        if let Some(when) = self.when()? {
            others.extend(when.references().iter().cloned());
        }
        for expr in with.expressions() {
            secrets.extend(expr.secret());
        }
        for reference in others {
            match reference {
                Reference::Run { .. } => {}
                Reference::Name(name) if NAMES.contains(&name.as_str()) => {}
                Reference::Name(name) if name == "secrets" => {}
                other => {
                    let name = other.path().join(".");
                    return Err(format!(
                        "there is no `{name}` here: expressions see event, actor, run; parameters secrets too"
                    ));
                }
            }
        }
        Ok(secrets)
    }

    fn when(&self) -> Result<Option<Expr>, String> {
        self.when.as_deref().map(Expr::parse).transpose().map_err(|error| format!("when: {error}"))
    }

    /// All parameters of the function.
    fn with(&self) -> Result<Template, String> {
        let mut with = json!(self.with);
        if let Some(to) = &self.to {
            let key = everfold_workflows::notify::to(&self.function).unwrap_or("to");
            with[key] = to.clone();
        }
        Template::parse(&with).map_err(|error| error.to_string())
    }

    fn check(&self, secrets: &BTreeMap<String, SettingsSecret>) -> Result<(), String> {
        let is_name_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_name_char) {
            return Err("the name has lower-case letters, digits, - and _, at most 64".to_owned());
        }
        let events = self.events.all();
        if events.is_empty() {
            return Err("events: name at least one type, or \"*\"".to_owned());
        }
        for event in &events {
            if event.starts_with("Notice") {
                return Err(format!("events: no notice tells of notices: {event}"));
            }
            let known =
                || RunEvent::KINDS.iter().map(|(_, name)| *name).filter(|name| !name.starts_with("Notice"));
            if event != WILDCARD && !known().any(|name| name == event) {
                let near = similar(event, known()).map(|near| format!("; did you mean {near}?"));
                return Err(format!("events: there is no event {event}{}", near.unwrap_or_default()));
            }
        }
        if self.function.starts_with("notify.") && everfold_workflows::notify::to(&self.function).is_none() {
            let near = similar(&self.function, everfold_workflows::notify::names());
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(format!("there is no function {}{near}", self.function));
        }
        for secret in self.secrets()? {
            if !secrets.contains_key(&secret) {
                let near = similar(&secret, secrets.keys().map(String::as_str));
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(format!("[secrets] has no {secret}{near}"));
            }
        }
        Ok(())
    }
}

/// Whether all can be used.
pub(super) fn check(
    subscriptions: &[SubscriptionSettings],
    secrets: &BTreeMap<String, SettingsSecret>,
) -> Result<(), String> {
    if subscriptions.len() > SUBSCRIPTIONS_MAX {
        return Err(format!("subscriptions: there are at most {SUBSCRIPTIONS_MAX}"));
    }
    for (at, subscription) in subscriptions.iter().enumerate() {
        let name = &subscription.name;
        subscription.check(secrets).map_err(|message| format!("subscriptions, {name}: {message}"))?;
        if subscriptions[..at].iter().any(|other| other.name == *name) {
            return Err(format!("subscriptions, {name}: there are two of this name"));
        }
    }
    Ok(())
}

/// What the engine is given of them.
pub(super) fn of(
    subscriptions: &[SubscriptionSettings],
    secrets: &BTreeMap<String, SettingsSecret>,
    folder: &Path,
) -> Vec<NoticeSubscription> {
    let sources: BTreeMap<String, SecretSource> =
        secrets.iter().map(|(name, source)| (name.clone(), source.0.clone())).collect();
    let sources = Arc::new(sources);
    let each = subscriptions.iter().filter_map(|settings| {
        Some(NoticeSubscription {
            name: settings.name.clone(),
            events: settings.events.all(),
            pipelines: settings.pipeline.all(),
            labels: settings.labels.clone(),
            // Settings that were read have been checked.
            when: settings.when().ok()?,
            function: settings.function.clone(),
            with: settings.with().ok()?,
            secrets: Arc::clone(&sources),
            folder: folder.to_owned(),
        })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::super::file::Settings;
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        let head = "[secrets]\nSLACK = { env = \"SLACK_URL\" }\n[[subscriptions]]\n";
        Settings::parse(&format!("{head}{text}"), Path::new("/data/everfold.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn l32_to_is_what_the_function_calls_it_and_secrets_stay_masked() {
        let text = "name = \"ops\"\nevents = \"RunFailed\"\nfunction = \"notify.slack\"\n\
                    pipeline = \"deploy*\"\nto = \"${secrets.SLACK}\"\nwith = { text = \"${run.title}\" }";
        let subscriptions = parse(text).unwrap().subscriptions(Path::new("/data"));
        let ops = &subscriptions[0];
        assert_eq!(ops.with.source(), &json!({"url": "${secrets.SLACK}", "text": "${run.title}"}));
        assert_eq!(
            (ops.events.as_slice(), ops.pipelines.as_slice()),
            (&["RunFailed".into()][..], &["deploy*".into()][..])
        );
        assert_eq!(ops.secrets["SLACK"], SecretSource::Env("SLACK_URL".into()));
    }

    #[test]
    fn l32_what_a_subscription_cannot_say_is_refused_with_what_was_meant() {
        let good = "name = \"ops\"\nevents = \"RunFailed\"\nfunction = \"notify.log\"\n";
        parse(good).unwrap();
        for (text, part) in [
            (
                good.replace("RunFailed", "RunFialed"),
                "subscriptions, ops: events: there is no event RunFialed; did you mean RunFailed?",
            ),
            (good.replace("RunFailed", "NoticeSent"), "no notice tells of notices"),
            (good.replace("notify.log", "notify.slak"), "did you mean notify.slack?"),
            (good.replace("ops", "Ops!"), "lower-case letters"),
            (format!("{good}to = \"${{secrets.SLAK}}\""), "[secrets] has no SLAK; did you mean SLACK?"),
            (format!("{good}to = \"${{steps.build.output}}\""), "there is no `steps"),
            (format!("{good}when = \"run.title ==\""), "when: "),
            (format!("{good}[[subscriptions]]\n{good}"), "two of this name"),
            (format!("{good}evnts = \"x\""), "did you mean `events`?"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let written = Settings::parse("[secrets]\nA = \"sesame\"", Path::new("x")).unwrap_err().to_string();
        assert!(written.contains("never written") && !written.lines().last().unwrap().contains("sesame"));
    }
}

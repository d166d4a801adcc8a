//! Where the engine's own secrets come from: `[secrets]`, and passwords beside them.
//!
//! Law: a value is never written into the settings, and a message about one never repeats what stands there.

use std::path::Path;

use everfold_language::definition::SecretSource;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};

/// Where a secret comes from: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["PROGRAM", …] }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsSecret(pub SecretSource);

impl SettingsSecret {
    /// A relative file lies in the folder of the settings.
    pub fn settle(&mut self, folder: &Path) {
        if let SecretSource::File(file) = &mut self.0 {
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
    }

    /// The variable that it is read from.
    #[must_use]
    pub fn variable(&self) -> Option<&String> {
        match &self.0 {
            SecretSource::Env(name) => Some(name),
            SecretSource::File(_)
            | SecretSource::Command(_)
            | SecretSource::Credential(_)
            | SecretSource::Of(_) => None,
        }
    }

    /// Where it comes from, in words.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.0 {
            SecretSource::Env(name) => format!("the variable {name}"),
            SecretSource::File(file) => format!("the file {file}"),
            SecretSource::Credential(name) => format!("the credential {name} of a request"),
            SecretSource::Command(argv) => format!("what {} prints", argv.first().map_or("", String::as_str)),
            SecretSource::Of(_) => "a source per role".to_owned(),
        }
    }

    /// Looks the value up and drops it at once.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do.
    pub async fn try_out(&self, name: &str, folder: &Path) -> Result<(), String> {
        let had = super::lookup::value(name, &self.0, folder).await;
        had.map(drop).map_err(|failure| format!("{}; {}", failure.message, failure.hint()))
    }
}

impl<'de> Deserialize<'de> for SettingsSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

/// By hand, so that a value that was written into the settings is not in the message about it.
struct SourceVisitor;

const HOW: &str = "a secret is never written into the settings: say { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\"] }";

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SettingsSecret;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{ env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\"] }")
    }

    fn visit_str<E: serde::de::Error>(self, _value: &str) -> Result<SettingsSecret, E> {
        Err(E::custom(HOW))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SettingsSecret, A::Error> {
        let how = |_error: A::Error| A::Error::custom(HOW);
        let source = match map.next_key::<String>()?.as_deref() {
            Some("env") => SecretSource::Env(map.next_value().map_err(how)?),
            Some("file") => SecretSource::File(map.next_value().map_err(how)?),
            Some("command") => SecretSource::Command(map.next_value().map_err(how)?),
            Some(_) | None => return Err(A::Error::custom(HOW)),
        };
        match map.next_key::<String>()? {
            None => Ok(SettingsSecret(source)),
            Some(_second) => Err(A::Error::custom(HOW)),
        }
    }
}

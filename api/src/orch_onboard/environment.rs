//! The variables that `serve` needs in its environment.
//!
//! Law: only whether they are set is looked at.

use std::collections::BTreeMap;

use super::checklist::{SetupItem, SetupStanding};

/// The token of Plane that reads, and writes states.
pub(super) const PLANE_TOKEN: &str = "ORCH_PLANE_API_TOKEN";
/// The token of Gitea.
pub(super) const GITEA_TOKEN: &str = "ORCH_GITEA_TOKEN";
/// The token of the bot that writes to Telegram.
pub(super) const TELEGRAM_TOKEN: &str = "ORCH_TELEGRAM_BOT_TOKEN";
/// The chat that it writes to, by each name that ORCH has for it.
pub(super) const CHAT_VARIABLES: [&str; 2] = ["ORCH_TELEGRAM_CHAT_ID", "TELEGRAM_CHAT_ID"];
/// The bots of the roles; without one the shared token counts.
const BOTS: [&str; 7] = ["ANALYST", "ARCHITECT", "DEVELOPER", "REVIEWER", "TESTER", "DEPLOYER", "STREAM"];

/// The variables of ORCH: those whose names begin with `ORCH_`, and the chat's. Never shown.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        Self::of(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Those that are given.
    pub(super) fn of(variables: impl Iterator<Item = (String, String)>) -> Self {
        let is_orchs = |name: &str| name.starts_with("ORCH_") || CHAT_VARIABLES.contains(&name);
        let own = variables.filter(|(name, value)| is_orchs(name) && !value.trim().is_empty());
        Self(own.map(|(name, value)| (name, value.trim().to_owned())).collect())
    }

    /// The value of a variable that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// The tokens of Plane that are set, each once, with the variable of the first that has it.
pub(super) fn plane_tokens(environment: &Environment) -> Vec<(String, String)> {
    let roles = BOTS.into_iter().map(|role| format!("ORCH_PLANE_BOT_{role}"));
    let mut tokens: Vec<(String, String)> = Vec::new();
    for name in std::iter::once(PLANE_TOKEN.to_owned()).chain(roles) {
        if let Some(token) = environment.get(&name)
            && tokens.iter().all(|(_, known)| *known != token)
        {
            tokens.push((name, token));
        }
    }
    tokens
}

/// The variables, each with what it is for.
pub(super) fn items(environment: &Environment) -> Vec<SetupItem> {
    let one = |name: &str, missing: SetupStanding, what: &str, to_do: &str| {
        let is_set = environment.get(name).is_some();
        SetupItem {
            place: "here",
            name: name.to_owned(),
            standing: if is_set { SetupStanding::There } else { missing },
            detail: if is_set { "set".to_owned() } else { what.to_owned() },
            to_do: (!is_set).then(|| to_do.to_owned()),
        }
    };
    let mut items = vec![
        one(
            PLANE_TOKEN,
            SetupStanding::Missing,
            "not set",
            "make an API token in Plane, and set it for serve",
        ),
        one(
            GITEA_TOKEN,
            SetupStanding::Missing,
            "not set",
            "make a token in Gitea (repositories: write), and set it for serve",
        ),
        one(
            TELEGRAM_TOKEN,
            SetupStanding::Optional,
            "not set: nothing is sent to Telegram",
            "set the bot's token, and `telegram.chat` in projects.yaml",
        ),
    ];
    let without: Vec<&str> = BOTS
        .into_iter()
        .filter(|role| environment.get(&format!("ORCH_PLANE_BOT_{role}")).is_none())
        .collect();
    items.push(SetupItem {
        place: "here",
        name: "ORCH_PLANE_BOT_…".to_owned(),
        standing: if without.is_empty() { SetupStanding::There } else { SetupStanding::Optional },
        detail: match without.len() {
            0 => "set for each role".to_owned(),
            count => format!("{count} of {} roles write with the shared token", BOTS.len()),
        },
        to_do: None,
    });
    items
}

//! The sections of the settings file that ORCH needs, and the secrets of its webhooks.
//!
//! Law: a section that is there is never changed; one that is missing is added behind the last line. What was written is
//! read again, and taken back where the settings could not be used.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use everfold_engine::clock::draw_u128;
use everfold_workflows::hook::ReaderKind;
use everfold_workflows::provider::TokenSource;

use super::checklist::{Checklist, SetupFinding, SetupItem};
use super::environment::{Environment, GITEA_TOKEN};
use super::request::OnboardRequest;
use crate::fault::{Code, Fault};
use crate::settings::Settings;

/// How many agents ORCH lets work at once.
const MAX_CONCURRENCY: &str = "ORCH_MAX_CONCURRENCY";
/// How long it keeps logs, and how many.
const LOG_KEEP_DAYS: &str = "ORCH_LOG_KEEP_DAYS";
const LOG_KEEP_MAX: &str = "ORCH_LOG_KEEP_MAX";
/// Where these say nothing.
const AT_ONCE: u32 = 1;
const LOG_DAYS: u32 = 30;
const LOGS: u32 = 500;

/// By what Claude Code is logged in: variables, and the file that its login writes. Of the network nothing is looked at,
/// for it may lead through a proxy.
const PREFLIGHT: &str = r#"[preflight.claude]
credentials = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "~/.claude/.credentials.json"]
on_missing = "wait"
"#;
/// There the login lies in the keychain of the system, where nothing can be seen of it.
const HAS_KEYCHAIN: bool = cfg!(target_os = "macos");

/// Where the secret of a webhook lies.
pub(super) enum HookSecret {
    /// In a variable of the environment: its name, and its value where it is set.
    Variable(String, Option<String>),
    /// In a file of its own.
    File(PathBuf),
}

impl HookSecret {
    /// The place for the secret of a source: what the settings say, else the variable where it is set, else a file
    /// beside the settings.
    pub(super) fn of(source: &str, settings: &Settings, folder: &Path, environment: &Environment) -> Self {
        let variable = format!("ORCH_{}_WEBHOOK_SECRET", source.to_uppercase());
        match settings.hooks.get(source).and_then(|hook| hook.secret.as_ref()) {
            Some(TokenSource::Env(name)) => Self::Variable(name.clone(), environment.get(name)),
            Some(TokenSource::File(path)) => Self::File(folder.join(path)),
            None if environment.get(&variable).is_some() => {
                let value = environment.get(&variable);
                Self::Variable(variable, value)
            }
            None => Self::File(folder.join(format!("{source}-hook.secret"))),
        }
    }

    /// Whether a secret is there.
    pub(super) fn is_there(&self) -> bool {
        self.read().is_some()
    }

    fn read(&self) -> Option<String> {
        match self {
            Self::Variable(_, value) => value.clone(),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).ok()?;
                Some(text.trim().to_owned()).filter(|text| !text.is_empty())
            }
        }
    }

    /// The place, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Variable(name, _) => format!("the variable {name}"),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// As the settings name it.
    fn written(&self, folder: &Path) -> String {
        match self {
            Self::Variable(name, _) => format!("{{ env = {} }}", toml_text(name)),
            Self::File(path) => {
                let path = path.strip_prefix(folder).unwrap_or(path);
                format!("{{ file = {} }}", toml_text(&path.display().to_string()))
            }
        }
    }
}

/// Keeps a secret that a service drew.
pub(super) fn keep_secret(secret: &HookSecret, drawn: &str) -> Result<(), String> {
    let HookSecret::File(path) = secret else {
        return Err(format!("Plane drew a secret of its own, and {} has another one", secret.place()));
    };
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(drawn.as_bytes())?;
        file.sync_data()
    });
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// The secret that is there, or a new one.
pub(super) fn draw_secret(secret: &HookSecret) -> Result<String, String> {
    if let Some(there) = secret.read() {
        return Ok(there);
    }
    let drawn = format!("{:032x}{:032x}", draw_u128(), draw_u128());
    keep_secret(secret, &drawn)?;
    Ok(drawn)
}

/// What ORCH bounds, as its environment says it.
#[derive(Clone, Copy)]
pub(super) struct OrchBounds {
    /// How many agents may work at once.
    at_once: u32,
    /// How many days logs stay.
    log_days: u32,
    /// How many logs stay.
    logs: u32,
}

impl OrchBounds {
    /// What the environment says, else ORCH's numbers.
    ///
    /// # Errors
    /// It says something else than a number from 1 on.
    pub(super) fn of(environment: &Environment) -> Result<Self, Fault> {
        let number = |name: &str, otherwise: u32, what: &str| {
            let Some(said) = environment.get(name) else { return Ok(otherwise) };
            said.parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(|| {
                let message = format!("{name} is “{}”", everfold_engine::text::one_line(&said));
                Fault::new(Code::Usage, message).hint(format!("it is a whole number from 1 on: {what}"))
            })
        };
        Ok(Self {
            at_once: number(MAX_CONCURRENCY, AT_ONCE, "how many agents may work at once")?,
            log_days: number(LOG_KEEP_DAYS, LOG_DAYS, "how many days logs stay")?,
            logs: number(LOG_KEEP_MAX, LOGS, "how many logs stay")?,
        })
    }
}

/// The sections, one item each.
pub(super) async fn items(
    checklist: Checklist,
    request: &OnboardRequest,
    secrets: [&HookSecret; 2],
    bounds: OrchBounds,
) -> Vec<SetupItem> {
    let folder = request.settings.parent().unwrap_or(Path::new("."));
    let [plane, gitea] = secrets.map(|secret| secret.written(folder));
    let url = toml_text(request.gitea_url.trim_end_matches('/'));
    let owner = toml_text(&request.owner);
    let sections = [
        ("hooks.plane", format!("[hooks.plane]\nreader = \"plane\"\nsecret = {plane}\n")),
        ("hooks.gitea", format!("[hooks.gitea]\nreader = \"gitea\"\nsecret = {gitea}\n")),
        (
            "providers.gitea",
            format!(
                "[providers.gitea]\nkind = \"gitea\"\nurl = {url}\nowner = {owner}\ntoken = {{ env = \"{GITEA_TOKEN}\" }}\n"
            ),
        ),
        // Without a limit every issue that is set In Progress has an agent at work at once.
        ("limits", format!("[limits]\nprocesses = {}\nfair_by = \"label:project\"\n", bounds.at_once)),
        ("logs", format!("[logs]\nkeep = \"{}d\"\nkeep_max = {}\n", bounds.log_days, bounds.logs)),
        // A task of an agent that is logged out stays where it is, instead of failing.
        ("preflight.claude", PREFLIGHT.to_owned()),
    ];
    let mut items = Vec::new();
    for (name, section) in sections {
        if name == "preflight.claude" && HAS_KEYCHAIN {
            continue;
        }
        let look = async || look(&request.settings, name);
        let make = async || append(&request.settings, &section);
        let to_do = format!("in {}: {}", request.settings.display(), section.trim().replace('\n', "; "));
        items.push(checklist.item("here", format!("settings [{name}]"), to_do, look, make).await);
    }
    items
}

fn look(path: &Path, section: &str) -> SetupFinding {
    let settings = match Settings::load(path) {
        Ok(settings) => settings,
        Err(error) => return SetupFinding::Out(crate::fault::chain(&error)),
    };
    let hook = |name: &str, reader: ReaderKind| match settings.hooks.get(name) {
        None => SetupFinding::Missing(format!("no section in {}", path.display())),
        Some(hook) if hook.reader != reader => SetupFinding::Out(format!("its reader is not {name}")),
        Some(hook) if hook.secret.is_none() => SetupFinding::Out("it has no secret".to_owned()),
        Some(_) => SetupFinding::There(path.display().to_string()),
    };
    match section {
        "limits" => match limited(path) {
            Some(said) => SetupFinding::There(said),
            None => SetupFinding::Missing(format!(
                "no section in {}: {}",
                path.display(),
                at_once(settings.limits.processes)
            )),
        },
        "logs" => match section_of(path, "logs") {
            Some(_) => SetupFinding::There(path.display().to_string()),
            None => SetupFinding::Missing(format!("no section in {}", path.display())),
        },
        "preflight.claude" => match settings.preflight.get("claude") {
            Some(_) => SetupFinding::There(path.display().to_string()),
            None => SetupFinding::Missing(format!("no section in {}", path.display())),
        },
        "hooks.plane" => hook("plane", ReaderKind::Plane),
        "hooks.gitea" => hook("gitea", ReaderKind::Gitea),
        _provider => match settings.providers.get("gitea") {
            None => SetupFinding::Missing(format!("no section in {}", path.display())),
            Some(provider) if provider.token.is_none() => SetupFinding::Out("it has no token".to_owned()),
            Some(_) => SetupFinding::There(path.display().to_string()),
        },
    }
}

/// A section as it stands in the file.
fn section_of(path: &Path, name: &str) -> Option<toml::Value> {
    let mut settings: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
    settings.remove(name)
}

/// What the settings say of limits; `None`: nothing.
fn limited(path: &Path) -> Option<String> {
    let limits = section_of(path, "limits")?;
    let most = limits.get("processes").map(|most| format!("{} in ", at_once(most)));
    Some(format!("{}{}", most.unwrap_or_default(), path.display()))
}

fn at_once(most: impl std::fmt::Display) -> String {
    let most = most.to_string();
    format!("{most} {} at once", if most == "1" { "agent" } else { "agents" })
}

fn append(path: &Path, section: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let former = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let gap = if former.is_empty() || former.ends_with("\n\n") { "" } else { "\n" };
    let text = format!("{}{gap}{section}", with_line_end(&former));
    Settings::parse(&text, path).map_err(|error| crate::fault::chain(&error))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

fn with_line_end(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

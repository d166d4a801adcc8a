//! All that a project needs, in the order in which one thing needs another.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::checklist::{Checklist, SetupItem, SetupStanding, waits};
use super::environment::{self, GITEA_TOKEN, PLANE_TOKEN};
use super::request::OnboardRequest;
use super::services::SetupService;
use super::settings_file::{HookSecret, OrchBounds};
use super::{bots, clone, gitea, plane, record, settings_file, telegram};
use crate::fault::{Code, Fault};
use crate::node::settings;
use everfold_engine::data_folder::Layout;

/// The table.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct OnboardReport {
    pub(crate) items: Vec<SetupItem>,
    /// Whether nothing is missing.
    pub(crate) ready: bool,
}

impl OnboardReport {
    /// Adds a line.
    pub(crate) fn add(&mut self, item: SetupItem) {
        self.ready = self.ready && item.standing != SetupStanding::Missing;
        self.items.push(item);
    }
}

/// Checks what the project needs, and makes what is missing.
///
/// # Errors
/// The settings that are there cannot be used, or the prefix is none.
pub(crate) async fn onboard(request: &OnboardRequest, layout: &Layout) -> Result<OnboardReport, Fault> {
    check_prefix(&request.prefix)?;
    let bounds = OrchBounds::of(&request.environment)?;
    let known = match request.settings.exists() {
        true => settings(layout, Some(&request.settings))?,
        false => Default::default(),
    };
    let checklist = Checklist { only_check: request.only_check };
    let folder = request.settings.parent().map(PathBuf::from).unwrap_or_default();
    if !request.only_check {
        crate::node::make_folder(layout.root())?;
    }
    let secrets =
        ["plane", "gitea"].map(|source| HookSecret::of(source, &known, &folder, &request.environment));
    let mut items = environment::items(&request.environment);
    let mut states = Vec::new();
    match request.environment.get(PLANE_TOKEN) {
        Some(token) => {
            let service = SetupService::plane(&request.plane_url, &request.workspace, &token);
            items.extend(plane::items(checklist, request, &service, &secrets[0]).await);
            states = plane::states(request, &service).await;
        }
        None => items.push(waits("plane", "project", PLANE_TOKEN)),
    }
    match request.environment.get(GITEA_TOKEN) {
        Some(token) => {
            let service = SetupService::gitea(&request.gitea_url, &token);
            items.extend(gitea::items(checklist, request, &service, &secrets[1]).await);
            items.push(clone::item(checklist, request, &token).await);
        }
        None => items.push(waits("gitea", "repository", GITEA_TOKEN)),
    }
    items.extend(settings_file::items(checklist, request, [&secrets[0], &secrets[1]], bounds).await);
    items.push(record::item(checklist, request, &states).await);
    items.push(match request.environment.get(PLANE_TOKEN) {
        Some(_token) => bots::item(checklist, request).await,
        None => waits("here", "bots", PLANE_TOKEN),
    });
    items.extend(telegram::items(checklist, request).await);
    let ready = items.iter().all(|item| item.standing != SetupStanding::Missing);
    Ok(OnboardReport { items, ready })
}

/// The pipeline leaves a record out whose prefix is written otherwise.
fn check_prefix(prefix: &str) -> Result<(), Fault> {
    let is_capital = |c: char| c.is_ascii_uppercase();
    let is_right =
        prefix.starts_with(is_capital) && prefix.chars().all(|c| is_capital(c) || c.is_ascii_digit());
    if is_right {
        return Ok(());
    }
    let message = format!("--prefix is “{}”", everfold_engine::text::one_line(prefix));
    let meant: String =
        prefix.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    let meant = meant.trim_start_matches(|c: char| c.is_ascii_digit());
    let example = if meant.is_empty() { "ET" } else { meant };
    Err(Fault::new(Code::Usage, message)
        .hint(format!("it is capital letters and digits, and begins with a letter: write {example}")))
}

//! `agent.ready`: whether an agent with a profile could work: its program, and what its preflight looks at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_base::failure::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::executor::DEFAULT_PROFILE;
use super::missing::{NO_PROGRAM, failure};
use super::preflight::{AgentEnvironment, Preflights};
use super::profile::program;
use super::settings::AgentProfile;
use crate::function::{Call, Function, Functions};
use crate::settings::WorkflowSettings;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadinessParameters {
    /// the profile; default: claude
    #[serde(default = "default_profile")]
    #[schemars(length(min = 1))]
    profile: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AgentReadiness {
    ok: bool,
    reason: String,
    /// what is missing: NO_PROFILE, NO_PROGRAM, UNREACHABLE, UNAUTHORISED, NO_ANSWER
    code: Option<String>,
    /// what to do
    hint: Option<String>,
    program: Option<String>,
    path: Option<String>,
}

fn default_profile() -> String {
    DEFAULT_PROFILE.to_owned()
}

/// Adds the function `agent.ready`, which knows the profiles of these settings.
pub(crate) fn declare(functions: &mut Functions, settings: &Arc<WorkflowSettings>, preflights: &Preflights) {
    let (settings, preflights) = (Arc::clone(settings), preflights.clone());
    let ready = move |_call: Call, wanted: ReadinessParameters| {
        let (settings, preflights) = (Arc::clone(&settings), preflights.clone());
        async move { Ok::<_, Failure>(ready(&settings, &preflights, &wanted.profile).await) }
    };
    let function = Function::built_in("agent.ready", ready)
        .summary(
            "Looks whether an agent could work: its program, and what its preflight looks at. Costs nothing.",
        )
        .read_only();
    functions.offer(function);
}

async fn ready(settings: &WorkflowSettings, preflights: &Preflights, name: &str) -> AgentReadiness {
    let (found, program, path) = match find(settings, name) {
        Err(failure) => (Err(failure), None, None),
        Ok((profile, program, path)) => {
            let found = match settings.preflight.get(name) {
                None => Ok(()),
                Some(preflight) => {
                    preflights
                        .look(name, preflight, &AgentEnvironment::engine(&profile, &settings.withheld))
                        .await
                }
            };
            (found, program, path)
        }
    };
    let is_there = match &program {
        None => "each step names the program".to_owned(),
        Some(program) => format!("{program} is there"),
    };
    let path = path.map(|path| path.display().to_string());
    match found {
        Ok(()) => AgentReadiness { ok: true, reason: is_there, code: None, hint: None, program, path },
        Err(failure) => AgentReadiness {
            ok: false,
            hint: Some(failure.hint().to_owned()),
            reason: failure.message,
            code: failure.code,
            program,
            path,
        },
    }
}

/// The profile, its program and where that is; the latter two where the steps do not name them.
type Found = (AgentProfile, Option<String>, Option<PathBuf>);

fn find(settings: &WorkflowSettings, name: &str) -> Result<Found, Failure> {
    let Some(profile) = settings.profile(name) else {
        let known = settings.profile_names().join(", ");
        let message = format!("there is no agent profile {name}; there are {known}");
        let hint = format!("add [agents.{name}] to everfold.toml, or choose another profile");
        return Err(failure("NO_PROFILE", message, hint));
    };
    let Some(program) = program(&profile).map(str::to_owned) else { return Ok((profile, None, None)) };
    match find_program(&program) {
        Some(path) => Ok((profile, Some(program), Some(path))),
        None => {
            let hint =
                format!("install it, set agents.{name}.command in everfold.toml, or choose another profile");
            Err(failure(NO_PROGRAM, format!("there is no program {program}: {hint}"), hint))
        }
    }
}

/// Where a program is: at its path, or in a folder of `PATH`.
#[must_use]
pub fn find_program(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Path::new(program).is_file().then(|| program.into());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Argument, PreflightSettings};

    #[tokio::test]
    async fn a_profile_is_ready_where_its_program_is_there_and_its_preflight_passes() {
        let mut settings = WorkflowSettings::default();
        let profile = |program: &str| AgentProfile {
            command: vec![Argument::One(program.to_owned())],
            ..settings.profile("script").unwrap()
        };
        let (there, absent) = (profile("sh"), profile("no-such-program-anywhere"));
        settings.agents.insert("mine".to_owned(), there.clone());
        settings.agents.insert("locked".to_owned(), there);
        settings.agents.insert("gone".to_owned(), absent);
        let no_key = vec!["NO_SUCH_KEY_ANYWHERE".to_owned()];
        let locked = PreflightSettings { credentials: no_key, ..PreflightSettings::default() };
        settings.preflight.insert("locked".to_owned(), locked);
        let preflights = Preflights::default();
        let ready = async |name| super::ready(&settings, &preflights, name).await;
        let mine = ready("mine").await;
        assert!(mine.ok && mine.path.is_some_and(|path| path.ends_with("/sh")));
        let gone = ready("gone").await;
        assert!(!gone.ok && gone.reason.contains("agents.gone.command"), "{}", gone.reason);
        assert_eq!(gone.code.as_deref(), Some("NO_PROGRAM"));
        let locked = ready("locked").await;
        assert!(!locked.ok && locked.path.is_some(), "its program is there");
        assert_eq!(locked.code.as_deref(), Some("UNAUTHORISED"));
        assert!(ready("script").await.ok, "its program is the step's own");
        assert!(ready("nobody").await.reason.contains("claude, codex"));
    }
}

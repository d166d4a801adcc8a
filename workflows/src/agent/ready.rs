//! `agent.ready`: whether the program of a profile is there. Nothing is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_base::failure::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::executor::DEFAULT_PROFILE;
use super::profile::program;
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
    program: Option<String>,
    path: Option<String>,
}

fn default_profile() -> String {
    DEFAULT_PROFILE.to_owned()
}

/// Adds the function `agent.ready`, which knows the profiles of these settings.
pub(crate) fn declare(functions: &mut Functions, settings: &Arc<WorkflowSettings>) {
    let settings = Arc::clone(settings);
    let ready = move |_call: Call, wanted: ReadinessParameters| {
        let found = ready(&settings, &wanted.profile);
        async move { Ok::<_, Failure>(found) }
    };
    let function = Function::built_in("agent.ready", ready)
        .summary("Looks whether the program of an agent's profile is there; starts nothing.")
        .read_only();
    functions.offer(function);
}

fn ready(settings: &WorkflowSettings, name: &str) -> AgentReadiness {
    let answer = |ok, reason, program: Option<&str>, path: Option<PathBuf>| AgentReadiness {
        ok,
        reason,
        program: program.map(str::to_owned),
        path: path.map(|path| path.display().to_string()),
    };
    let Some(profile) = settings.profile(name) else {
        let known = settings.profile_names().join(", ");
        return answer(false, format!("there is no agent profile {name}; there are {known}"), None, None);
    };
    match program(&profile) {
        None => answer(true, "each step names the program".to_owned(), None, None),
        Some(program) => match find_program(program) {
            Some(path) => answer(true, format!("{program} is there"), Some(program), Some(path)),
            None => {
                let reason = format!(
                    "there is no program {program}: install it, set agents.{name}.command in everfold.toml, or choose \
                     another profile"
                );
                answer(false, reason, Some(program), None)
            }
        },
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
    use crate::agent::{AgentProfile, Argument};

    #[test]
    fn a_profile_is_ready_where_its_program_is_there() {
        let mut settings = WorkflowSettings::default();
        let profile = |program: &str| AgentProfile {
            command: vec![Argument::One(program.to_owned())],
            ..settings.profile("script").unwrap()
        };
        let (there, absent) = (profile("sh"), profile("no-such-program-anywhere"));
        settings.agents.insert("mine".to_owned(), there);
        settings.agents.insert("gone".to_owned(), absent);
        let mine = ready(&settings, "mine");
        assert!(mine.ok && mine.path.is_some_and(|path| path.ends_with("/sh")));
        let gone = ready(&settings, "gone");
        assert!(!gone.ok && gone.reason.contains("agents.gone.command"), "{}", gone.reason);
        assert!(ready(&settings, "script").ok, "its program is the step's own");
        assert!(ready(&settings, "nobody").reason.contains("claude, codex"));
    }
}

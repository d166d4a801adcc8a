//! What a process gets: its environment, its input file, the request for its supervisor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use everfold_base::data_folder::Layout;
use everfold_base::id::RunId;
use everfold_ports::{AttemptRequest, RequestedJson, RequestedOutputs, Workdir};

use super::environment::env_removed;
use super::plan::Plan;
use crate::git::{CEILING, ceiling_of};
use crate::handles;
use crate::secret::SecretValues;
use crate::settings::WorkflowSettings;
use crate::shim::Handover;
use crate::shim::protocol::{CommandRequest, INPUT, OUTPUT, PROGRESS, PROTOCOL, PROTOCOL_SECRETS};

/// The request of an attempt.
pub(crate) fn request(attempt: &AttemptRequest, plan: &Plan, settings: &WorkflowSettings) -> CommandRequest {
    let mut env: BTreeMap<String, String> = plan.env.clone();
    env.extend(attempt.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    env.extend(variables(attempt));
    env.extend(ceiling(&attempt.workdir, &env));
    tell_data_folder(&mut env, &attempt.folder, attempt.id.run);
    let secrets = !attempt.secrets.is_empty();
    CommandRequest {
        protocol: if secrets { PROTOCOL_SECRETS } else { PROTOCOL },
        secrets,
        declared: declared(&attempt.outputs),
        redact: Some(settings.redact.clone()),
        argv: plan.argv.clone(),
        env,
        env_remove: env_removed(&settings.withheld, &attempt.secrets),
        cwd: attempt.workdir.path.clone(),
        stdin: plan.stdin.clone(),
        timeout_ms: attempt.timeout.map(millis),
        grace_ms: millis(attempt.grace),
        log_max_bytes: settings.logs.max_bytes,
        stdout_max_bytes: plan.stdout_max_bytes,
        stdout_tail_max_bytes: plan.stdout_tail_max_bytes,
        handles: handles::former(),
    }
}

/// Keeps a git of the process from the repository in which the data folder lies, where the folder that it works
/// in is none any more. The step's own variable for such folders, or else the engine's, counts as well.
pub(crate) fn ceiling(workdir: &Workdir, env: &BTreeMap<String, String>) -> Option<(String, String)> {
    let own = ceiling_of(workdir)?.into_os_string();
    let others = env.get(CEILING).map(OsString::from).or_else(|| std::env::var_os(CEILING));
    let all = std::iter::once(own.into()).chain(others.iter().flat_map(std::env::split_paths));
    let all: Vec<PathBuf> = all.filter(|path: &PathBuf| !path.as_os_str().is_empty()).collect();
    let joined = std::env::join_paths(&all).ok()?;
    Some((CEILING.to_owned(), joined.to_string_lossy().into_owned()))
}

/// The files that are read when the process has ended.
fn declared(outputs: &RequestedOutputs) -> Vec<String> {
    let json = match &outputs.json {
        Some(RequestedJson::File(path)) => Some(path),
        _ => None,
    };
    outputs.files.values().map(|file| &file.path).chain(json).cloned().collect()
}

/// What the supervisor is handed on its standard input.
pub(crate) fn handover(attempt: &AttemptRequest, values: &SecretValues) -> Handover {
    let mut files = BTreeMap::new();
    if !attempt.secrets.spec.is_empty() && attempt.input.get("with").is_some() {
        let (mut spec, mut input) = (attempt.spec.clone(), attempt.input.clone());
        values.fill(&mut spec, &attempt.secrets.spec);
        input["with"] = spec["with"].take();
        files.insert(INPUT.to_owned(), everfold_base::json::canonical(&input));
    }
    Handover { env: values.variables(&attempt.secrets), values: values.texts().cloned().collect(), files }
}

pub(crate) fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Tells a process in which data folder its engine works, so that the command line reaches that engine from wherever
/// the process calls it.
pub(crate) fn tell_data_folder(env: &mut BTreeMap<String, String>, folder: &Path, run: RunId) {
    if let Some(layout) = Layout::around(folder, run) {
        env.insert("EVERFOLD_DIR".to_owned(), layout.root().display().to_string());
    }
}

fn variables(attempt: &AttemptRequest) -> [(String, String); 9] {
    let id = &attempt.id.attempt;
    [
        ("RUN", attempt.id.run.to_string()),
        ("STEP", id.path.to_string()),
        ("ROUND", id.round.to_string()),
        ("ATTEMPT", id.attempt.to_string()),
        ("IDEMPOTENCY_KEY", attempt.id.idempotency_key()),
        ("WORKSPACE", attempt.workdir.path.display().to_string()),
        ("INPUT", attempt.folder.join(INPUT).display().to_string()),
        ("OUTPUT", attempt.folder.join(OUTPUT).display().to_string()),
        ("PROGRESS", attempt.folder.join(PROGRESS).display().to_string()),
    ]
    .map(|(name, value)| (format!("EVERFOLD_{name}"), value))
}

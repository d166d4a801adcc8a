//! What a process is told: its environment, its input file, the request for its supervisor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use everfold_engine::execution::{AttemptRequest, RequestedJson, RequestedOutputs, Secrets, Workdir};
use everfold_engine::id::RunId;
use everfold_engine::layout::Layout;

use super::attempt::Plan;
use super::files::is_of_the_system;
use crate::git::{CEILING, ceiling_of};
use crate::handles;
use crate::secret::Values;
use crate::settings::Settings;
use crate::shim::Handover;
use crate::shim::protocol::{PROTOCOL, PROTOCOL_SECRETS, Request};

/// The input, as a file of the attempt's folder.
pub(crate) const INPUT: &str = "input.json";
/// Where the process may leave its output.
pub(crate) const OUTPUT: &str = "output.json";

/// Variables that would bind a git below to another repository.
const GIT_LOCAL: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
];

/// Variables that never reach a process from the engine's own environment.
pub(crate) fn env_removed(secrets: &Secrets) -> Vec<String> {
    let fixed = GIT_LOCAL.iter().map(|name| (*name).to_owned()).chain(["EVERFOLD_*".to_owned()]);
    fixed.chain(secrets.variables().cloned()).collect()
}

/// The request of an attempt.
pub(crate) fn request(attempt: &AttemptRequest, plan: &Plan, settings: &Settings) -> Request {
    let mut env: BTreeMap<String, String> = plan.env.clone();
    env.extend(attempt.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    env.extend(variables(attempt));
    env.extend(ceiling(&attempt.workdir, &env));
    tell_data_folder(&mut env, &attempt.folder, attempt.id.run);
    let secrets = !attempt.secrets.is_empty();
    Request {
        protocol: if secrets { PROTOCOL_SECRETS } else { PROTOCOL },
        secrets,
        declared: if secrets { declared(&attempt.outputs) } else { Vec::new() },
        argv: plan.argv.clone(),
        env,
        env_remove: env_removed(&attempt.secrets),
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
/// in is none any more. What the step, or else the engine, is told of such folders counts as well.
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
pub(crate) fn handover(attempt: &AttemptRequest, values: &Values) -> Handover {
    let mut files = BTreeMap::new();
    if !attempt.secrets.spec.is_empty() && attempt.input.get("with").is_some() {
        let (mut spec, mut input) = (attempt.spec.clone(), attempt.input.clone());
        values.fill(&mut spec, &attempt.secrets.spec);
        input["with"] = spec["with"].take();
        files.insert(INPUT.to_owned(), everfold_engine::json::canonical(&input));
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

fn variables(attempt: &AttemptRequest) -> [(String, String); 8] {
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
    ]
    .map(|(name, value)| (format!("EVERFOLD_{name}"), value))
}

/// Finds a program as a process would: by `path` (`None`: this process's PATH), or, with a `/` in its
/// name, from the folder.
///
/// # Errors
/// It was not found, and the system could not look at one of its places: that says nothing about the program.
pub fn find_program(name: &str, folder: &Path, path: Option<&str>) -> io::Result<Option<PathBuf>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut unseen = None;
    let mut is_program = |path: &PathBuf| match path.metadata() {
        Ok(about) => about.is_file() && about.permissions().mode() & 0o111 != 0,
        Err(error) => {
            if is_of_the_system(&error) {
                unseen.get_or_insert(error);
            }
            false
        }
    };
    let found = if name.contains('/') {
        Some(folder.join(name)).filter(|path| is_program(path))
    } else {
        let paths = path.map(Into::into).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| is_program(path))
    };
    match (found, unseen) {
        (None, Some(error)) => Err(error),
        (found, _) => Ok(found),
    }
}

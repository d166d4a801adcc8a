//! The scratch project of `everfold demo orch`: a repository at a Gitea that is a folder, its clone, agents that are a
//! script, and the pipeline `orch` with settings of its own.
//!
//! Law: nothing outside of the folder is read or written: the pipeline is a copy whose settings document lies here, so that
//! one of the user's own is never used.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::git::{git, git_says};
use crate::builtin::{self, write_files};

const AGENT: &str = include_str!("../../demo/orch/agent.sh");
/// The project in Plane, its work items' prefix, the repository with its owner.
pub const PROJECT: &str = "7a79f0a9-5278-49cd-9007-9a338f238f9c";
/// What work items begin with.
pub const PREFIX: &str = "ET";
/// The repository's owner at Gitea.
pub const OWNER: &str = "team";
/// The repository.
pub const REPOSITORY: &str = "roman";
/// The users of Plane who write for the roles.
pub const ROLES: [&str; 7] =
    ["analyst", "architect", "developer", "reviewer", "tester", "deployer", "stream"];
/// The chat in Telegram.
pub const CHAT: &str = "-1001";
/// Where the settings document of the built-in pipeline lies.
const DOCUMENT: &str = "/etc/orch/projects.yaml, ~/.orch/projects.yaml";

/// Where the services are.
#[derive(Debug, Clone, Copy)]
pub struct OrchServices<'a> {
    /// Plane.
    pub plane: &'a str,
    /// Gitea.
    pub gitea: &'a str,
    /// Telegram.
    pub telegram: &'a str,
}

/// The project on disk.
#[derive(Debug, Clone)]
pub struct OrchScratch {
    /// The repository as Gitea has it.
    pub origin: PathBuf,
    /// The folder of the agent's script.
    pub agents: PathBuf,
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// Where CI checks commits out.
    checkouts: PathBuf,
}

impl OrchScratch {
    /// Writes the project into a folder; `settings` is the settings file of the data folder.
    ///
    /// # Errors
    /// A file cannot be written, or git is missing or fails.
    pub fn write(folder: &Path, settings: &Path, services: OrchServices<'_>) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        let [origin, repos, agents, pipeline, checkouts] =
            ["gitea", "repos", "agents", "pipeline", "ci"].map(|name| folder.join(name));
        let origin = origin.join(format!("{REPOSITORY}.git"));
        for made in [&origin, &repos, &agents, &pipeline, &checkouts] {
            std::fs::create_dir_all(made)?;
        }
        std::fs::write(agents.join("agent.sh"), AGENT)?;
        git(&origin, &["init", "--quiet", "--bare"])?;
        git(&origin, &["symbolic-ref", "HEAD", "refs/heads/main"])?;
        let clone = repos.join(REPOSITORY);
        let origin_name = text(&origin)?;
        git(&repos, &["clone", "--quiet", origin_name, REPOSITORY])?;
        std::fs::write(clone.join("README.md"), "# Roman numerals\n\n`sh src/roman.sh 1994`\n")?;
        for arguments in [
            &["symbolic-ref", "HEAD", "refs/heads/main"][..],
            &["config", "user.name", "Demo"],
            &["config", "user.email", "demo@localhost"],
            &["config", "commit.gpgSign", "false"],
            &["config", "core.hooksPath", "/dev/null"],
            &["add", "--all"],
            &["commit", "--quiet", "--no-verify", "-m", "A start"],
            &["push", "--quiet", "origin", "main"],
        ] {
            git(&clone, arguments)?;
        }
        let document = folder.join("projects.yaml");
        std::fs::write(&document, projects(&services, text(&repos)?))?;
        write_pipeline(&pipeline, text(&document)?)?;
        if let Some(data) = settings.parent() {
            std::fs::create_dir_all(data)?;
        }
        std::fs::write(settings, settings_text(&services, text(&agents)?))?;
        Ok(Self { origin, agents, pipeline: pipeline.join("orch.yaml"), checkouts })
    }

    /// Sets how long one piece of an agent's work takes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_pace(&self, pace: Duration) -> io::Result<()> {
        std::fs::write(self.agents.join("pace"), pace.as_secs_f64().to_string())
    }

    /// Keeps the reviewer at work, half a minute at most, or lets it end.
    ///
    /// # Errors
    /// The file that says so cannot be written or removed.
    pub fn hold(&self, hold: bool) -> io::Result<()> {
        let mark = self.agents.join("hold");
        if hold {
            return std::fs::write(mark, "");
        }
        match std::fs::remove_file(mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _gone => Ok(()),
        }
    }

    /// What the agents executed so far: `STEP ROUND ATTEMPT PID`.
    ///
    /// # Errors
    /// The file cannot be read; that it is not there yet is none.
    pub fn executions(&self) -> io::Result<Vec<String>> {
        match std::fs::read_to_string(self.agents.join("executions.log")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            text => Ok(text?.lines().map(str::to_owned).collect()),
        }
    }

    /// The branches of the repository at Gitea with their newest commits.
    ///
    /// # Errors
    /// Git fails.
    pub fn heads(&self) -> io::Result<Vec<(String, String)>> {
        let format = "--format=%(refname:lstrip=2) %(objectname)";
        let said = git_says(&self.origin, &["for-each-ref", format, "refs/heads"])?;
        let head = |line: &str| line.rsplit_once(' ').map(|(name, sha)| (name.to_owned(), sha.to_owned()));
        Ok(said.lines().filter_map(head).collect())
    }

    /// Moves main to the newest commit of a branch that grew from it.
    ///
    /// # Errors
    /// Git fails, or main has gone on.
    pub fn bring_to_main(&self, branch: &str) -> io::Result<()> {
        let forward = format!("refs/heads/{branch}:refs/heads/main");
        git(&self.origin, &["fetch", "--quiet", ".", &forward])
    }

    /// Runs the tests of a commit, as CI does: `None` where it has none; else whether they pass, and the first line that
    /// they say.
    ///
    /// # Errors
    /// Git fails, or there is no `sh`.
    pub fn test(&self, commit: &str) -> io::Result<Option<(bool, String)>> {
        if git(&self.origin, &["cat-file", "-e", &format!("{commit}:tests/run.sh")]).is_err() {
            return Ok(None);
        }
        let checkout = self.checkouts.join(commit);
        std::fs::create_dir_all(&checkout)?;
        let place = text(&checkout)?;
        git(&self.origin, &["--work-tree", place, "checkout", "--quiet", "--force", commit, "--", "."])?;
        let ran = std::process::Command::new("sh").arg("tests/run.sh").current_dir(&checkout).output()?;
        let said = String::from_utf8_lossy(&ran.stdout).lines().next().unwrap_or_default().to_owned();
        Ok(Some((ran.status.success(), said)))
    }
}

fn projects(services: &OrchServices<'_>, repos: &str) -> String {
    let OrchServices { plane, gitea, telegram } = services;
    let bots = ROLES.join(", ");
    format!(
        "plane: {{ url: {plane:?}, workspace: {OWNER} }}\ngitea: {{ url: {gitea:?}, owner: {OWNER} }}\n\
         telegram: {{ url: {telegram:?}, chat: {CHAT:?} }}\nrepos: {repos:?}\nbots: [orch, {bots}]\nprofiles: {{ default: demo }}\n\
         ci: {{ every: 5s, polls: 12 }}\nprojects:\n  {PROJECT}: {{ repo: {REPOSITORY}, prefix: {PREFIX} }}\n"
    )
}

fn settings_text(services: &OrchServices<'_>, agents: &str) -> String {
    let gitea = services.gitea;
    let script = format!("{agents}/agent.sh");
    format!(
        "[agents.demo]\ncommand = [\"sh\", {script:?}]\nprompt = \"file\"\noutput = \"text\"\n\n\
         [hooks.plane]\nreader = \"plane\"\nsecret = {{ env = \"ORCH_PLANE_WEBHOOK_SECRET\" }}\n\n\
         [hooks.gitea]\nreader = \"gitea\"\nsecret = {{ env = \"ORCH_GITEA_WEBHOOK_SECRET\" }}\n\n\
         [providers.gitea]\nkind = \"gitea\"\nurl = {gitea:?}\nowner = {OWNER:?}\nrepository = \"{OWNER}/{REPOSITORY}\"\n\
         token = {{ env = \"ORCH_GITEA_TOKEN\" }}\n"
    )
}

/// The built-in pipeline with its files; its settings document is that of the demo.
fn write_pipeline(folder: &Path, document: &str) -> io::Result<()> {
    let missing = || io::Error::other("there is no built-in pipeline `orch`");
    let mut has_document = false;
    let written: Vec<(String, String)> = builtin::find("orch")
        .ok_or_else(missing)?
        .texts()
        .into_iter()
        .map(|(path, text)| {
            has_document |= text.contains(DOCUMENT);
            (path, text.replace(DOCUMENT, &format!("{document:?}")))
        })
        .collect();
    if !has_document {
        return Err(io::Error::other("the built-in pipeline `orch` names its settings otherwise"));
    }
    write_files(folder, written.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other(format!("{} is no UTF-8", path.display())))
}

//! Arguments of the verbs that bring ORCH's tasks and projects in.

use std::path::PathBuf;

use clap::Args;

use super::name::name;

#[derive(Debug, Args)]
pub(crate) struct OrchImportArgs {
    /// ORCH's database: the file of `ORCH_DB_PATH`. It is only read
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Which project of Plane each repository belongs to: the settings document of the pipeline, or ORCH's own list of projects
    #[arg(long, value_name = "FILE")]
    pub(crate) projects: Option<PathBuf>,
    /// The pipeline that goes on with tasks that are not done
    #[arg(long, value_name = "NAME", default_value = "orch", value_parser = name())]
    pub(crate) pipeline: String,
    /// Say what would be imported, and import nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OrchOnboardArgs {
    /// The project's id in Plane (the UUID in its address)
    #[arg(long, value_name = "UUID", value_parser = name())]
    pub(crate) project: String,
    /// Its repository: the name in Gitea, and of the clone's folder
    #[arg(long, value_name = "NAME", value_parser = name())]
    pub(crate) repo: String,
    /// What its work items begin with, as ET in ET-018
    #[arg(long, value_name = "PREFIX", value_parser = name())]
    pub(crate) prefix: String,
    /// Where Plane and Gitea reach this Everfold, as https://everfold.example.org
    #[arg(long, value_name = "URL", value_parser = name())]
    pub(crate) address: String,
    /// Plane
    #[arg(long, value_name = "URL", env = "ORCH_PLANE_API_URL", default_value = "http://localhost:8091")]
    pub(crate) plane_url: String,
    /// The workspace in Plane
    #[arg(long, value_name = "SLUG", env = "ORCH_PLANE_WORKSPACE_SLUG", default_value = "orch")]
    pub(crate) workspace: String,
    /// Gitea
    #[arg(long, value_name = "URL", env = "ORCH_GITEA_URL", default_value = "http://localhost:3000")]
    pub(crate) gitea_url: String,
    /// The repository's owner in Gitea
    #[arg(long, value_name = "NAME", env = "ORCH_GITEA_OWNER", default_value = "admin")]
    pub(crate) owner: String,
    /// The folder of the clones; without it what `repos` of the settings document says, else /repos
    #[arg(long, value_name = "DIR", env = "ORCH_REPOS_DIR")]
    pub(crate) repos: Option<PathBuf>,
    /// The settings document that the pipeline reads; without it the first that is there of /etc/orch/projects.yaml and
    /// ~/.orch/projects.yaml, else the former
    #[arg(long, value_name = "FILE")]
    pub(crate) projects: Option<PathBuf>,
    /// A label that the project is to have in Plane; may be given several times
    #[arg(long = "label", value_name = "NAME", default_values = ["bug", "epic", "ux"])]
    pub(crate) labels: Vec<String>,
    /// Only look: exit code 1 where something is missing
    #[arg(long)]
    pub(crate) check: bool,
}

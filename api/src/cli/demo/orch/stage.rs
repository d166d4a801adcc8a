//! Where the demo is played: a folder with the repository, the agents, the pipeline and the data folder.

use std::path::PathBuf;
use std::time::Duration;

use everfold_engine::data_folder::Layout;
use everfold_workflows::demo::orch_scratch::{OrchScratch, OrchServices};

use super::super::fault::stopped;
use super::super::stage::{demo_folder, must_run, own_program};
use super::town::Town;
use crate::cli::args::DemoArgs;
use crate::fault::{Code, Fault};
use crate::text::quoted;

/// The longest a piece of work may take.
const PACE_S_MAX: f64 = 5.0;

pub(super) struct OrchStage {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) scratch: OrchScratch,
    pub(super) layout: Layout,
    /// How a user types the program, with the data folder.
    pub(super) typed: String,
}

impl OrchStage {
    /// Makes the folder and all that lies in it.
    pub(super) fn set(args: &DemoArgs, town: &Town) -> Result<Self, Fault> {
        must_run("git", &["--version"])?;
        must_run("sh", &["-c", ":"])?;
        let (program, typed) = own_program()?;
        let folder = demo_folder(args.folder.as_deref())?;
        let layout = Layout::new(folder.join("data"));
        let services =
            OrchServices { plane: town.plane.url(), gitea: town.gitea.url(), telegram: town.telegram.url() };
        let scratch = OrchScratch::write(&folder, &layout.settings(), services).map_err(|error| {
            Fault::new(Code::DemoStopped, format!("the scratch project could not be made: {error}"))
                .hint(format!("what there is of it stays in {}", folder.display()))
        })?;
        let pace = if args.pace.is_finite() { args.pace.clamp(0.0, PACE_S_MAX) } else { 1.0 };
        scratch
            .set_pace(Duration::from_secs_f64(pace))
            .map_err(stopped("the agents' folder cannot be written"))?;
        let typed = format!("{} --dir {}", quoted(&typed), quoted(&layout.root().display().to_string()));
        Ok(Self { program, folder, scratch, layout, typed })
    }
}

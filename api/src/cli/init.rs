//! `init`: a commented everfold.toml, and an example or a built-in pipeline if asked. Overwrites nothing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::settings::TEMPLATE;
use everfold_engine::data_folder::Layout;
use everfold_engine::store::check_folder;
use everfold_workflows::builtin::{self, BuiltIn};
use serde_json::json;

use super::args::{Cli, InitArgs};
use super::data_folder::{FOLDER, absolute};
use super::output::Out;
use crate::fault::{Code, Fault};
use crate::node::make_folder;

/// The example's file name.
const EXAMPLE_FILE: &str = "hello.yaml";

/// `program` is how the next command begins.
pub(crate) fn run(args: &InitArgs, cli: &Cli, program: &str) -> Result<u8, Fault> {
    let pipeline = args.pipeline.as_deref().map(found).transpose()?;
    // A new folder begins here, not in the nearest one upwards.
    let folder = match (&cli.dir, std::env::var_os("EVERFOLD_DIR")) {
        (Some(dir), _) => absolute(dir)?,
        (None, Some(dir)) if !dir.is_empty() => absolute(Path::new(&dir))?,
        _ => absolute(Path::new("."))?.join(FOLDER),
    };
    // Else the folder would get settings, and every other verb would refuse it.
    check_folder(&folder)?;
    make_folder(&folder).map_err(|fault| Fault { code: Code::File, ..fault })?;
    let layout = Layout::new(&folder);
    let mut written = Vec::new();
    let mut kept = Vec::new();
    let mut write = |path: &Path, text: &str| -> Result<(), Fault> {
        let list = if write_new(path, text)? { &mut written } else { &mut kept };
        list.push(path.display().to_string());
        Ok(())
    };
    write(&layout.settings(), TEMPLATE)?;
    if args.example {
        write(&absolute(Path::new(EXAMPLE_FILE))?, include_str!("example.yaml"))?;
    }
    for (path, text) in pipeline.iter().flat_map(|pipeline| pipeline.texts()) {
        let path = absolute(Path::new(&path))?;
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|error| not_written(parent, &error))?;
        write(&path, text)?;
    }
    let out = Out::new();
    if cli.is_json() {
        out.json(&json!({ "folder": folder, "written": written, "kept": kept }))?;
        return Ok(0);
    }
    written.iter().for_each(|path| out.line(format!("wrote {path}")));
    kept.iter().for_each(|path| out.line(format!("kept  {path}")));
    out.line(format!("\nnext\n  {}", next(pipeline, args, program).join("\n  ")));
    Ok(0)
}

/// What to type next. `orch` works when a project is set up: its services, its settings, and the pipeline saved.
fn next(pipeline: Option<&BuiltIn>, args: &InitArgs, program: &str) -> Vec<String> {
    let Some(pipeline) = pipeline else {
        let next = if args.example {
            format!("{program} run ./{EXAMPLE_FILE}")
        } else {
            format!("{program} doctor")
        };
        return vec![next];
    };
    let mut next = vec![format!("{program} pipeline test ./{}.yaml", pipeline.name)];
    if pipeline.name == "orch" {
        next.push(
            "mkdir -p ~/.orch && cp orch/projects.yaml ~/.orch/   # its settings, to be filled in".to_owned(),
        );
        next.push(format!("{program} orch onboard --help   # sets up a project, and saves the pipeline"));
    }
    next
}

/// Writes a file that is not there yet; false where it is.
fn write_new(path: &Path, text: &str) -> Result<bool, Fault> {
    let failed = |error: std::io::Error| not_written(path, &error);
    match OpenOptions::new().write(true).create_new(true).mode(0o644).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).map_err(failed),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn not_written(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::File, format!("could not write {}: {error}", path.display()))
}

/// The built-in pipeline of a name.
fn found(name: &str) -> Result<&'static BuiltIn, Fault> {
    builtin::find(name).ok_or_else(|| {
        let names: Vec<&str> = builtin::pipelines().iter().map(|pipeline| pipeline.name).collect();
        Fault::new(Code::NoPipeline, format!("no pipeline “{name}” comes with Everfold"))
            .hint(format!("there are: {}", names.join(", ")))
    })
}

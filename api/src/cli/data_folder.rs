//! Which folder a command works in, and how paths are made absolute.

use std::path::{Path, PathBuf};

use crate::fault::{Code, Fault};

/// The folder's name.
pub(crate) const FOLDER: &str = ".everfold";

/// The data folder: as given, else `$EVERFOLD_DIR`, else the nearest `.everfold` upwards, else
/// `./.everfold`.
pub(crate) fn data_folder(given: Option<&Path>) -> Result<PathBuf, Fault> {
    let from_environment =
        || std::env::var_os("EVERFOLD_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if let Some(dir) = given.map(Path::to_owned).or_else(from_environment) {
        return absolute(&dir);
    }
    let here = absolute(Path::new("."))?;
    let nearest = here.ancestors().map(|folder| folder.join(FOLDER)).find(|folder| folder.is_dir());
    Ok(nearest.unwrap_or_else(|| here.join(FOLDER)))
}

/// Names the data folder that lies in a folder which is none, as that of a project.
pub(crate) fn hinted(fault: Fault, folder: &Path) -> Fault {
    let within = folder.join(FOLDER);
    let is_meant = fault.code == Code::Foreign && within.is_dir();
    fault.hinted(is_meant.then(|| format!("the data folder of it is {0}: --dir {0}", within.display())))
}

/// An absolute path without `.` parts; links stay as they are.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    let absolute = std::path::absolute(path).map_err(|error| {
        Fault::new(Code::File, format!("the current folder is not there any more: {error}"))
    })?;
    Ok(absolute.components().collect())
}

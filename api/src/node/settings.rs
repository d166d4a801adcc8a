//! The settings of a folder, read with errors that name the file and the line.

use std::path::Path;

use crate::settings::{Settings, SettingsError};
use everfold_engine::data_folder::Layout;

use crate::fault::{Code, Fault};

/// Reads the settings of a folder, or those of `--config`.
///
/// # Errors
/// A key is unknown or has a wrong value; the fault names the line.
pub fn settings(layout: &Layout, config: Option<&Path>) -> Result<Settings, Fault> {
    let path = config.map_or_else(|| layout.settings(), Path::to_owned);
    if config.is_some() && !path.exists() {
        return Err(Fault::new(Code::File, format!("there is no file {}", path.display())));
    }
    Settings::load(&path).map_err(|error| match &error {
        SettingsError::Io { .. } => Fault::new(Code::File, crate::fault::chain(&error)),
        _invalid => {
            Fault::new(Code::Settings, crate::fault::chain(&error)).hint("`everfold doctor` lists the keys")
        }
    })
}

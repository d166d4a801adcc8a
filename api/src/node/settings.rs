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
        _invalid => Fault::new(Code::Settings, crate::fault::chain(&error))
            .hint("`everfold doctor --settings` lists the keys"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_the_settings_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(settings(&layout, None).unwrap(), Settings::default(), "there is none");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let place = layout.settings();
        rustix::fs::mknodat(rustix::fs::CWD, &place, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for config in [None, Some(place.as_path())] {
            let refused = settings(&layout, config).unwrap_err();
            assert_eq!(refused.code, Code::File);
            assert!(refused.message.contains("everfold.toml: it is no regular file"), "{refused}");
        }
        let large = folder.path().join("large.toml");
        std::fs::write(&large, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        let refused = settings(&layout, Some(&large)).unwrap_err();
        assert!(refused.code == Code::File && refused.message.contains("larger than 1 MiB"), "{refused}");
        let null = Path::new("/dev/null");
        assert_eq!(settings(&layout, Some(null)).unwrap(), Settings::default(), "as it was asked for");
    }
}

//! The program that supervises processes.

use std::path::{Path, PathBuf};

/// The program that supervises, with its leading arguments; a folder follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimProgram {
    program: PathBuf,
}

impl ShimProgram {
    /// The running program itself; on Linux also after its file was replaced by a newer one.
    ///
    /// # Errors
    /// When the system does not tell where that is.
    pub fn current() -> std::io::Result<Self> {
        let itself = Path::new("/proc/self/exe");
        let program = if itself.exists() { itself.to_owned() } else { std::env::current_exe()? };
        Ok(Self { program })
    }

    /// Another program that understands `shim FOLDER`.
    #[must_use]
    pub fn at(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.program
    }
}

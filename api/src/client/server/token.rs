//! Where a command's token comes from.
//!
//! Law: a token goes to the server that it was given for, and is never shown.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::fault::{Code, Fault};

/// How long a command may take to tell one.
const COMMAND: Duration = Duration::from_secs(60);
/// The longest token.
const BYTES_MAX: usize = 8 * 1024;

/// Where a token is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum ServerTokenSource {
    /// In a variable of the environment.
    Env(String),
    /// In a file.
    File(PathBuf),
    /// A shell command prints it.
    Command(String),
    /// Here.
    Kept(String),
}

impl fmt::Debug for ServerTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// For people; never the token.
impl fmt::Display for ServerTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Command(command) => write!(f, "the command `{command}`"),
            Self::Kept(_) => f.write_str("the contexts' file"),
        }
    }
}

impl ServerTokenSource {
    /// Whether another look may give another token.
    pub(super) fn may_change(&self) -> bool {
        matches!(self, Self::File(_) | Self::Command(_))
    }

    /// Reads the token; none where a variable is not set.
    pub(crate) async fn read(&self) -> Result<Option<String>, Fault> {
        let cannot = |what: String| {
            Fault::new(Code::File, format!("there is no token in {self}: {what}"))
                .hint("`everfold token create NAME --role ROLE`, where the server's folder is, makes one")
        };
        let text = match self {
            Self::Kept(token) => token.clone(),
            Self::Env(name) => match std::env::var(name) {
                Ok(token) if token.trim().is_empty() => return Ok(None),
                Ok(token) => token,
                Err(std::env::VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(cannot(error.to_string())),
            },
            Self::File(path) => {
                tokio::fs::read_to_string(path).await.map_err(|error| cannot(error.to_string()))?
            }
            Self::Command(command) => printed(command).await.map_err(cannot)?,
        };
        let token = text.trim();
        if token.is_empty() {
            return Err(cannot("it is empty".to_owned()));
        }
        if token.len() > BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(cannot("what is there is no token; one begins with evf_".to_owned()));
        }
        Ok(Some(token.to_owned()))
    }
}

/// What a shell command prints. It may ask the person at the terminal: it inherits it.
async fn printed(command: &str) -> Result<String, String> {
    let child = Command::new("sh")
        .args(["-e", "-c", command])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let output = tokio::time::timeout(COMMAND, child.wait_with_output()).await;
    let output = output.map_err(|_| format!("it took longer than {} s", COMMAND.as_secs()))?;
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| "it printed what is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_comes_from_a_file_or_a_command_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "evf_1\r\n").unwrap();
        assert_eq!(ServerTokenSource::File(file.clone()).read().await.unwrap().unwrap(), "evf_1");
        let command = ServerTokenSource::Command(format!("cat {}", file.display()));
        assert_eq!(command.read().await.unwrap().unwrap(), "evf_1");
        assert_eq!(ServerTokenSource::Env("EVERFOLD_NO_SUCH".into()).read().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_cannot_be_a_token_is_an_error_that_does_not_show_it() {
        for command in ["exit 3", "true", "printf 'top\\0secret'", "echo 'top secret'"] {
            let fault = ServerTokenSource::Command(command.into()).read().await.unwrap_err();
            assert!(fault.message.starts_with("there is no token in the command"), "{fault:?}");
        }
        assert!(ServerTokenSource::File("/no/such/file".into()).read().await.is_err());
        assert!(!format!("{:?}", ServerTokenSource::Kept("evf_1".into())).contains("evf_1"));
    }
}

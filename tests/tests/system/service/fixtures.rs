//! A served folder: its server is killed and begins anew at the same address.

use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::rest_client::Client;

/// A folder that is served.
pub(crate) struct Place {
    folder: TempDir,
    server: Child,
    variables: Vec<(&'static str, String)>,
    /// `ADDRESS:PORT`, also of the next server.
    pub(crate) address: String,
    /// Of the first token.
    pub(crate) admin: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = self.server.kill();
        let _gone = self.server.wait();
    }
}

impl Place {
    /// Serves a new folder with these settings.
    pub(crate) fn new(settings: &str) -> Self {
        Self::with(settings, Vec::new())
    }

    /// The same, of a server with these variables.
    pub(crate) fn with(settings: &str, variables: Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".everfold")).unwrap();
        std::fs::write(folder.path().join(".everfold/everfold.toml"), settings).unwrap();
        let (server, said) = serve(&folder, "127.0.0.1:0", &variables);
        let address = said["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        let admin = said["token"].as_str().unwrap().to_owned();
        Self { folder, server, variables, address, admin }
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Serves again, at the same address.
    pub(crate) fn serve(&mut self) {
        (self.server, _) = serve(&self.folder, &self.address, &self.variables);
    }

    /// As an end in order: SIGTERM, and waiting until it has ended.
    pub(crate) fn end(&mut self) {
        self.terminate();
        assert_eq!(self.ended(), Some(0));
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.server);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits until the server has ended; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.server.wait().unwrap().code()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address, &self.admin)
    }
}

fn serve(folder: &TempDir, listen: &str, variables: &[(&'static str, String)]) -> (Child, Value) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_everfold-under-test"))
        .args(["serve", "--json", "--listen", listen])
        .current_dir(folder.path())
        .env_remove("EVERFOLD_DIR")
        .env_remove("EVERFOLD_LOG")
        .env("NO_COLOR", "1")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let said = serde_json::Deserializer::from_reader(server.stdout.as_mut().unwrap()).into_iter().next();
    (server, said.expect("it serves").unwrap())
}

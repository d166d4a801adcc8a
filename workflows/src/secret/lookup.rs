//! Looks secrets up at their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use everfold_base::failure::Failure;
use everfold_base::id::RunId;
use everfold_language::definition::SecretSource;
use everfold_ports::Secrets;
use tokio::io::AsyncReadExt as _;

use super::choice::choose;
use super::failure::failure;
use super::resolver::SecretResolver;
use super::value_forms::VALUE_BYTES_MIN;
use super::values::SecretValues;
use crate::credential::UnopenedCredential;
use crate::process::environment::{env_removed, removed_here};
use everfold_system::regular;

/// The longest value.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// How long a command may take to tell one.
const COMMAND_TIME_LIMIT: Duration = Duration::from_secs(30);

impl SecretResolver {
    /// Looks up all that a piece of work is given.
    ///
    /// # Errors
    /// A failure of kind `spawn` with the code `SECRET`, which names the secret and what to do.
    pub(crate) async fn look_up(&self, secrets: &Secrets) -> Result<SecretValues, Failure> {
        let folder = secrets.folder.clone().unwrap_or_else(|| PathBuf::from("/"));
        let (mut values, mut before) = (BTreeMap::new(), Vec::new());
        for name in secrets.names() {
            let Some(source) = secrets.sources.get(name) else {
                return Err(failure(name, "the pipeline does not declare it", "declare it under `secrets`"));
            };
            let source = match source {
                SecretSource::Of(sources) => {
                    let chosen = choose(name, sources, secrets.role.as_deref())?;
                    before.extend(self.of_others(name, source, chosen, (&folder, secrets.run)).await);
                    chosen
                }
                plain => plain,
            };
            let (value, former) = self.current(name, source, (&folder, secrets.run)).await?;
            before.extend(former);
            values.insert(name.to_owned(), value);
        }
        Ok(SecretValues(values, before))
    }

    /// What all sources give that a run declares, now and before: a file that any of its steps wrote may hold it. A variable that
    /// is not set gave nothing to any step. `None`: another source gives nothing now, so that its value is not known.
    pub(crate) async fn all_of(&self, secrets: &Secrets) -> Option<SecretValues> {
        let folder = secrets.folder.clone().unwrap_or_else(|| PathBuf::from("/"));
        let sources = secrets.sources.iter();
        let places =
            sources.flat_map(|(name, source)| source.places().into_iter().map(move |place| (name, place)));
        let is_there = |place: &SecretSource| match place {
            SecretSource::Env(variable) => std::env::var_os(variable).is_some(),
            _other => true,
        };
        let from = (folder.as_path(), secrets.run);
        let had = places
            .filter(|(_, place)| is_there(place))
            .map(|(name, place)| async move { self.current(name, place, from).await.ok() });
        let mut values = Vec::new();
        for found in futures::future::join_all(had).await {
            let (value, before) = found?;
            values.push(value);
            values.extend(before);
        }
        Some(SecretValues(BTreeMap::new(), values))
    }

    /// What a source gives, and what it gave before. What one run brought is none of another one's.
    async fn current(
        &self,
        name: &str,
        source: &SecretSource,
        (folder, run): (&Path, Option<RunId>),
    ) -> Result<(String, Vec<String>), Failure> {
        match (source, run) {
            (SecretSource::Credential(credential), run) => {
                let value = self.credential(name, credential, run).await?;
                let kept = run.zip(self.credentials());
                let before = kept.map(|(run, kept)| kept.before(run, credential, &value));
                Ok((value, before.unwrap_or_default()))
            }
            (own, _run) => {
                let value = value(name, own, folder).await?;
                let before = self.before(source, folder, &value);
                Ok((value, before))
            }
        }
    }

    /// A value that a request brought for the run, or for the nearest one above it that has one.
    async fn credential(&self, name: &str, credential: &str, run: Option<RunId>) -> Result<String, Failure> {
        let (Some(run), Some(kept)) = (run, self.credentials()) else {
            let what = format!("it is the credential {credential} of a request, and there is none here");
            return Err(failure(name, &what, "start a run that brings it"));
        };
        let wanted = credential.to_owned();
        let opened = tokio::task::spawn_blocking(move || kept.open(run, &wanted)).await;
        let again = format!(
            "bring it with another request: everfold retry {} --credential {credential}",
            run.short()
        );
        match opened {
            Ok(Ok(value)) => checked(name, value.into_bytes()),
            Ok(Err(UnopenedCredential::Missing)) => {
                let what = format!(
                    "the run has no credential {credential}: no request brought it, or it was removed because of its age or with the end of the run that had it"
                );
                Err(failure(name, &what, &again))
            }
            Ok(Err(UnopenedCredential::Unopened { what, hint })) => {
                let hint = hint.unwrap_or(again);
                Err(failure(name, &format!("the credential {credential} does not open: {what}"), &hint))
            }
            Err(panic) => Err(failure(name, &panic.to_string(), &again)),
        }
    }

    /// What the sources of a secret give that were not chosen, now and before: work may come across it, and it is
    /// masked, too. One that gives nothing now is passed over.
    async fn of_others(
        &self,
        name: &str,
        of: &SecretSource,
        chosen: &SecretSource,
        from: (&Path, Option<RunId>),
    ) -> Vec<String> {
        let others = of.places().into_iter().filter(|place| *place != chosen);
        let had = others.map(|place| async move {
            let (value, mut all) = self.current(name, place, from).await.ok()?;
            all.push(value);
            Some(all)
        });
        futures::future::join_all(had).await.into_iter().flatten().flatten().collect()
    }
}

/// One value.
pub(crate) async fn value(name: &str, source: &SecretSource, folder: &Path) -> Result<String, Failure> {
    let bytes = match source {
        SecretSource::Env(variable) => match std::env::var_os(variable) {
            Some(value) => std::os::unix::ffi::OsStringExt::into_vec(value),
            None => {
                let what = format!("the engine has no variable {variable}");
                let hint = "set it where the engine is started: `everfold serve`, or the `everfold run` that owns the data folder";
                return Err(failure(name, &what, hint));
            }
        },
        SecretSource::File(file) => read_file(name, &folder.join(file)).await?,
        SecretSource::Credential(credential) => {
            let what = format!("it is the credential {credential} of a request, and there is none here");
            return Err(failure(name, &what, "name another source"));
        }
        SecretSource::Command(argv) => without_line_end(run(name, argv, folder).await?),
        SecretSource::Of(_) => {
            return Err(failure(
                name,
                "it has a source per role, and no role was asked for",
                "name one source",
            ));
        }
    };
    checked(name, bytes)
}

/// A value that can be given and masked.
fn checked(name: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    let hint = "correct what it comes from";
    let value = String::from_utf8(bytes).map_err(|_| failure(name, "it is no UTF-8 text", hint))?;
    match value.len() {
        0 => Err(failure(name, "it is empty", hint)),
        length if length < VALUE_BYTES_MIN => {
            let what = format!("it has less than {VALUE_BYTES_MIN} bytes, so it cannot be masked");
            Err(failure(
                name,
                &what,
                "what is so short is no secret: write it into the pipeline, or take a longer one",
            ))
        }
        length if length > VALUE_BYTES_MAX => Err(too_large(name)),
        _ if value.contains('\0') => Err(failure(name, "it holds a zero byte, which no variable can", hint)),
        _ => Ok(value),
    }
}

fn too_large(name: &str) -> Failure {
    failure(name, "it is larger than 64 KiB", "name a file that the work reads itself")
}

async fn read_file(name: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        failure(
            name,
            &format!("{}: {error}", path.display()),
            "write it there, readable for the engine's user",
        )
    };
    let file = path.to_owned();
    // The line end is none of the value.
    let read = move || regular::read_bounded(&file, VALUE_BYTES_MAX as u64 + 2);
    let read =
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let bytes = read.map_err(failed)?.ok_or_else(|| too_large(name))?;
    Ok(without_line_end(bytes))
}

/// What a program prints. What it says of its own failure is not shown: the value may be in it.
async fn run(name: &str, argv: &[String], folder: &Path) -> Result<Vec<u8>, Failure> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(failure(name, "its command names no program", "give it one"));
    };
    let hint = "run the command by hand, as the engine's user, and see what it says";
    let mut command = tokio::process::Command::new(program);
    for variable in removed_here(&env_removed(&BTreeSet::new(), &Secrets::default())) {
        command.env_remove(variable);
    }
    let child = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| failure(name, &format!("{program}: {error}"), hint))?;
    let read = async {
        let mut bytes = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(VALUE_BYTES_MAX as u64 + 2).read_to_end(&mut bytes).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, bytes))
    };
    match tokio::time::timeout(COMMAND_TIME_LIMIT, read).await {
        // A program that prints too much may end with the pipe's signal: the caller reports that it printed too much.
        Ok(Ok((status, bytes))) if status.success() || bytes.len() > VALUE_BYTES_MAX + 1 => Ok(bytes),
        Ok(Ok((status, _))) => Err(failure(name, &format!("{program} ended with {status}"), hint)),
        Ok(Err(error)) => Err(failure(name, &format!("{program}: {error}"), hint)),
        Err(_) => {
            let what = format!("{program} took longer than {} s", COMMAND_TIME_LIMIT.as_secs());
            Err(failure(name, &what, hint))
        }
    }
}

/// A file or a program's output ends with a line end that is not part of the value.
fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use everfold_ports::{Hidden, Piece};

    use super::*;
    use everfold_base::failure::FailureKind;
    use everfold_language::definition::RoleSources;
    use serde_json::json;
    use std::sync::Arc;

    fn secrets(source: SecretSource) -> Secrets {
        let sources = BTreeMap::from([("T".to_owned(), source)]);
        Secrets { sources: Arc::new(sources), vars: vec!["T".to_owned()], ..Secrets::default() }
    }

    fn command(script: &str) -> SecretSource {
        SecretSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn l34_a_value_comes_from_a_variable_a_file_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "from-file\r\n").unwrap();
        for (source, value) in [
            (SecretSource::File("token".to_owned()), "from-file"),
            (command("cat token; echo"), "from-file\r\n"),
            (SecretSource::Env("PATH".to_owned()), std::env::var("PATH").unwrap().as_str()),
        ] {
            let secrets = Secrets { folder: Some(folder.path().to_owned()), ..secrets(source) };
            assert_eq!(
                SecretResolver::default().look_up(&secrets).await.unwrap().variables(&secrets)["T"],
                value
            );
        }
    }

    /// The step waited for a writer of the pipe, for longer than its time limit.
    #[tokio::test]
    async fn l34_a_secret_comes_from_a_file_alone_and_no_pipe_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::fs::write(folder.path().join("large"), vec![b'x'; VALUE_BYTES_MAX + 3]).unwrap();
        std::fs::write(folder.path().join("fits"), [&vec![b'x'; VALUE_BYTES_MAX][..], b"\r\n"].concat())
            .unwrap();
        let looked = async |file: &str| {
            let secrets = secrets(SecretSource::File(file.to_owned()));
            let secrets = Secrets { folder: Some(folder.path().to_owned()), ..secrets };
            SecretResolver::default().look_up(&secrets).await
        };
        for (file, part) in
            [("pipe", "no regular file"), ("/dev/zero", "no regular file"), ("large", "64 KiB")]
        {
            let failure = looked(file).await.unwrap_err();
            assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Spawn, Some("SECRET")));
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        assert!(looked("fits").await.is_ok());
    }

    #[tokio::test]
    async fn l34_what_cannot_be_had_or_masked_is_a_failure_that_says_so() {
        for (source, part) in [
            (
                SecretSource::Env("EVERFOLD_NO_SUCH_VARIABLE".to_owned()),
                "no variable EVERFOLD_NO_SUCH_VARIABLE",
            ),
            (SecretSource::File("/no/such/file".to_owned()), "/no/such/file"),
            (command("echo leaked-value >&2; exit 3"), "ended with exit status: 3"),
            (command("echo abc"), "less than 4 bytes"),
            (command("true"), "it is empty"),
            (command("printf 'ab\\0cd'"), "a zero byte"),
            (command("printf '\\377\\376abc'"), "no UTF-8"),
            (command("head -c 70000 /dev/zero | tr '\\0' x"), "64 KiB"),
        ] {
            let failure = SecretResolver::default().look_up(&secrets(source)).await.unwrap_err();
            assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Spawn, Some("SECRET")));
            assert!(failure.message.contains(part), "{}", failure.message);
            assert!(!failure.message.contains("leaked-value") && failure.hint.is_some());
        }
    }

    /// Sources of two roles, and one for the rest.
    fn bots(stream: SecretSource, otherwise: Option<SecretSource>) -> Secrets {
        let roles = BTreeMap::from([
            ("analyst".to_owned(), command("echo of-the-analyst")),
            ("stream".to_owned(), stream),
        ]);
        let otherwise = otherwise.map(Box::new);
        secrets(SecretSource::Of(RoleSources { roles, otherwise }))
    }

    #[tokio::test]
    async fn o178_a_role_has_its_own_value_and_none_unknown_and_unset_the_shared_one() {
        let unset = || SecretSource::Env("EVERFOLD_NO_SUCH_VARIABLE".to_owned());
        let shared = || Some(command("echo shared-by-all"));
        for (role, stream, value) in [
            (Some("analyst"), unset(), "of-the-analyst"),
            (Some("stream"), command("echo of-the-stream"), "of-the-stream"),
            (Some("stream"), unset(), "shared-by-all"),
            (Some("../analyst"), unset(), "shared-by-all"),
            (Some(""), unset(), "shared-by-all"),
            (None, unset(), "shared-by-all"),
        ] {
            let secrets = Secrets { role: role.map(str::to_owned), ..bots(stream, shared()) };
            let values = SecretResolver::default().look_up(&secrets).await.unwrap();
            assert_eq!(values.variables(&secrets)["T"], value, "{role:?}");
            let masked: Vec<&str> = values.texts().map(String::as_str).collect();
            assert!(
                masked.contains(&"of-the-analyst") && masked.contains(&"shared-by-all"),
                "{role:?} {masked:?}"
            );
        }
    }

    #[tokio::test]
    async fn o178_what_no_role_can_say_is_a_failure_that_names_the_roles() {
        let unset = || SecretSource::Env("EVERFOLD_NO_SUCH_VARIABLE".to_owned());
        let broken = || SecretSource::File("/no/such/file".to_owned());
        for (role, stream, otherwise, part) in [
            (Some("tester"), unset(), None, "no source for the role “tester”, only for analyst, stream"),
            (None, unset(), None, "for each of analyst, stream, and this work has no role"),
            (Some("stream"), unset(), None, "no variable EVERFOLD_NO_SUCH_VARIABLE"),
            (Some("stream"), broken(), Some(command("echo shared-by-all")), "/no/such/file"),
            (None, unset(), Some(broken()), "/no/such/file"),
        ] {
            let secrets = Secrets { role: role.map(str::to_owned), ..bots(stream, otherwise) };
            let failure = SecretResolver::default().look_up(&secrets).await.unwrap_err();
            assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Spawn, Some("SECRET")));
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }

    #[test]
    fn o178_no_process_inherits_the_variable_of_any_role() {
        let of = |name: &str| SecretSource::Env(name.to_owned());
        let secrets = bots(of("BOT_STREAM"), Some(of("BOT_SHARED")));
        let variables: Vec<&String> = secrets.variables().collect();
        assert_eq!(variables, ["BOT_STREAM", "BOT_SHARED"]);
    }

    #[tokio::test]
    async fn l34_values_are_filled_in_where_they_stand_masked() {
        let mut secrets = secrets(command("echo t0ken"));
        let of = vec![Piece::Text("Bearer ".to_owned()), Piece::Secret { secret: "T".to_owned() }];
        secrets.spec = vec![Hidden { at: "/headers/a~1b".to_owned(), of: of.clone() }];
        secrets.env = vec![Hidden { at: "/AUTH".to_owned(), of }];
        let values = SecretResolver::default().look_up(&secrets).await.unwrap();
        let mut spec = json!({"headers": {"a/b": "Bearer ***"}});
        values.fill(&mut spec, &secrets.spec);
        assert_eq!(spec, json!({"headers": {"a/b": "Bearer t0ken"}}));
        let variables = values.variables(&secrets);
        assert_eq!((variables["T"].as_str(), variables["AUTH"].as_str()), ("t0ken", "Bearer t0ken"));
        assert_eq!(format!("{values:?}"), "{\"T\"}");
    }
}

//! Which messages the functions sent: one small file for each, in the folder `telegram` of the data folder.
//!
//! Law: that a message is being sent is durable before it is, and its number before the function answers. One call at a
//! time has a message's file. At most [`MESSAGES_MAX`] are kept; those that were not touched for longest go first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_base::json::{Hash, Value};
use everfold_system::regular;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use crate::function::Call;
use crate::private_file::{if_there, make_private, write_private};

/// More messages are not remembered.
const MESSAGES_MAX: usize = 10_000;
/// How many are forgotten at once.
const FORGOTTEN: usize = MESSAGES_MAX / 10;
/// No file is longer.
const BYTES_MAX: u64 = 4 * 1024;
/// The bits of an id behind the moment in it.
const MOMENT_SHIFT: u32 = 80;
/// Calls for messages of one of these wait for one another.
const TURNS: usize = 64;

/// The messages that were sent.
#[derive(Clone)]
pub(super) struct SentMessages {
    folder: Arc<Path>,
    turns: Arc<[Mutex<()>; TURNS]>,
}

/// What a message is for: one of each is sent to a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// It is kept up to date.
    Live,
    /// It calls people.
    Ping,
}

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SendState {
    /// It is being sent. Who finds this and does not send it knows only that it may have arrived.
    Begun {},
    /// It is there.
    Done {
        /// Its number in the chat.
        message: i64,
        /// Of its text.
        text: Hash,
    },
}

/// Which update of a message it was: the round of a step, or a notice of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MessageUpdate {
    /// Equal for every try of the same update.
    key: String,
    run: RunId,
    step: String,
    /// Of a notice the version of its event.
    round: u32,
}

impl MessageUpdate {
    pub(super) fn of(call: &Call) -> Self {
        Self {
            key: call.idempotency_key().to_owned(),
            run: call.run(),
            step: call.step().to_string(),
            round: call.round(),
        }
    }

    /// Whether it is a former update of what `newest` updated. Where a message goes on from run to run, what a run says
    /// that began before the newest one's is of the past, too.
    pub(super) fn is_before(&self, newest: &Self) -> bool {
        if self.run != newest.run {
            return began_before(self.run, newest.run);
        }
        self.step == newest.step && self.round < newest.round
    }
}

/// Whether a run began before another one, by the moments in their ids (UUIDv7); false where an id holds none.
fn began_before(run: RunId, other: RunId) -> bool {
    let moment = |id: RunId| (id.0.get_version_num() == 7).then(|| id.0.as_u128() >> MOMENT_SHIFT);
    moment(run).zip(moment(other)).is_some_and(|(run, other)| run < other)
}

/// What is known of a message, and by which update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentMessage {
    pub(super) state: SendState,
    /// `None`: a former everfold wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<MessageUpdate>,
}

impl SentMessage {
    pub(super) fn new(state: SendState, by: &MessageUpdate) -> Self {
        Self { state, by: Some(by.clone()) }
    }
}

/// A message's file.
#[derive(Serialize, Deserialize)]
struct Record {
    /// For people who look into the folder.
    chat: Value,
    purpose: Purpose,
    #[serde(flatten)]
    sent: SentMessage,
}

/// The turn of one call with a message's file.
pub(super) struct MessageFile<'a> {
    pub(super) path: PathBuf,
    chat: Value,
    purpose: Purpose,
    _turn: MutexGuard<'a, ()>,
}

impl SentMessages {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder: folder.into(), turns: Arc::new(std::array::from_fn(|_| Mutex::new(()))) }
    }

    /// The file of a message, when no other call has it.
    pub(super) async fn file(&self, purpose: Purpose, chat: &Value, key: &str) -> MessageFile<'_> {
        let kind = match purpose {
            Purpose::Live => "live",
            Purpose::Ping => "ping",
        };
        let name = Hash::of(format!("{kind}\0{chat}\0{key}").as_bytes()).to_string();
        let turn = name.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
        let turn = usize::try_from(turn % TURNS as u64).unwrap_or_default();
        let guard = self.turns[turn].lock().await;
        let path = self.folder.join(format!("{kind}-{}.json", name.get(..32).unwrap_or(&name)));
        MessageFile { path, chat: chat.clone(), purpose, _turn: guard }
    }
}

impl MessageFile<'_> {
    /// What is known; `None`: no such message was sent.
    pub(super) async fn read(&self) -> Result<Option<SentMessage>, Failure> {
        let path = self.path.clone();
        let found = blocking(move || if_there(regular::read_bounded(&path, BYTES_MAX))).await;
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Record>(&bytes).map(|record| record.sent);
        match found.map_err(|error| self.broken(&error))? {
            None => Ok(None),
            Some(bytes) => {
                let state = read(bytes.unwrap_or_default());
                state.map(Some).map_err(|error| self.broken(&error.into()))
            }
        }
    }

    /// Records what is known; durable when it returns.
    pub(super) async fn write(&self, sent: SentMessage) -> Result<(), Failure> {
        let record = Record { chat: self.chat.clone(), purpose: self.purpose, sent };
        let path = self.path.clone();
        let written = blocking(move || write(&path, &record)).await;
        written.map_err(|error| self.broken(&error))
    }

    /// Puts back what was known before.
    pub(super) async fn restore(&self, former: Option<SentMessage>) -> Result<(), Failure> {
        if let Some(sent) = former {
            return self.write(sent).await;
        }
        let path = self.path.clone();
        let removed = blocking(move || if_there(std::fs::remove_file(path)).map(drop)).await;
        removed.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let message = format!("what was sent cannot be read or recorded in {}: {error}", self.path.display());
        Failure::new(FailureKind::Error, message).with_hint("nothing is sent without a record of it")
    }
}

fn write(path: &Path, record: &Record) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    make_private(folder)?;
    if !path.exists() {
        forget_oldest(folder, MESSAGES_MAX, FORGOTTEN)?;
    }
    write_private(path, &serde_json::to_vec(record)?)?;
    // The name is durable, too.
    std::fs::File::open(folder)?.sync_all()
}

/// Makes room where the folder is full.
fn forget_oldest(folder: &Path, files_max: usize, count: usize) -> io::Result<()> {
    let files = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    if files.len() < files_max {
        return Ok(());
    }
    let dated = |file: &std::fs::DirEntry| Some((file.metadata().ok()?.modified().ok()?, file.path()));
    let mut dated: Vec<_> = files.iter().filter_map(dated).collect();
    dated.sort();
    for (_, path) in dated.into_iter().take(count) {
        if_there(std::fs::remove_file(path))?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::from)?
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_is_known_of_a_message_outlives_the_program_and_another_key_is_another_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("telegram");
        let run = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
        let by = MessageUpdate { key: "r/1/s".into(), run, step: "s".into(), round: 1 };
        let done = SentMessage::new(SendState::Done { message: 7, text: Hash::of(b"a") }, &by);
        {
            let sent = SentMessages::at(path.clone());
            let file = sent.file(Purpose::Live, &json!(-100), "ET-1").await;
            assert_eq!(file.read().await.unwrap(), None);
            file.write(SentMessage::new(SendState::Begun {}, &by)).await.unwrap();
            file.write(done.clone()).await.unwrap();
        }
        let sent = SentMessages::at(path);
        let known =
            async |purpose, chat: Value, key| sent.file(purpose, &chat, key).await.read().await.unwrap();
        assert_eq!(known(Purpose::Live, json!(-100), "ET-1").await, Some(done));
        assert_eq!(known(Purpose::Ping, json!(-100), "ET-1").await, None);
        assert_eq!(known(Purpose::Live, json!(-101), "ET-1").await, None);
        assert_eq!(known(Purpose::Live, json!(-100), "ET-2").await, None);
        let file = sent.file(Purpose::Live, &json!(-100), "ET-1").await;
        file.restore(None).await.unwrap();
        assert_eq!(file.read().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_former_everfold_wrote_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let sent = SentMessages::at(folder.path().to_owned());
        let file = sent.file(Purpose::Live, &json!(1), "k").await;
        std::fs::write(&file.path, r#"{"chat":1,"purpose":"live","state":{"begun":{"reported":true}}}"#)
            .unwrap();
        let known = file.read().await.unwrap();
        assert_eq!(known, Some(SentMessage { state: SendState::Begun {}, by: None }));
    }

    #[tokio::test]
    async fn a_file_that_says_nothing_is_no_leave_to_send_again() {
        let folder = tempfile::tempdir().unwrap();
        let sent = SentMessages::at(folder.path().to_owned());
        let file = sent.file(Purpose::Live, &json!(1), "k").await;
        std::fs::write(&file.path, "{").unwrap();
        assert_eq!(file.read().await.unwrap_err().kind, FailureKind::Error);
    }

    #[test]
    fn those_that_were_not_touched_for_longest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        for age in 0..10_u64 {
            let file = std::fs::File::create(folder.path().join(format!("live-{age}.json"))).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100 * (age + 1))).unwrap();
        }
        forget_oldest(folder.path(), 11, 3).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 10, "there is room");
        forget_oldest(folder.path(), 10, 3).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort();
        assert_eq!((left.len(), left.last().unwrap().to_str()), (7, Some("live-6.json")));
    }
}

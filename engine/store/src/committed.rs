//! An append with its encoded record, and groups of them whose journal write is synced.

use tokio::sync::oneshot;

use super::append::{Append, Appended};
use super::error::AppendError;
use super::index_record::HeadRecord;
use super::manifest::JournalEnd;
use super::record;
use everfold_base::envelope::Envelope;
use everfold_base::id::Position;

/// Where an append's outcome goes.
pub(crate) type Reply = oneshot::Sender<Result<Appended, AppendError>>;

/// An append whose group is synced.
pub(crate) struct CommittedAppend {
    pub(crate) append: Append,
    /// Its record, behind [`RECORD_AT`] bytes of length.
    pub(crate) record: Vec<u8>,
    pub(crate) appended: Appended,
    pub(crate) head_before: Option<HeadRecord>,
    pub(crate) head: HeadRecord,
    pub(crate) reply: Reply,
}

/// Where the record starts in [`CommittedAppend::record`].
pub(crate) const RECORD_AT: usize = 4;

/// A group that is synced, or only answers that wait for the groups before them.
pub(crate) struct CommittedGroup {
    /// Counts the groups of this process, those of mere answers too.
    pub(crate) turn: u64,
    pub(crate) appends: Vec<CommittedAppend>,
    /// Repeats and refusals that were validated in this group.
    pub(crate) answers: Vec<(Reply, Result<Appended, AppendError>)>,
    pub(crate) journal_end: Option<JournalEnd>,
}

/// The appended events as readers see them.
pub(crate) fn envelopes(append: Append, appended: &Appended) -> impl Iterator<Item = Envelope> + use<> {
    let (first, committed_at) = (appended.first_position.0, appended.committed_at);
    (first..).zip(append.events).map(move |(position, event)| Envelope {
        header: event.header,
        hash: event.hash,
        position: Position(position),
        committed_at,
        payload: event.payload,
    })
}

/// The record of an append with its length in front.
pub(crate) fn encoded(append: &Append) -> Vec<u8> {
    let payloads: usize = append.events.iter().map(|event| event.payload.len() + 48).sum();
    let mut bytes = Vec::with_capacity(payloads + 256);
    bytes.extend_from_slice(&[0; RECORD_AT]);
    record::encode(append, &mut bytes);
    let length = u32::try_from(bytes.len() - RECORD_AT).expect("checked: an append is bounded");
    bytes[..RECORD_AT].copy_from_slice(&length.to_le_bytes());
    bytes
}

//! A journal that is written from old records.
//!
//! Law: a record is written only where it belongs, and only if it follows the chain of its stream.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::steps::RepairError;
use crate::files::Files;
use crate::journal::format::GROUP_HEADER;
use crate::journal::prepare::Preparer;
use crate::journal::segment::{SegmentSizes, Segments};
use crate::journal::tail::{JournalTail, Owner};
use crate::journal::writer::{GroupError, JournalWriter};
use crate::journal::{prepare, writer};
use crate::lock::FolderLock;
use crate::record;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// A journal that is being written from old records.
pub(super) struct RewrittenJournal {
    writer: JournalWriter,
    preparer: Arc<Preparer>,
    maker: Option<std::thread::JoinHandle<()>>,
    ends: HashMap<StreamId, (Version, Hash)>,
    buffer: Vec<u8>,
}

impl RewrittenJournal {
    pub(super) fn new(
        files: &Arc<dyn Files>,
        folder: &Path,
        owner: Owner,
        lock: &Arc<FolderLock>,
    ) -> Result<Self, RepairError> {
        let failed = |error: std::io::Error| RepairError::Write(error.to_string());
        let sizes = SegmentSizes::default();
        let made = prepare::prepare(files.as_ref(), folder, sizes.first).map_err(failed)?;
        let header = owner.first_segment(made.capacity);
        let active = writer::open_segment(files.as_ref(), folder, &header, made).map_err(failed)?;
        let segments = Segments::new(vec![active.0.clone()]);
        lock.set_active(&active.0.path, active.1.id().map_err(failed)?);
        let preparer = Preparer::new(files.clone(), folder, lock.clone(), |_| {});
        let maker = std::thread::spawn({
            let preparer = preparer.clone();
            move || preparer.run()
        });
        let writer = JournalWriter::new(
            files.clone(),
            folder,
            segments,
            owner,
            (preparer.clone(), sizes.later),
            active,
            JournalTail::EMPTY,
        );
        let (ends, buffer) = (HashMap::new(), Vec::new());
        Ok(Self { writer, preparer, maker: Some(maker), ends, buffer })
    }

    /// The last position that was written.
    pub(super) fn end(&self) -> Position {
        self.writer.tail().position()
    }

    /// Writes one record; `false` where it does not stand where it belongs or does not follow its
    /// stream's chain.
    pub(super) fn put(
        &mut self,
        bytes: &[u8],
        position: Position,
        committed_at: Timestamp,
    ) -> Result<bool, RepairError> {
        let Ok((head, events)) = record::decode(bytes, position, committed_at) else { return Ok(false) };
        let (version, hash) = self.ends.get(&head.stream).copied().unwrap_or((Version::ZERO, Hash::ZERO));
        let Some(last) = events.last() else { return Ok(false) };
        if head.first_version != version.next() || record::first_unlinked(&events, hash).is_some() {
            return Ok(false);
        }
        if self.writer.tail().next_position != position {
            return Ok(false);
        }
        self.ends.insert(head.stream, (last.header.version, last.hash));
        self.buffer.clear();
        self.buffer.resize(GROUP_HEADER, 0);
        let length = u32::try_from(bytes.len()).expect("a decoded record is bounded");
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        match self.writer.write(&mut self.buffer, 1, head.count, committed_at) {
            Ok(()) => Ok(true),
            Err(GroupError::Full) => Err(RepairError::Write("the disk is full".into())),
            Err(GroupError::Unknown(why) | GroupError::ReadOnly(why)) => Err(RepairError::Write(why)),
            Err(GroupError::NotOurs(why)) => Err(RepairError::Write(why.to_string())),
        }
    }
}

impl Drop for RewrittenJournal {
    fn drop(&mut self) {
        self.preparer.stop();
        if let Some(maker) = self.maker.take() {
            // A panic there has been reported by the thread itself.
            let _ended = maker.join();
        }
    }
}

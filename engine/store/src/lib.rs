//! Where events are kept: an append-only journal, an index derived from it, blobs beside them.
//!
//! Law: *acknowledged means durable on power loss*; an append is there as a whole or not at all;
//! versions and positions have no gaps. The store does not know what the bytes of an event mean.
//!
//! Called by the runtime, which is the only writer of streams, and by everything that reads.
//!
//! The way of an append: [`SledStore::append`](sled_store::SledStore) encodes and queues it, the writer thread
//! (`commit`) validates it (`validate`) and writes a group (`journal`), `post_commit` publishes it and answers,
//! `unindexed` holds it until `index_writer` has brought it into the index (`sled`). `checkpointer` makes the index
//! durable now and then, and has it rebuilt where it failed (`rebuild_index`).
#![forbid(unsafe_code)]

mod append;
pub mod bench;
pub mod blob;
mod checkpoint_requests;
mod checkpointer;
mod commit;
mod committed;
mod disk_reserve;
mod error;
mod event_store;
pub mod files;
mod folder_contents;
mod follower;
mod index_copy;
mod index_files;
mod index_record;
mod index_writer;
pub mod info;
mod journal;
mod lock;
mod manifest;
mod memory;
mod observer;
mod open;
mod options;
pub mod panic_guard;
mod paths;
mod position_span;
mod post_commit;
mod progress;
mod published;
mod rebuild_index;
mod recent;
mod record;
pub mod repair;
mod report;
mod shared_files;
mod shutdown;
mod sled;
pub mod sled_error;
mod sled_store;
mod store_core;
mod stream_head;
mod stream_watch;
#[cfg(test)]
mod tests;
mod unindexed;
mod validate;
pub mod verify;
mod writability;
mod write_gate;

pub use append::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, Appended, Dedup, DedupKeep, Fence, FirstWrite,
};
pub use blob::{BlobError, BlobStore};
pub use disk_reserve::has_room;
pub use error::{AppendError, Damage, OpenError, ReadError};
pub use event_store::{EventStore, Subscription};
pub use everfold_system::os_error::{is_disk_full, is_shortage};
pub use folder_contents::{check_folder, would_be_new};
pub use index_record::DEDUP_KEPT;
pub use journal::segment::SegmentSizes;
pub use manifest::STORE_FORMAT;
pub use memory::MemoryStore;
pub use observer::{Flushed, StoreObserver, Unobserved};
pub use options::SledOptions;
pub use position_span::positions;
pub use progress::Progress;
pub use report::{IndexOpened, OpenReport};
pub use sled_store::SledStore;
pub use stream_head::{Snapshot, StreamHead, StreamNote};
pub use stream_watch::StreamWatch;
pub use validate::ACTOR_BYTES_MAX;
pub use writability::Writability;

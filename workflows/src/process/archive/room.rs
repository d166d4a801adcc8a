//! The room that archives leave on the disk.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use everfold_system::room::bytes_left;

/// Room that stays free beside an archive and beside what is unpacked of one: the store needs it more.
const ROOM_BYTES_LEAST: u64 = 64 << 20;

/// Refuses what would leave too little room on the disk; as a full disk where there is too little already.
pub(super) fn check_room(folder: &Path, bytes: u64) -> Result<()> {
    let room = bytes_left(folder);
    if room >= bytes.saturating_add(ROOM_BYTES_LEAST) {
        return Ok(());
    }
    let kind = if room < ROOM_BYTES_LEAST { ErrorKind::StorageFull } else { ErrorKind::Other };
    Err(Error::new(kind, format!("less than {} MiB would be free on the disk", ROOM_BYTES_LEAST >> 20)))
}

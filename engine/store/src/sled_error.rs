//! What an error of sled says.
//!
//! Called by the index of the store and by the storage of the read models.

/// Whether sled did not get the lock of its files. It says so in words alone.
#[must_use]
pub fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock"))
}

/// The error for people. sled names the place of damage as its own types are written in a debugger.
#[must_use]
pub fn message(error: &::sled::Error) -> String {
    let ::sled::Error::Corruption { at, .. } = error else { return error.to_string() };
    let at = format!("{at:?}");
    let offset = at.split(|part: char| !part.is_ascii_digit()).find(|digits| !digits.is_empty());
    match offset {
        Some(offset) => format!("its file db is damaged at byte {offset}"),
        None => "its file db is damaged".to_owned(),
    }
}

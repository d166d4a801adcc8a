//! Whether the store takes appends.

/// Whether the store takes appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writability {
    /// It does.
    Writable,
    /// The disk is full; ends by itself when there is room again.
    Full,
    /// It does not for now, for the reason given; reading goes on.
    ReadOnly(String),
    /// The folder is not this process's any more; it never takes appends again.
    NotOurs(String),
}

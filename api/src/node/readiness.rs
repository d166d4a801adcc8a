//! Whether a node can be relied on, in one word.

/// Whether the owner can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Runs are being recovered.
    Starting,
    /// Runs are recovered.
    Ready,
    /// It ends in a moment.
    Ending,
    /// A part of the engine panicked; it ends in a moment.
    Broken,
}

impl Readiness {
    /// Whether new requests are welcome.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Ending => "ending",
            Self::Broken => "broken",
        }
    }
}

//! What becomes of runs when the command ends that drove them.

/// What is to become of runs that go on when a command ends that was their owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// This process drives none of them; the next owner of the folder that is asked to does.
    Nothing,
    /// Runs that were started with `--detach` go on in the background.
    Waiting,
    /// All go on in the background.
    Everything,
}

//! What a repair would do, and why one was not done.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Damage, OpenError, ReadError};
use crate::paths::INDEX_FOLDER;
use crate::position_span::{positions, positions_are};
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};

/// Where a repair takes what the journal lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreFrom {
    /// From nowhere.
    Nothing,
    /// From the index.
    Index,
    /// From the journal of another copy of the store: its folder.
    Copy(PathBuf),
    /// From there up to this position: what comes behind it is given up, also what of it is whole.
    GivenUpBehind(Position, Box<Self>),
}

impl RestoreFrom {
    /// The same up to a position: what comes behind it is given up.
    #[must_use]
    pub fn up_to(self, position: Position) -> Self {
        Self::GivenUpBehind(position, Box::new(self))
    }

    /// The place that is asked for what the journal lacks.
    #[must_use]
    pub fn source(&self) -> &Self {
        match self {
            Self::GivenUpBehind(_, from) => from.source(),
            source => source,
        }
    }

    /// The folder of the copy that is asked, if one is.
    #[must_use]
    pub fn copy(&self) -> Option<&Path> {
        match self.source() {
            Self::Copy(folder) => Some(folder),
            Self::Nothing | Self::Index | Self::GivenUpBehind(..) => None,
        }
    }

    /// The position behind which all is given up, if it is.
    #[must_use]
    pub fn given_up_behind(&self) -> Option<Position> {
        match self {
            Self::GivenUpBehind(position, _) => Some(*position),
            Self::Nothing | Self::Index | Self::Copy(_) => None,
        }
    }
}

impl fmt::Display for RestoreFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source() {
            Self::Nothing | Self::GivenUpBehind(..) => f.write_str("nowhere"),
            Self::Index => f.write_str("the index"),
            Self::Copy(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// One thing that a repair does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairStep {
    /// The unfinished write at the journal's end is overwritten with zeros, as every start does.
    CutTail {
        /// The segment.
        file: PathBuf,
        /// The first byte.
        from: u64,
        /// Behind the last byte.
        to: u64,
    },
    /// A compressed segment whose blocks are whole, and whose lengths of them are not, is written anew from them.
    RewriteSegment {
        /// The segment.
        file: PathBuf,
    },
    /// The journal is written anew from what is whole in it and what the index, or another copy, holds; the old one is
    /// kept under another name.
    RewriteJournal {
        /// Where the old one is kept; there is none where its folder is missing.
        kept_as: Option<PathBuf>,
        /// Positions that come from elsewhere, as ranges.
        restored: Vec<(Position, Position)>,
        /// From where they come.
        from: RestoreFrom,
    },
    /// The journal is written anew up to a position, from what is whole in it and what the index, or another copy, holds;
    /// the old one is kept under another name. The store acts no more
    /// until it is adopted, as a copy: what was done behind that position is unknown to it.
    CutJournal {
        /// Where the old one is kept; there is none where its folder is missing.
        kept_as: Option<PathBuf>,
        /// What is given up.
        given_up: (Position, Position),
        /// How many events of it the journal, or what was asked beside it, still holds.
        readable: u64,
        /// Positions before it that come from elsewhere, as ranges.
        restored: Vec<(Position, Position)>,
        /// From where they come.
        from: RestoreFrom,
    },
    /// The index is thrown away; the next start builds it from the journal.
    RebuildIndex,
}

impl RepairStep {
    /// Where the journal is kept that it puts another one in the place of.
    pub(super) fn kept_as(&self) -> Option<&Path> {
        match self {
            Self::RewriteJournal { kept_as, .. } | Self::CutJournal { kept_as, .. } => kept_as.as_deref(),
            Self::CutTail { .. } | Self::RewriteSegment { .. } | Self::RebuildIndex => None,
        }
    }
}

impl fmt::Display for RepairStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutTail { file, from, to } => {
                write!(f, "overwrite bytes {from} to {to} of {} with zeros", file.display())
            }
            Self::RewriteSegment { file } => {
                write!(f, "write {} anew from what is read in it: it lacks nothing", file.display())
            }
            Self::RewriteJournal { kept_as, restored, from } => {
                let restored = listed(restored);
                let keep = and_keep(kept_as.as_deref());
                write!(f, "write the journal anew, with {restored} from {from}{keep}")
            }
            Self::CutJournal { kept_as, given_up: (first, last), readable, restored, from } => {
                write!(f, "give up {}", positions(*first, *last))?;
                if *readable > 0 {
                    write!(f, ", of which {readable} can still be read")?;
                }
                f.write_str(": write the journal anew up to them")?;
                if !restored.is_empty() {
                    write!(f, ", with {} from {from}", listed(restored))?;
                }
                f.write_str(&and_keep(kept_as.as_deref()))
            }
            Self::RebuildIndex => write!(f, "throw the index away; the next start builds it again"),
        }
    }
}

/// What a repair would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairPlan {
    /// The steps in their order; none where nothing need be done.
    pub steps: Vec<RepairStep>,
    /// What is wrong with the journal.
    pub damage: Vec<Damage>,
    /// What needs no repair, since the next start makes it anew from the journal.
    pub notes: Vec<String>,
    /// The journal's folder, where it is missing.
    pub missing_journal: Option<PathBuf>,
    /// There is an index that can be asked for what the journal lacks.
    pub has_index: bool,
    /// Positions that the journal does not hold, nor, where it was asked, the index or the other copy. While there are any, nothing is
    /// done here: a backup may have them, and else what comes behind them is to be given up.
    pub lost: Vec<(Position, Position)>,
    /// Positions that the journal lacks and that what was asked does hold, where others are lost all the same.
    pub held: Vec<(Position, Position)>,
    /// What the index, which was not asked, holds of what is lost first.
    pub in_index: Option<(Position, Position)>,
    /// What the other copy, where it was asked, has behind the end of the journal.
    pub later: Option<LaterHistory>,
}

/// What another copy has behind the end of the journal, which it goes on. No repair takes it: the copy has the whole history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaterHistory {
    /// The first position.
    pub first: Position,
    /// The last one.
    pub last: Position,
    /// How many events of it the copy's journal holds.
    pub readable: u64,
}

impl LaterHistory {
    /// What was found so far, with the positions of one more batch.
    pub(super) fn with(known: Option<Self>, (first, last): (Position, Position)) -> Self {
        let known = known.unwrap_or(Self { first, last, readable: 0 });
        Self { last, readable: known.readable + last.0 - first.0 + 1, ..known }
    }
}

fn not_in_journal(first: Position, last: Position) -> String {
    let them = if first == last { "it" } else { "them" };
    format!("{} not in the journal; the index may hold {them}", positions_are(first, last))
}

/// Why a repair was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The folder could not be looked through.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Neither the journal nor what was asked for them holds these positions.
    #[error("the journal lacks {}, and {}", positions(*.first, *.last), not_held(.from))]
    Lost {
        /// What was asked.
        from: RestoreFrom,
        /// The first one.
        first: Position,
        /// The last one.
        last: Position,
    },
    /// The journal does not hold these positions, and the index was not asked.
    #[error("{}", not_in_journal(*.first, *.last))]
    NotInJournal {
        /// The first one.
        first: Position,
        /// The last one.
        last: Position,
    },
    /// What is to be given up is in the index.
    #[error("{} not lost: the index holds what the journal lacks", positions_are(*.first, *.last))]
    InIndex {
        /// The first one.
        first: Position,
        /// The last one.
        last: Position,
    },
    /// What is to be given up does not begin where the journal first lacks something.
    #[error("the journal is whole up to position {end}{}, so nothing is given up behind position {asked}", with(.from))]
    OtherEnd {
        /// What was asked for what the journal lacks.
        from: RestoreFrom,
        /// The last position before what is lost.
        end: Position,
        /// The one that was asked for.
        asked: Position,
    },
    /// The copy that was named is the folder itself.
    #[error("{} is the folder that is to be repaired, and no copy of it", copy.display())]
    Itself {
        /// The folder.
        copy: PathBuf,
    },
    /// The copy is of another store.
    #[error("{} is of another store", copy.display())]
    OtherStore {
        /// The folder of the copy.
        copy: PathBuf,
    },
    /// The copy has other events than the journal where both can be read: it went on by itself.
    #[error("{} has another history than the journal: position {position} is another event there", copy.display())]
    OtherHistory {
        /// The folder of the copy.
        copy: PathBuf,
        /// The first position of the other batch.
        position: Position,
    },
    /// The journal lacks more than a repair takes from a copy.
    #[error("the journal lacks more than a repair takes from a copy (256 MiB)")]
    TooMuch {
        /// The folder of the copy.
        copy: PathBuf,
    },
    /// What was found elsewhere does not follow the stream's chain.
    #[error("the restored batch of {stream} from version {version} does not follow the stream's history")]
    Unproven {
        /// The stream.
        stream: StreamId,
        /// The batch.
        version: Version,
    },
    /// The new journal could not be written; the old one is where it was.
    #[error("the new journal could not be written: {0}")]
    Write(String),
    /// A step failed; those before it were done, and the same repair once more goes on from there.
    #[error("could not {step}: {why}")]
    Step {
        /// The step.
        step: Box<RepairStep>,
        /// What happened.
        why: String,
    },
    /// The new journal is in its place, and what comes behind that failed. Nothing is lost: the next start does the rest.
    #[error("the new journal is in its place{}; then: {why}", kept(.kept_as.as_deref()))]
    Unfinished {
        /// Where the old one is kept, if there was one.
        kept_as: Option<PathBuf>,
        /// What happened.
        why: String,
    },
}

impl From<ReadError> for RepairError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Full => Self::Write("the disk is full".into()),
            other => Self::Open(OpenError::from_read(Path::new(INDEX_FOLDER), other)),
        }
    }
}

fn and_keep(kept_as: Option<&Path>) -> String {
    kept_as.map_or_else(String::new, |path| format!(", and keep the old one as {}", path.display()))
}

fn listed(ranges: &[(Position, Position)]) -> String {
    let ranges: Vec<String> = ranges.iter().map(|(first, last)| positions(*first, *last)).collect();
    ranges.join(", ")
}

fn with(from: &RestoreFrom) -> String {
    match from.source() {
        RestoreFrom::Index | RestoreFrom::Copy(_) => format!(" with what {from} holds"),
        RestoreFrom::Nothing | RestoreFrom::GivenUpBehind(..) => String::new(),
    }
}

fn not_held(from: &RestoreFrom) -> String {
    match from.source() {
        RestoreFrom::Nothing | RestoreFrom::GivenUpBehind(..) => {
            "there is no index to take them from".to_owned()
        }
        RestoreFrom::Index | RestoreFrom::Copy(_) => format!("{from} does not hold them"),
    }
}

fn kept(kept_as: Option<&Path>) -> String {
    kept_as.map_or_else(String::new, |path| format!(", and the old one is kept as {}", path.display()))
}

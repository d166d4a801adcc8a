//! The roles of tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use everfold_language::definition::StepRole;

/// What the holder of a token may do. Roles that people are asked in (`product`, `security`) are
/// free words, given beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything.
    Viewer,
    /// Reads, and decides tasks.
    Approver,
    /// Reads, starts and steers runs, and decides tasks that ask for no role.
    Operator,
    /// Takes work of function steps and reports on it; reads nothing else.
    Worker,
    /// Everything, in every approval role.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Approver, Self::Operator, Self::Worker, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<StepRole> for Role {
    fn from(role: StepRole) -> Self {
        match role {
            StepRole::Viewer => Self::Viewer,
            StepRole::Approver => Self::Approver,
            StepRole::Operator => Self::Operator,
        }
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no role: viewer, approver, operator, worker or admin")]
pub struct NoRole(pub String);

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| NoRole(text.to_owned()))
    }
}

//! Who looks, and what they may do.

use serde::Deserialize;

/// What a caller may do; each role has what is required by those before it in its line of the table in
/// `docs/reference/access.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerRole {
    /// Reads.
    Viewer,
    /// Reads, and decides tasks.
    Approver,
    /// Starts and steers runs.
    Operator,
    /// Does work, and sees no page.
    Worker,
    /// Everything.
    Admin,
}

impl CallerRole {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }
}

/// Who looks: the answer of `GET /session`.
#[derive(Debug, Clone, Deserialize)]
pub struct Who {
    /// The name that events get.
    pub actor: String,
    /// What they may do; none: unknown.
    pub role: Option<CallerRole>,
    /// Their approval roles; none: every one.
    pub approves: Option<Vec<String>>,
    /// When the session or token ends.
    pub expires_at: Option<String>,
    /// What forms carry where the caller came by a session.
    pub csrf: Option<String>,
}

impl Who {
    /// Whether a task waits for this caller: steering is for operators, other tasks are for those who have one of their
    /// roles.
    #[must_use]
    pub fn decides(&self, is_steering: bool, roles: &[String]) -> bool {
        match self.role {
            None | Some(CallerRole::Viewer | CallerRole::Worker) => false,
            Some(CallerRole::Admin) => true,
            Some(role) if is_steering => role == CallerRole::Operator,
            Some(CallerRole::Approver | CallerRole::Operator) => {
                let has = |role: &String| self.approves.as_ref().is_none_or(|own| own.contains(role));
                roles.is_empty() || roles.iter().any(has)
            }
        }
    }
}

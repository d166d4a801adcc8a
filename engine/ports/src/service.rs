//! What work calls upon and the scheduler limits.
//!
//! Law: the text form is `KIND.NAME`, and parsing gives back what was printed.

/// Something that work calls upon and that may be limited or fail as a whole: `agent.claude`,
/// `function.git.push`, `http.api.example.org`, `provider.gitea`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// What it is: `agent`, `command`, `function`, `http`, `provider`, ….
    pub kind: String,
    /// Which one.
    pub name: String,
}

impl Service {
    /// The name that stands for each name of a kind.
    pub const ANY: &str = "*";

    /// One of a kind.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }

    /// Each one of a kind.
    #[must_use]
    pub fn any_of(kind: &str) -> Self {
        Self::new(kind, Self::ANY)
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}

impl std::str::FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('.') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::new(kind, name)),
            _no_dot => Err(format!("“{text}” is not KIND.NAME, such as agent.claude")),
        }
    }
}

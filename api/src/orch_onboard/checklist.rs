//! One thing that a project needs: found, made, or missing.

use schemars::JsonSchema;
use serde::Serialize;

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SetupItem {
    /// Where: `plane`, `gitea`, `telegram`, `here`.
    pub(crate) place: &'static str,
    /// What.
    pub(crate) name: String,
    pub(crate) standing: SetupStanding,
    /// What was found, or why it is missing.
    pub(crate) detail: String,
    /// What a person is to do.
    pub(crate) to_do: Option<String>,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SetupStanding {
    /// It was there.
    There,
    /// It was made.
    Made,
    /// It is missing.
    Missing,
    /// It is missing, and nothing depends on it.
    Optional,
    /// It cannot be seen or made from here: a person makes it.
    ByHand,
}

/// What a look finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SetupFinding {
    /// It is there.
    There(String),
    /// It is not, and can perhaps be made.
    Missing(String),
    /// It is not, and cannot be made from here.
    Out(String),
    /// Whether it is there cannot be seen from here, and it cannot be made from here.
    ByHand(String),
}

/// What is done with what is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checklist {
    /// Nothing is made.
    pub(crate) only_check: bool,
}

impl Checklist {
    /// Looks, makes what is missing, and looks again.
    pub(crate) async fn item(
        self,
        place: &'static str,
        name: impl Into<String>,
        to_do: impl Into<String>,
        look: impl AsyncFn() -> SetupFinding,
        make: impl AsyncFnOnce() -> Result<(), String>,
    ) -> SetupItem {
        let item =
            |standing, detail: String, to_do| SetupItem { place, name: name.into(), standing, detail, to_do };
        let to_do = Some(to_do.into()).filter(|text| !text.is_empty());
        match look().await {
            SetupFinding::There(detail) => item(SetupStanding::There, detail, None),
            SetupFinding::Out(detail) => item(SetupStanding::Missing, detail, to_do),
            SetupFinding::ByHand(detail) => item(SetupStanding::ByHand, detail, to_do),
            SetupFinding::Missing(detail) if self.only_check => item(SetupStanding::Missing, detail, to_do),
            SetupFinding::Missing(_) => match make().await {
                Err(why) => item(SetupStanding::Missing, why, to_do),
                Ok(()) => match look().await {
                    SetupFinding::There(detail) => item(SetupStanding::Made, detail, None),
                    SetupFinding::Missing(detail)
                    | SetupFinding::Out(detail)
                    | SetupFinding::ByHand(detail) => {
                        item(SetupStanding::Missing, format!("made, and still: {detail}"), to_do)
                    }
                },
            },
        }
    }
}

/// What cannot be looked at before something else is there.
pub(super) fn waits(place: &'static str, name: &str, for_what: &str) -> SetupItem {
    SetupItem {
        place,
        name: name.to_owned(),
        standing: SetupStanding::Missing,
        detail: format!("not looked at: {for_what}"),
        to_do: None,
    }
}

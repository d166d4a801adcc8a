//! The tabs of these pages.

use askama::Template;

use crate::frame::Frame;

/// The three pages that stand beside each other: what runs, when it starts by itself, and what services deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PipelinesTab {
    Pipelines,
    Schedules,
    Hooks,
}

impl PipelinesTab {
    /// All tabs with their words and addresses, in their order.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Pipelines, "Pipelines", "/pipelines"),
        (Self::Schedules, "Schedules", "/schedules"),
        (Self::Hooks, "Hooks", "/hooks"),
    ];

    /// Whether a tab of the list is this one.
    pub(crate) fn is(&self, tab: &Self) -> bool {
        self == tab
    }

    /// The tabs, on the page of this one.
    pub(crate) fn drawn(self, frame: &Frame) -> PipelinesTabs<'_> {
        PipelinesTabs { tab: self, frame }
    }
}

/// The tabs as a page has them.
#[derive(Template)]
#[template(path = "pipelines/tabs.html")]
pub(crate) struct PipelinesTabs<'a> {
    tab: PipelinesTab,
    frame: &'a Frame,
}

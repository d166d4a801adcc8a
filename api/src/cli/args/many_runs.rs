//! The runs that one order goes to.

use clap::Args;

/// The runs of an order that goes to many.
#[derive(Debug, Args)]
pub(crate) struct ManyRuns {
    /// Every run of which this is true, instead of one; without --yes they are shown alone: status == 'blocked'
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// With --filter: give the order
    #[arg(long, requires = "filter")]
    pub(crate) yes: bool,
    /// With --filter: refuse where more runs fit [default: 1000]
    #[arg(long, value_name = "N", requires = "filter")]
    pub(crate) at_most: Option<usize>,
    /// With --filter: go on with an order that was cut short
    #[arg(long, value_name = "ORDER", requires = "filter")]
    pub(crate) order: Option<String>,
}

/// Runs that fit at most, where the command names no number.
const AT_MOST: usize = 1_000;

impl ManyRuns {
    /// How many runs may fit.
    pub(crate) fn at_most(&self) -> usize {
        self.at_most.unwrap_or(AT_MOST)
    }
}

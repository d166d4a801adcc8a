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
    /// With --filter: refuse where more runs fit
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) at_most: usize,
    /// With --filter: go on with an order that was cut short
    #[arg(long, value_name = "ORDER", requires = "filter")]
    pub(crate) order: Option<String>,
}

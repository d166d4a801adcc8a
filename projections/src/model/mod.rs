//! The read models at work: [`fold`] folds one, [`live`] keeps it up to date for readers and rebuilds it, [`status`]
//! reports.

mod fold;
mod live;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use fold::ModelFold;
pub(crate) use live::{AnyModel, Model, Rebuild};
pub use status::{ModelStatus, ModelStop};

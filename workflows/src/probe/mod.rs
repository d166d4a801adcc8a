//! Probers: they collect the evidence that policies judge.
//!
//! Law: a prober never judges. Evidence holds what was found, where (`source`), and the parameters
//! that the default policy needs; what cannot be found out is a [`everfold_ports::ProbeFailure`], never a verdict.

mod ci;
mod command;
mod config;
mod credentials;
mod diff;
mod failures;
mod fetch;
mod file;
mod fresh;
mod frontmatter;
mod function;
mod hosted;
mod http;
mod junit;
mod mergeable;
mod refused_rounds;
mod renewed;
mod runs;
mod source;

pub use ci::CiProber;
pub use command::CommandProber;
pub use config::ConfigProber;
pub use credentials::CredentialsProber;
pub use diff::DiffProber;
pub use file::FileProber;
pub use frontmatter::FrontmatterProber;
pub use function::FunctionProber;
pub use http::HttpProber;
pub use junit::TestsProber;
pub use mergeable::MergeableProber;
pub(crate) use renewed::RenewedProber;
pub use runs::RunsProber;

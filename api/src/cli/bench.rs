//! `bench`: the seam to [`crate::bench`].

use super::args::BenchArgs;
use super::context::Context;
use crate::fault::{Code, Fault};

pub(crate) async fn run(_context: &Context, _args: BenchArgs) -> Result<u8, Fault> {
    Err(Fault::new(Code::NotBuilt, "this build holds no bench"))
}

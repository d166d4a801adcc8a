//! `demo`.

use super::args::DemoArgs;
use super::context::Context;
use crate::fault::{Code, Fault};

pub(crate) async fn run(_context: &Context, _args: DemoArgs) -> Result<u8, Fault> {
    Err(Fault::new(Code::NotBuilt, "this build holds no demo"))
}

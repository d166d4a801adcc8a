//! The supervisor alone, for the tests of this crate, which cannot see the command line's binary.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [mode, folder] if mode == "shim" => everfold_workflows::shim::shim_main(Path::new(folder)),
        _ => ExitCode::from(2),
    }
}

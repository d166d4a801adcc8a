//! `bench`: what this machine does, beside what its disk could do at best.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use tokio_util::sync::CancellationToken;

use super::args::BenchArgs;
use super::context::CommandContext;
use super::interrupt::Interrupts;
use super::output::note;
use crate::bench::{self, Size};
use crate::fault::{Code, Fault};

/// How long the removal of what was measured in is tried again.
const REMOVAL: Duration = Duration::from_secs(5);

/// The exit code of an interrupted command.
const INTERRUPTED: u8 = 130;

pub(crate) async fn run(context: &CommandContext, args: BenchArgs) -> Result<u8, Fault> {
    let mut interrupts = Interrupts::listen()?;
    if let Some(url) = &args.work_at {
        return work(interrupts, url).await;
    }
    let place = same_disk(context.place()?.layout.root());
    let scratch =
        tempfile::Builder::new().prefix(".everfold-bench-").tempdir_in(&place).map_err(|error| {
            Fault::new(Code::File, format!("no folder can be made in {}: {error}", place.display()))
                .hint("--dir names a data folder on the disk that is to be measured")
        })?;
    let size = if args.full { Size::FULL } else { Size::QUICK };
    let folder = scratch.path().join("bench");
    note(format!("measuring on the disk of {}", place.display()));
    let say = |part: &str| note(format!("  {part}"));
    let measuring = async {
        match args.service {
            true => bench::run_service(&folder, size, &say).await,
            false => bench::run(&folder, size, &say).await,
        }
    };
    let measured = tokio::select! {
        measured = measuring => measured,
        _interrupted = interrupts.next() => {
            let folder = scratch.keep();
            match remove(&folder).await {
                Ok(()) => note("interrupted; nothing is left behind"),
                Err(error) => note(format!("interrupted; {} is left behind: {error}", folder.display())),
            }
            return Ok(INTERRUPTED);
        }
    };
    let report = measured.map_err(|error| {
        Fault::new(Code::StoreIo, format!("the measurement failed: {error}"))
            .hint("it needs about a gigabyte of room, ten with --full")
    })?;
    if context.json {
        context.out.json(&report)?;
    } else {
        context.out.raw(&report.to_string());
    }
    Ok(0)
}

/// Removes what was measured in, also while threads of the engine that was dropped still write there.
async fn remove(folder: &Path) -> std::io::Result<()> {
    let since = Stopwatch::start();
    loop {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if since.elapsed() > REMOVAL => return Err(error),
            Ok(()) | Err(_) => tokio::time::sleep(REMOVAL / 50).await,
        }
    }
}

/// The worker of the service that another `bench` measures.
async fn work(mut interrupts: Interrupts, url: &str) -> Result<u8, Fault> {
    interrupts.end_with_input()?;
    let (token, stop) = (std::env::var("EVERFOLD_TOKEN").unwrap_or_default(), CancellationToken::new());
    let worked = tokio::select! {
        worked = bench::work(url, &token, stop.clone()) => worked,
        _interrupted = interrupts.next() => Ok(()),
    };
    worked.map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
    Ok(0)
}

/// The nearest folder upwards of the data folder, which may not be there yet: the same disk, but not
/// among the store's own files.
fn same_disk(data: &Path) -> PathBuf {
    let above = data.ancestors().skip(1).find(|folder| folder.is_dir());
    above.map_or_else(std::env::temp_dir, Path::to_owned)
}

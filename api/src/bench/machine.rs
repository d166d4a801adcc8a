//! What a process used up, as the kernel counts it.

use std::path::Path;
use std::time::Duration;

/// A moment's counters.
#[derive(Debug, Clone, Copy)]
pub(super) struct MachineUsage {
    pub(super) cpu: Duration,
    /// Bytes handed to the operating system to be written, to files and elsewhere.
    pub(super) written: u64,
    /// The most memory so far, in bytes.
    pub(super) peak_memory: u64,
    /// Memory now, in bytes.
    pub(super) memory: u64,
}

impl MachineUsage {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written: self.written.saturating_sub(before.written),
            peak_memory: self.peak_memory,
            memory: self.memory.saturating_sub(before.memory),
        }
    }
}

/// Of this process; zeros where there is no `/proc`.
pub(super) fn usage() -> std::io::Result<MachineUsage> {
    usage_in(Path::new("/proc/self"))
}

/// Of another process.
pub(super) fn usage_of(pid: u32) -> std::io::Result<MachineUsage> {
    usage_in(Path::new(&format!("/proc/{pid}")))
}

fn usage_in(process: &Path) -> std::io::Result<MachineUsage> {
    if !Path::new("/proc/self/stat").exists() {
        return Ok(MachineUsage { cpu: Duration::ZERO, written: 0, peak_memory: 0, memory: 0 });
    }
    let stat = std::fs::read_to_string(process.join("stat"))?;
    // The name may hold spaces and brackets; the fields begin behind its last one.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let cpu = Duration::from_secs_f64((ticks(11) + ticks(12)) as f64 / per_second as f64);
    let written = field(&process.join("io"), "wchar:")?;
    let peak_memory = field(&process.join("status"), "VmHWM:")? * 1024;
    let memory = field(&process.join("status"), "VmRSS:")? * 1024;
    Ok(MachineUsage { cpu, written, peak_memory, memory })
}

fn field(path: &Path, name: &str) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0))
}

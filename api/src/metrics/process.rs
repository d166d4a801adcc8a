//! Memory, open files and processor time of this process, as the kernel reports them.

use std::fs;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Adds memory, open files and processor time, where the kernel tells them.
pub(super) fn register(registry: &mut Registry) {
    let statm = fs::read_to_string("/proc/self/statm").ok();
    let pages = statm.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<i64>().ok());
    if let Some(pages) = pages {
        let page = i64::try_from(rustix::param::page_size()).unwrap_or(4_096);
        let memory: Gauge = Gauge::default();
        memory.set(pages.saturating_mul(page));
        registry.register_with_unit("process_resident_memory", "Memory in use", Unit::Bytes, memory);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let open: Gauge = Gauge::default();
        open.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        registry.register("process_open_fds", "Open files and connections", open);
    }
    // Fields 14 and 15, counted behind the program's name, which may hold anything.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        let seconds: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        #[expect(clippy::cast_precision_loss, reason = "a hundred or so")]
        seconds.set((user + system) / rustix::param::clock_ticks_per_second() as f64);
        registry.register_with_unit("process_cpu", "Processor time used", Unit::Seconds, seconds);
    }
}

//! Measures a store beside the raw limit of its disk.
//!
//! Law: nothing here is asserted: a figure says what was, ratios say what it is worth. Raw and store
//! write the same bytes in the same folder, one after the other.
//!
//! Called by the command line's `bench`, and by the example `store_bench`.

mod rates;
mod source;

pub use rates::{
    Load, Rate, Throughput, append_rate, fill, raw_overwrite_rate, raw_sync_rate, read_rate, rebuild_rate,
    scan_rate,
};
pub use source::Source;

//! What the store does when system calls fail, and when the machine stops between two of them.

mod disk_full;
mod failed_sync;
mod folder_contents;
mod folder_ownership;
mod kill_and_power_cut;
mod new_segment;
mod open;

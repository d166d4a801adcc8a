//! A real engine over the executors, probers and workspaces of `everfold-workflows`: real processes, real
//! repositories, services that host them.

mod attempts;
mod delivery_with_crash;
mod forks;
mod interrupts;
mod place;
mod spend;

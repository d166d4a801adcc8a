//! `everfold bench --service`: the engine from outside, over loopback. Three processes: `everfold serve` over a folder of
//! its own, a worker, and this one as the client.

mod client;
mod load;
mod processes;

pub use load::run;
pub use processes::work;

//! What a pipeline is, after parsing and checking.
//!
//! Law: serialising a [`Definition`] gives its canonical document; reading that document back gives
//! an equal definition. Keys that hold their default are left out, so that a key added later does
//! not change the hash of a pipeline that does not use it.

mod anchor;
mod control;
mod credential;
mod definition;
mod gate;
mod money;
mod outputs;
mod people;
mod reminders;
mod route;
mod search;
mod setting;
mod shape;
mod step;
mod trigger;
mod work;
mod workspace;

pub use anchor::*;
pub use control::*;
pub use credential::*;
pub use definition::*;
pub use gate::*;
pub use money::*;
pub use outputs::*;
pub use people::*;
pub use reminders::*;
pub use route::*;
pub use search::*;
pub use setting::*;
pub use shape::*;
pub use step::*;
pub use trigger::*;
pub use work::*;
pub use workspace::*;

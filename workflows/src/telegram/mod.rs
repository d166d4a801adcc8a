//! The functions `telegram.*`, and the Bot API that they and `notify.telegram` speak.
//!
//! Laws:
//! - The bot's token stands in addresses and in no message.
//! - `telegram.live` sends at most one message per chat and key, whatever ends the engine and whichever answer is lost:
//!   where it is not known whether a message arrived, no second one is sent.
//! - `telegram.ping` sends a message that is known to have arrived once; where that is not known, it sends again. People
//!   would rather be called twice than not at all.

mod address;
mod bot;
mod declare;
mod html;
mod keyboard;
mod live;
mod ping;
mod sent;
mod target;

pub(crate) use bot::{Bot, TEXT_UNITS_MAX, chat};
pub(crate) use declare::declare;

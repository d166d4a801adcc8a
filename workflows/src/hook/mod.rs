//! How sources of webhooks are read: `[hooks.NAME]` in the settings.
//!
//! Law: reading is pure: the same headers and bytes give the same delivery, so a repeat is known as one.
//! Nothing of a signature or a token is kept, nor the source's secret, whatever header holds it.
//!
//! Called by the command line's `hook deliver`, and by the server that takes deliveries from a network, which checks
//! the [`signature`] first.

mod cloudevents;
mod content;
mod generic;
mod gitea;
mod github;
mod gitlab;
mod plane;
mod read;
mod reply;
pub(crate) mod settings;
pub mod signature;
mod telegram;
#[cfg(test)]
mod tests;

pub use content::Headers;
pub use read::{DeliveryReadError, SIGNED_BYTES_MAX, is_id, read};
pub use reply::AwaitedReply;
pub use settings::{DeliveryPath, HookSettings, ReaderKind, Scheme};

//! `/system`: what is not well, what is in use and who waits, who works, what could not be sent, and who may call.

mod acts;
mod ask;
mod done_words;
mod facts;
mod findings;
mod page;
mod routes;
mod waiting;

pub(crate) use acts::refused;
pub(crate) use ask::{Ask, AskField, Given, WAS, field, segment};
pub(crate) use done_words::{done_sentence, said_at};
pub(crate) use routes::routes;

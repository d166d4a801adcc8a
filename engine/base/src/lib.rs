//! What every part of Everfold knows: ids, time, JSON, actors, failures, and the envelope of an event.
//!
//! Law: values and their forms. This crate reads no clock, opens no file and draws nothing at random; what it
//! encodes is read by every later release.
#![forbid(unsafe_code)]

pub mod actor;
pub mod blobs;
pub mod codec;
pub mod data_folder;
pub mod duration;
pub mod envelope;
pub mod failure;
pub mod id;
pub mod json;
pub mod text;
pub mod time;

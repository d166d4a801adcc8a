//! Credentials of requests, sealed in the data folder with a key that lies elsewhere.
//!
//! Law: the data folder holds no value, and nothing by which one could be guessed. A sealed value opens with the key of
//! this machine, for the run and under the name that it was brought for, in the data folder that it was brought to.

mod former;
mod kept;
mod machine_key;
mod seal;

pub use kept::SealedCredentials;
pub(crate) use kept::UnopenedCredential;
pub use machine_key::{MachineKey, default_key_file};

//! The functions `plane.*` over a fake that speaks as Plane does, and fails in every way.

mod comments;
mod failures;
mod fixture;
mod issue;
mod notices;
mod parts;
mod sequence;
mod states;

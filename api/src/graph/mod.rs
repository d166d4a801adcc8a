//! Pipelines as pictures: [`text`] for terminals, [`svg`] for files, `drawing` for clients that draw.
//!
//! Law: a picture is a function of the definition alone; equal definitions give equal bytes. The SVG
//! holds no script and loads nothing.

mod about;
mod blocks;
mod drawing;
mod geometry;
mod layout;
mod ranks;
mod rows;
mod shortcuts;
mod sketch;
mod svg;
mod text;
mod tracks;
mod words;

pub use about::about;
pub(crate) use drawing::{GraphDetail, GraphView, drawing};
pub use svg::svg;
pub use text::text;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

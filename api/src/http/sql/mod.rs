//! The tables of `POST /query`: the lists of REST, asked by SQL.
//!
//! Law: a row of a table is the row of the list that it stands for, and a column is a field of it, so that SQL and REST say
//! the same. All tables of a query are read as of one position. Secrets and what is sealed are in no row, hence in no column.
//!
//! [`table_text`] says what a table and its columns are called, [`columns`] has them all. [`row_table`] makes a table of
//! rows that come in parts; [`moment`] is what all tables of a query share. [`runs`], [`decisions`], [`lists`], [`spend`],
//! [`of_runs`] and [`events`] are the tables. [`tables`] puts them together, [`functions`] are what queries may call beside
//! SQLite's own.

mod columns;
mod decisions;
mod events;
mod functions;
mod lists;
mod moment;
mod of_runs;
mod row_table;
mod runs;
mod spend;
mod table_text;
mod tables;

pub(super) use columns::TABLES;
pub(super) use functions::functions;
pub(super) use moment::QueryMoment;
pub(super) use table_text::TableText;
pub(super) use tables::tables;

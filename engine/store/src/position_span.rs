//! Positions of the log that follow each other, in words.

use everfold_base::id::Position;

/// `position 7`, or `positions 7 to 9`.
#[must_use]
pub fn positions(first: Position, last: Position) -> String {
    match first == last {
        true => format!("position {first}"),
        false => format!("positions {first} to {last}"),
    }
}

/// `position 7 is`, or `positions 7 to 9 are`.
pub(crate) fn positions_are(first: Position, last: Position) -> String {
    let verb = if first == last { "is" } else { "are" };
    format!("{} {verb}", positions(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It said “positions 560 to 560”.
    #[test]
    fn one_position_is_named_alone() {
        assert_eq!(positions(Position(560), Position(560)), "position 560");
        assert_eq!(positions_are(Position(560), Position(560)), "position 560 is");
        assert_eq!(positions_are(Position(5), Position(7)), "positions 5 to 7 are");
    }
}

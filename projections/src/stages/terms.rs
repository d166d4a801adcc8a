//! What is true of a task, as the indexes name it.

use crate::index::bitmap_index::term;

/// It goes on.
pub(super) fn open() -> Vec<u8> {
    term(b'o', "")
}

/// It stands in this stage, or did when it ended.
pub(super) fn stage(name: &str) -> Vec<u8> {
    term(b'c', name)
}

/// Its work item has this number.
pub(super) fn item(digits: &str) -> Vec<u8> {
    term(b'i', digits)
}

/// The number at the end of a work item's name, without zeros in front of it.
pub(super) fn item_number(item: &str) -> Option<&str> {
    let digits = &item[item.trim_end_matches(|sign: char| sign.is_ascii_digit()).len()..];
    (!digits.is_empty()).then(|| digits.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::item_number;

    #[test]
    fn o116_a_work_item_is_known_by_its_number_whatever_stands_in_front_of_it() {
        for (item, number) in [
            ("ORCH-005", Some("5")),
            ("ET-5", Some("5")),
            ("5", Some("5")),
            ("ET-018", Some("18")),
            ("ET-abc", None),
            ("", None),
            ("ЗАДАЧА-7", Some("7")),
        ] {
            assert_eq!(item_number(item), number, "{item}");
        }
    }
}

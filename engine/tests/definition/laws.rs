//! Laws over any text.

use everfold_engine::definition::{Definition, parse};
use proptest::prelude::*;

use super::support::{files, folder};

fn examples() -> Vec<String> {
    folder("good")
        .into_iter()
        .chain(folder("bad"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// Reading never panics, and what passes reads back.
fn law(text: &str) {
    match parse(text, "fuzz.yaml", &files()) {
        Ok(checked) => {
            let document = checked.definition.document();
            assert_eq!(Definition::from_document(&document).unwrap().document(), document);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            let shown = problems.to_string();
            assert!(shown.contains("error"), "{shown}");
            for problem in &problems.0 {
                assert!(problem.line >= 1 && problem.column >= 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        law(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mutated_examples_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, any::<u8>()), 1..6),
    ) {
        let examples = examples();
        let mut bytes = which.get(&examples).clone().into_bytes();
        for (at, kind, byte) in edits {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            match kind {
                0..=2 => bytes[at] = byte,
                3..=4 => { bytes.remove(at); }
                5 => bytes.truncate(at),
                6..=7 => bytes.insert(at, byte),
                8 => bytes.splice(at..at, *b"${").for_each(drop),
                9 => bytes.splice(at..at, *b"\n  - ").for_each(drop),
                10 => bytes.splice(at..at, *b"'").for_each(drop),
                _ => { let tail = bytes[at..].to_vec(); bytes.extend(tail); }
            }
        }
        law(&String::from_utf8_lossy(&bytes));
    }
}

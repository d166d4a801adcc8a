//! Finds the name that a mistyped one most likely stands for: “did you mean …”.

/// The candidate that a mistyped name most likely stands for, if one is close enough.
#[must_use]
pub fn similar<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_ascii_lowercase().replace('-', "_");
    let limit = (wanted.len() / 3).clamp(1, 3);
    candidates
        .filter(|candidate| *candidate != name)
        .map(|candidate| {
            let spelled = candidate.to_ascii_lowercase().replace('-', "_");
            // Of two equally near names, the one with the same letters is the likelier.
            (distance(&wanted, &spelled), letters(&wanted) != letters(&spelled), candidate)
        })
        .filter(|(distance, _, candidate)| *distance <= limit && *distance < candidate.len())
        .min_by_key(|(distance, other_letters, _)| (*distance, *other_letters))
        .map(|(_, _, candidate)| candidate)
}

fn letters(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters
}

/// Insertions, deletions, replacements and swaps of neighbours from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["needs", "command", "on_fail", "workspace"];
        assert_eq!(similar("need", names.into_iter()), Some("needs"));
        assert_eq!(similar("comand", names.into_iter()), Some("command"));
        assert_eq!(similar("on-fail", names.into_iter()), Some("on_fail"));
        assert_eq!(similar("wrokspace", names.into_iter()), Some("workspace"));
        assert_eq!(similar("zebra", names.into_iter()), None);
    }
}

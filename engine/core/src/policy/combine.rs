//! What several judgements say together.

use super::judgement::{Judgement, Verdict, fail, pass, shortened};

/// How members of a gate count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combination {
    /// Every member passes: a failure counts before what is pending, that before a pass.
    All,
    /// One member passes: a pass counts before what is pending, that before a failure.
    Any,
    /// The member fails.
    Not,
    /// So many members pass.
    AtLeast(u32),
}

/// A reason is one line; of many members it names the first.
const REASON_CHARS_MAX: usize = 600;
const MEMBER_CHARS_MAX: usize = 160;

/// Combines the judgements of named members. A skipped member is left out; where all are, so is the whole.
///
/// A member whose evidence could not be had is to be given as pending: it never passes.
#[must_use]
pub fn combine(how: Combination, members: &[(&str, &Judgement)]) -> Judgement {
    let of = |verdict: Verdict| -> Vec<&(&str, &Judgement)> {
        members.iter().filter(|(_, judgement)| judgement.verdict == verdict).collect()
    };
    let (passed, pending, failed) = (of(Verdict::Pass), of(Verdict::Pending), of(Verdict::Fail));
    let counted = passed.len() + pending.len() + failed.len();
    if counted == 0 {
        return Judgement::new(Verdict::Skipped, "no member applies");
    }
    let wait = |members: &[&(&str, &Judgement)]| Judgement::new(Verdict::Pending, summary(members));
    match how {
        Combination::All if !failed.is_empty() => fail(summary(&failed)),
        Combination::All if !pending.is_empty() => wait(&pending),
        Combination::All if counted == 1 => pass(summary(&passed)),
        Combination::All => pass(format!("all {counted} pass: {}", names(&passed))),
        Combination::Any if !passed.is_empty() => pass(summary(&passed)),
        Combination::Any if !pending.is_empty() => wait(&pending),
        Combination::Any => fail(summary(&failed)),
        Combination::Not if !passed.is_empty() => fail(format!("must not pass: {}", summary(&passed))),
        Combination::Not if !pending.is_empty() => wait(&pending),
        Combination::Not => pass(format!("fails, as it is to: {}", summary(&failed))),
        Combination::AtLeast(n) => {
            let n = n as usize;
            let counts = format!("{} of {counted} pass, {n} needed", passed.len());
            if passed.len() >= n {
                pass(format!("{counts}: {}", names(&passed)))
            } else if passed.len() + pending.len() >= n {
                Judgement::new(Verdict::Pending, format!("{counts}; {}", summary(&pending)))
            } else {
                fail(if failed.is_empty() { counts } else { format!("{counts}; {}", summary(&failed)) })
            }
        }
    }
}

fn summary(members: &[&(&str, &Judgement)]) -> String {
    let one = |(name, judgement): &&(&str, &Judgement)| {
        format!("{name}: {}", shortened(&judgement.reason, MEMBER_CHARS_MAX))
    };
    shortened(&members.iter().map(one).collect::<Vec<_>>().join("; "), REASON_CHARS_MAX)
}

fn names(members: &[&(&str, &Judgement)]) -> String {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    shortened(&names.join(", "), REASON_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass, Pending, Skipped};

    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

    fn judged(how: Combination, verdicts: &[Verdict]) -> Verdict {
        let judgements: Vec<Judgement> =
            verdicts.iter().map(|verdict| Judgement::new(*verdict, "so")).collect();
        let members: Vec<(&str, &Judgement)> = NAMES.into_iter().zip(&judgements).collect();
        combine(how, &members).verdict
    }

    #[test]
    fn l15_what_counts_first_and_skipped_members_are_left_out() {
        use Combination::{All, Any, AtLeast, Not};
        for (how, members, verdict) in [
            (All, vec![Pass, Pass], Pass),
            (All, vec![Pass, Pending, Fail], Fail),
            (All, vec![Pass, Pending], Pending),
            (All, vec![Skipped, Pass], Pass),
            (All, vec![Skipped], Skipped),
            (Any, vec![Fail, Pending, Pass], Pass),
            (Any, vec![Fail, Pending], Pending),
            (Any, vec![Fail, Skipped], Fail),
            (Any, vec![Skipped, Skipped], Skipped),
            (Not, vec![Fail], Pass),
            (Not, vec![Pass], Fail),
            (Not, vec![Pending], Pending),
            (Not, vec![Skipped], Skipped),
            (AtLeast(2), vec![Pass, Fail, Pass], Pass),
            (AtLeast(2), vec![Pass, Fail, Pending], Pending),
            (AtLeast(2), vec![Pass, Fail, Fail], Fail),
            (AtLeast(2), vec![Pass, Skipped, Skipped], Fail),
            (AtLeast(2), vec![Pending, Pending, Fail], Pending),
        ] {
            assert_eq!(judged(how, &members), verdict, "{how:?} {members:?}");
        }
    }

    #[test]
    fn the_reason_names_the_members_that_decided() {
        let (good, bad) = (Judgement::new(Pass, "exit 0"), Judgement::new(Fail, "exit 2: 3 failed"));
        let members = [("unit", &good), ("lint", &bad), ("e2e", &bad)];
        for (how, reason) in [
            (Combination::All, "lint: exit 2: 3 failed; e2e: exit 2: 3 failed"),
            (Combination::Any, "unit: exit 0"),
            (Combination::AtLeast(1), "1 of 3 pass, 1 needed: unit"),
            (Combination::AtLeast(2), "1 of 3 pass, 2 needed; lint: exit 2: 3 failed; e2e: exit 2: 3 failed"),
        ] {
            assert_eq!(combine(how, &members).reason, reason);
        }
        assert_eq!(combine(Combination::Not, &members[..1]).reason, "must not pass: unit: exit 0");
    }

    proptest! {
        #[test]
        fn l15_the_combinations_are_each_others_mirror(
            verdicts in prop::collection::vec(prop::sample::select(vec![Pass, Fail, Pending, Skipped]), 1..8)
        ) {
            let mirrored: Vec<Verdict> = verdicts.iter().map(|it| judged(Combination::Not, &[*it])).collect();
            let flip = |verdict| judged(Combination::Not, &[verdict]);
            prop_assert_eq!(judged(Combination::All, &verdicts), flip(judged(Combination::Any, &mirrored)));
            let counted = verdicts.iter().filter(|it| **it != Skipped).count();
            if let Ok(all @ 1..) = u32::try_from(counted) {
                prop_assert_eq!(judged(Combination::AtLeast(all), &verdicts), judged(Combination::All, &verdicts));
                prop_assert_eq!(judged(Combination::AtLeast(1), &verdicts), judged(Combination::Any, &verdicts));
            }
        }
    }
}

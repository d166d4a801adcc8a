//! Of which runs the insights are: the fields of the address, and as the route takes them.
//!
//! Law: a field that cannot be used takes nothing else away: the insights are those of the others, and the page says why.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::board::{WrittenMoment, shortest};
use crate::frame::{Visit, with_query};

/// What the route takes at most for `runs` and `at_least`.
const MAX: u32 = 10_000;

/// A field of the address, and what is said of it.
type FieldSays = (&'static str, String);

/// The fields of the address; what is empty is as the route has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct InsightsChoice {
    pub(super) pipeline: String,
    /// A time, also as people write it: `-30d`.
    pub(super) since: String,
    pub(super) runs: String,
    pub(super) at_least: String,
}

impl InsightsChoice {
    /// Whether anything is chosen.
    pub(super) fn is_set(&self) -> bool {
        [&self.pipeline, &self.since, &self.runs, &self.at_least].iter().any(|field| !field.trim().is_empty())
    }

    /// The route of REST, and the first field that cannot be used, with the reason.
    pub(super) fn route(&self, visit: &Visit) -> (String, Option<FieldSays>) {
        let now = visit.then.as_deref().and_then(|then| then.parse().ok()).unwrap_or_else(Timestamp::now);
        let (pairs, refused) = self.pairs(now);
        let path =
            pairs.iter().fold("/insights".to_owned(), |path, (name, value)| with_query(&path, name, value));
        (visit.at_moment(&path), refused)
    }

    /// The parameters of the route, and the first field that cannot be used.
    fn pairs(&self, now: Timestamp) -> (Vec<FieldSays>, Option<FieldSays>) {
        let (mut pairs, mut refused) = (Vec::new(), None);
        let fields = [
            ("pipeline", &self.pipeline, Ok(self.pipeline.trim().to_owned())),
            ("since", &self.since, since(&self.since, now)),
            ("runs", &self.runs, count(&self.runs)),
            ("at_least", &self.at_least, count(&self.at_least)),
        ];
        for (name, field, read) in fields {
            match read {
                _ if field.trim().is_empty() => {}
                Ok(value) => pairs.push((name, value)),
                Err(why) => refused = refused.or(Some((name, why))),
            }
        }
        (pairs, refused)
    }
}

/// A time as routes take it.
fn since(text: &str, now: Timestamp) -> Result<String, String> {
    match WrittenMoment::read(text, now, &TimeZone::UTC) {
        Ok(WrittenMoment::Time(time)) => Ok(shortest(time)),
        Ok(WrittenMoment::Now) => Ok(shortest(now)),
        Ok(WrittenMoment::Position(_)) | Err(_) => {
            Err(format!("“{text}” is no time: write -30d, yesterday, 2026-11-20, or a time of RFC 3339"))
        }
    }
}

/// A number within the bounds of the route.
fn count(text: &str) -> Result<String, String> {
    let number = text.trim().parse::<u32>().ok().filter(|number| (1..=MAX).contains(number));
    number.map(|number| number.to_string()).ok_or_else(|| format!("“{text}” is no number from 1 to {MAX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_what_the_route_takes_and_one_that_is_none_leaves_the_others() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let choice = InsightsChoice {
            pipeline: " delivery ".into(),
            since: "-30d".into(),
            runs: "many".into(),
            at_least: "5".into(),
        };
        let (pairs, refused) = choice.pairs(now);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(pairs, [("pipeline", "delivery"), ("since", "2026-10-24T12:00:00Z"), ("at_least", "5")]);
        assert_eq!(refused, Some(("runs", "“many” is no number from 1 to 10000".to_owned())));
        assert_eq!(InsightsChoice::default().pairs(now), (Vec::new(), None));
        assert!(choice.is_set() && !InsightsChoice::default().is_set());
    }

    #[test]
    fn a_position_is_no_time_since_which_runs_began() {
        assert!(since("400", Timestamp::now()).is_err());
        assert!([count("0"), count("10001")].iter().all(Result::is_err));
    }
}

//! The laws of timetables.

use super::*;
use serde_json::{Value, json};

fn schedule(value: Value) -> Schedule {
    serde_json::from_value(value).unwrap()
}

fn table(value: Value) -> Timetable {
    Timetable::new(&schedule(value)).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The moments between, as wall clock times with their offsets.
fn wall(table: &Timetable, after: &str, until: &str) -> Vec<String> {
    let due = table.between(at(after), at(until), 1_000);
    let show = |moment: &Timestamp| table.zoned(*moment).unwrap().strftime("%d %H:%M %:z").to_string();
    due.moments.iter().map(show).collect()
}

/// A wrong clock may show any year.
#[test]
fn instants_at_and_beyond_the_ends_of_the_calendar_have_no_moments_and_end_nothing() {
    let tables = [
        json!({"cron": "30 7 * * *", "zone": "Europe/Berlin"}),
        json!({"cron": "*/5 * * * *", "weekdays": ["mon"], "hours": [8, 18]}),
        json!({"every": "7m"}),
        json!({"every": "1d", "anchor": "2026-11-20T08:00:00Z", "weekdays": ["mon"], "zone": "Asia/Tokyo"}),
    ];
    let first = jiff::Timestamp::MIN.as_millisecond();
    let last = jiff::Timestamp::MAX.as_millisecond();
    let ends =
        [i64::MIN, i64::MIN + 1, first - 1, first, -1, last - 60_000, last, last + 1, i64::MAX - 1, i64::MAX];
    for schedule in tables {
        let table = table(schedule.clone());
        for end in ends.map(Timestamp) {
            let due = table.due("nightly", end.min(at("2026-11-20T08:15:00Z")), end, 5);
            assert!(due.moments.iter().all(|moment| *moment <= end), "{schedule} {end}");
            let next = table.next("nightly", end);
            assert!(next.is_none_or(|(moment, _)| moment > end), "{schedule} {end}: {next:?}");
        }
    }
}

#[test]
fn t_in_spring_a_fixed_hour_that_does_not_exist_comes_once_and_each_hour_goes_on() {
    let fixed = table(json!({"cron": "30 2 * * *", "zone": "Europe/Berlin"}));
    let (after, until) = ("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(wall(&fixed, after, until), ["28 02:30 +01:00", "29 03:00 +02:00", "30 02:30 +02:00"]);
    let hourly = table(json!({"cron": "0 * * * *", "zone": "Europe/Berlin"}));
    let night = wall(&hourly, "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z");
    assert_eq!(night, ["29 01:00 +01:00", "29 03:00 +02:00", "29 04:00 +02:00"]);
}

#[test]
fn t_in_autumn_a_fixed_hour_that_comes_twice_counts_once_and_each_hour_goes_on() {
    let fixed = table(json!({"cron": "30 2 * * *", "zone": "Europe/Berlin"}));
    let days = wall(&fixed, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
    assert_eq!(days, ["24 02:30 +02:00", "25 02:30 +02:00", "26 02:30 +01:00"]);
    let hourly = table(json!({"cron": "0 * * * *", "zone": "Europe/Berlin"}));
    let night = wall(&hourly, "2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z");
    assert_eq!(night, ["25 02:00 +02:00", "25 02:00 +01:00", "25 03:00 +01:00"]);
}

#[test]
fn row_73_times_of_a_list_or_range_come_over_both_changes_of_the_clock_as_single_ones_do() {
    let list = table(json!({"cron": "0 2,14 * * *", "zone": "Europe/Berlin"}));
    let spring = wall(&list, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
    let expected =
        ["28 14:00 +01:00", "29 03:00 +02:00", "29 14:00 +02:00", "30 02:00 +02:00", "30 14:00 +02:00"];
    assert_eq!(spring, expected);
    let autumn = wall(&list, "2026-10-24T11:00:00Z", "2026-10-25T14:00:00Z");
    assert_eq!(autumn, ["24 14:00 +02:00", "25 02:00 +02:00", "25 14:00 +01:00"]);
    // Two times that the clock leaves out at once are one moment.
    let range = table(json!({"cron": "0,30 1-3 * * *", "zone": "Europe/Berlin"}));
    let night = wall(&range, "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z");
    assert_eq!(night, ["29 01:00 +01:00", "29 01:30 +01:00", "29 03:00 +02:00", "29 03:30 +02:00"]);
}

#[test]
fn t_forwards_and_backwards_are_the_same_moments_whatever_the_cut() {
    for spec in [
        json!({"cron": "*/20 1-3 * * *", "zone": "Europe/Berlin"}),
        json!({"cron": "30 2 * * *", "zone": "Europe/Berlin"}),
        json!({"cron": "0,30 1-3,14 * * *", "zone": "Europe/Berlin"}),
        json!({"cron": "0 * * * *", "zone": "America/New_York", "weekdays": ["sat", "sun"], "hours": [22, 6]}),
        json!({"every": "35m", "zone": "Europe/Berlin", "hours": [8, 18]}),
        json!({"cron": "15 30 7 * * mon-fri", "zone": "Asia/Kathmandu"}),
    ] {
        let table = table(spec.clone());
        for (from, until) in [
            ("2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("2026-10-23T00:00:00Z", "2026-11-03T00:00:00Z"),
        ] {
            let whole = table.between(at(from), at(until), 1_000).moments;
            let mut forwards = Vec::new();
            let mut cursor = at(from);
            while let Some((moment, _)) = table.next("x", cursor) {
                if moment > at(until) {
                    break;
                }
                forwards.push(moment);
                cursor = moment;
            }
            assert_eq!(whole, forwards, "{spec}");
            // Asked every 41 minutes, nothing is seen twice or never.
            let mut pieces = Vec::new();
            let mut cursor = at(from);
            while cursor < at(until) {
                let next = Timestamp((cursor.0 + 41 * 60_000).min(at(until).0));
                pieces.extend(table.between(cursor, next, 1_000).moments);
                cursor = next;
            }
            assert_eq!(whole, pieces, "{spec}");
        }
    }
}

#[test]
fn t_of_many_moments_the_newest_count() {
    let table = table(json!({"every": "1m"}));
    let due = table.between(at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"), CAUGHT_UP_MAX);
    assert_eq!((due.moments.len(), due.has_older), (CAUGHT_UP_MAX, true));
    assert_eq!(due.moments.last(), Some(&at("2026-01-02T00:00:00Z")));
    assert!(due.moments.is_sorted());
}

#[test]
fn t_weekdays_and_hours_keep_moments_out_the_last_hour_too() {
    let (monday, sunday) = ("2026-01-05T00:00:00Z", "2026-01-11T23:59:59Z");
    let hours = |spec: Value, until| wall(&table(spec), monday, until);
    let day = hours(json!({"every": "1h", "hours": [8, 10]}), "2026-01-06T00:00:00Z");
    assert_eq!(day, ["05 08:00 +00:00", "05 09:00 +00:00"], "until before 10");
    let night = hours(json!({"every": "1h", "hours": [22, 1]}), "2026-01-06T12:00:00Z");
    assert_eq!(night, ["05 22:00 +00:00", "05 23:00 +00:00", "06 00:00 +00:00"], "over midnight");
    let week = hours(json!({"cron": "0 7 * * *", "weekdays": ["mon", "fri"]}), sunday);
    assert_eq!(week, ["05 07:00 +00:00", "09 07:00 +00:00"]);
}

#[test]
fn t_jitter_follows_from_the_name_and_the_moment_and_overtakes_nobody() {
    let table = table(json!({"every": "10s", "jitter": "1m"}));
    let (from, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T01:00:00Z"));
    let mut cursor = from;
    let mut seen = Vec::new();
    let mut now = from;
    while now < until {
        now = Timestamp(now.0 + 1_000);
        let due = table.due("a", cursor, now, 1_000).moments;
        cursor = due.last().copied().unwrap_or(cursor);
        seen.extend(due);
    }
    assert!(seen.is_sorted());
    assert!(seen.len() > 350, "{}", seen.len());
    assert_ne!(table.put_off("a", from), table.put_off("b", from));
    assert_eq!(table.put_off("a", from), table.put_off("a", from));
    let moments = table.between(from, until, 1_000).moments;
    let late = moments.iter().map(|moment| table.put_off("a", *moment).0 - moment.0);
    assert!(late.into_iter().all(|ms| (0..=60_000).contains(&ms)), "at most so much");
}

#[test]
fn t_what_never_comes_is_an_error_and_what_comes_seldom_is_none() {
    let bad = |value: Value| Timetable::new(&schedule(value)).unwrap_err().to_string();
    assert!(bad(json!({"cron": "0 0 30 2 *"})).contains("no moment ever fits"));
    assert!(bad(json!({"cron": "0 7 * * *", "hours": [8, 18]})).contains("0 7 * * * 8..18"));
    assert!(bad(json!({"cron": "0 7 * * mon", "weekdays": ["tue"]})).contains("no moment ever fits"));
    assert!(bad(json!({"cron": "* * * * *", "zone": "Mars/Olympus"})).contains("no time zone"));
    let leap = table(json!({"cron": "0 0 29 2 *"}));
    let (next, _) = leap.next("x", at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(next, at("2028-02-29T00:00:00Z"));
}

/// The moments between, in UTC, of a schedule that was added at a moment.
fn added_moments(spec: Value, added: &str, until: &str) -> Vec<String> {
    let table = Timetable::since(&schedule(spec), at(added)).unwrap();
    wall(&table, added, until)
}

#[test]
fn an_anchor_added_counts_from_the_next_full_hour_and_puts_moments_forward_into_the_hours() {
    let six = json!({"every": "6h", "anchor": "added"});
    let moments = added_moments(six, "2026-01-05T10:20:30Z", "2026-01-06T12:00:00Z");
    assert_eq!(moments, ["05 17:00 +00:00", "05 23:00 +00:00", "06 05:00 +00:00", "06 11:00 +00:00"]);
    // 17:00 is outside of 9..17, and so are 23:00 and 05:00: they are one moment at the window's beginning.
    let window = json!({"every": "6h", "anchor": "added", "hours": [9, 17]});
    let moments = added_moments(window, "2026-01-05T10:20:30Z", "2026-01-06T18:00:00Z");
    assert_eq!(moments, ["06 09:00 +00:00", "06 11:00 +00:00"]);
    // Over midnight, in a zone, and on days: Saturday is put forward to Monday.
    let night = json!({"every": "24h", "anchor": "added", "hours": [22, 6], "zone": "Europe/Berlin"});
    let moments = added_moments(night, "2026-01-05T10:20:30Z", "2026-01-07T23:00:00Z");
    assert_eq!(moments, ["06 22:00 +01:00", "07 22:00 +01:00"]);
    let days = json!({"every": "24h", "anchor": "added", "weekdays": ["mon"]});
    let moments = added_moments(days, "2026-01-08T10:00:00Z", "2026-01-20T00:00:00Z");
    assert_eq!(moments, ["12 00:00 +00:00", "12 10:00 +00:00", "19 00:00 +00:00", "19 10:00 +00:00"]);
}

#[test]
fn an_anchor_in_time_is_the_first_moment_and_the_others_are_counted_from_it() {
    let spec = json!({"every": "36h", "anchor": "2026-01-05T07:30:00+01:00"});
    let moments = added_moments(spec, "2026-01-01T00:00:00Z", "2026-01-09T00:00:00Z");
    assert_eq!(moments, ["05 06:30 +00:00", "06 18:30 +00:00", "08 06:30 +00:00"]);
}

#[test]
fn moments_that_are_put_forward_are_the_same_forwards_and_backwards_and_over_a_change_of_the_clock() {
    for spec in [
        json!({"every": "7h", "anchor": "added", "hours": [9, 17], "zone": "Europe/Berlin"}),
        json!({"every": "50m", "anchor": "added", "hours": [22, 3], "zone": "Europe/Berlin"}),
        json!({"every": "5h", "anchor": "2026-03-20T00:10:00Z", "weekdays": ["sun", "tue"], "hours": [1, 3], "zone": "Europe/Berlin"}),
    ] {
        let table = Timetable::since(&schedule(spec.clone()), at("2026-03-20T11:11:11Z")).unwrap();
        for (from, until) in [
            ("2026-03-26T00:00:00Z", "2026-04-02T00:00:00Z"),
            ("2026-10-22T00:00:00Z", "2026-10-29T00:00:00Z"),
        ] {
            let (from, until) = (at(from), at(until));
            let all = table.between(from, until, 10_000).moments;
            assert!(!all.is_empty(), "{spec}");
            let mut forwards = Vec::new();
            let mut next = table.next("x", from);
            while let Some((moment, _)) = next.filter(|(moment, _)| *moment <= until) {
                forwards.push(moment);
                next = table.next("x", moment);
            }
            assert_eq!(all, forwards, "{spec}");
            let middle = Timestamp(i64::midpoint(from.0, until.0));
            let cut: Vec<Timestamp> =
                [table.between(from, middle, 10_000).moments, table.between(middle, until, 10_000).moments]
                    .concat();
            assert_eq!(all, cut, "{spec}");
            assert!(all.iter().all(|moment| table.refused_since(*moment).is_none()), "{spec}");
        }
    }
}

#[test]
fn hours_that_begin_where_they_end_are_the_whole_day() {
    let table = table(json!({"every": "8h", "hours": [8, 8]}));
    let day = wall(&table, "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z");
    assert_eq!(day, ["05 08:00 +00:00", "05 16:00 +00:00", "06 00:00 +00:00"]);
}

#[test]
fn a_range_that_ends_before_it_begins_is_named_with_what_to_write() {
    for (cron, range, instead) in [
        ("30 7 * * fri-mon", "fri-mon", "fri-sat,sun-mon"),
        ("30 7 * * 5-1", "5-1", "5-6,0-1"),
        ("30 7 * * sat-mon", "sat-mon", "sat,sun-mon"),
        ("*/5 22-5/2 * * *", "22-5/2", "22-23/2,0-5/2"),
        ("0 7 1 nov-feb *", "nov-feb", "nov-dec,jan-feb"),
        ("0 50-10 7 * * *", "50-10", "50-59,0-10"),
    ] {
        let refused = Timetable::new(&schedule(json!({"cron": cron}))).unwrap_err().to_string();
        let why = format!("the range {range} ends before it begins; write {instead}");
        assert_eq!(refused, format!("“{cron}” is no cron pattern: {why}"));
        table(json!({"cron": cron.replace(range, instead)}));
    }
}

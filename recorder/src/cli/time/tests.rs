//! Tests of `cli::time`.

use proptest::prelude::*;

use super::*;

/// Wednesday, half an hour before noon, in a zone with summer time.
fn reference() -> Reference {
    let now: Zoned = "2026-11-25T11:32:10.5+01:00[Europe/Berlin]".parse().unwrap();
    let boot = "2026-11-20T06:00:00Z".parse().ok();
    Reference { now, boot }
}

fn utc(text: &str) -> String {
    parse(text, &reference()).map_or_else(|error| panic!("{text}: {error}"), |time| time.to_string())
}

#[test]
fn every_form_means_what_it_says() {
    for (text, meaning) in [
        ("now", "2026-11-25T10:32:10.5Z"),
        ("today", "2026-11-24T23:00:00Z"),
        ("Yesterday", "2026-11-23T23:00:00Z"),
        ("tomorrow", "2026-11-25T23:00:00Z"),
        ("this-hour", "2026-11-25T10:00:00Z"),
        ("this-week", "2026-11-22T23:00:00Z"),
        ("this-month", "2026-10-31T23:00:00Z"),
        ("boot", "2026-11-20T06:00:00Z"),
        ("wednesday", "2026-11-24T23:00:00Z"),
        ("thu", "2026-11-18T23:00:00Z"),
        ("monday", "2026-11-22T23:00:00Z"),
        ("10m", "2026-11-25T10:22:10.5Z"),
        ("-10m", "2026-11-25T10:22:10.5Z"),
        ("10m ago", "2026-11-25T10:22:10.5Z"),
        (" 10 min  ago ", "2026-11-25T10:22:10.5Z"),
        ("+10m", "2026-11-25T10:42:10.5Z"),
        ("-1h", "2026-11-25T09:32:10.5Z"),
        ("1h30m", "2026-11-25T09:02:10.5Z"),
        ("1h 30m ago", "2026-11-25T09:02:10.5Z"),
        ("2d", "2026-11-23T10:32:10.5Z"),
        ("2 days ago", "2026-11-23T10:32:10.5Z"),
        ("1w", "2026-11-18T10:32:10.5Z"),
        ("2M", "2026-09-25T09:32:10.5Z"),
        ("1y", "2025-11-25T10:32:10.5Z"),
        ("500ms", "2026-11-25T10:32:10Z"),
        ("@1700000000", "2023-11-14T22:13:20Z"),
        ("@1700000000.25", "2023-11-14T22:13:20.25Z"),
        ("@-1.5", "1969-12-31T23:59:58.5Z"),
        ("2026-11-23T14:05:30Z", "2026-11-23T14:05:30Z"),
        ("2026-11-23T14:05:30.000000001+02:00", "2026-11-23T12:05:30.000000001Z"),
        ("2026-11-23", "2026-11-22T23:00:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        ("2026-11-23 14:05", "2026-11-23T13:05:00Z"),
        ("2026-11-23 14:05:30.5", "2026-11-23T13:05:30.5Z"),
        ("2026-11-23T14:05", "2026-11-23T13:05:00Z"),
        ("2026-11-23 14:05 UTC", "2026-11-23T14:05:00Z"),
        ("14:05", "2026-11-25T13:05:00Z"),
        ("9:05:30", "2026-11-25T08:05:30Z"),
    ] {
        assert_eq!(utc(text), meaning, "{text}");
    }
}

#[test]
fn what_is_not_a_time_is_refused_with_the_list_of_forms() {
    for text in [
        "",
        "10",
        "m",
        "10 parsecs",
        "ago",
        "10mago",
        "-10m ago",
        "+10m ago",
        "- ",
        "--1h",
        "1h-30m",
        "1.5h",
        "@",
        "@1.",
        "@1.0000000001",
        "@x",
        "2026-13-01",
        "2026-02-30",
        "26-01-01",
        "2026-1-1-1",
        "24:00",
        "14:5",
        "14:60",
        "1:2:3:4",
        "nowish",
        "2026-11-23 ",
        "99999999999999999999y",
        "@99999999999999",
        "12:00 o'clock",
        "٣m",
    ] {
        let text = if text == "2026-11-23 " { "2026-11-23 x" } else { text };
        let error = parse(text, &reference()).expect_err(text).to_string();
        assert!(error.contains("yesterday") && error.contains("@1795442730"), "{text}: {error}");
    }
}

#[test]
fn boot_is_refused_where_it_is_not_known() {
    let error = parse("boot", &Reference { boot: None, ..reference() }).unwrap_err();
    assert!(error.to_string().starts_with("the time of boot"));
}

#[test]
fn the_boot_of_this_host_is_in_the_past() {
    let reference = Reference::of_this_host();
    assert!(reference.boot.unwrap() < reference.now.timestamp());
}

#[test]
fn a_day_keeps_the_clock_time_when_clocks_change() {
    let now: Zoned = "2026-10-26T09:00:00+01:00[Europe/Berlin]".parse().unwrap();
    let reference = Reference { now, boot: None };
    assert_eq!(parse("2d", &reference).unwrap().to_string(), "2026-10-24T07:00:00Z");
    assert_eq!(parse("48h", &reference).unwrap().to_string(), "2026-10-24T08:00:00Z");
}

#[test]
fn this_hour_is_right_in_the_hour_that_occurs_twice() {
    let now: Zoned = "2026-10-25T02:30:00+01:00[Europe/Berlin]".parse().unwrap();
    let start = parse("this-hour", &Reference { now, boot: None }).unwrap();
    assert_eq!(start.to_string(), "2026-10-25T01:00:00Z");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}") {
        let _result = parse(&text, &reference());
    }

    #[test]
    fn no_nearly_right_text_makes_it_panic(text in "[-+@]?[0-9]{0,20}[ .:T-]?[0-9]{0,12}(ms|s|m|h|d|w|M|y| ago|Z)?( ago)?") {
        let _result = parse(&text, &reference());
    }

    #[test]
    fn a_moment_written_in_rfc_3339_or_since_1970_is_read_back(ns in 0_i64..4_000_000_000_000_000_000) {
        let time = Timestamp::from_nanosecond(ns.into()).unwrap();
        prop_assert_eq!(parse(&time.to_string(), &reference()).unwrap(), time);
        let seconds = format!("@{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
        prop_assert_eq!(parse(&seconds, &reference()).unwrap(), time);
    }

    #[test]
    fn a_span_is_that_long_ago_in_all_its_spellings(count in 0_i64..100_000, unit in 0_usize..3) {
        let (letter, word, seconds) = [("s", "seconds", 1), ("m", "minutes", 60), ("h", "hours", 3600)][unit];
        let reference = reference();
        let then = reference.now.timestamp().checked_sub((count * seconds).seconds()).unwrap();
        for text in [
            format!("{count}{letter}"), format!("-{count}{letter}"), format!("{count}{letter} ago"),
            format!("{count} {word} ago"),
        ] {
            prop_assert_eq!(parse(&text, &reference).unwrap(), then, "{}", text);
        }
    }

    #[test]
    fn a_date_and_clock_time_are_local(day in 1_i8..=28, month in 1_i8..=12, hour in 3_i8..24, minute in 0_i8..60) {
        let text = format!("2026-{month:02}-{day:02} {hour:02}:{minute:02}");
        let found = parse(&text, &reference()).unwrap().to_zoned(reference().now.time_zone().clone());
        prop_assert_eq!(found.strftime("%Y-%m-%d %H:%M").to_string(), text);
    }

    #[test]
    fn a_weekday_is_within_the_last_seven_days(day in 0_usize..7) {
        let word = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"][day];
        let found = parse(word, &reference()).unwrap();
        let now = reference().now.timestamp();
        prop_assert!(found <= now);
        prop_assert!(now.duration_since(found).as_secs() < 7 * 24 * 3600);
    }
}

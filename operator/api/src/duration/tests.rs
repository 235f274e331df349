use super::*;

#[test]
fn durations_are_read_and_their_text_is_kept() {
    for (text, seconds) in [
        ("0", 0),
        ("0s", 0),
        ("10s", 10),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h0m1s", 3601),
        ("07m", 420),
    ] {
        let duration: Duration = text.parse().unwrap();
        assert_eq!(duration.get().as_secs(), seconds, "{text}");
        assert_eq!(duration.to_string(), text);
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in [
        "",
        "5",
        "s",
        "m5",
        "5 m",
        "-5m",
        "+5m",
        "1.5h",
        "5ms",
        "5d",
        "5m1h",
        "1h1h",
        "5M",
        "99999999999999999999s",
        "9999999999999h",
        "000000000000000000005m",
        "٣s",
    ] {
        assert!(text.parse::<Duration>().is_err(), "{text:?}");
    }
    let message = "5 minutes".parse::<Duration>().unwrap_err().to_string();
    assert!(
        message.ends_with(r#"like 10s, 5m or 1h30m, of at most 20 characters, got "5 minutes""#),
        "{message}"
    );
}

#[test]
fn seconds_get_the_shortest_spelling() {
    for (seconds, text) in
        [(0, "0"), (10, "10s"), (60, "1m"), (3600, "1h"), (5400, "1h30m"), (3661, "1h1m1s")]
    {
        assert_eq!(Duration::from_secs(seconds).as_str(), text);
        assert_eq!(text.parse::<Duration>().unwrap(), Duration::from_secs(seconds));
    }
}

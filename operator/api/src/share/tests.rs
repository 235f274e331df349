use serde_json::{Value, from_value, json};

use super::*;

#[test]
fn percentages_are_read_and_written() {
    for (text, number) in [("1%", 1), ("50%", 50), ("100%", 100)] {
        let percent: Percent = text.parse().unwrap();
        assert_eq!((percent.get(), percent.to_string().as_str()), (number, text));
    }
    for text in ["", "%", "0%", "101%", "50", "5.5%", "-5%", "+5%", "05%", "50 %", "50%%", "٣%"] {
        assert!(text.parse::<Percent>().is_err(), "{text:?}");
    }
    let message = "half".parse::<Percent>().unwrap_err().to_string();
    assert!(message.ends_with(r#"expected 1% to 100%, got "half""#), "{message}");
}

#[test]
fn shares_are_numbers_or_percentages() {
    for value in [json!(1), json!(300), json!("10%")] {
        let share: Share = from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(share).unwrap(), value);
    }
    for value in [json!(0), json!(-1), json!("0%"), json!("3"), json!(""), Value::Null, json!(1.5)] {
        assert!(from_value::<Share>(value.clone()).is_err(), "{value}");
    }
}

#[test]
fn a_share_is_at_least_one_and_at_most_all() {
    let percent = |number| Share::Percent(Percent(number));
    for (share, whole, part) in [
        (Share::Nodes(3), 10, 3),
        (Share::Nodes(30), 10, 10),
        (percent(10), 10, 1),
        (percent(10), 19, 1),
        (percent(10), 3, 1),
        (percent(100), 7, 7),
        (percent(50), 0, 0),
    ] {
        assert_eq!(share.of(whole), part, "{share:?} of {whole}");
    }
    assert_eq!((Percent::HALF.of(3), Percent(1).of(50)), (1, 0));
}

use super::*;

#[test]
fn integers_are_read_as_go_does() {
    for (text, value) in [
        ("0", Some(0)),
        ("9002", Some(9002)),
        ("-0x1F", Some(-31)),
        ("017", Some(15)),
        ("0b101", Some(5)),
        ("0o17", Some(15)),
        ("+5", Some(5)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("08", None),
        ("0x", None),
        ("0x-5", None),
        ("", None),
        ("--5", None),
        ("1_000", None),
        ("5 ", None),
    ] {
        assert_eq!(integer(text), value, "{text}");
    }
}

use super::*;

fn rendered(message: &str, fields: &Fields) -> Value {
    let line = render("info", "test", message, fields);
    assert!(line.len() <= MAX_LINE_BYTES, "{} bytes", line.len());
    assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
    serde_json::from_slice(&line).unwrap()
}

#[test]
fn has_what_spire_reads() {
    let mut fields = Fields::default();
    fields.set("agent_id", "a\nb".into());
    fields.set("count", 3.into());
    let line = rendered("done", &fields);
    assert_eq!(line["@level"], "info");
    assert_eq!(line["@message"], "done");
    assert_eq!(line["@module"], "test");
    assert_eq!(line["agent_id"], "a\nb");
    assert_eq!(line["count"], 3);
    let time = line["@timestamp"].as_str().unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
}

#[test]
fn only_own_members_begin_with_an_at_sign() {
    let mut fields = Fields::default();
    for name in ["@level", "@message", "@timestamp", "@@x"] {
        fields.set(name, 5.into());
    }
    let line = rendered("done", &fields);
    assert!(line["@level"].is_string() && line["@message"].is_string() && line["@timestamp"].is_string());
    assert_eq!(line["field_level"], 5);
    assert_eq!(line["field_x"], 5);
    assert_eq!(line.as_object().unwrap().keys().filter(|name| name.starts_with('@')).count(), 4);
}

#[test]
fn the_longest_message_fits() {
    for text in ["\u{1}", "ä", "\"", "😀"] {
        let line = rendered(&text.repeat(100_000), &Fields::default());
        let message = line["@message"].as_str().unwrap();
        assert!(message.starts_with(text) && message.contains("shortened, it has "), "{text}");
    }
}

#[test]
fn the_most_and_longest_fields_fit() {
    let mut fields = Fields::default();
    for number in 0..1000 {
        fields.set(&format!("{number}{}", "n".repeat(1000)), "\u{1}".repeat(100_000).into());
    }
    fields.set("a", "kept".into());
    let line = rendered(&"\u{1}".repeat(100_000), &fields);
    assert!(line["fields_left_out"].as_u64().unwrap() > 0);
    assert_eq!(line["a"], "kept");
}

#[test]
fn one_long_field_is_shortened() {
    let mut fields = Fields::default();
    fields.set("body", "x".repeat(100_000).into());
    let line = rendered("done", &fields);
    let body = line["body"].as_str().unwrap();
    assert!(body.starts_with("xxx") && body.ends_with("… (shortened, it has 100000 bytes)"));
}

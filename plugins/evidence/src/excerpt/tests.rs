use super::excerpt;

#[test]
fn an_excerpt_is_short_and_holds_no_control_characters() {
    assert_eq!(excerpt("md5"), "\"md5\"");
    let long = excerpt(&"\n\u{7}".repeat(4096));
    assert!(long.len() < 400 && !long.chars().any(char::is_control), "{long}");
}

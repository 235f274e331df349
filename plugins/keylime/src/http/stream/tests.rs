use super::*;

fn is_read(json: &[u8]) -> bool {
    Bounded::new(json).read_to_end(&mut Vec::new()).is_ok()
}

#[test]
fn a_text_may_be_so_long_and_a_value_so_deep() {
    let text = |length| format!("[\"{}\", \"\\\\\"]", "x".repeat(length)).into_bytes();
    assert!(is_read(&text(MAX_TEXT)) && !is_read(&text(MAX_TEXT + 1)));
    // A quote that is escaped ends no text, one behind an escaped backslash does.
    let escaped = [b"\"\\\"".as_slice(), &b"x".repeat(MAX_TEXT)].concat();
    assert!(!is_read(&escaped));
    let ended = [b"\"\\\\\"".as_slice(), &b" ".repeat(MAX_TEXT + 1)].concat();
    assert!(is_read(&ended));
    let deep = |depth| ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes();
    assert!(is_read(&deep(MAX_DEPTH)) && !is_read(&deep(MAX_DEPTH + 1)));
    assert!(is_read(&b"[]".repeat(MAX_DEPTH + 1)) && is_read(format!("\"{}\"", "[".repeat(1000)).as_bytes()));
}

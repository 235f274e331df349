use serde::Deserialize;

use super::Port;
use crate::from_str;

#[derive(Debug, Deserialize)]
struct One {
    port: Port,
}

#[test]
fn ports_are_numbers_or_strings_of_digits() {
    for (text, port) in [("8881", 8881), ("\"8881\"", 8881), ("1", 1), ("\"65535\"", 65535)] {
        let one: One = from_str(&format!("port = {text}")).unwrap();
        assert_eq!(one.port.get(), port);
    }
    for text in
        ["0", "-1", "65536", "\"\"", "\"0\"", "\"65536\"", "\"+1\"", "\" 1\"", "8.5", "true", "[1]", "\"a\""]
    {
        let error = from_str::<One>(&format!("port = {text}")).unwrap_err();
        assert!(error.to_string().contains("expected a port from 1 to 65535"), "{text}: {error}");
        assert_eq!((error.line(), error.column(), error.key()), (1, 8, "port"), "{text}");
    }
}

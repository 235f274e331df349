use super::*;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln_-A";

#[test]
fn a_token_has_three_parts_of_base64url() {
    assert_eq!(ServiceAccountToken::new(TOKEN).unwrap().as_str(), TOKEN);
    for text in ["a", "a.b", "a.b.c.d", ".b.c", "a..c", "a.b.", "a.b.c=", "a.b.c\n", "a.b/x.c", "a.b.\u{e4}"]
    {
        assert_eq!(ServiceAccountToken::new(text), Err(InvalidServiceAccountToken::Form), "{text:?}");
    }
    assert_eq!(ServiceAccountToken::new(""), Err(InvalidServiceAccountToken::Empty));
}

#[test]
fn its_length_is_limited() {
    let of = |length: usize| format!("a.b.{}", "c".repeat(length - 4));
    assert!(ServiceAccountToken::new(&of(ServiceAccountToken::MAX_LEN)).is_ok());
    let error = ServiceAccountToken::new(&of(ServiceAccountToken::MAX_LEN + 1)).unwrap_err();
    assert_eq!(error, InvalidServiceAccountToken::TooLong { length: 2561 });
    assert!(error.to_string().contains(&ServiceAccountToken::MAX_LEN.to_string()), "{error}");
}

#[test]
fn nothing_of_it_is_shown() {
    let token = ServiceAccountToken::new(TOKEN).unwrap();
    let wrong = ServiceAccountToken::new("SECRET").unwrap_err();
    for text in [format!("{token:?}"), wrong.to_string(), format!("{wrong:?}")] {
        assert!(!text.contains("eyJ") && !text.contains("SECRET"), "{text}");
    }
}

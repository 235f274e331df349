use super::*;

#[test]
fn names_that_spiffe_allows() {
    for name in ["a", "example.org", "x-1_2.y", "123", &"a".repeat(255)] {
        assert_eq!(TrustDomain::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn names_that_spiffe_does_not_allow() {
    assert_eq!(TrustDomain::parse(""), Err(InvalidTrustDomain::Empty));
    assert_eq!(TrustDomain::parse(&"a".repeat(256)), Err(InvalidTrustDomain::TooLong(256)));
    for (name, character) in
        [("Example.org", 'E'), ("spiffe://a", ':'), ("a/b", '/'), ("a b", ' '), ("ä", 'ä'), ("a%20", '%')]
    {
        assert_eq!(TrustDomain::parse(name), Err(InvalidTrustDomain::Character(character)), "{name}");
    }
}

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn reason(client: Option<&str>, contact: Option<Contact>) -> Result<(), &'static str> {
    let checked = ClientAddress::Verifier.check(client.map(address), contact.as_ref());
    checked.map_err(|refusal| refusal.reason())
}

#[test]
fn only_the_verifiers_address_is_the_nodes() {
    let contact = || Some(Contact::Address(address("192.0.2.1")));
    assert_eq!(reason(Some("192.0.2.1"), contact()), Ok(()));
    assert_eq!(reason(Some("::ffff:192.0.2.1"), contact()), Ok(()));
    assert_eq!(reason(Some("192.0.2.2"), contact()), Err("other_client_address"));
    assert_eq!(reason(Some("::1"), Some(Contact::Address(address("::1")))), Ok(()));
}

#[test]
fn what_is_not_known_is_not_equal() {
    assert_eq!(reason(None, Some(Contact::Address(address("192.0.2.1")))), Err("no_client_address"));
    assert_eq!(reason(Some("192.0.2.1"), None), Err("no_node_address"));
    assert_eq!(reason(Some("192.0.2.1"), Some(Contact::Name("node".to_owned()))), Err("no_node_address"));
}

#[test]
fn any_address_will_do_where_none_is_asked_for() {
    assert_eq!(ClientAddress::Any.check(None, None), Ok(()));
}

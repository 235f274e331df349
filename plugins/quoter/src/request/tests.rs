use super::*;

fn parse(path: &str, query: &str) -> Result<Request, InvalidRequest> {
    Request::parse(&Method::GET, path, Some(query).filter(|query| !query.is_empty()))
}

#[test]
fn three_paths_are_served() {
    assert_eq!(parse("/version", ""), Ok(Request::Version));
    for version in VERSIONS {
        assert_eq!(parse(&format!("/v{version}/agent/info"), ""), Ok(Request::Info));
        let quote = parse(&format!("/v{version}/quotes/identity"), "nonce=Az09").unwrap();
        assert_eq!(quote, Request::Quote(Nonce::parse(b"Az09").unwrap()));
    }
    for path in ["/", "/v2.1/agent/info", "/v2.6/keys/pubkey", "/v2.6/quotes/integrity", "//version", "/v2.6"]
    {
        assert_eq!(parse(path, "nonce=A"), Err(InvalidRequest::Path), "{path}");
    }
    assert_eq!(Request::parse(&Method::POST, "/version", None), Err(InvalidRequest::Method));
}

#[test]
fn a_nonce_of_a_wrong_shape_is_none() {
    let longest = format!("nonce={}", "A".repeat(64));
    assert!(parse("/v2.6/quotes/identity", &longest).is_ok());
    let too_long = format!("nonce={}", "A".repeat(65));
    for query in ["nonce=", "nonce=a-b", "nonce=%41", "nonce=a+b", &too_long] {
        assert!(matches!(parse("/v2.6/quotes/identity", query), Err(InvalidRequest::Nonce(_))), "{query}");
    }
    for query in ["", "other=A", "nonce", "nonce=A&nonce=B", "nonce=A&partial=0", "a=b&nonce=A"] {
        assert_eq!(parse("/v2.6/quotes/identity", query), Err(InvalidRequest::Query), "{query}");
    }
}

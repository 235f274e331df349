use super::*;

#[test]
fn hosts_of_every_kind_are_read() {
    for (host, shown, url) in [
        ("verifier.example", "verifier.example:8881", "https://verifier.example:8881/"),
        ("Verifier.Example", "verifier.example:8881", "https://verifier.example:8881/"),
        ("verifier.ns.svc.", "verifier.ns.svc.:8881", "https://verifier.ns.svc.:8881/"),
        ("under_score", "under_score:8881", "https://under_score:8881/"),
        ("127.0.0.1", "127.0.0.1:8881", "https://127.0.0.1:8881/"),
        ("::1", "[::1]:8881", "https://[::1]:8881/"),
        ("[::1]", "[::1]:8881", "https://[::1]:8881/"),
        ("2001:0db8::1", "[2001:db8::1]:8881", "https://[2001:db8::1]:8881/"),
        ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:8881", "https://[::ffff:a00:1]:8881/"),
    ] {
        let endpoint = Endpoint::new(host, 8881).unwrap();
        assert_eq!(endpoint.to_string(), shown);
        assert_eq!(endpoint.url("https").unwrap().as_str(), url, "{host}");
    }
}

#[test]
fn whatever_is_not_only_a_host_is_refused() {
    let long = format!("{}.example", "a.".repeat(130));
    for host in [
        "",
        &long,
        "https://a",
        "a/b",
        "a?b",
        "a#b",
        "user@a",
        "a:1",
        "a b",
        "a%2fb",
        "[::1",
        "::1]",
        "[a]",
        "[127.0.0.1]",
        "fe80::1%eth0",
        "127.1",
        "0x7f.0.0.1",
        "1.2.3.4.5",
        "-a",
        "a..b",
        ".a",
        "a\nb",
        "ä.example",
        "*.example",
    ] {
        assert!(Endpoint::new(host, 1).is_err(), "{host:?}");
    }
    assert_eq!(Endpoint::new("a", 0), Err(InvalidEndpoint::Port));
}

#[test]
fn host_and_port_in_one_text_are_told_apart() {
    for (text, shown) in
        [("a.example:8881", "a.example:8881"), ("127.0.0.1:1", "127.0.0.1:1"), ("[::1]:65535", "[::1]:65535")]
    {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
    }
    for text in
        ["", "a", "a:", ":1", "::1", "::1:8881", "a:0", "a:65536", "a:+1", "a:1:2", "https://a:1", "a:b"]
    {
        assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
    }
}

#[test]
fn loopback_goes_by_what_is_written() {
    for (host, loopback) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("localhost", true),
        ("LOCALHOST", true),
        ("localhost.example", false),
        ("0.0.0.0", false),
        ("10.0.0.1", false),
        ("::", false),
        ("::ffff:127.0.0.1", false),
    ] {
        assert_eq!(Endpoint::new(host, 1).unwrap().is_loopback(), loopback, "{host}");
    }
}

use super::*;

fn handshake(vars: &[(&str, &str)]) -> Result<String, Error> {
    let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Handshake::from_env(var).map(|handshake| handshake.line(Path::new("/s")))
}

#[test]
fn line_with_and_without_multiplexing() {
    assert_eq!(handshake(&[(COOKIE, COOKIE)]).unwrap(), "1|1|unix|/s|grpc|\n");
    let asked = [(COOKIE, COOKIE), ("PLUGIN_MULTIPLEX_GRPC", "true")];
    assert_eq!(handshake(&asked).unwrap(), "1|1|unix|/s|grpc||false\n");
}

#[test]
fn needs_the_cookie() {
    for vars in [&[][..], &[(COOKIE, "")], &[(COOKIE, "nodeattestor")], &[("KeyManager", "KeyManager")]] {
        assert!(matches!(handshake(vars), Err(Error::NoCookie)), "{vars:?}");
    }
}

#[test]
fn needs_protocol_version_1() {
    for offered in ["1", "2,1", "1, 2"] {
        assert!(handshake(&[(COOKIE, COOKIE), ("PLUGIN_PROTOCOL_VERSIONS", offered)]).is_ok(), "{offered}");
    }
    for offered in ["", "2", "11", "2,3"] {
        let refused = handshake(&[(COOKIE, COOKIE), ("PLUGIN_PROTOCOL_VERSIONS", offered)]);
        assert!(matches!(refused, Err(Error::ProtocolVersion { .. })), "{offered}");
    }
}

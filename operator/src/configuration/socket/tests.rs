use super::*;
use crate::fixture::{SERVER_HCL, SERVER_JSON};

fn path(flags: &[&str], configuration: &str) -> String {
    let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
    server_api(&flags, configuration, Variables::Expanded).unwrap()
}

#[test]
fn the_configuration_says_it_in_both_languages() {
    for (configuration, expected) in [
        (SERVER_JSON, DEFAULT),
        (SERVER_HCL, DEFAULT),
        ("server { bind_port = 1 }", DEFAULT),
        ("", DEFAULT),
        ("server { socket_path = \"\" }", DEFAULT),
        ("server { socket_path = \"/run/spire/api.sock\" }", "/run/spire/api.sock"),
        ("server { Socket_Path = \"api.sock\" }", "/opt/spire/api.sock"),
        ("server { bind_port = $PORT socket_path = \"/run/spire/api.sock\" }", "/run/spire/api.sock"),
        ("server { socket_path = \"${SOCKETS}/api.sock\" }", "${SOCKETS}/api.sock"),
        ("{\"server\": {\"socket_path\": \"/run/spire/api.sock\"}, \"plugins\": {}}", "/run/spire/api.sock"),
        ("{\"server\": [{\"socket_path\": \"/run/spire/api.sock\"}]}", "/run/spire/api.sock"),
    ] {
        assert_eq!(path(&["-expandEnv"], configuration), expected, "{configuration}");
    }
}

#[test]
fn a_flag_goes_before_the_configuration() {
    for flags in [
        &["-socketPath", "/run/a.sock", "-expandEnv"][..],
        &["--socketPath=/run/a.sock"],
        &["-socketPath=/run/b.sock", "-logLevel", "debug", "-socketPath", "/run/a.sock"],
    ] {
        assert_eq!(path(flags, "server { socket_path = \"/run/c.sock\" }"), "/run/a.sock");
    }
    assert_eq!(path(&["-socketPathX", "/run/a.sock"], ""), DEFAULT);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    assert!(server_api(&[], "server { socket_path = [1] }", Variables::Kept).is_err());
}

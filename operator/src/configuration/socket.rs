//! Where SPIRE's server listens for its own API, which the plugin in it asks about agents. Pure.

use hcl::edit::Variables;
use serde::Deserialize;

use crate::discover::WORKING_DIRECTORY;

/// SPIRE's own default.
const DEFAULT: &str = "/tmp/spire-server/private/api.sock";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration {
    server: Server,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Server {
    socket_path: String,
}

/// The path as SPIRE takes it: from a flag, or else from its configuration. An environment variable
/// in it stays, since SPIRE puts in its value in both places or in none.
pub(crate) fn server_api(
    flags: &[String],
    configuration: &str,
    variables: Variables,
) -> Result<String, hcl::Error> {
    let path = match flag(flags) {
        Some(path) => path.to_owned(),
        None => hcl::from_str_as::<Configuration>(configuration, variables)?.server.socket_path,
    };
    Ok(match path.as_str() {
        "" => DEFAULT.to_owned(),
        relative if !relative.starts_with(['/', '$']) => format!("{WORKING_DIRECTORY}/{relative}"),
        _ => path,
    })
}

/// The last one counts, as for Go's flag package.
fn flag(flags: &[String]) -> Option<&str> {
    let mut words = flags.iter();
    let mut path = None;
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or_default();
        match name.split_once('=') {
            Some(("socketPath", value)) => path = Some(value),
            None if name == "socketPath" => path = words.next().map(String::as_str),
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
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
            (
                "{\"server\": {\"socket_path\": \"/run/spire/api.sock\"}, \"plugins\": {}}",
                "/run/spire/api.sock",
            ),
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
}

//! The socket of the API of SPIRE's server, which the plugin asks about agents. Pure.

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

/// The path of the socket, as SPIRE reads it: from a flag, or else from its configuration. An
/// environment variable in it stays, since SPIRE replaces it in both places or in none.
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

/// The value of `-socketPath`; the last one counts, as for Go's flag package.
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
mod tests;

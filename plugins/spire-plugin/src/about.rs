//! The program's name, version and description.

/// The program's identity: for its log, and for people who start it by hand.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The program's name; the `@module` of its log lines.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// A few words on its purpose: "node attestation by …".
    pub description: &'static str,
}

impl About {
    /// One line for somebody who started the program by hand.
    pub(crate) fn for_people(&self) -> String {
        let Self { name, version, description } = self;
        format!(
            "{name} {version} is a SPIRE plugin ({description}) and not to be started by hand: \
             name it as plugin_cmd of a NodeAttestor in SPIRE's configuration"
        )
    }
}

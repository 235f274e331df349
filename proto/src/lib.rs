//! Messages and services between SPIRE and its plugins, and of SPIRE's server API, generated from
//! the files in `proto/`.
//!
//! The names and numbers are those of go-plugin's and SPIRE's wire; the files are our own. Clients
//! and servers of everything are here: a plugin serves most of these services and calls the host
//! services, and whoever plays SPIRE does the opposite.

#![expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its documentation is in the .proto files"
)]

/// What go-plugin expects of every plugin: broker, controller and standard streams.
pub mod go_plugin {
    tonic::include_proto!("plugin");
}

/// SPIRE's first and last call to a plugin.
pub mod init {
    tonic::include_proto!("spire.service.private.init.v1");
}

/// The configuration of a plugin.
pub mod config {
    tonic::include_proto!("spire.service.common.config.v1");
}

/// Plugins of SPIRE's agent.
pub mod agent {
    /// Node attestation, on the agent's side.
    pub mod node_attestor {
        tonic::include_proto!("spire.plugin.agent.nodeattestor.v1");
    }
}

/// Plugins of SPIRE's server.
pub mod server {
    /// Node attestation, on the server's side.
    pub mod node_attestor {
        tonic::include_proto!("spire.plugin.server.nodeattestor.v1");
    }
}

/// Host service: the agents that SPIRE's server knows.
pub mod agent_store {
    tonic::include_proto!("spire.hostservice.server.agentstore.v1");
}

/// Host service: SPIRE's telemetry.
pub mod metrics {
    tonic::include_proto!("spire.hostservice.common.metrics.v1");
}

/// SPIRE's server API.
pub mod api {
    /// What it speaks of.
    pub mod types {
        tonic::include_proto!("spire.api.types");
    }

    /// The agents that SPIRE's server knows.
    pub mod server {
        /// Version 1.
        pub mod agent {
            /// Version 1.
            pub mod v1 {
                tonic::include_proto!("spire.api.server.agent.v1");
            }
        }
    }
}

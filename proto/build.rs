//! Compiles the .proto files with protox, which needs no protoc.

use std::error::Error;

const FILES: [&str; 9] = [
    "proto/agent_api.proto",
    "proto/agent_node_attestor.proto",
    "proto/agent_store.proto",
    "proto/config.proto",
    "proto/go_plugin.proto",
    "proto/init.proto",
    "proto/metrics.proto",
    "proto/server_node_attestor.proto",
    "proto/types.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

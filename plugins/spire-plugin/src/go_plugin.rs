//! The services that go-plugin expects of every plugin process.

use futures_util::{StreamExt, future, stream};
use keylime_attestor_proto::go_plugin::{
    ConnInfo, Empty, StdioData, conn_info::Knock, grpc_broker_server::GrpcBroker,
    grpc_controller_server::GrpcController, grpc_stdio_server::GrpcStdio,
};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use crate::host::Host;
use crate::stop::Stop;

/// The number under which SPIRE serves all its host services.
const HOST_SERVICES: u32 = 1;

/// Learns from SPIRE where the host services are.
pub(crate) struct Broker {
    pub(crate) host: Host,
    pub(crate) stop: Stop,
}

#[tonic::async_trait]
impl GrpcBroker for Broker {
    type StartStreamStream = BoxStream<ConnInfo>;

    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<BoxStream<ConnInfo>>, Status> {
        let host = self.host.clone();
        // A broken stream ends here; the host services that it named stay in use.
        let answers = request
            .into_inner()
            .filter_map(move |info| future::ready(info.ok().and_then(|info| learn(&host, info)).map(Ok)));
        Ok(Response::new(Box::pin(answers.take_until(self.stop.clone().requested()))))
    }
}

/// Takes an address, or answers the question whether something is served on the connection that is
/// open already. That is never so: the handshake says that this plugin does not multiplex.
fn learn(host: &Host, info: ConnInfo) -> Option<ConnInfo> {
    let ConnInfo { service_id, network, address, knock } = info;
    match knock {
        Some(Knock { ack: true, .. }) => None,
        Some(_) => {
            let error = "this plugin does not serve several services on one connection".to_owned();
            let knock = Some(Knock { knock: true, ack: false, error });
            Some(ConnInfo { service_id, knock, ..ConnInfo::default() })
        }
        None if service_id == HOST_SERVICES => {
            host.found_at(&network, &address);
            None
        }
        None => None,
    }
}

/// Carries what the plugin prints. It prints nothing: stdout is the handshake's, and SPIRE reads
/// the log from stderr itself.
pub(crate) struct Stdio(pub(crate) Stop);

#[tonic::async_trait]
impl GrpcStdio for Stdio {
    type StreamStdioStream = BoxStream<StdioData>;

    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<BoxStream<StdioData>>, Status> {
        let nothing = stream::pending().take_until(self.0.clone().requested());
        Ok(Response::new(Box::pin(nothing)))
    }
}

/// Ends the process.
pub(crate) struct Controller(pub(crate) Stop);

#[tonic::async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.0.request();
        Ok(Response::new(Empty {}))
    }
}

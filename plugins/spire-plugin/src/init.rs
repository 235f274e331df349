//! The first call that SPIRE makes, and the last one.

use keylime_attestor_proto::config::config_server;
use keylime_attestor_proto::init::{
    DeinitRequest, DeinitResponse, InitRequest, InitResponse, init_server::Init,
};
use tonic::{Request, Response, Status};

use crate::Host;

/// Exchanges the names of services.
pub(crate) struct Service {
    /// Full name of the plugin's own service.
    pub(crate) attestor: &'static str,
    pub(crate) host: Host,
}

#[tonic::async_trait]
impl Init for Service {
    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        self.host.offers(request.into_inner().host_service_names);
        let plugin_service_names = vec![self.attestor.to_owned(), config_server::SERVICE_NAME.to_owned()];
        Ok(Response::new(InitResponse { plugin_service_names }))
    }

    async fn deinit(&self, _: Request<DeinitRequest>) -> Result<Response<DeinitResponse>, Status> {
        Ok(Response::new(DeinitResponse {}))
    }
}

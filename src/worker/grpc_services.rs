//! The gRPC services of an application, as its boot hook lists them. It must not know the worker.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use http::{Request, Response, Uri};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

/// The gRPC services of an application, made by tonic's generator or by hand. [`Worker::grpc`] serves them on
/// the addresses of the routes.
///
/// [`Worker::grpc`]: super::Worker::grpc
#[derive(Clone, Debug, Default)]
pub struct GrpcServices {
    routes: Routes,
    names: Vec<&'static str>,
    descriptors: Arc<[&'static [u8]]>,
}

impl GrpcServices {
    /// No services yet.
    #[must_use]
    pub fn new() -> GrpcServices {
        GrpcServices::default()
    }

    /// Adds a service, such as the `GreeterServer` of a generated module.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> GrpcServices
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// Adds an encoded `FileDescriptorSet` of the services, which reflection shows to clients that have no
    /// `.proto` file.
    #[must_use]
    pub fn descriptors(mut self, set: &'static [u8]) -> GrpcServices {
        self.descriptors = self.descriptors.iter().copied().chain([set]).collect();
        self
    }

    /// The full names of the services.
    pub(in crate::worker) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The sets of descriptors.
    pub(in crate::worker) fn descriptor_sets(&self) -> &[&'static [u8]] {
        &self.descriptors
    }

    /// The paths of the methods that take one message each, as far as the descriptors say it.
    pub(in crate::worker) fn methods_of_one_message(&self) -> HashSet<String> {
        let sets = self.descriptors.iter();
        let files = sets
            .filter_map(|set| FileDescriptorSet::decode(*set).ok())
            .flat_map(|set| set.file);
        files.flat_map(|file| methods_of_one_message(&file)).collect()
    }

    /// The services as routes, `/package.Service/Method` each.
    pub(in crate::worker) fn into_router(self) -> Router {
        self.routes.prepare().into_axum_router().fallback(unknown_method)
    }
}

async fn unknown_method(uri: Uri) -> Response<axum::body::Body> {
    let status = Status::unimplemented(format!("there is no gRPC method {}", uri.path()));
    status.into_http::<axum::body::Body>()
}

fn methods_of_one_message(file: &FileDescriptorProto) -> Vec<String> {
    let mut paths = Vec::new();
    for service in &file.service {
        let methods = service.method.iter();
        let unary = methods.filter(|method| !method.client_streaming());
        let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
        paths.extend(unary.map(|method| path(method.name())));
    }
    paths
}

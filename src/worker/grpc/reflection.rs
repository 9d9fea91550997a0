//! Reflection: clients without a `.proto` file ask the server for its services. Both versions of the protocol
//! are served, because older clients ask for `v1alpha` only.

use tonic_reflection::server::Builder;

use crate::config::{GrpcReflection, Settings};
use crate::worker::grpc_services::GrpcServices;

/// Whether the settings want it.
pub(super) fn is_on(settings: &Settings) -> bool {
    match settings.http.grpc_reflection {
        GrpcReflection::On => true,
        GrpcReflection::Off => false,
        GrpcReflection::Auto => settings.cluster.bind.iter().all(|address| address.is_loopback()),
    }
}

/// The services with reflection. A set of descriptors that cannot be read is an error of the program: it is
/// logged, and the services are served without reflection.
pub(super) fn added(services: GrpcServices) -> GrpcServices {
    let builder = || {
        let sets = services.descriptor_sets().iter();
        sets.fold(Builder::configure(), |builder, set| {
            builder.register_encoded_file_descriptor_set(set)
        })
    };
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => services.clone().with(v1).with(v1alpha),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "gRPC reflection is off: the descriptors of the services cannot be read");
            services
        }
    }
}

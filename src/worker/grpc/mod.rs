//! gRPC beside the routes of an application: its services, and those that every server has (health,
//! reflection). How a call is limited and answered is the edge's (`request::grpc`).

mod health;
mod reflection;

/// The messages and the service of `grpc.health.v1`, made of `proto/grpc/health/v1/health.proto`.
#[expect(
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub(in crate::worker) mod health_v1 {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/generated/grpc.health.v1.rs"
    ));
}

use self::health::HealthService;
use self::health_v1::health_server::HealthServer;
use crate::worker::grpc_services::GrpcServices;
use crate::worker::handle::Worker;

/// The descriptors of `grpc.health.v1`, for reflection.
const HEALTH_DESCRIPTORS: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/proto/generated/grpc.health.v1.descriptors"
));

/// The application's services, with health and, unless it is switched off, reflection.
pub(in crate::worker) fn all(services: &GrpcServices, worker: &Worker) -> GrpcServices {
    let health = HealthService::new(worker.clone(), services.names().to_vec());
    let all = services
        .clone()
        .with(HealthServer::new(health))
        .descriptors(HEALTH_DESCRIPTORS);
    if reflection::is_on(worker.settings()) {
        reflection::added(all)
    } else {
        all
    }
}

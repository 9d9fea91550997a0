//! `grpc.health.v1` and reflection, which every worker with gRPC services has.

use tonic::Code;
use tonic::codegen::tokio_stream::StreamExt;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use self::v1::HealthCheckRequest;
use self::v1::health_check_response::ServingStatus;
use self::v1::health_client::HealthClient;
use crate::client::{Channel, in_runtime, origin};
use crate::common::Cluster;
use crate::greeter;
use crate::runner::Test;
use nix::sys::signal::Signal;

/// What the generator made of `proto/grpc/health/v1/health.proto`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated code"
)]
mod v1 {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/generated/grpc.health.v1.rs"
    ));
}

pub(crate) const TESTS: &[Test] = &[
    (
        "a_check_says_whether_calls_may_come",
        a_check_says_whether_calls_may_come,
    ),
    (
        "watchers_are_told_of_a_drain_and_their_streams_end_well",
        watchers_are_told_of_a_drain_and_their_streams_end_well,
    ),
    (
        "reflection_is_on_where_only_this_machine_asks_and_can_be_switched_off",
        reflection_is_on_where_only_this_machine_asks_and_can_be_switched_off,
    ),
];

async fn stub(cluster: &Cluster) -> HealthClient<Channel> {
    let address = cluster.address();
    HealthClient::with_origin(Channel::connect(address).await, origin(address))
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

fn a_check_says_whether_calls_may_come() {
    let cluster = greeter("");
    in_runtime(async {
        let mut client = stub(&cluster).await;
        for service in ["", "greeter.v1.Greeter"] {
            let answer = client.check(of(service)).await.expect("known").into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
        }
        let unknown = client.check(of("nobody.v1.Nothing")).await.expect_err("unknown");
        assert_eq!(unknown.code(), Code::NotFound);
    });
}

fn watchers_are_told_of_a_drain_and_their_streams_end_well() {
    let cluster = greeter("");
    in_runtime(async {
        let mut client = stub(&cluster).await;
        let mut watches = Vec::new();
        for _ in 0..5 {
            let mut watch = client.watch(of("")).await.expect("known").into_inner();
            let first = watch.next().await.expect("news").expect("no error");
            assert_eq!(first.status(), ServingStatus::Serving);
            watches.push(watch);
        }
        let mut unknown = client
            .watch(of("nobody.v1.Nothing"))
            .await
            .expect("open")
            .into_inner();
        let first = unknown.next().await.expect("news").expect("no error");
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);

        let mark = cluster.mark();
        cluster.signal(Signal::SIGHUP);
        for mut watch in watches {
            let next = watch.next().await.expect("news").expect("no error");
            assert_eq!(next.status(), ServingStatus::NotServing);
            assert!(watch.next().await.is_none(), "the stream ends well");
        }
        assert!(unknown.next().await.is_none(), "this one, too");
        cluster.wait_from(mark, "reload done");
        let status = stub(&cluster)
            .await
            .check(of(""))
            .await
            .expect("known")
            .into_inner();
        assert_eq!(status.status(), ServingStatus::Serving, "the next worker");
    });
}

/// The names of the services, as reflection tells them.
async fn listed(cluster: &Cluster) -> Result<Vec<String>, Code> {
    let address = cluster.address();
    let mut client = ServerReflectionClient::with_origin(Channel::connect(address).await, origin(address));
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = client
        .server_reflection_info(futures_util::stream::iter([question]))
        .await;
    let mut answers = asked.map_err(|status| status.code())?.into_inner();
    let answer = answers
        .next()
        .await
        .expect("an answer")
        .map_err(|status| status.code())?;
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

fn reflection_is_on_where_only_this_machine_asks_and_can_be_switched_off() {
    let cluster = greeter("");
    in_runtime(async {
        let names = listed(&cluster).await.expect("a list");
        for name in ["greeter.v1.Greeter", "grpc.health.v1.Health"] {
            assert!(names.iter().any(|listed| listed == name), "{names:?}");
        }
    });
    let cluster = greeter("[http]\ngrpc_reflection = 'off'\n");
    in_runtime(async {
        assert_eq!(listed(&cluster).await, Err(Code::Unimplemented));
    });
}

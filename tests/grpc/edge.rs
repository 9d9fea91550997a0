//! Calls at the edge of a worker: what is answered, refused and counted, each so that a client of gRPC
//! understands it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codegen::tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::client::{Channel, in_runtime, origin};
use crate::common::{Cli, Cluster, Scrape, admin};
use crate::greeter;
use crate::greeter::v1::greeter_client::GreeterClient;
use crate::greeter::v1::{GreetAllRequest, GreetOftenRequest, GreetRequest};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "calls_and_streams_are_answered_beside_routes",
        calls_and_streams_are_answered_beside_routes,
    ),
    ("what_is_refused_is_a_status", what_is_refused_is_a_status),
    (
        "what_is_no_call_is_told_so_in_its_own_protocol",
        what_is_no_call_is_told_so_in_its_own_protocol,
    ),
    ("deadlines_of_calls_are_kept", deadlines_of_calls_are_kept),
    (
        "a_quiet_stream_is_not_late_and_a_late_answer_is",
        a_quiet_stream_is_not_late_and_a_late_answer_is,
    ),
    (
        "calls_are_counted_by_method_and_outcome",
        calls_are_counted_by_method_and_outcome,
    ),
];

async fn stub(cluster: &Cluster) -> GreeterClient<Channel> {
    let address = cluster.address();
    GreeterClient::with_origin(Channel::connect(address).await, origin(address))
}

fn named(name: &str) -> GreetRequest {
    GreetRequest {
        name: name.to_owned(),
    }
}

/// The `code` of a problem in the details of a status.
fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

fn streams(cluster: &Cluster) -> u64 {
    let status = cluster.run_json(&["status"]);
    status["slots"][0]["worker"]["streams"]
        .as_u64()
        .expect("a number")
}

fn calls_and_streams_are_answered_beside_routes() {
    let cluster = greeter("");
    in_runtime(async {
        let mut client = stub(&cluster).await;
        let greeted = client.greet(named("Ada")).await.expect("greeted").into_inner();
        assert_eq!(greeted.text, "hello Ada, from worker 1/0/1");
        let (sender, mut names) = mpsc::channel(3);
        for name in ["Ada", "Grace", "Barbara"] {
            sender
                .send(GreetAllRequest {
                    name: name.to_owned(),
                })
                .await
                .expect("room");
        }
        drop(sender);
        let names = futures_util::stream::poll_fn(move |cx| names.poll_recv(cx));
        let all = client.greet_all(names).await.expect("greeted").into_inner();
        assert_eq!(all.text, "hello Ada, Grace, Barbara");
        assert_eq!(
            streams(&cluster),
            0,
            "an answer that is there at once is no stream"
        );
        let often = GreetOftenRequest {
            name: "Ada".to_owned(),
            every_ms: 5,
        };
        let mut often = client.greet_often(often).await.expect("begun").into_inner();
        for _ in 0..3 {
            let next = often.next().await.expect("one more").expect("no error");
            assert_eq!(next.text, "hello Ada");
        }
        assert_eq!(streams(&cluster), 1);
    });
    assert_eq!(cluster.get("/").body, "hello over HTTP\n");
}

fn what_is_refused_is_a_status() {
    let cluster = greeter("[http]\nmax_body_bytes = '1KiB'\nmax_header_bytes = '2KiB'\n");
    in_runtime(async {
        let mut client = stub(&cluster).await;
        let wrong = client.greet(named("")).await.expect_err("refused");
        assert_eq!(
            (wrong.code(), reason(&wrong).as_str()),
            (Code::InvalidArgument, ""),
            "the service's own"
        );
        let panicked = client.greet(named("nobody")).await.expect_err("it panics");
        assert_eq!(
            (panicked.code(), reason(&panicked).as_str()),
            (Code::Internal, "internal_error")
        );
        assert!(!panicked.message().contains("nobody"), "{panicked:?}");
        let long = client
            .greet(named(&"x".repeat(2000)))
            .await
            .expect_err("too long");
        assert_eq!(
            (long.code(), reason(&long).as_str()),
            (Code::ResourceExhausted, "message_too_large")
        );
        let (sender, mut names) = mpsc::channel(9);
        for _ in 0..3 {
            sender
                .send(GreetAllRequest {
                    name: "x".repeat(900),
                })
                .await
                .expect("room");
        }
        drop(sender);
        let names = futures_util::stream::poll_fn(move |cx| names.poll_recv(cx));
        client
            .greet_all(names)
            .await
            .expect("the limit is of one message, not of the stream");
        let mut wide = tonic::Request::new(named("Ada"));
        wide.metadata_mut()
            .insert("x-wide", "w".repeat(3000).parse().expect("a value"));
        let wide = client.greet(wide).await.expect_err("too wide");
        assert_eq!(
            (wide.code(), reason(&wide).as_str()),
            (Code::ResourceExhausted, "headers_too_large")
        );
        let mut packed = tonic::Request::new(named("Ada"));
        packed
            .metadata_mut()
            .insert("grpc-encoding", "gzip".parse().expect("a value"));
        let packed = client.greet(packed).await.expect_err("nothing is unpacked");
        assert_eq!(packed.code(), Code::Unimplemented);
        assert_eq!(
            client
                .greet(named("Ada"))
                .await
                .expect("as good as before")
                .into_inner()
                .text
                .len(),
            28
        );
    });
}

/// An answer to bytes that are sent as they are: status, the status of the call in the head, body.
async fn answer(cluster: &Cluster, path: &str, content_type: &str) -> (StatusCode, Option<String>, String) {
    let mut channel = Channel::connect(cluster.address()).await;
    let request = Request::post(format!("http://test{path}"))
        .header("content-type", content_type)
        .body(Body::new(
            Full::new(Bytes::from_static(&[0; 5])).map_err(|never| match never {}),
        ))
        .expect("a request");
    let answer = channel.send(request).await;
    let status = answer.headers().get("grpc-status");
    let status = status.map(|value| value.to_str().expect("text").to_owned());
    let head = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (head, status, String::from_utf8_lossy(&body).into_owned())
}

fn what_is_no_call_is_told_so_in_its_own_protocol() {
    let cluster = greeter("");
    let code = |code: Code| Some((code as i32).to_string());
    in_runtime(async {
        for (path, content_type, expected) in [
            (
                "/greeter.v1.Greeter/Nope",
                "application/grpc",
                Code::Unimplemented,
            ),
            ("/nobody.v1.Nothing/Nope", "application/grpc", Code::Unimplemented),
            ("/", "application/grpc", Code::Unimplemented),
            (
                "/greeter.v1.Greeter/Greet",
                "application/grpc+json",
                Code::Unimplemented,
            ),
            (
                "/greeter.v1.Greeter/Greet",
                "application/grpc+proto",
                Code::InvalidArgument,
            ),
        ] {
            let (status, of_call, _) = answer(&cluster, path, content_type).await;
            assert_eq!(
                (status, of_call),
                (StatusCode::OK, code(expected)),
                "{path} {content_type}"
            );
        }
        for content_type in ["application/json", "application/grpc-web", "text/plain"] {
            let path = "/greeter.v1.Greeter/Greet";
            let (status, of_call, body) = answer(&cluster, path, content_type).await;
            assert_eq!((status.as_u16(), of_call), (415, None), "{content_type}");
            assert!(body.contains("unsupported_media_type"), "{body}");
        }
    });
    let mut old = TcpStream::connect(cluster.address()).expect("connected");
    let head = "POST /greeter.v1.Greeter/Greet HTTP/1.1\r\nHost: test\r\nContent-Type: application/grpc\r\n\
                Content-Length: 0\r\nConnection: close\r\n\r\n";
    old.write_all(head.as_bytes()).expect("written");
    let mut told = String::new();
    old.read_to_string(&mut told).expect("no reset");
    assert!(
        told.starts_with("HTTP/1.1 505 ") && told.contains("http_version_not_supported"),
        "{told}"
    );
}

fn deadlines_of_calls_are_kept() {
    let cluster = greeter("");
    in_runtime(async {
        let mut client = stub(&cluster).await;
        let within = |name: &str, timeout: &str| {
            let mut request = tonic::Request::new(named(name));
            request
                .metadata_mut()
                .insert("grpc-timeout", timeout.parse().expect("a value"));
            request
        };
        for (timeout, expected) in [
            ("50m", Code::DeadlineExceeded),
            ("0n", Code::DeadlineExceeded),
            ("1000000000H", Code::InvalidArgument),
            ("soon", Code::InvalidArgument),
        ] {
            let late = client
                .greet(within("slow-50000", timeout))
                .await
                .expect_err("late");
            assert_eq!(late.code(), expected, "{timeout}: {late:?}");
        }
        let at_once = client.greet(within("Ada", "0S")).await.expect_err("no time");
        assert_eq!(at_once.code(), Code::DeadlineExceeded, "{at_once:?}");
        client.greet(within("Ada", "99999999H")).await.expect("in time");
        let mut often = tonic::Request::new(GreetOftenRequest {
            name: "Ada".to_owned(),
            every_ms: 20,
        });
        often
            .metadata_mut()
            .insert("grpc-timeout", "300m".parse().expect("a value"));
        let mut often = client.greet_often(often).await.expect("begun").into_inner();
        let mut heard = 0;
        let end = loop {
            match often.next().await.expect("an end with a status") {
                Ok(_) => heard += 1,
                Err(status) => break status,
            }
        };
        assert!(
            heard > 0 && end.code() == Code::DeadlineExceeded,
            "{heard} {end:?}"
        );
    });
}

fn a_quiet_stream_is_not_late_and_a_late_answer_is() {
    let cluster = greeter("[http]\nrequest_timeout = '200ms'\n");
    in_runtime(async {
        let mut client = stub(&cluster).await;
        let late = client.greet(named("slow-50000")).await.expect_err("late");
        assert_eq!(
            (late.code(), reason(&late).as_str()),
            (Code::DeadlineExceeded, "request_timeout")
        );
        let (sender, mut names) = mpsc::channel(1);
        let talk = async move {
            for name in ["Ada", "Grace"] {
                sender
                    .send(GreetAllRequest {
                        name: name.to_owned(),
                    })
                    .await
                    .expect("heard");
                // Longer than an answer may take: the stream is quiet, and nobody waits for an answer.
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        };
        let names = futures_util::stream::poll_fn(move |cx| names.poll_recv(cx));
        let (all, ()) = tokio::join!(client.greet_all(names), talk);
        assert_eq!(all.expect("greeted").into_inner().text, "hello Ada, Grace");
        // A call that takes one message, of which a part never comes.
        let mut channel = Channel::connect(cluster.address()).await;
        let half = Frame::data(Bytes::from_static(&[0, 0, 0, 0, 9, 1]));
        let half = futures_util::stream::iter([Ok::<_, Status>(half)]);
        let body = StreamBody::new(half.chain(futures_util::stream::pending()));
        let request = Request::post("http://test/greeter.v1.Greeter/Greet")
            .header("content-type", "application/grpc")
            .body(Body::new(body))
            .expect("a request");
        let answer = channel.send(request).await;
        assert_eq!(
            answer.headers()["grpc-status"],
            (Code::DeadlineExceeded as i32).to_string().as_str()
        );
        assert!(
            answer.headers()["grpc-message"]
                .to_str()
                .is_ok_and(|text| text.contains("not%20complete"))
        );
    });
}

fn calls_are_counted_by_method_and_outcome() {
    let cluster = greeter("");
    in_runtime(async {
        let mut client = stub(&cluster).await;
        client.greet(named("Ada")).await.expect("greeted");
        client.greet(named("")).await.expect_err("refused");
        client.greet(named("nobody")).await.expect_err("panics");
        answer(&cluster, "/greeter.v1.Greeter/Nope", "application/grpc").await;
    });
    let scraped = Scrape::of(admin(&cluster));
    let greet = "/greeter.v1.Greeter/Greet";
    for (path, method, status) in [
        (greet, "POST", "2xx"),
        (greet, "POST", "4xx"),
        (greet, "POST", "5xx"),
        ("other", "other", "4xx"),
    ] {
        assert_eq!(scraped.answers(path, method, status), 1.0, "{path} {status}");
    }
}

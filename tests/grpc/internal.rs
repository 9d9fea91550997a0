//! What is for internal clients alone: following the events, and changing stock with a token.

use serde_json::{Value, json};
use tonic::codegen::tokio_stream::StreamExt;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use crate::client::{Channel, in_runtime, origin};
use crate::common::{Cluster, Plan, place};
use crate::runner::Test;
use crate::shop::{adjust, inventory, reason, with_key};
use cluster::shop::grpc::v1;
use cluster::shop::grpc::v1::events_client::EventsClient;

pub(crate) const TESTS: &[Test] = &[
    (
        "what_is_internal_needs_the_token_as_metadata",
        what_is_internal_needs_the_token_as_metadata,
    ),
    (
        "a_follower_of_what_is_rare_is_told_positions",
        a_follower_of_what_is_rare_is_told_positions,
    ),
    (
        "events_are_followed_from_a_position_through_a_reload",
        events_are_followed_from_a_position_through_a_reload,
    ),
];

async fn follow(cluster: &Cluster, after: &str, types: &[&str]) -> Result<Streaming, Status> {
    let address = cluster.address();
    let mut client = EventsClient::with_origin(Channel::connect(address).await, origin(address));
    let types = types.iter().map(|&name| name.to_owned()).collect();
    let after = after.to_owned();
    let followed = client.follow(v1::EventsFollowRequest { after, types }).await?;
    Ok(followed.into_inner())
}

/// The token of `cluster.internal_token_file`, for changes of stock and for events alike.
fn what_is_internal_needs_the_token_as_metadata() {
    const TOKEN: &str = "token-0123456789abcdef";
    let plan = Plan::shop();
    let file = plan.directory().join("tokens");
    cluster::sys::private_file::write(&file, TOKEN.as_bytes()).expect("written");
    let line = format!("internal_token_file = {:?}", file.display().to_string());
    let cluster = plan.with("[cluster]", &line).start();
    in_runtime(async {
        let mut stock = inventory(&cluster).await;
        let address = cluster.address();
        let mut events = EventsClient::with_origin(Channel::connect(address).await, origin(address));
        let with_token = |request: &mut MetadataMap, token: Option<&str>| {
            if let Some(token) = token {
                let value = format!("Bearer {token}").parse().expect("a value");
                request.insert("authorization", value);
            }
        };
        for (token, expected) in [
            (None, (Code::Unauthenticated, "token_required")),
            (
                Some("wrong-0123456789abcdef"),
                (Code::Unauthenticated, "token_refused"),
            ),
        ] {
            let mut request = Request::new(adjust(1));
            with_token(request.metadata_mut(), token);
            let refused = stock.adjust(request).await.expect_err("refused");
            assert_eq!((refused.code(), reason(&refused).as_str()), expected);
            let mut request = Request::new(v1::EventsFollowRequest::default());
            with_token(request.metadata_mut(), token);
            let refused = events.follow(request).await.expect_err("refused");
            assert_eq!((refused.code(), reason(&refused).as_str()), expected);
        }
        let mut request = with_key(adjust(1), "a-1");
        with_token(request.metadata_mut(), Some(TOKEN));
        stock.adjust(request).await.expect("adjusted");
        let mut request = Request::new(v1::EventsFollowRequest::default());
        with_token(request.metadata_mut(), Some(TOKEN));
        let mut stream = events.follow(request).await.expect("followed").into_inner();
        next_event(&mut stream).await;
    });
}

/// The next event. Between events there are positions alone.
async fn next_event(stream: &mut Streaming) -> v1::EventsFollowResponse {
    next_event_or_end(stream).await.expect("no error")
}

/// The next event, or the status that the stream ends with.
async fn next_event_or_end(stream: &mut Streaming) -> Result<v1::EventsFollowResponse, Status> {
    loop {
        let message = stream.next().await.expect("a message or a status")?;
        if !message.id.is_empty() {
            return Ok(message);
        }
    }
}

/// The next event behind `after`, from whichever worker: a reload drains one after the other,
/// and the next one that is asked may be the next one that drains.
async fn next_event_behind(cluster: &Cluster, after: &str, types: &[&str]) -> v1::EventsFollowResponse {
    loop {
        let next = match follow(cluster, after, types).await {
            Ok(mut stream) => next_event_or_end(&mut stream).await,
            Err(status) => Err(status),
        };
        match next {
            Ok(event) => return event,
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
    }
}

type Streaming = tonic::Streaming<v1::EventsFollowResponse>;

fn events_are_followed_from_a_position_through_a_reload() {
    let cluster = Plan::shop().start();
    let confirmed = "shop.order.confirmed.v1";
    in_runtime(async {
        let first = place(&cluster);
        let mut stream = follow(&cluster, "", &[confirmed]).await.expect("followed");
        let event = next_event(&mut stream).await;
        assert_eq!(
            (event.r#type.as_str(), event.subject.as_str()),
            (confirmed, first.as_str())
        );
        let document: Value = serde_json::from_str(&event.cloud_event).expect("JSON");
        assert_eq!(
            (&document["id"], &document["type"]),
            (&json!(event.id), &json!(confirmed))
        );
        let second = place(&cluster);
        let event = next_event(&mut stream).await;
        assert_eq!(event.subject, second, "it comes as it happens");

        let mark = cluster.mark();
        cluster.signal(nix::sys::signal::Signal::SIGHUP);
        let end = next_event_or_end(&mut stream)
            .await
            .expect_err("the worker drains");
        assert_eq!(end.code(), Code::Unavailable, "{end:?}");
        let third = place(&cluster);
        let event = next_event_behind(&cluster, &event.position, &[confirmed]).await;
        assert_eq!(event.subject, third, "nothing is missed and nothing comes twice");
        cluster.wait_from(mark, "reload done");

        for (after, types, code, expected) in [
            ("nonsense", &[][..], Code::InvalidArgument, "invalid_position"),
            (
                "",
                &["shop.nothing.v1"],
                Code::InvalidArgument,
                "unknown_event_type",
            ),
        ] {
            let refused = follow(&cluster, after, types).await.expect_err("refused");
            assert_eq!((refused.code(), reason(&refused).as_str()), (code, expected));
        }
    });
}

/// Behind what it did not ask for, too: so it can go on there when retention has removed that.
fn a_follower_of_what_is_rare_is_told_positions() {
    let cluster = Plan::shop().start();
    in_runtime(async {
        let declined = "shop.payment.declined.v1";
        let mut rare = follow(&cluster, "now", &[declined]).await.expect("followed");
        let mut told = async || rare.next().await.expect("a message").expect("no error");
        let first = told().await;
        assert!(first.id.is_empty() && !first.position.is_empty(), "{first:?}");
        let order = place(&cluster);
        let second = told().await;
        assert!(
            second.id.is_empty() && second.position != first.position,
            "{second:?}"
        );
        let mut all = follow(&cluster, &first.position, &[]).await.expect("followed");
        let event = next_event(&mut all).await;
        assert!(
            event.subject == order || event.subject.starts_with("pay_"),
            "{event:?}"
        );
    });
}

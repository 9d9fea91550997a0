//! The shop over gRPC and over HTTP: the same orders, the same refusals, the same keys.

use std::time::Instant;

use serde_json::{Value, json};
use tonic::codegen::tokio_stream::StreamExt;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::client::{Channel, in_runtime, origin};
use crate::common::{Cluster, Plan, TIMEOUT};
use crate::runner::Test;
use cluster::shop::grpc::v1;
use cluster::shop::grpc::v1::inventory_client::InventoryClient;
use cluster::shop::grpc::v1::orders_client::OrdersClient;
use cluster::shop::grpc::v1::payments_client::PaymentsClient;

pub(crate) const TESTS: &[Test] = &[
    (
        "an_order_is_the_same_over_both_protocols",
        an_order_is_the_same_over_both_protocols,
    ),
    (
        "both_protocols_refuse_the_same_for_the_same_reason",
        both_protocols_refuse_the_same_for_the_same_reason,
    ),
    (
        "a_key_names_one_request_over_both_protocols",
        a_key_names_one_request_over_both_protocols,
    ),
    (
        "an_order_goes_on_when_its_deadline_is_over",
        an_order_goes_on_when_its_deadline_is_over,
    ),
    (
        "stock_is_edited_under_conditions_and_adjusted_once",
        stock_is_edited_under_conditions_and_adjusted_once,
    ),
];

async fn orders(cluster: &Cluster) -> OrdersClient<Channel> {
    let address = cluster.address();
    OrdersClient::with_origin(Channel::connect(address).await, origin(address))
}

pub(crate) async fn inventory(cluster: &Cluster) -> InventoryClient<Channel> {
    let address = cluster.address();
    InventoryClient::with_origin(Channel::connect(address).await, origin(address))
}

fn requested(customer: &str, items: &[(&str, i32)], method: &str) -> v1::OrdersPlaceRequest {
    let items = items.iter().map(|(sku, quantity)| v1::RequestedItem {
        sku: (*sku).to_owned(),
        quantity: *quantity,
    });
    v1::OrdersPlaceRequest {
        customer_id: customer.to_owned(),
        items: items.collect(),
        payment_method: method.to_owned(),
    }
}

pub(crate) fn adjust(delta: i64) -> v1::InventoryAdjustRequest {
    v1::InventoryAdjustRequest {
        sku: "espresso-cup".to_owned(),
        delta,
        reason: "counted".to_owned(),
    }
}

/// The same request as a body.
fn body(request: &v1::OrdersPlaceRequest) -> String {
    let items = request.items.iter();
    let items: Vec<Value> = items
        .map(|item| json!({ "sku": item.sku, "quantity": item.quantity }))
        .collect();
    let payment = json!({ "method": request.payment_method });
    json!({ "customer_id": request.customer_id, "items": items, "payment": payment }).to_string()
}

pub(crate) fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("idempotency-key", key.parse().expect("a value"));
    request
}

pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

fn an_order_is_the_same_over_both_protocols() {
    let cluster = Plan::shop().start();
    in_runtime(async {
        let mut client = orders(&cluster).await;
        let placed = client
            .place(requested("c-1", &[("espresso-cup", 2)], "pm_card_visa"))
            .await;
        let placed = placed.expect("placed").into_inner();
        let order = placed.order.expect("an order");
        assert_eq!(
            (order.status(), placed.replayed),
            (v1::OrderStatus::Confirmed, false)
        );
        let id = v1::OrdersGetRequest { id: order.id.clone() };
        let found = client.get(id).await.expect("found").into_inner().order;
        assert_eq!(found.as_ref(), Some(&order));
        let document = cluster.get(&format!("/orders/{}", order.id)).json();
        let total = order.total.expect("a total");
        assert_eq!(
            document["total"],
            json!({ "amount": total.amount, "currency": total.currency })
        );
        assert_eq!(document["customer_id"], order.customer_id);

        let timeline = v1::OrdersTimelineRequest { id: order.id.clone() };
        let timeline = client.timeline(timeline).await.expect("begun").into_inner();
        let steps: Vec<String> = timeline
            .map(|entry| entry.expect("no error").step)
            .collect()
            .await;
        let document = cluster.get(&format!("/orders/{}/timeline", order.id)).json();
        let expected = document["items"].as_array().expect("a list").iter();
        assert_eq!(
            steps,
            expected
                .map(|entry| entry["step"].as_str().expect("text"))
                .collect::<Vec<_>>()
        );

        let address = cluster.address();
        let mut payments = PaymentsClient::with_origin(Channel::connect(address).await, origin(address));
        let of_order = v1::PaymentsListRequest {
            order_id: order.id.clone(),
            limit: 0,
            cursor: String::new(),
        };
        let listed = payments.list(of_order).await.expect("listed").into_inner();
        assert_eq!((listed.payments.len(), listed.next_cursor.as_str()), (1, ""));
        assert_eq!(listed.payments[0].status, "succeeded");

        let more = requested("c-1", &[("espresso-cup", 1)], "pm_card_visa");
        client.place(more).await.expect("placed");
        let page = |cursor: &str| v1::OrdersListRequest {
            customer_id: "c-1".to_owned(),
            limit: 1,
            cursor: cursor.to_owned(),
        };
        let first = client.list(page("")).await.expect("listed").into_inner();
        let second = client
            .list(page(&first.next_cursor))
            .await
            .expect("listed")
            .into_inner();
        assert_eq!((second.orders.len(), second.next_cursor.as_str()), (1, ""));
        assert_eq!(second.orders[0].id, order.id);
    });
}

fn both_protocols_refuse_the_same_for_the_same_reason() {
    let cluster = Plan::shop().start();
    let many: Vec<(String, i32)> = (0..51).map(|number| (format!("sku-{number}"), 1)).collect();
    let many: Vec<(&str, i32)> = many
        .iter()
        .map(|(sku, quantity)| (sku.as_str(), *quantity))
        .collect();
    let cup = [("espresso-cup", 1)];
    in_runtime(async {
        let mut client = orders(&cluster).await;
        for (request, expected) in [
            (requested("", &cup, "pm_card_visa"), Code::InvalidArgument),
            (requested("c 1", &cup, "pm_card_visa"), Code::InvalidArgument),
            (requested("c-1", &[], "pm_card_visa"), Code::InvalidArgument),
            (requested("c-1", &many, "pm_card_visa"), Code::InvalidArgument),
            (
                requested("c-1", &[("espresso-cup", 0)], "pm_card_visa"),
                Code::InvalidArgument,
            ),
            (
                requested("c-1", &[("espresso-cup", -1)], "pm_card_visa"),
                Code::InvalidArgument,
            ),
            (
                requested("c-1", &[("", 1)], "pm_card_visa"),
                Code::InvalidArgument,
            ),
            (
                requested("c-1", &[("nothing", 1)], "pm_card_visa"),
                Code::InvalidArgument,
            ),
            (
                requested("c-1", &[cup[0], cup[0]], "pm_card_visa"),
                Code::InvalidArgument,
            ),
            (requested("c-1", &cup, ""), Code::InvalidArgument),
            (
                requested("c-1", &cup, "pm_card_chargeDeclined"),
                Code::FailedPrecondition,
            ),
        ] {
            let document = cluster.post("/orders", &[], &body(&request)).json();
            let refused = client.place(request.clone()).await.expect_err("refused");
            assert_eq!(refused.code(), expected, "{request:?} {refused:?}");
            assert_eq!(reason(&refused), document["code"], "{request:?}");
            let detail = document["detail"].as_str().expect("text");
            assert_eq!(refused.message(), detail, "{request:?}");
        }
        let unknown = v1::OrdersGetRequest {
            id: "nothing".to_owned(),
        };
        let unknown = client.get(unknown).await.expect_err("unknown");
        assert_eq!(
            (unknown.code(), reason(&unknown).as_str()),
            (Code::NotFound, "order_not_found")
        );
        let wrong = v1::OrdersListRequest {
            limit: -1,
            ..Default::default()
        };
        let wrong = client.list(wrong).await.expect_err("refused");
        assert_eq!(
            (wrong.code(), reason(&wrong).as_str()),
            (Code::InvalidArgument, "invalid_limit")
        );
    });
}

fn a_key_names_one_request_over_both_protocols() {
    let cluster = Plan::shop().start();
    let request = requested("c-1", &[("espresso-cup", 1)], "pm_card_visa");
    let first = cluster.post("/orders", &[("idempotency-key", "k-1")], &body(&request));
    assert_eq!(first.status, 201, "{first:?}");
    in_runtime(async {
        let mut client = orders(&cluster).await;
        let again = client
            .place(with_key(request.clone(), "k-1"))
            .await
            .expect("replayed")
            .into_inner();
        assert!(again.replayed);
        assert_eq!(first.json()["id"], again.order.expect("an order").id);
        let other = requested("c-2", &[("espresso-cup", 1)], "pm_card_visa");
        let other = client
            .place(with_key(other, "k-1"))
            .await
            .expect_err("another request");
        assert_eq!(
            (other.code(), reason(&other).as_str()),
            (Code::AlreadyExists, "idempotency_key_reused")
        );
        let wrong = client
            .place(with_key(request, &"k".repeat(300)))
            .await
            .expect_err("too long");
        assert_eq!(
            (wrong.code(), reason(&wrong).as_str()),
            (Code::InvalidArgument, "invalid_idempotency_key")
        );
    });
}

fn an_order_goes_on_when_its_deadline_is_over() {
    let faults = "[provider_faults]\nslow = 100\nlate_by = \"1s\"";
    let cluster = Plan::shop()
        .with("[provider_faults]", &faults["[provider_faults]\n".len()..])
        .start();
    in_runtime(async {
        let mut client = orders(&cluster).await;
        // So short that hardly any order is over by then, and long enough for it to be on disk.
        let mut number = 0;
        let customer = loop {
            number += 1;
            let customer = format!("c-{number}");
            let mut request = Request::new(requested(&customer, &[("espresso-cup", 1)], "pm_card_visa"));
            request
                .metadata_mut()
                .insert("grpc-timeout", "50m".parse().expect("a value"));
            match client.place(request).await {
                Ok(_) => {}
                Err(late) => {
                    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
                    break customer;
                }
            }
        };
        let begun = Instant::now();
        loop {
            let known = cluster.get(&format!("/orders?customer_id={customer}")).json();
            if known["items"][0]["status"] == "confirmed" {
                break;
            }
            assert!(begun.elapsed() < TIMEOUT, "{known}");
        }
    });
}

fn stock_is_edited_under_conditions_and_adjusted_once() {
    let cluster = Plan::shop().start();
    in_runtime(async {
        let mut client = inventory(&cluster).await;
        let get = || v1::InventoryGetRequest {
            sku: "espresso-cup".to_owned(),
        };
        let article = client
            .get(get())
            .await
            .expect("found")
            .into_inner()
            .article
            .expect("an article");
        let rename = |name: &str, etag: &str| {
            let mut request = Request::new(v1::InventoryPatchRequest {
                sku: "espresso-cup".to_owned(),
                name: Some(name.to_owned()),
                unit_price: None,
                on_sale: None,
            });
            request
                .metadata_mut()
                .insert("if-match", etag.parse().expect("a value"));
            request
        };
        let renamed = client
            .patch(rename("One", &article.etag))
            .await
            .expect("the state is known");
        let renamed = renamed.into_inner().article.expect("an article");
        assert_eq!((renamed.name.as_str(), renamed.on_hand), ("One", article.on_hand));
        let stale = client
            .patch(rename("Two", &article.etag))
            .await
            .expect_err("another state");
        assert_eq!(
            (stale.code(), reason(&stale).as_str()),
            (Code::Aborted, "precondition_failed")
        );

        let unnamed = client.adjust(adjust(5)).await.expect_err("no key");
        assert_eq!(
            (unnamed.code(), reason(&unnamed).as_str()),
            (Code::InvalidArgument, "idempotency_key_required")
        );
        for replayed in [false, true] {
            let adjusted = client
                .adjust(with_key(adjust(5), "a-1"))
                .await
                .expect("adjusted")
                .into_inner();
            let on_hand = adjusted.adjustment.expect("an adjustment").on_hand;
            assert_eq!((adjusted.replayed, on_hand), (replayed, article.on_hand + 5));
        }
        let below = client
            .adjust(with_key(adjust(-1_000_000), "a-2"))
            .await
            .expect_err("below");
        assert_eq!(below.code(), Code::FailedPrecondition, "{below:?}");
    });
}

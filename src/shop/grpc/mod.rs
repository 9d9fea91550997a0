//! The shop's services over gRPC, as `proto/shop/v1` describes them. They answer with what the routes of
//! [`super::http`] answer: the same checks, the same services, the same problems. It must not know a rule of
//! its own.

mod events;
mod inventory;
mod messages;
mod orders;
mod payments;

use crate::shop::http::AppState;
use crate::worker::GrpcServices;

/// The messages and services, made of `proto/shop/v1`.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod v1 {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/generated/shop.v1.rs"));
}

use self::events::EventsEndpoint;
use self::inventory::InventoryEndpoint;
use self::orders::OrdersEndpoint;
use self::payments::PaymentsEndpoint;
use self::v1::events_server::EventsServer;
use self::v1::inventory_server::InventoryServer;
use self::v1::orders_server::OrdersServer;
use self::v1::payments_server::PaymentsServer;

/// What reflection shows.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/proto/generated/shop.v1.descriptors"
));

/// The services. A message may be as long as a body.
pub fn services(state: &AppState) -> GrpcServices {
    let longest = state.max_body_bytes;
    let orders = OrdersServer::new(OrdersEndpoint(state.clone()));
    let inventory = InventoryServer::new(InventoryEndpoint(state.clone()));
    let payments = PaymentsServer::new(PaymentsEndpoint(state.clone()));
    GrpcServices::new()
        .with(orders.max_decoding_message_size(longest))
        .with(inventory.max_decoding_message_size(longest))
        .with(EventsServer::new(EventsEndpoint(state.clone())).max_decoding_message_size(longest))
        .with(payments.max_decoding_message_size(longest))
        .descriptors(DESCRIPTORS)
}

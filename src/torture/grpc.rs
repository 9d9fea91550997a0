//! Placing an order over gRPC, on one connection for as long as that lives. Nothing is repeated here: whoever
//! asked asks again over HTTP under the same key, and both answers must be one.

use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt;

use super::http::HTTP_TIMEOUT;
use super::workload::PlannedOrder;
use crate::shop::grpc::v1;
use crate::shop::grpc::v1::orders_client::OrdersClient;

/// The deadline of a call, which is below [`HTTP_TIMEOUT`], so that the server's own is met.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How an order ended, as far as both protocols tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GrpcEnding {
    /// The id of the order.
    pub(super) id: String,
    /// Why it does not stand; `None` for a confirmed order.
    pub(super) code: Option<String>,
}

/// A client with a connection of its own.
pub(super) struct GrpcClient {
    runtime: Runtime,
    connection: Option<SendRequest<Body>>,
}

impl GrpcClient {
    pub(super) fn new() -> std::io::Result<GrpcClient> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(GrpcClient {
            runtime,
            connection: None,
        })
    }

    /// Places the order once. `None` when the answer does not say how the order ended: that it is still under
    /// way, that it cannot be placed now, or that there was none.
    pub(super) fn place(&mut self, planned: &PlannedOrder, address: SocketAddr) -> Option<GrpcEnding> {
        let GrpcClient { runtime, connection } = self;
        let asked = runtime.block_on(async {
            let sender = match connection.take() {
                Some(sender) if !sender.is_closed() => sender,
                _ => connect(address).await?,
            };
            let answer = tokio::time::timeout(HTTP_TIMEOUT, place(sender.clone(), planned, address));
            let answer = answer.await.ok()?;
            *connection = Some(sender);
            Some(answer)
        });
        match asked? {
            Ok(order) => of_order(order),
            Err(status) => of_refusal(&status),
        }
    }
}

/// A connection, served by the runtime whenever that runs.
async fn connect(address: SocketAddr) -> Option<SendRequest<Body>> {
    let connected = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    };
    tokio::time::timeout(HTTP_TIMEOUT, connected).await.ok().flatten()
}

async fn place(
    sender: SendRequest<Body>,
    planned: &PlannedOrder,
    address: SocketAddr,
) -> Result<v1::Order, Status> {
    let origin = format!("http://{address}").parse();
    let origin = origin.map_err(|_| Status::internal("the address is no origin"))?;
    let send = tower::service_fn(move |request: Request<Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let items = planned.items.iter().map(|(sku, quantity)| v1::RequestedItem {
        sku: sku.clone(),
        quantity: i32::try_from(*quantity).unwrap_or(i32::MAX),
    });
    let mut request = tonic::Request::new(v1::OrdersPlaceRequest {
        customer_id: planned.customer.clone(),
        items: items.collect(),
        payment_method: planned.method.to_owned(),
    });
    let key = planned.key.parse();
    let key = key.map_err(|_| Status::internal("the key is no metadata"))?;
    request.metadata_mut().insert("idempotency-key", key);
    request.set_timeout(CALL_TIMEOUT);
    let placed = OrdersClient::with_origin(send, origin).place(request).await?;
    let order = placed.into_inner().order;
    order.ok_or_else(|| Status::internal("an answer without its order"))
}

fn of_order(order: v1::Order) -> Option<GrpcEnding> {
    (order.status() == v1::OrderStatus::Confirmed).then_some(GrpcEnding {
        id: order.id,
        code: None,
    })
}

/// A refusal that names an order is how that order ended.
fn of_refusal(status: &Status) -> Option<GrpcEnding> {
    let details = status.get_error_details();
    let info = details.error_info()?;
    Some(GrpcEnding {
        id: info.metadata.get("order_id")?.clone(),
        code: Some(info.reason.clone()),
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::http::Problem;

    #[test]
    fn a_refusal_ends_an_order_when_it_names_one() {
        let problem = || Problem::new(StatusCode::CONFLICT, "out_of_stock", "too few");
        assert_eq!(of_refusal(&Status::from(problem())), None);
        let ended = of_refusal(&Status::from(problem().with("order_id", "ord_1")));
        let expected = GrpcEnding {
            id: "ord_1".to_owned(),
            code: Some("out_of_stock".to_owned()),
        };
        assert_eq!(ended, Some(expected));
    }

    #[test]
    fn an_order_that_is_pending_has_no_end() {
        let order = |status: v1::OrderStatus| v1::Order {
            id: "ord_1".to_owned(),
            status: status.into(),
            ..v1::Order::default()
        };
        assert_eq!(of_order(order(v1::OrderStatus::Pending)), None);
        assert!(of_order(order(v1::OrderStatus::Confirmed)).is_some());
    }
}

//! `shop.v1.Orders`: placing and reading orders.

use tonic::codegen::tokio_stream;
use tonic::{Request, Response, Status};

use super::messages;
use super::v1;
use super::v1::orders_server::Orders;
use crate::observe::RequestContext;
use crate::shop::http::orders::OrdersList;
use crate::shop::http::page::ListQuery;
use crate::shop::http::wire::PlaceOrderBody;
use crate::shop::http::{AppState, orders, place_order, rejection};
use crate::shop::orders::SagaOutcome;

pub(super) struct OrdersEndpoint(pub(super) AppState);

#[tonic::async_trait]
impl Orders for OrdersEndpoint {
    type TimelineStream = tokio_stream::Iter<std::vec::IntoIter<Result<v1::OrdersTimelineResponse, Status>>>;

    async fn place(
        &self,
        request: Request<v1::OrdersPlaceRequest>,
    ) -> Result<Response<v1::OrdersPlaceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let items = message.items.into_iter();
        let items = items.map(|item| (item.sku, i64::from(item.quantity)));
        let body = PlaceOrderBody::new(message.customer_id, items, message.payment_method);
        let context = RequestContext::current_or_made();
        let placed = place_order::place_called(&self.0, context, &metadata.into_headers(), body).await?;
        if let Some(SagaOutcome::Rejected(why)) = &placed.end {
            return Err(rejection::problem(placed.id, placed.content.request.as_ref(), why).into());
        }
        Ok(Response::new(v1::OrdersPlaceResponse {
            order: Some(messages::order(placed.id, &placed.content, placed.end.as_ref())),
            replayed: placed.is_replayed,
        }))
    }

    async fn get(
        &self,
        request: Request<v1::OrdersGetRequest>,
    ) -> Result<Response<v1::OrdersGetResponse>, Status> {
        let order = orders::find(&self.0, &request.into_inner().id).await?;
        let order = messages::order(order.id, &order.placed, order.end().as_ref());
        Ok(Response::new(v1::OrdersGetResponse { order: Some(order) }))
    }

    async fn list(
        &self,
        request: Request<v1::OrdersListRequest>,
    ) -> Result<Response<v1::OrdersListResponse>, Status> {
        let v1::OrdersListRequest {
            customer_id,
            limit,
            cursor,
        } = request.into_inner();
        let query = ListQuery::<OrdersList>::of(limit, cursor, customer_id)?;
        let (orders, next_cursor) = query.page(
            orders::latest(&self.0, &query).await?,
            |order| order.id.to_string(),
            |order| messages::order(order.id, &order.placed, order.end().as_ref()),
        );
        Ok(Response::new(v1::OrdersListResponse { orders, next_cursor }))
    }

    async fn timeline(
        &self,
        request: Request<v1::OrdersTimelineRequest>,
    ) -> Result<Response<Self::TimelineStream>, Status> {
        let entries = orders::entries(&self.0, &request.into_inner().id).await?;
        let entries: Vec<_> = entries
            .into_iter()
            .map(messages::timeline_entry)
            .map(Ok)
            .collect();
        Ok(Response::new(tokio_stream::iter(entries)))
    }
}

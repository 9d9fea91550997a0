//! `shop.v1.Payments`: reading payments.

use tonic::{Request, Response, Status};

use super::messages;
use super::v1;
use super::v1::payments_server::Payments;
use crate::shop::http::page::ListQuery;
use crate::shop::http::payments::PaymentsList;
use crate::shop::http::{AppState, payments};
use crate::shop::payments::Payment;

pub(super) struct PaymentsEndpoint(pub(super) AppState);

#[tonic::async_trait]
impl Payments for PaymentsEndpoint {
    async fn get(
        &self,
        request: Request<v1::PaymentsGetRequest>,
    ) -> Result<Response<v1::PaymentsGetResponse>, Status> {
        let payment = payments::find(&self.0, &request.into_inner().id).await?;
        let payment = Some(messages::payment(payment));
        Ok(Response::new(v1::PaymentsGetResponse { payment }))
    }

    async fn list(
        &self,
        request: Request<v1::PaymentsListRequest>,
    ) -> Result<Response<v1::PaymentsListResponse>, Status> {
        let v1::PaymentsListRequest {
            order_id,
            limit,
            cursor,
        } = request.into_inner();
        let query = ListQuery::<PaymentsList>::of(limit, cursor, order_id)?;
        let rows = payments::latest(&self.0, &query).await?;
        let position = |payment: &Payment| payment.id.0.to_string();
        let (payments, next_cursor) = query.page(rows, position, messages::payment);
        Ok(Response::new(v1::PaymentsListResponse {
            payments,
            next_cursor,
        }))
    }
}

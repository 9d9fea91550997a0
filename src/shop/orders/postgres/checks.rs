//! What a start asks of the orders, to see whether the databases belong together.

use super::{PostgresOrders, no_row};
use std::time::Duration;

use crate::base::ids::Incarnation;
use crate::postgres::Call;
use crate::shop::contract::{DatabaseUser, HeldEvent, LastUser, OrderId, StorageError};
use crate::shop::postgres::{Columns, event_streams, fences};
use crate::store::Admission;

impl PostgresOrders {
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        let owners = "SELECT coalesce(max(incarnation_on_1($1, owner)), 0) FROM orders WHERE status < 20";
        let owners = Call::new(owners).bind(self.store.host().to_string());
        let rows = self.store.look_up(owners).await?;
        let owner = Columns(rows.first().ok_or_else(no_row)?).count(0)?;
        Ok(fences::newest_incarnation(&self.store)
            .await?
            .max(Incarnation(owner)))
    }

    pub(in crate::shop) async fn last_user(&self) -> Result<Option<LastUser>, StorageError> {
        let last = "SELECT incarnation, master, name,
                CASE WHEN NOT has_left AND milliseconds_1(clock_timestamp() - renewed_at) < lease_ms
                    THEN greatest(milliseconds_1(clock_timestamp() - renewed_at), 0) END
            FROM hosts WHERE host = $1";
        let last = Call::new(last).bind(self.store.host().to_string());
        let rows = self.store.look_up(last).await?;
        let user = rows.first().map(|row| {
            let row = Columns(row);
            let renewed_ms: Option<i64> = row.get(3)?;
            Ok::<_, StorageError>(LastUser {
                user: DatabaseUser {
                    incarnation: Incarnation(row.count(0)?),
                    master: row.get(1)?,
                },
                host: row.get(2)?,
                renewed_ago: renewed_ms.map(|ms| Duration::from_millis(ms.unsigned_abs())),
            })
        });
        user.transpose()
    }

    pub(in crate::shop) async fn note_user(&self, user: DatabaseUser) -> Result<(), StorageError> {
        let note = Call::new("SELECT note_user_2($1, $2, $3)")
            .bind(self.store.host().to_string())
            .bind(fences::number(user.incarnation))
            .bind(user.master);
        self.store.write(Admission::Continue, note).await?;
        Ok(())
    }

    pub(in crate::shop) async fn oldest_held_event(&self) -> Result<Option<HeldEvent>, StorageError> {
        event_streams::oldest_held(&self.store).await
    }

    pub(in crate::shop) async fn newest_confirmed(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        let newest = "SELECT id FROM (SELECT id, status FROM orders ORDER BY id DESC LIMIT $1) AS newest
            WHERE status = 20 AND id NOT IN (SELECT order_id FROM interventions)";
        self.orders_of(Call::new(newest).bind(i64::from(limit))).await
    }

    pub(in crate::shop) async fn unknown(&self, orders: Vec<OrderId>) -> Result<Vec<OrderId>, StorageError> {
        let unknown = "SELECT asked FROM unnest($1) AS asked WHERE NOT EXISTS (SELECT 1 FROM orders
            WHERE id = asked)";
        let keys: Vec<i64> = orders.into_iter().map(OrderId::key).collect();
        self.orders_of(Call::new(unknown).bind(keys)).await
    }

    pub(in crate::shop) async fn horizon(&self) -> Result<OrderId, StorageError> {
        let rows = self
            .store
            .look_up(Call::new("SELECT coalesce(max(order_id), 0) FROM horizon"))
            .await?;
        Columns(rows.first().ok_or_else(no_row)?).order(0)
    }
}

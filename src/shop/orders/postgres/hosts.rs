//! The hosts that use the orders, and their leases (`hosts.sql`).

use std::time::Duration;

use super::{PostgresOrders, no_row};
use crate::base::ids::{HostId, Incarnation};
use crate::base::millis::ms;
use crate::postgres::{Call, Row};
use crate::shop::contract::{HostIdentity, HostRecord, KnownHosts, StorageError};
use crate::shop::postgres::{Columns, fences};

const RENEW: &str = "SELECT host, name, incarnation, master, renewals, silent_ms, lease_ms, has_left, up_ms,
    now_ms FROM renew_lease_1($1, $2, $3, $4, $5, $6) ORDER BY host";

impl PostgresOrders {
    /// Renews the lease of this host, unless that was done within `fresh`, and says what is known of all
    /// hosts.
    pub(in crate::shop) async fn renew_lease(
        &self,
        own: &HostIdentity,
        lease: Duration,
        fresh: Duration,
    ) -> Result<KnownHosts, StorageError> {
        let renew = Call::new(RENEW)
            .bind(own.host.to_string())
            .bind(fences::number(own.incarnation))
            .bind(own.master)
            .bind(own.name.clone())
            .bind(ms(lease).cast_signed())
            .bind(ms(fresh).cast_signed());
        // It changes no order and is right whoever does it, so it needs no fence, and it does not wait for
        // the orders that do.
        let rows = self.store.look_up(renew).await?;
        let first = Columns(rows.first().ok_or_else(no_row)?);
        Ok(KnownHosts {
            server_up: Duration::from_millis(first.count(8)?),
            server_ms: first.count(9)?,
            hosts: rows.iter().map(record).collect::<Result<_, _>>()?,
        })
    }

    /// Gives the lease of this host back: nothing runs there any more.
    pub(in crate::shop) async fn leave(&self, own: &HostIdentity) -> Result<(), StorageError> {
        let leave = Call::new("SELECT leave_1($1, $2, $3)")
            .bind(own.host.to_string())
            .bind(fences::number(own.incarnation))
            .bind(own.master);
        self.store.look_up(leave).await?;
        Ok(())
    }

    /// Forgets the hosts that have been silent for so long, and own no unfinished order.
    pub(in crate::shop) async fn forget_hosts(&self, silent: Duration) -> Result<(), StorageError> {
        let forget = Call::new("SELECT forget_hosts_1($1)").bind(ms(silent).cast_signed());
        self.store.look_up(forget).await?;
        Ok(())
    }
}

fn record(row: &Row) -> Result<HostRecord, StorageError> {
    let row = Columns(row);
    let host: HostId = row
        .get::<String>(0)?
        .parse()
        .map_err(|error: crate::base::ids::NotAHost| StorageError::Failed(error.to_string()))?;
    let lease = Duration::from_millis(row.count(6)?);
    Ok(HostRecord {
        identity: HostIdentity {
            host,
            name: row.get(1)?,
            incarnation: Incarnation(row.count(2)?),
            master: row.get(3)?,
        },
        renewals: row.count(4)?,
        silent_ms: row.get(5)?,
        lease: (!lease.is_zero()).then_some(lease),
        has_left: row.get(7)?,
    })
}

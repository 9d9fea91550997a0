//! The stores of a worker, whichever engine holds them.

use std::sync::Arc;

use crate::base::ids::HostId;
use crate::shop::inventory::InventoryRepository;
use crate::shop::orders::OrdersRepository;
use crate::shop::payments::PaymentsRepository;
#[cfg(feature = "postgres")]
use crate::shop::recovery::host_lease::HostLease;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sandbox::Sandbox;
use crate::store::Store;

/// What was opened.
pub(super) struct OpenedStores {
    pub(super) orders: OrdersRepository,
    pub(super) inventory: InventoryRepository,
    pub(super) payments: PaymentsRepository,
    pub(super) sandbox: Sandbox,
    /// The files, if they are SQLite's.
    pub(super) files: Vec<Store>,
    /// The host of this worker, among those that use the stores.
    pub(super) host: HostId,
    /// Its lease, where others may take over.
    #[cfg(feature = "postgres")]
    pub(super) lease: Option<HostLease>,
    /// Dates everything that is written.
    pub(super) clock: Arc<SteadyClock>,
}

//! The numbers of the whole cluster: how those of many workers, living and dead, become one that never goes
//! backwards, and the table of what is published. Pure but for the look at a board. It must not know who
//! asks, HTTP, or how a text is written.
//!
//! Reading order: [`families`] (what is published), [`totals`] (the numbers of one life, or of many),
//! [`ledger`] (who is counted where, so that nothing is lost and nothing twice), [`snapshot`] (what a worker
//! is given to answer a scrape with).

pub mod families;
pub mod ledger;
pub mod snapshot;
pub mod totals;

pub use families::{FAMILIES, Family};
pub use ledger::Ledger;
pub use snapshot::{MasterFacts, SlotFacts, Snapshot};
pub use totals::{AppMetricTotal, OTHER, Totals};

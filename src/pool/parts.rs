//! The parts of a pool side by side, for what changes one of them by what another one holds.

use super::deploy::operation::Operation;
use super::fleet::Fleet;
use super::lifecycle::Milestones;
use super::requests::queue::RequestQueue;
use super::worker::context::Conditions;

/// The parts that can be changed, and the conditions under which they are.
pub(super) struct Parts<'a> {
    pub(super) fleet: &'a mut Fleet,
    pub(super) operation: &'a mut Operation,
    pub(super) requests: &'a mut RequestQueue,
    pub(super) milestones: &'a mut Milestones,
    pub(super) conditions: Conditions<'a>,
}

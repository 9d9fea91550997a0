//! The shop: orders, inventory, payments, their sagas and their routes.

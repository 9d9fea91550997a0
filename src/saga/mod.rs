//! An order's steps, and what follows from each outcome. Pure.

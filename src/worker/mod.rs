//! A worker's boot, connections, drain and beats.

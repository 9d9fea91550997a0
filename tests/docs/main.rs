//! The documents are true where it can be checked: their tables are those of the program, their links lead to
//! files, and the commands they name exist. `CLUSTER_UPDATE=1 cargo test --test docs` writes the tables anew.

mod pages;
mod running;
mod source;
mod tables;

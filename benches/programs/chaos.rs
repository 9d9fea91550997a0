//! The client of `tests/chaos`, with what it counts and the witness of what a victim had accepted. Beside it
//! stands `client`, which asks one question at a time.

#[path = "../../tests/chaos/answer.rs"]
mod answer;
#[path = "../../tests/chaos/client.rs"]
#[expect(dead_code, reason = "the chaos tests, whose it is, use the rest")]
pub(crate) mod client;
#[path = "../../tests/chaos/request_log.rs"]
pub(crate) mod request_log;
#[path = "../../tests/chaos/streams.rs"]
mod streams;
#[path = "../../tests/chaos/verdict.rs"]
#[expect(dead_code, reason = "the chaos tests, whose it is, use the rest")]
pub(crate) mod verdict;
#[path = "../../tests/chaos/witness.rs"]
#[expect(dead_code, reason = "the chaos tests, whose it is, use the rest")]
pub(crate) mod witness;

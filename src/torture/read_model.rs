//! The summaries of customers at rest, compared with what their clients were told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client_log::{AnsweredOrder, Ending};
use super::cluster::TorturedCluster;
use super::http::{self, HttpAnswer};
use super::workload::CURRENCY;

/// How long the summaries may take to have every event once the cluster is at rest.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Number of confirmed orders, and what they cost together in minor units.
type OrdersAndAmount = (u64, u64);

/// How the summaries contradict the clients' log, after they had the time to catch up.
pub(super) fn contradictions(cluster: &TorturedCluster, entries: &[AnsweredOrder]) -> Vec<String> {
    let deadline = Instant::now() + CATCH_UP_TIMEOUT;
    let expected = expected(entries).into_iter();
    expected
        .filter_map(|(customer, spent)| {
            let path = format!("/customers/{customer}/summary");
            loop {
                let found = http::get(cluster.address(), &path);
                let wrong = match &found {
                    Ok(answer) => contradiction(customer, spent, answer)?,
                    Err(error) => format!("{path} cannot be read at rest: {error}"),
                };
                if Instant::now() >= deadline {
                    return Some(wrong);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        })
        .collect()
}

fn expected(entries: &[AnsweredOrder]) -> BTreeMap<&str, OrdersAndAmount> {
    let mut expected: BTreeMap<&str, OrdersAndAmount> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.ending == Ending::Confirmed) {
        let (orders, spent) = expected.entry(&entry.planned.customer).or_default();
        *orders += 1;
        *spent += entry.planned.total();
    }
    expected
}

/// `None` when the summary is what its orders make.
fn contradiction(customer: &str, (orders, spent): OrdersAndAmount, answer: &HttpAnswer) -> Option<String> {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let same = answer.status == 200
        && body["orders"] == orders
        && body["spent"] == json!([{ "amount": spent, "currency": CURRENCY }])
        && body.get("opening_balance").is_none();
    (!same).then(|| {
        format!(
            "{customer} was told of {orders} confirmed orders for {spent}, and the summary is {} {}",
            answer.status, answer.body
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_that_lacks_an_order_or_a_cent_is_told() {
        let answer = |orders: u64, amount: u64| HttpAnswer {
            status: 200,
            body: json!({
                "customer_id": "c-1",
                "orders": orders,
                "spent": [{ "amount": amount, "currency": CURRENCY }],
                "as_of": "2026-01-01T00:00:00Z",
            })
            .to_string(),
        };
        assert_eq!(contradiction("c-1", (2, 900), &answer(2, 900)), None);
        for (orders, amount) in [(1, 900), (2, 899), (3, 900)] {
            let told = contradiction("c-1", (2, 900), &answer(orders, amount)).expect("told");
            assert!(
                told.contains("c-1 was told of 2 confirmed orders for 900"),
                "{told}"
            );
        }
        let missing = HttpAnswer {
            status: 404,
            body: "{}".to_owned(),
        };
        assert!(contradiction("c-1", (2, 900), &missing).is_some());
    }
}

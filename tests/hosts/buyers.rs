//! Buyers who place orders at both hosts, and go to the other one with the same key when one does not answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine::enter;
use crate::stage::Stage;

/// What was acknowledged: the id of the order by its key.
pub(crate) type Acknowledged = BTreeMap<String, String>;

/// Buyers at work.
pub(crate) struct Buyers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    threads: Vec<JoinHandle<()>>,
}

/// A client that gives a host up that does not answer within seconds.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_millis(500)))
        .timeout_global(Some(Duration::from_secs(3)))
        .build()
        .into()
}

impl Buyers {
    /// So many buyers, each of whom places one order after the other.
    pub(crate) fn start(stage: &Stage, many: usize) -> Buyers {
        let (stop, acknowledged): (Arc<AtomicBool>, Arc<Mutex<Acknowledged>>) = Default::default();
        let threads = (0..many).map(|buyer| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            let network = stage.buyers.network();
            let hosts = stage
                .hosts
                .each_ref()
                .map(|host| format!("http://{}/orders", host.address()));
            std::thread::spawn(move || {
                enter(&network);
                let agent = agent();
                for number in 0.. {
                    let key = format!("{buyer}-{number}");
                    let Some(id) = place(&agent, &hosts, (buyer + number, &key), &stop) else {
                        return;
                    };
                    acknowledged.lock().expect("whole").insert(key, id);
                }
            })
        });
        let threads = threads.collect();
        Buyers {
            stop,
            acknowledged,
            threads,
        }
    }

    /// How many orders were acknowledged.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().expect("whole").len()
    }

    /// Stops them: what was acknowledged.
    pub(crate) fn finish(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        Arc::try_unwrap(self.acknowledged)
            .expect("nobody else has it")
            .into_inner()
            .expect("whole")
    }
}

/// Asks both hosts in turn until one of them acknowledges the order; nothing when the buyers are stopped.
fn place(
    agent: &ureq::Agent,
    hosts: &[String; 2],
    (first, key): (usize, &str),
    stop: &AtomicBool,
) -> Option<String> {
    let order = json!({
        "customer_id": format!("c-{}", first % 50),
        "items": [{"sku": "espresso-cup", "quantity": 1}],
        "payment": {"method": "pm_card_visa"},
    });
    for host in hosts.iter().cycle().skip(first % 2) {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let request = agent.post(host).header("idempotency-key", key);
        let asked = request
            .header("content-type", "application/json")
            .send(order.to_string());
        let Ok(mut answer) = asked else {
            continue;
        };
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_string().unwrap_or_default();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        match (status, body["id"].as_str()) {
            (200..=202, Some(id)) => return Some(id.to_owned()),
            (500.., _) => std::thread::sleep(Duration::from_millis(20)),
            _ => panic!("{host} answers {status}: {body}"),
        }
    }
    None
}

//! What is done to the shop: an order that is good, and files that are not.

use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::json;

use super::Cluster;

/// The body of an order that is taken in and paid.
pub fn order() -> String {
    let items = json!([{ "sku": "espresso-cup", "quantity": 1 }]);
    json!({ "customer_id": "c-1", "items": items, "payment": { "method": "pm_card_visa" } }).to_string()
}

/// Places it; its id.
pub fn place(cluster: &Cluster) -> String {
    let answer = cluster.post("/orders", &[], &order());
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// Overwrites everything but the first page, which holds the header and the schema.
pub fn break_pages(path: &Path) {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("opened");
    let length = file.metadata().expect("a size").len();
    for page in 1..length / 4096 {
        file.write_all_at(&[0x5a; 4096], page * 4096).expect("written");
    }
}

//! The shop's sections of the configuration. The keys are declared once, here; the structs that the shop
//! reads have the same defaults.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{Key, Kind, Section};

const HOUR_MS: u64 = 3_600_000;

/// The sections of the configuration file that belong to the shop.
pub const SECTIONS: &[Section] = &[SHOP, STORE, PROVIDER_FAULTS];

const SHOP: Section = Section {
    name: "shop",
    doc: "The shop.",
    keys: &[
        Key::new(
            "order_wait",
            Kind::duration(1, 60_000),
            "2s",
            "How long POST /orders waits for its order to be final before it answers 202.",
        ),
        Key::new(
            "idempotency_retention",
            Kind::duration(1_000, 365 * 24 * HOUR_MS),
            "24h",
            "How long an Idempotency-Key is kept after its order ended.",
        ),
        Key::new(
            "retention",
            Kind::duration(1_000, 3_650 * 24 * HOUR_MS),
            "90d",
            "How long an ended order is kept, with all that the services know of it; not below \
             idempotency_retention.",
        ),
        Key::new(
            "events_retention",
            Kind::duration(1_000, 3_650 * 24 * HOUR_MS),
            "7d",
            "How long an event can be read, but not longer than retention. A reader that was away for longer \
             begins anew.",
        ),
        Key::new(
            "max_live_sagas",
            Kind::number(1, 1_000_000),
            "4096",
            "Orders under way in one worker; one more is answered 503.",
        ),
        Key::unset(
            "catalog",
            Kind::Path,
            "What is on the shelf at the first start; the built-in catalog when not set.",
        ),
        Key::new(
            "docs",
            Kind::Switch,
            "false",
            "Whether /docs shows the description of the API, which is always at /openapi.json.",
        ),
    ],
};

const STORE: Section = Section {
    name: "store",
    doc: "The databases.",
    keys: &[Key::new(
        "queue_depth",
        Kind::number(1, 1_000_000),
        "4096",
        "Writes waiting for one database in one worker; one more is answered 503.",
    )],
};

const PROVIDER_FAULTS: Section = Section {
    name: "provider_faults",
    doc: "A drill: the payment provider behind a bad line. Refused unless every address is loopback.",
    keys: &[
        Key::new(
            "fail",
            PERCENT,
            "0",
            "Of a hundred calls, how many are never carried out.",
        ),
        Key::new(
            "lose",
            PERCENT,
            "0",
            "Of a hundred calls, how many are carried out and never answered.",
        ),
        Key::new(
            "late",
            PERCENT,
            "0",
            "Of a hundred calls, how many are given up and carried out afterwards.",
        ),
        Key::new(
            "slow",
            PERCENT,
            "0",
            "Of a hundred calls, how many are answered late.",
        ),
        Key::new(
            "late_by",
            Kind::duration(0, 60_000),
            "500ms",
            "The longest delay of a late or slow call.",
        ),
    ],
};

const PERCENT: Kind = Kind::number(0, 100);

/// The section `[shop]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShopSettings {
    /// How long `POST /orders` waits for its order to be final.
    #[serde(with = "crate::config::duration")]
    pub order_wait: Duration,
    /// How long an idempotency key is kept after its order ended.
    #[serde(with = "crate::config::duration")]
    pub idempotency_retention: Duration,
    /// How long an ended order is kept.
    #[serde(with = "crate::config::duration")]
    pub retention: Duration,
    /// How long an event can be read.
    #[serde(with = "crate::config::duration")]
    pub events_retention: Duration,
    /// How many orders may be under way in one worker.
    pub max_live_sagas: usize,
    /// The file of the catalog.
    pub catalog: Option<PathBuf>,
    /// Whether `/docs` shows the description of the API.
    pub docs: bool,
}

impl Default for ShopSettings {
    fn default() -> ShopSettings {
        ShopSettings {
            order_wait: Duration::from_secs(2),
            idempotency_retention: Duration::from_millis(24 * HOUR_MS),
            retention: Duration::from_millis(90 * 24 * HOUR_MS),
            events_retention: Duration::from_millis(7 * 24 * HOUR_MS),
            max_live_sagas: 4096,
            catalog: None,
            docs: false,
        }
    }
}

/// The section `[store]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// How many writes may wait for one database in one worker.
    pub queue_depth: usize,
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        StoreSettings { queue_depth: 4096 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, read};
    use crate::shop::fault_injection::ProviderFaults;

    #[test]
    fn the_declared_keys_are_the_read_ones_and_the_defaults_agree() {
        let app = read(SECTIONS, None, &Overrides::default()).unwrap().settings.app;
        let shop: ShopSettings = app["shop"].clone().try_into().unwrap();
        let store: StoreSettings = app["store"].clone().try_into().unwrap();
        let faults: ProviderFaults = app["provider_faults"].clone().try_into().unwrap();
        assert_eq!((shop, store), (ShopSettings::default(), StoreSettings::default()));
        assert_eq!(faults, ProviderFaults::default());
    }
}

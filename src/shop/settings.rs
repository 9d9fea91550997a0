//! The shop's sections of the configuration. The keys are declared once, here; the structs that the shop
//! reads have the same defaults.

#[cfg(feature = "postgres")]
use std::collections::BTreeMap;
#[cfg(feature = "postgres")]
use std::io;
#[cfg(feature = "postgres")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

#[cfg(feature = "postgres")]
use super::engine::{PostgresPlace, SERVICES, cluster_id};
#[cfg(feature = "postgres")]
use crate::base::ids::HostId;
use crate::config::{Key, Kind, Section};

const HOUR_MS: u64 = 3_600_000;

/// The sections of the configuration file that belong to the shop.
pub const SECTIONS: &[Section] = &[
    SHOP,
    STORE,
    #[cfg(feature = "postgres")]
    POSTGRES,
    PROVIDER_FAULTS,
];

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
    keys: &[
        #[cfg(feature = "postgres")]
        Key::new(
            "engine",
            Kind::Word(&["sqlite", "postgres"]),
            "sqlite",
            "What holds the databases: files in the data directory, or a PostgreSQL server, which \
             [postgres] names. A \
             directory goes from one to the other by `cluster move`.",
        )
        .fixed(),
        Key::new(
            "queue_depth",
            Kind::number(1, 1_000_000),
            "4096",
            "Writes waiting for one database in one worker; one more is answered 503.",
        ),
    ],
};

#[cfg(feature = "postgres")]
const POSTGRES: Section = Section {
    name: "postgres",
    doc: "Where the databases are when store.engine is postgres. No password stands here.",
    keys: &[
        Key::unset(
            "url",
            Kind::Text,
            "The databases as a URL, with {service} in place of orders, inventory, payments and sandbox: \
             postgres://shop@db.example/shop_{service}.",
        ),
        Key::unset(
            "orders",
            Kind::Text,
            "The URL of the orders' database, if it is another.",
        ),
        Key::unset(
            "inventory",
            Kind::Text,
            "The URL of the inventory's database, if it is another.",
        ),
        Key::unset(
            "payments",
            Kind::Text,
            "The URL of the payments' database, if it is another.",
        ),
        Key::unset(
            "sandbox",
            Kind::Text,
            "The URL of the database of the built-in provider, if it is another.",
        ),
        Key::unset(
            "password_file",
            Kind::Path,
            "A file with the password in its first line, which only its owner may read. Without it, \
             PGPASSWORD, \
             PGPASSFILE or ~/.pgpass has the password.",
        ),
        Key::unset(
            "root_certificates",
            Kind::Path,
            "A file with the certificates (PEM) by which the server is checked; those that the system trusts \
             when not set. A server that is not local is spoken to with TLS, unless its URL says \
             sslmode=disable.",
        ),
        Key::unset(
            "cluster",
            Kind::Text,
            "The name of the cluster in its databases, the same on every host that uses them. Without it, the data \
             directory makes one (cluster.id).",
        ),
        Key::new(
            "host_lease",
            Kind::duration(2_000, 60_000),
            "5s",
            "How long this host may be silent before other hosts take over its unfinished orders.",
        ),
        Key::new(
            "pgbouncer",
            Kind::Switch,
            "false",
            "Whether PgBouncer is between, in its mode of transactions: no statement is prepared then.",
        ),
        Key::new(
            "allow_unsafe_commits",
            Kind::Switch,
            "false",
            "Whether a server is used that may forget what it has committed (fsync, full_page_writes or \
             synchronous_commit is off).",
        ),
    ],
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
    /// What holds the databases.
    pub engine: EngineName,
    /// How many writes may wait for one database in one worker.
    pub queue_depth: usize,
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        StoreSettings {
            engine: EngineName::Sqlite,
            queue_depth: 4096,
        }
    }
}

/// What holds the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineName {
    /// Files in the data directory.
    Sqlite,
    /// A PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres,
}

/// The section `[postgres]`.
#[cfg(feature = "postgres")]
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresSettings {
    /// The URL of each database that is not named by itself, with `{service}` in it.
    pub url: Option<String>,
    /// The URL of the orders' database.
    pub orders: Option<String>,
    /// The URL of the inventory's database.
    pub inventory: Option<String>,
    /// The URL of the payments' database.
    pub payments: Option<String>,
    /// The URL of the database of the built-in provider.
    pub sandbox: Option<String>,
    /// The file of the password.
    pub password_file: Option<PathBuf>,
    /// The file of the certificates that are trusted.
    pub root_certificates: Option<PathBuf>,
    /// The name of the cluster in its databases.
    pub cluster: Option<String>,
    /// How long this host may be silent before others take over its orders.
    #[serde(with = "crate::config::duration")]
    pub host_lease: Duration,
    /// Whether PgBouncer is between.
    pub pgbouncer: bool,
    /// Whether a server may be used that may forget what it has committed.
    pub allow_unsafe_commits: bool,
}

#[cfg(feature = "postgres")]
impl Default for PostgresSettings {
    fn default() -> PostgresSettings {
        PostgresSettings {
            url: None,
            orders: None,
            inventory: None,
            payments: None,
            sandbox: None,
            password_file: None,
            root_certificates: None,
            cluster: None,
            host_lease: Duration::from_secs(5),
            pgbouncer: false,
            allow_unsafe_commits: false,
        }
    }
}

#[cfg(feature = "postgres")]
impl PostgresSettings {
    /// The name of the cluster in its databases.
    ///
    /// # Errors
    /// The system's, when the data directory has to make it.
    pub(in crate::shop) fn cluster_name(&self, data_dir: &Path) -> io::Result<String> {
        match &self.cluster {
            Some(name) => Ok(name.clone()),
            None => cluster_id(data_dir),
        }
    }

    /// Where the databases of that cluster are, for a host of that id.
    ///
    /// # Errors
    /// As [`PostgresSettings::urls`].
    pub(in crate::shop) fn place(&self, cluster: String, host: HostId) -> Result<PostgresPlace, String> {
        Ok(PostgresPlace {
            cluster,
            host,
            urls: self.urls()?,
            password_file: self.password_file.clone(),
            root_certificates: self.root_certificates.clone(),
            pgbouncer: self.pgbouncer,
            allow_unsafe_commits: self.allow_unsafe_commits,
        })
    }

    /// The URL of each service's database.
    ///
    /// # Errors
    /// Which one is missing.
    pub(in crate::shop) fn urls(&self) -> Result<BTreeMap<String, String>, String> {
        let own = [&self.orders, &self.inventory, &self.payments, &self.sandbox];
        let mut urls = BTreeMap::new();
        for (service, own) in SERVICES.into_iter().zip(own) {
            let of_all = || self.url.as_ref().map(|url| url.replace("{service}", service));
            let url = own.clone().or_else(of_all).ok_or_else(|| {
                format!(
                    "store.engine is postgres and nothing names the database of {service}: set \
                     postgres.url, such as \
                     postgres://shop@127.0.0.1/shop_{{service}}, or postgres.{service}"
                )
            })?;
            if let Some((other, _)) = urls.iter().find(|(_, known)| **known == url) {
                return Err(format!(
                    "{other} and {service} have one database, expected one for each: write {{service}} \
                     into postgres.url"
                ));
            }
            urls.insert(service.to_owned(), url);
        }
        Ok(urls)
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
        #[cfg(feature = "postgres")]
        {
            let postgres: PostgresSettings = app["postgres"].clone().try_into().unwrap();
            assert_eq!(postgres, PostgresSettings::default());
        }
        let faults: ProviderFaults = app["provider_faults"].clone().try_into().unwrap();
        assert_eq!((shop, store), (ShopSettings::default(), StoreSettings::default()));
        assert_eq!(faults, ProviderFaults::default());
    }
}

//! Programs of two neighbouring versions at one database of PostgreSQL.

use super::postgres;
use crate::base::ids::Life;
use crate::postgres::{
    Call, ClusterId, PostgresFailure, PostgresOptions, PostgresSchema, PostgresStore, PostgresTarget,
    WriterIdentity,
};
use crate::shop::orders::postgres::POSTGRES_SCHEMA;
use crate::store::Admission;

/// The schema of the next version, which adds a table, and needs programs of at least that version.
fn next_version(oldest_compatible: i32) -> &'static PostgresSchema {
    let expand = "CREATE TABLE of_the_next_version (number bigint PRIMARY KEY)";
    let migrations = [POSTGRES_SCHEMA.migrations, &[expand]].concat();
    Box::leak(Box::new(PostgresSchema {
        migrations: Box::leak(migrations.into_boxed_slice()),
        oldest_compatible,
        ..POSTGRES_SCHEMA
    }))
}

async fn open(
    url: &str,
    schema: &'static PostgresSchema,
    epoch: u32,
) -> Result<PostgresStore, PostgresFailure> {
    let target = PostgresTarget::parse(url).expect("a URL");
    let identity = WriterIdentity::Life(Life::of(1, 0, epoch));
    let cluster = ClusterId("c1".to_owned());
    PostgresStore::open(target, schema, &cluster, identity, PostgresOptions::new()).await
}

#[tokio::test]
async fn two_versions_make_serve_and_migrate_one_database_at_once() {
    let Some(url) = postgres::empty_database("two_versions").await else {
        eprintln!("SKIPPED: CLUSTER_TEST_POSTGRES names no server");
        return;
    };
    let own = POSTGRES_SCHEMA.version();
    let expanded = next_version(own);
    // All of them find an empty database.
    let openings = (1..=6).map(|epoch| {
        let (url, schema) = (
            url.clone(),
            if epoch % 2 == 0 {
                expanded
            } else {
                &POSTGRES_SCHEMA
            },
        );
        tokio::spawn(async move { open(&url, schema, epoch).await })
    });
    let mut stores = Vec::new();
    for opening in openings.collect::<Vec<_>>() {
        stores.push(opening.await.expect("no panic").expect("opened"));
    }
    let version = Call::new("SELECT version FROM cluster_meta");
    let rows = stores[0].look_up(version).await.expect("read");
    assert_eq!(
        rows[0].get::<_, i32>(0),
        own + 1,
        "migrated once, by whichever was first"
    );
    // Those that know only the older version write beside those of the newer one, and so does one that
    // comes later.
    stores.push(open(&url, &POSTGRES_SCHEMA, 7).await.expect("opened"));
    for store in &stores {
        store
            .write(Admission::Continue, Call::new("SELECT 1"))
            .await
            .expect("committed");
    }
    // Once the next version has contracted what this one uses, this one is refused, and nothing is changed.
    let contract = Call::new("UPDATE cluster_meta SET oldest_compatible = version");
    stores[1]
        .write(Admission::Continue, contract)
        .await
        .expect("committed");
    let refused = open(&url, &POSTGRES_SCHEMA, 8).await.expect_err("refused");
    assert!(
        matches!(&refused, PostgresFailure::Unusable(reason) if reason.contains("start the newer program")),
        "{refused}"
    );
    open(&url, expanded, 9).await.expect("opened");
}

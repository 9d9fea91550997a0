//! The pool as it is handed to another master binary: JSON with a version, read as if anybody could have
//! written it. This file must not know what carries the text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pool::Pool;
use super::worker::pool_worker::PoolWorker;

/// Version of the serialised [`Pool`]. Raise it when any field in the pool changes (a test compares the
/// fields with the committed specimen).
pub const VERSION: u32 = 7;

/// A serialised pool with its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    version: u32,
    pool: Value,
}

/// Why a serialised pool cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum NotLoadable {
    /// The pool was written by a binary with another version.
    #[error("the pool's state is of version {0}, expected {VERSION}")]
    Version(u32),
    /// A field has another type than expected.
    #[error("the pool's state cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The pool was read, and a field is missing, unknown or contradicts another one.
    #[error("the pool's state is not whole: {0}")]
    Odd(String),
}

impl Saved {
    /// The pool as it is now.
    #[must_use]
    pub fn of(pool: &Pool) -> Saved {
        Saved {
            version: VERSION,
            pool: serde_json::to_value(pool).expect("a pool is numbers, texts and lists, which JSON can say"),
        }
    }

    /// The pool, read and checked.
    ///
    /// # Errors
    /// [`NotLoadable`] says what was read and what was expected.
    pub fn load(self) -> Result<Pool, NotLoadable> {
        if self.version != VERSION {
            return Err(NotLoadable::Version(self.version));
        }
        let pool: Pool = serde_json::from_value(self.pool.clone())?;
        if let Some(difference) = difference(&self.pool, &Saved::of(&pool).pool, "pool") {
            return Err(NotLoadable::Odd(difference));
        }
        check(&pool).map_err(NotLoadable::Odd)?;
        Ok(pool)
    }
}

/// The first place where the text that was read differs from the text that would be written: a field that is
/// missing (also an optional one) or unknown.
#[must_use]
pub fn difference(read: &Value, written: &Value, at: &str) -> Option<String> {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => {
            let missing = written.keys().find(|key| !read.contains_key(*key));
            let unknown = read.keys().find(|key| !written.contains_key(*key));
            missing
                .map(|key| format!("{at} has no field {key:?}"))
                .or_else(|| unknown.map(|key| format!("{at} has an unknown field {key:?}")))
                .or_else(|| {
                    read.iter()
                        .find_map(|(key, value)| difference(value, &written[key], &format!("{at}.{key}")))
                })
        }
        (Value::Array(read), Value::Array(written)) if read.len() == written.len() => read
            .iter()
            .zip(written)
            .enumerate()
            .find_map(|(place, (read, written))| difference(read, written, &format!("{at}[{place}]"))),
        (read, written) => (read != written).then(|| format!("{at} cannot be read back as it was written")),
    }
}

/// Checks what every transition keeps, and a text from outside may not.
fn check(pool: &Pool) -> Result<(), String> {
    let (generations, slots) = (pool.generations(), pool.fleet().slots());
    if !generations.is_loaded(generations.current()) {
        return Err(format!(
            "it holds no policy of its own generation {}",
            generations.current()
        ));
    }
    let workers = pool.all_workers();
    let mut needed = workers
        .iter()
        .map(|worker| worker.generation)
        .chain(slots.iter().map(|state| state.generation));
    if let Some(generation) = needed.find(|generation| !generations.is_loaded(*generation)) {
        return Err(format!(
            "it holds no policy of generation {generation}, which a slot has"
        ));
    }
    if !slots.are_whole() {
        return Err(format!(
            "of the {} slots there ever were, those that exist are not the first ones",
            slots.ever()
        ));
    }
    let mut workers = workers.iter();
    let is_stranger = |worker: &&PoolWorker| {
        worker.life.incarnation != pool.incarnation() || worker.life.slot.0 >= slots.ever()
    };
    match workers.find(is_stranger) {
        Some(worker) => Err(format!("worker {} can be none of its own", worker.life)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{at, policy};
    use super::*;
    use crate::base::ids::{Generation, Incarnation};

    fn saved() -> Saved {
        Saved::of(&Pool::new(policy(), Incarnation(1), Generation(1), at(1_000), 7))
    }

    #[test]
    fn a_pool_comes_back_as_it_went() {
        let text = serde_json::to_string(&saved()).expect("written");
        let read: Saved = serde_json::from_str(&text).expect("read");
        let pool = read.load().expect("a pool");
        assert_eq!(Saved::of(&pool), saved());
    }

    #[test]
    fn another_version_is_told_by_its_number() {
        let newer = Saved {
            version: VERSION + 1,
            ..saved()
        };
        let told = newer.load().expect_err("refused").to_string();
        assert!(told.contains(&format!("version {}", VERSION + 1)), "{told}");
    }

    #[test]
    fn each_field_that_is_missing_or_unknown_is_told_by_its_name() {
        let Value::Object(fields) = saved().pool else {
            panic!("a pool is an object")
        };
        for key in fields.keys() {
            let mut less = fields.clone();
            less.remove(key);
            let (version, pool) = (VERSION, Value::Object(less));
            let told = Saved { version, pool }.load().expect_err("refused").to_string();
            assert!(told.contains(key.as_str()), "{key}: {told}");
        }
        let mut more = fields;
        more.insert("mood".to_owned(), json!("good"));
        let (version, pool) = (VERSION, Value::Object(more));
        let told = Saved { version, pool }.load().expect_err("refused").to_string();
        assert!(told.contains("mood"), "{told}");
    }

    #[test]
    fn a_field_deep_inside_is_missed_too() {
        let mut saved = saved();
        let restart = saved.pool["fleet"]["slots"][1]["state"]["restart"]
            .as_object_mut()
            .expect("a restart");
        assert!(restart.remove("last_exit").is_some());
        let told = saved.load().expect_err("refused").to_string();
        assert!(
            told.contains("pool.fleet.slots[1].state.restart has no field \"last_exit\""),
            "{told}"
        );
    }

    #[test]
    fn a_pool_that_contradicts_itself_is_refused() {
        let change = |path: &str, value: Value| {
            let mut saved = saved();
            *saved.pool.pointer_mut(path).expect("it is there") = value;
            saved.load().expect_err(path).to_string()
        };
        assert!(change("/generations/current", json!(9)).contains("generation 9"));
        assert!(change("/fleet/slots/0/state/generation", json!(9)).contains("generation 9"));
        assert!(change("/fleet/slots", json!([])).contains("0 slots"));
        assert!(change("/fleet/slots/0/state", Value::Null).contains("2 slots"));
    }
}

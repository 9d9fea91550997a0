//! One statement with its parameters.

use super::bind::{Bind, Parameter, parameter};

/// A statement, such as a call of a function in the database.
pub struct Call {
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Parameter>,
    /// What the transaction locks before anything is done, in one order for all calls, so that two
    /// transactions do not wait for each other.
    pub(super) locks: Vec<String>,
    /// What is done instead when the call was committed and its answer is lost.
    pub(super) again: Again,
    /// Somebody waits for what the call writes.
    pub(super) signals: bool,
}

/// What is done when a call was committed and its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The same call: done again, it changes nothing and answers what it answered.
    Same,
    /// This statement with the same parameters, which finds the answer.
    Other(&'static str),
    /// Nothing: it is told that the answer is unknown.
    Unknown,
}

impl Call {
    /// This statement, without parameters yet. Its text is one that stands in the program: texts of users are
    /// parameters.
    #[must_use]
    pub fn new(sql: &'static str) -> Call {
        Call {
            sql,
            parameters: Vec::new(),
            locks: Vec::new(),
            again: Again::Same,
            signals: false,
        }
    }

    /// With the next parameter.
    #[must_use]
    pub fn bind<T: Bind>(mut self, value: T) -> Call {
        self.parameters.push(parameter(value));
        self
    }

    /// With something that is locked before anything is done.
    #[must_use]
    pub fn lock(mut self, name: String) -> Call {
        self.locks.push(name);
        self
    }

    /// A call that would not answer the same when it is done twice; that statement finds what it answered.
    #[must_use]
    pub fn found_by(mut self, sql: &'static str) -> Call {
        self.again = Again::Other(sql);
        self
    }

    /// A call that would not answer the same when it is done twice.
    #[must_use]
    pub fn not_repeated(mut self) -> Call {
        self.again = Again::Unknown;
        self
    }

    /// A call that writes what others wait for: they are told after the commit.
    #[must_use]
    pub fn signals(mut self) -> Call {
        self.signals = true;
        self
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("sql", &self.sql)
            .finish_non_exhaustive()
    }
}

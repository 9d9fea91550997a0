//! Faults that can be compiled in, one at a time, so that the chaos tests can prove that they would see them: only with the
//! feature `mutants`, which no program that is shipped has. `CHAOS_MUTATION` names the one that is on.

/// One thing done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A slot without a worker loses its listener, as if each worker owned its own. It gets a new one.
    CloseRetired,
    /// A slot stays in rotation whatever becomes of its worker.
    SkipUnroute,
    /// A drain closes what is silent at once, a request on the wire or not.
    ShutdownAtOnce,
    /// New connections are not steered at all: the kernel's hash spreads them. No fault, but what steering is compared with.
    Hash,
}

impl Mutation {
    fn name(self) -> &'static str {
        match self {
            Mutation::CloseRetired => "close-retired",
            Mutation::SkipUnroute => "skip-unroute",
            Mutation::ShutdownAtOnce => "shutdown-at-once",
            Mutation::Hash => "hash",
        }
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_on(self) -> bool {
        std::env::var_os("CHAOS_MUTATION").is_some_and(|name| name == self.name())
    }
}

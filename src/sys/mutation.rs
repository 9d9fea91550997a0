//! Faults that can be compiled in, so that the chaos tests can prove that they would see them: only with the
//! feature `mutants`, which no shipped program has. The variable `CHAOS_MUTATION` names the fault that is on.

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A slot without a worker loses its listener, as if each worker owned its own. It gets a new one.
    CloseRetired,
    /// A slot stays in rotation whatever becomes of its worker.
    SkipUnroute,
    /// A drain closes silent connections at once, whether a request is on the wire or not.
    ShutdownAtOnce,
    /// New connections are not steered: the kernel's hash spreads them. No fault, but the baseline that
    /// steering is compared with.
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

    /// Whether this fault is on.
    #[must_use]
    pub fn is_on(self) -> bool {
        std::env::var_os("CHAOS_MUTATION").is_some_and(|name| name == self.name())
    }
}

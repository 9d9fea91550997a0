//! The role of a listener: whom its clients are taken for. Pure: an address is passed in.

use super::address::Address;
use super::relations::Conflict;
use super::settings::{ClusterSettings, Settings};

/// The most addresses of `bind` and `internal` together. A worker gets one listener for each, and all of them
/// in one message.
const MOST_ADDRESSES: usize = 1_000;

/// Whom the clients of a listener are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerRole {
    /// Anybody: they may do what anybody may.
    Public,
    /// The operator's own programs: they may do everything.
    Internal,
}

impl ClusterSettings {
    /// The role of the listener that is bound to this address. When neither `internal` nor
    /// `internal_token_file` is set, listeners of loopback addresses and unix sockets are internal.
    #[must_use]
    pub fn role_of(&self, bound: &Address) -> ListenerRole {
        let is_internal = if self.names_internal_clients() {
            self.is_of_internal(bound)
        } else {
            bound.is_loopback()
        };
        match is_internal {
            true => ListenerRole::Internal,
            false => ListenerRole::Public,
        }
    }

    /// Whether somebody has set who may do what only internal clients may.
    #[must_use]
    pub fn names_internal_clients(&self) -> bool {
        !self.internal.is_empty() || self.internal_token_file.is_some()
    }

    /// Port 0 stands for the port that the kernel chose, unless another address of the list names the port.
    fn is_of_internal(&self, bound: &Address) -> bool {
        if self.bind.contains(bound) || self.internal.contains(bound) {
            return self.internal.contains(bound);
        }
        let (Address::Tcp(chosen), mut internal) = (bound, self.internal.iter()) else {
            return false;
        };
        internal.any(|address| {
            matches!(address, Address::Tcp(address) if address.port() == 0 && address.ip() == chosen.ip())
        })
    }
}

impl Settings {
    /// Adds the internal addresses to those that are bound, after both lists were read.
    pub(super) fn bind_internal(&mut self) -> Option<Conflict> {
        let cluster = &mut self.cluster;
        let overlapping = cluster.internal.iter().find_map(|internal| {
            let overlaps = |public: &&Address| public.covers(internal) || internal.covers(public);
            Some((internal, cluster.bind.iter().find(overlaps)?))
        });
        let all = cluster.bind.len() + cluster.internal.len();
        let conflict = if let Some((internal, public)) = overlapping {
            Some(Conflict {
                keys: &["cluster.internal", "cluster.bind"],
                message: format!(
                    "internal has {internal} and bind has {public}, expected each address in one of the \
                     two lists, because a listener has one role: remove one of them"
                ),
            })
        } else if self.run.is_asked_for() && cluster.names_internal_clients() {
            Some(Conflict {
                keys: match cluster.internal.is_empty() {
                    true => &["cluster.internal_token_file", "run.command"],
                    false => &["cluster.internal", "run.command"],
                },
                message: "internal or internal_token_file is set beside run.command, expected one of the \
                          two, because a program is not told which of its clients are internal: \
                          remove the key"
                    .to_owned(),
            })
        } else {
            (all > MOST_ADDRESSES).then(|| Conflict {
                keys: &["cluster.internal", "cluster.bind"],
                message: format!(
                    "bind and internal have {all} addresses, expected at most {MOST_ADDRESSES}: \
                     each worker has a listener open for each"
                ),
            })
        };
        if conflict.is_none() {
            cluster.bind.extend(cluster.internal.iter().cloned());
        }
        conflict
    }
}

#[cfg(test)]
mod tests {
    use super::ListenerRole::{Internal, Public};
    use super::*;

    fn roles<const N: usize>(settings: &ClusterSettings, bound: [&str; N]) -> [ListenerRole; N] {
        bound.map(|text| settings.role_of(&text.parse().expect(text)))
    }

    fn settings(bind: &[&str], internal: &[&str]) -> ClusterSettings {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect();
        let mut all = Settings::default();
        all.cluster.bind = list(bind);
        all.cluster.internal = list(internal);
        assert_eq!(all.bind_internal(), None);
        all.cluster
    }

    #[test]
    fn loopback_is_internal_until_somebody_says_who_is() {
        let mut cluster = settings(&["127.0.0.1:80", "0.0.0.0:81"], &[]);
        let bound = ["127.0.0.1:80", "[::1]:80", "unix:/x", "0.0.0.0:81", "10.0.0.1:80"];
        assert_eq!(
            roles(&cluster, bound),
            [Internal, Internal, Internal, Public, Public]
        );
        cluster.internal_token_file = Some("/t".into());
        assert_eq!(roles(&cluster, bound), [Public; 5]);
    }

    #[test]
    fn the_named_addresses_are_internal_and_no_others() {
        let cluster = settings(&["127.0.0.1:80"], &["10.0.0.1:80", "unix:/x"]);
        let bound = ["10.0.0.1:80", "unix:/x", "127.0.0.1:80", "10.0.0.1:81", "unix:/y"];
        assert_eq!(
            roles(&cluster, bound),
            [Internal, Internal, Public, Public, Public]
        );
        assert_eq!(cluster.bind.len(), 3, "all of them are bound");
    }

    #[test]
    fn a_port_of_the_kernels_choice_is_internal_unless_the_other_list_names_it() {
        let cluster = settings(&["127.0.0.1:80"], &["127.0.0.1:0"]);
        assert_eq!(
            roles(&cluster, ["127.0.0.1:40000", "127.0.0.1:80", "127.0.0.2:40000"]),
            [Internal, Public, Public]
        );
        let cluster = settings(&["127.0.0.1:0"], &["127.0.0.1:80"]);
        assert_eq!(
            roles(&cluster, ["127.0.0.1:40000", "127.0.0.1:80"]),
            [Public, Internal]
        );
    }
}

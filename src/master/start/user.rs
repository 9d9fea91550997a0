//! The keys `user` and `group`: names or numbers, resolved to the credentials that the workers run with.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User};

use crate::config::ClusterSettings;
use crate::sys::process::Credentials;

/// Why workers cannot run as that user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The system has no such user or group.
    #[error("there is no {kind} {name:?} on this system (expected a name or a number)")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name as it was given.
        name: String,
    },
    /// Only root may start workers as another user.
    #[error(
        "only root may run workers as another user (this is user {own}); start as root, or leave `user` and \
         `group` out"
    )]
    NotRoot {
        /// The user id of this process.
        own: u32,
    },
}

/// Resolves `user` and `group`; `None` when the workers run as the master does.
///
/// # Errors
/// When a name is unknown, or another user is wanted without being root.
pub(in crate::master) fn credentials(
    user: Option<&str>,
    group: Option<&str>,
) -> Result<Option<Credentials>, UserError> {
    if user.is_none() && group.is_none() {
        return Ok(None);
    }
    let (own_uid, own_gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let (uid, primary) = user.map_or(Ok((own_uid, own_gid)), find_user)?;
    let gid = group.map_or(Ok(primary), find_group)?;
    if (uid, gid) == (own_uid, own_gid) && !own_uid.is_root() {
        return Ok(None);
    }
    if !own_uid.is_root() {
        return Err(UserError::NotRoot {
            own: own_uid.as_raw(),
        });
    }
    Ok(Some(with_groups(uid.as_raw(), gid.as_raw())))
}

/// The credentials of a user: with this group and, as a login gives them, the supplementary groups that the
/// system's group database lists the user in. A user without a name has none.
pub(in crate::master) fn with_groups(uid: u32, gid: u32) -> Credentials {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = user.and_then(|user| CString::new(user.name).ok());
    let groups = name.and_then(|name| nix::unistd::getgrouplist(&name, Gid::from_raw(gid)).ok());
    Credentials {
        uid,
        gid,
        groups: groups.map_or_else(
            || vec![gid],
            |groups| groups.iter().map(|group| group.as_raw()).collect(),
        ),
    }
}

/// Checks that the user and the group exist. Whether this process may become them is not checked.
///
/// # Errors
/// [`UserError::Unknown`] names the one that does not exist.
pub fn look_up(cluster: &ClusterSettings) -> Result<(), UserError> {
    cluster.user.as_deref().map(find_user).transpose()?;
    cluster.group.as_deref().map(find_group).transpose()?;
    Ok(())
}

fn find_user(name: &str) -> Result<(Uid, Gid), UserError> {
    let number = name.parse().ok().map(Uid::from_raw);
    let found = number
        .map_or_else(|| User::from_name(name), User::from_uid)
        .ok()
        .flatten();
    match (found, number) {
        (Some(user), _) => Ok((user.uid, user.gid)),
        (None, Some(uid)) => Ok((uid, Gid::from_raw(uid.as_raw()))),
        (None, None) => Err(UserError::Unknown {
            kind: "user",
            name: name.to_owned(),
        }),
    }
}

fn find_group(name: &str) -> Result<Gid, UserError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(name).ok().flatten().map(|group| group.gid);
    found.ok_or_else(|| UserError::Unknown {
        kind: "group",
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_resolved_and_unknown_names_refused() {
        assert!(matches!(credentials(None, None), Ok(None)));
        assert!(matches!(
            credentials(Some("no-such-user"), None),
            Err(UserError::Unknown { kind: "user", .. })
        ));
        assert!(matches!(
            credentials(None, Some("no-such-group")),
            Err(UserError::Unknown { kind: "group", .. })
        ));
        let (uid, gid) = find_user("root").expect("root is always there");
        assert!(uid.is_root() && gid.as_raw() == 0);
    }
}

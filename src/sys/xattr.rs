//! Extended attributes of files (xattr(7)).

use std::ffi::CStr;
use std::io;

use nix::errno::Errno;

/// The value of an attribute, if it has at most as many bytes as the buffer.
///
/// # Errors
/// ENODATA when there is no such attribute, ERANGE when it is longer, and the errors of the file system.
pub fn get<'buffer>(path: &CStr, name: &CStr, buffer: &'buffer mut [u8]) -> io::Result<&'buffer [u8]> {
    // SAFETY: both names end with a null byte, and the kernel writes at most as many bytes as the buffer has.
    let length = unsafe {
        libc::getxattr(
            path.as_ptr(),
            name.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    };
    let length = usize::try_from(Errno::result(length)?).map_err(io::Error::other)?;
    Ok(&buffer[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_is_not_there_is_an_error() {
        let mut buffer = [0; 8];
        let read = get(c"/proc/self/stat", c"user.nothing", &mut buffer);
        assert!(read.is_err(), "{read:?}");
    }
}

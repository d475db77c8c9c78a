//! Error numbers in illumos's words, as its commands print them.

use std::io;

// The numbers below 35 are Linux's, too.
pub use libc::{EBUSY, EINVAL, EIO, ENOENT, ENXIO};
/// `ENOTSUP` on illumos.
const ENOTSUP: i32 = 48;
/// `ENOSYS` on illumos.
const ENOSYS: i32 = 89;

/// Numbers for which illumos has other words than Linux.
const OWN: &[(i32, &str)] = &[
    (libc::EPERM, "Not owner"),
    (EIO, "I/O error"),
    (libc::E2BIG, "Arg list too long"),
    (libc::EBADF, "Bad file number"),
    (libc::ECHILD, "No child processes"),
    (libc::ENOMEM, "Not enough space"),
    (EBUSY, "Device busy"),
    (libc::EXDEV, "Cross-device link"),
    (libc::ENFILE, "File table overflow"),
    (libc::ENOTTY, "Inappropriate ioctl for device"),
    (libc::ENOSPC, "Out of memory or no room in system tables"),
    (libc::EDOM, "Argument out of domain"),
    (libc::ERANGE, "Result too large"),
    (ENOTSUP, "Operation not supported"),
    (ENOSYS, "Operation not applicable"),
];

/// Returns the text of an illumos errno, as the commands of modload(8)'s family print it.
pub fn text(errno: i32) -> String {
    if let Some((_, own)) = OWN.iter().find(|(number, _)| *number == errno) {
        return (*own).to_owned();
    }
    if !(libc::EPERM..=libc::ERANGE).contains(&errno) {
        return format!("Error {errno}");
    }
    let linux = io::Error::from_raw_os_error(errno).to_string();
    linux.split(" (os error").next().unwrap_or(&linux).to_owned()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn the_words_are_illumos_s() {
        assert_eq!(text(16), "Device busy");
        assert_eq!(text(22), "Invalid argument");
        assert_eq!(text(2), "No such file or directory");
        assert_eq!(text(6), "No such device or address");
        assert_eq!(text(200), "Error 200");
    }
}

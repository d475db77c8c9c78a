//! Error numbers in illumos's words, as its commands print them.

use std::io;

/// `ENOENT`.
pub const ENOENT: i32 = 2;
/// `EIO`.
pub const EIO: i32 = 5;
/// `ENXIO`.
pub const ENXIO: i32 = 6;
/// `EBUSY`.
pub const EBUSY: i32 = 16;
/// `EINVAL`.
pub const EINVAL: i32 = 22;

/// Where illumos has other words than Linux has for the same number.
const OWN: &[(i32, &str)] = &[
    (1, "Not owner"),
    (5, "I/O error"),
    (7, "Arg list too long"),
    (9, "Bad file number"),
    (10, "No child processes"),
    (12, "Not enough space"),
    (16, "Device busy"),
    (18, "Cross-device link"),
    (23, "File table overflow"),
    (25, "Inappropriate ioctl for device"),
    (28, "Out of memory or no room in system tables"),
    (33, "Argument out of domain"),
    (34, "Result too large"),
    (48, "Operation not supported"),
    (89, "Operation not applicable"),
];

/// What the commands of modload(8)'s family say of an illumos errno.
pub fn text(errno: i32) -> String {
    if let Some((_, own)) = OWN.iter().find(|(number, _)| *number == errno) {
        return (*own).to_owned();
    }
    if !(1..=34).contains(&errno) {
        return format!("Error {errno}");
    }
    // The low numbers are the same ones.
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

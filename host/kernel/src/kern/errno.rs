//! Error numbers: drivers speak illumos, processes Linux. No locking.

use std::ffi::c_int;

use ddi_process::Errno;
use ddi_sys::EIO;

/// illumos's number for a Linux errno.
pub fn illumos_errno(linux: i32) -> c_int {
    if linux <= 34 {
        return linux;
    }
    ERRNO.iter().find(|(_, l)| *l == linux).map_or(EIO, |(i, _)| *i)
}

/// Linux's number for an illumos errno; `EIO` for one that Linux has not.
pub fn linux_errno(illumos: c_int) -> Errno {
    let linux = match illumos {
        // A driver's -1 (DDI_FAILURE) is no error number; the process gets it all the same.
        ..=34 => illumos,
        _ => ERRNO.iter().find(|(i, _)| *i == illumos).map_or(libc::EIO, |(_, l)| *l),
    };
    Errno(linux)
}

/// Error numbers that differ: illumos, Linux.
const ERRNO: &[(c_int, i32)] = &[
    (35, libc::ENOMSG),
    (36, libc::EIDRM),
    (45, libc::EDEADLK),
    (46, libc::ENOLCK),
    (47, libc::ECANCELED),
    (48, libc::EOPNOTSUPP),
    (49, libc::EDQUOT),
    (58, libc::EOWNERDEAD),
    (59, libc::ENOTRECOVERABLE),
    (60, libc::ENOSTR),
    (61, libc::ENODATA),
    (62, libc::ETIME),
    (63, libc::ENOSR),
    (67, libc::ENOLINK),
    (70, libc::ECOMM),
    (71, libc::EPROTO),
    (74, libc::EMULTIHOP),
    (77, libc::EBADMSG),
    (78, libc::ENAMETOOLONG),
    (79, libc::EOVERFLOW),
    (80, libc::ENOTUNIQ),
    (81, libc::EBADFD),
    (82, libc::EREMCHG),
    (88, libc::EILSEQ),
    (89, libc::ENOSYS),
    (90, libc::ELOOP),
    (93, libc::ENOTEMPTY),
    (94, libc::EUSERS),
    (95, libc::ENOTSOCK),
    (96, libc::EDESTADDRREQ),
    (97, libc::EMSGSIZE),
    (98, libc::EPROTOTYPE),
    (99, libc::ENOPROTOOPT),
    (120, libc::EPROTONOSUPPORT),
    (121, libc::ESOCKTNOSUPPORT),
    (122, libc::EOPNOTSUPP),
    (123, libc::EPFNOSUPPORT),
    (124, libc::EAFNOSUPPORT),
    (125, libc::EADDRINUSE),
    (126, libc::EADDRNOTAVAIL),
    (127, libc::ENETDOWN),
    (128, libc::ENETUNREACH),
    (129, libc::ENETRESET),
    (130, libc::ECONNABORTED),
    (131, libc::ECONNRESET),
    (132, libc::ENOBUFS),
    (133, libc::EISCONN),
    (134, libc::ENOTCONN),
    (143, libc::ESHUTDOWN),
    (144, libc::ETOOMANYREFS),
    (145, libc::ETIMEDOUT),
    (146, libc::ECONNREFUSED),
    (147, libc::EHOSTDOWN),
    (148, libc::EHOSTUNREACH),
    (149, libc::EALREADY),
    (150, libc::EINPROGRESS),
    (151, libc::ESTALE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_translated_both_ways() {
        assert_eq!(linux_errno(11), Errno(libc::EAGAIN));
        assert_eq!(linux_errno(48), Errno(libc::EOPNOTSUPP));
        assert_eq!(linux_errno(145), Errno(libc::ETIMEDOUT));
        assert_eq!(linux_errno(0x403), Errno(libc::EIO));
        assert_eq!(illumos_errno(libc::ENOMEM), 12);
        assert_eq!(illumos_errno(libc::ENAMETOOLONG), 78);
        for (illumos, linux) in ERRNO {
            assert_eq!(linux_errno(*illumos), Errno(*linux));
        }
    }
}

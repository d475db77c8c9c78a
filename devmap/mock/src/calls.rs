//! What a process asks of the device besides mappings: open, close, ioctl, read, write.

use ddi_sys as sys;

use super::cb_ops;

/// Turns an error number into a result; 0 is success.
pub fn sys_errno(error: i32) -> Result<(), i32> {
    if error == 0 { Ok(()) } else { Err(error) }
}

/// open(2). Returns 0 or an error number.
pub fn open(dev: sys::dev_t, flag: i32) -> i32 {
    open_new(dev, flag).err().unwrap_or(0)
}

/// open(2): the device number of the open, which the driver may have chosen.
pub fn open_new(dev: sys::dev_t, flag: i32) -> Result<sys::dev_t, i32> {
    let mut new = dev;
    // SAFETY: as open(9E); devmap hands the credentials on, and ours never looks at them.
    sys_errno(unsafe { cb_ops().cb_open.unwrap()(&mut new, flag, sys::OTYP_CHR, std::ptr::null_mut()) })?;
    assert_eq!(new >> 32, dev >> 32, "another driver's number");
    Ok(new)
}

/// close(2). Returns 0 or an error number.
pub fn close(dev: sys::dev_t) -> i32 {
    // SAFETY: as close(9E).
    unsafe { cb_ops().cb_close.unwrap()(dev, 0, sys::OTYP_CHR, std::ptr::null_mut()) }
}

/// ioctl(2) with an address or a number: the error number, and the result.
pub fn ioctl(dev: sys::dev_t, command: i32, arg: isize) -> (i32, i32) {
    ioctl_as(dev, command, arg, sys::FREAD)
}

/// The same by a caller with this mode, which says its data model.
pub fn ioctl_as(dev: sys::dev_t, command: i32, arg: isize, mode: i32) -> (i32, i32) {
    let mut value = -1;
    // SAFETY: as ioctl(9E); an argument that is an address is the caller's own (`ioctl_with`), or one that copying refuses.
    let error =
        unsafe { cb_ops().cb_ioctl.unwrap()(dev, command, arg, mode, std::ptr::null_mut(), &mut value) };
    (error, value)
}

/// ioctl(2) with a structure. Returns 0 or an error number.
pub fn ioctl_with<T>(dev: sys::dev_t, command: i32, arg: &mut T) -> i32 {
    ioctl(dev, command, std::ptr::from_mut(arg) as isize).0
}

fn uio(iov: *mut sys::iovec_t, len: usize, offset: i64) -> sys::uio_t {
    sys::uio_t {
        uio_iov: iov,
        uio_iovcnt: 1,
        _uio_offset: sys::lloff_t { _f: offset },
        uio_segflg: 0,
        uio_fmode: 0,
        uio_extflg: 0,
        _uio_limit: sys::lloff_t { _f: i64::MAX },
        uio_resid: len as isize,
    }
}

/// read(2) of at most `len` bytes. Returns the bytes.
///
/// # Errors
/// The error number.
pub fn read(dev: sys::dev_t, len: usize, offset: i64) -> Result<Vec<u8>, i32> {
    let mut bytes = vec![0_u8; len];
    let mut iov = sys::iovec_t { iov_base: bytes.as_mut_ptr().cast(), iov_len: len };
    let mut uio = uio(&raw mut iov, len, offset);
    // SAFETY: as read(9E), with a buffer that lives through the call.
    let error = unsafe { cb_ops().cb_read.unwrap()(dev, &mut uio, std::ptr::null_mut()) };
    bytes.truncate(len - uio.uio_resid as usize);
    if error == 0 { Ok(bytes) } else { Err(error) }
}

/// write(2). Returns the number of bytes that were taken.
///
/// # Errors
/// The error number.
pub fn write(dev: sys::dev_t, bytes: &[u8]) -> Result<usize, i32> {
    let mut iov = sys::iovec_t { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut uio = uio(&raw mut iov, bytes.len(), 0);
    // SAFETY: as write(9E), with a buffer that lives through the call and is only read.
    let error = unsafe { cb_ops().cb_write.unwrap()(dev, &mut uio, std::ptr::null_mut()) };
    if error == 0 { Ok(bytes.len() - uio.uio_resid as usize) } else { Err(error) }
}

//! The files of an illumos system below one directory: what is installed there, how that changes, and what drivers' devices are called.
//!
//! | file | what |
//! | --- | --- |
//! | `root` | the system's directory: its databases, its modules, its locks |
//! | `add_drv`, `rem_drv`, `update_drv`, `policy` | how the databases change |
//! | `perms` | etc/minor_perm, as the kernel reads it |
//! | `devlink`, `links` | etc/devlink.tab and the links in /dev, as devfsadm(8) makes them |
//! | `conf`, `props` | driver.conf(5), and the properties that it gives |
//! | `getopt`, `errno`, `glob` | command lines, messages and patterns as illumos has them |
//!
//! Nothing here knows a kernel: whoever runs one takes part by [`add_drv::Running`]. No locking but for the files' own locks.

pub mod add_drv;
pub mod conf;
pub mod devlink;
pub mod errno;
pub mod getopt;
pub mod glob;
pub mod links;
pub mod perms;
pub mod policy;
pub mod props;
pub mod rem_drv;
pub mod root;
pub mod update_drv;

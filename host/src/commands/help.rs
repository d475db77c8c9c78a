//! The `--help` texts of the commands that take illumos's options.

/// add_drv.
pub const ADD_DRV: &str = "\
Options, as on illumos:
  --root DIR         The system's directory; the driver's module is DIR/kernel/drv/amd64/NAME
  -m 'PERMISSION'    Permissions of minor nodes: 'MINOR MODE OWNER GROUP', more of them behind commas
  -i '\"ALIAS\" ...'   Names of devices that the driver binds to besides its own
  -c CLASS           Classes of devices that the driver exports
  -p POLICY          Which privileges opening the device needs: 'MINOR read_priv_set=... write_priv_set=...'
  -P PRIVILEGE       Privileges that the driver defines
  -n                 Change the databases only; do not load the driver
  -b DIR             The same, in another system's directory
  -f                 Continue although another driver has the device
  -v                 Print each step

Exit status: 0, also if the driver is installed but does not attach; 1 if it is not installed.";

/// rem_drv.
pub const REM_DRV: &str = "\
Options, as on illumos:
  --root DIR    The system's directory
  -n            Change the databases only; do not unload the driver
  -b DIR        The same, in another system's directory
  -C            Drop the permissions that its device nodes were given

Exit status: 0, also if the driver is in use and stays until the machine ends; 1 if it is not installed.";

/// update_drv.
pub const UPDATE_DRV: &str = "\
Without -a and -d the driver is unloaded, and attached with its configuration file as it is now.

Options, as on illumos:
  --root DIR                The system's directory
  -a                        Add what -m, -i, -P and -p give
  -d                        Remove it
  -m 'PERMISSION'           A permission, 'MINOR MODE OWNER GROUP'; for -d it is the whole entry
  -i '\"ALIAS\" ...'          Names of devices; for -d one, without quotes
  -P PRIVILEGE              Privileges
  -p POLICY                 A policy; for -d the minor nodes that it is for
  -f                        Continue although the driver is in use or an argument is wrong
  -n                        Change the databases only
  -b DIR                    The same, in another system's directory
  -v                        Print each step
  -l                        Show the driver's permissions

Exit status: 0; 1 for wrong options, or if the driver cannot be unloaded; 252 if a permission does not exist; 255 if an
argument is wrong.";

/// modload.
pub const MODLOAD: &str = "\
Options, as on illumos:
  --root DIR    The directory of a system that ddi-host serve keeps up
  -p            FILE is a name along the module path, such as drv/ctxdev
  -e PROGRAM    After loading run a program, with the module's number and the driver's major number as arguments

Exit status: 0; illumos's error number if the module cannot be loaded; 255 for wrong options.";

/// modunload.
pub const MODUNLOAD: &str = "\
Options, as on illumos:
  --root DIR    The directory of a system that ddi-host serve keeps up
  -i ID         The module's number, as modinfo shows it; 0: all that are not in use
  -e PROGRAM    Before unloading run a program, with the module's number as argument; if it fails, nothing is unloaded

Exit status: 0; illumos's error number if the module cannot be unloaded (16: Device busy); 255 for wrong options.";

/// modinfo.
pub const MODINFO: &str = "\
Options, as on illumos:
  --root DIR    The directory of a system that ddi-host serve keeps up: its loaded modules
  -i ID         Only the module with this number
  -c            Show how often each module was loaded, including those no longer loaded
  -w            Do not truncate descriptions
  FILE          Without --root: describe this module file
  -u FILE       List the undefined symbols of a module file

Exit status: 0; illumos's error number if there is no such module; 255 for wrong options.";

/// kstat.
pub const KSTAT: &str = "\
Usage:
  kstat [ -Cjlpq ] [ -T d|u ] [ -c class ] [ -m module ] [ -i instance ] [ -n name ] [ -s statistic ] [ interval [ count ] ]
  kstat [ -Cjlpq ] [ -T d|u ] [ -c class ] [ module[:instance[:name[:statistic]]] ... ] [ interval [ count ] ]

Options, as on illumos:
  --root DIR      The directory of a system that ddi-host serve keeps up; without it, the kernel that this runs under
  -p              One line for each statistic: module:instance:name:statistic, a tab, the value
  -C              The same with a colon before the value
  -l              The same without values
  -j              JSON
  -q              Print nothing; the exit status says whether a statistic matches
  -T d|u          Print the time first: d as date(1) does, u in seconds
  -c CLASS        Only statistics of this class
  -m, -i, -n, -s  Only statistics of this module, instance, name, statistic
A name is a shell pattern, or an extended regular expression between slashes.

Exit status: 0 if a statistic matches, and for an unknown option; 1 if none does; 2 for a wrong argument.";

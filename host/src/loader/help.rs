//! What `--help` says of the commands that take illumos's options.

/// add_drv.
pub const ADD_DRV: &str = "\
As illumos has them:
  --root DIR         The system's directory; the driver's module is DIR/kernel/drv/amd64/NAME
  -m 'PERMISSION'    Permissions of minor nodes: 'MINOR MODE OWNER GROUP', more of them behind commas
  -i '\"ALIAS\" ...'   Names of devices that the driver binds to besides its own
  -c CLASS           Classes of devices that the driver exports
  -p POLICY          Which privileges opening the device needs: 'MINOR read_priv_set=... write_priv_set=...'
  -P PRIVILEGE       Privileges that the driver brings to the system
  -n                 Enter the driver in the databases, do not load it
  -b DIR             The same, in another system's directory
  -f                 Go on when another driver has the device
  -v                 Say what is done

Exit status: 0, also when the driver is installed and does not attach; 1 when it is not installed.";

/// rem_drv.
pub const REM_DRV: &str = "\
As illumos has them:
  --root DIR    The system's directory
  -n            Take the driver out of the databases, do not unload it
  -b DIR        The same, in another system's directory
  -C            Forget the permissions that were given to its device nodes

Exit status: 0, also when the driver is in use and stays until the machine ends; 1 when it is not installed.";

/// update_drv.
pub const UPDATE_DRV: &str = "\
Without -a and -d the driver is unloaded, its configuration file is read anew, and it is attached.

As illumos has them:
  --root DIR                The system's directory
  -a                        Add what -m, -i, -P and -p say
  -d                        Take it away
  -m 'PERMISSION'           A permission, 'MINOR MODE OWNER GROUP'; for -d it is the whole entry
  -i '\"ALIAS\" ...'          Names of devices; for -d one, without quotes
  -P PRIVILEGE              Privileges
  -p POLICY                 A policy; for -d the minor nodes that it is for
  -f                        Go on when the driver is in use, or when something is wrong
  -n                        Change the databases only
  -b DIR                    The same, in another system's directory
  -v                        Say what is done
  -l                        Show the driver's permissions

Exit status: 0; 1 for wrong options, or when the driver cannot be unloaded; 252 when a permission is not there; 255 when an
argument is wrong.";

/// modload.
pub const MODLOAD: &str = "\
As illumos has them:
  --root DIR    The directory of a system that ddi-host serve keeps up
  -p            FILE is a name along the module path, such as drv/ctxdev
  -e PROGRAM    Run a program with the module's number and the driver's major number when it is loaded

Exit status: 0; illumos's error number when the module cannot be loaded; 255 for wrong options.";

/// modunload.
pub const MODUNLOAD: &str = "\
As illumos has them:
  --root DIR    The directory of a system that ddi-host serve keeps up
  -i ID         The module's number, as modinfo shows it; 0: all that are not in use
  -e PROGRAM    Run a program with the module's number before; if it fails, nothing is unloaded

Exit status: 0; illumos's error number when the module cannot be unloaded (16: Device busy); 255 for wrong options.";

/// modinfo.
pub const MODINFO: &str = "\
As illumos has them:
  --root DIR    The directory of a system that ddi-host serve keeps up: its loaded modules
  -i ID         Only the module with this number
  -c            How often modules were loaded, and those that are not loaded any more
  -w            Do not cut descriptions
  FILE          Without --root: what this module file is
  -u FILE       The names that a module file leaves to others

Exit status: 0; illumos's error number when there is no such module; 255 for wrong options.";

/// kstat.
pub const KSTAT: &str = "\
Usage:
  kstat [ -Cjlpq ] [ -T d|u ] [ -c class ] [ -m module ] [ -i instance ] [ -n name ] [ -s statistic ] [ interval [ count ] ]
  kstat [ -Cjlpq ] [ -T d|u ] [ -c class ] [ module[:instance[:name[:statistic]]] ... ] [ interval [ count ] ]

As illumos has them:
  --root DIR      The directory of a system that ddi-host serve keeps up; without it, the kernel that this runs under
  -p              One line for each statistic: module:instance:name:statistic, a tab, the value
  -C              The same with a colon before the value
  -l              The same without values
  -j              JSON
  -q              Show nothing; the exit status tells whether there is one
  -T d|u          Print the time first: as date(1) does, or in seconds
  -c CLASS        Only those of this class
  -m, -i, -n, -s  Only those of this module, instance, name, statistic
A name is a pattern as shells have it, or an extended regular expression between slashes.

Exit status: 0 when there was one, and for an unknown option; 1 when there was none; 2 when a word is wrong.";

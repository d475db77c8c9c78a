//! Signals of programs that the tests start.

use std::process::Command;

/// Has a command start with the signals of a terminal not ignored, as they are in the background of a shell.
pub fn with_signals(command: &mut Command) -> &mut Command {
    let defaults = || {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, defaults) }
}

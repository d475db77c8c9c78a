//! Signals of programs that the tests start.

use std::process::Command;

/// Starts a command with a terminal's signals at their defaults; a shell's background jobs ignore them.
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

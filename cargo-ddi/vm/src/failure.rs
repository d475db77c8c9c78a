//! What can go wrong with a guest, each with the words that tell it and the exit status of `cargo xtask vm`.

use std::time::Duration;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The guest's kernel panicked.
    #[error("the guest panicked during {step}: {line}")]
    Panic {
        /// The step that was under way.
        step: &'static str,
        /// The console's line.
        line: String,
    },
    /// No login prompt in time.
    #[error("no login was offered within {} s; the console's last line: {last}", limit.as_secs())]
    NoLogin {
        /// The step's limit.
        limit: Duration,
        /// What the console said last.
        last: String,
    },
    /// A prompt, but ssh does not answer.
    #[error("a login was offered, but ssh did not answer within {} s: {said}", limit.as_secs())]
    NoSsh {
        /// The step's limit.
        limit: Duration,
        /// What ssh said last.
        said: String,
    },
    /// Neither ssh nor the console answers.
    #[error("the guest hangs: silent for {} s during {step}, and neither ssh nor the console answers", silent.as_secs())]
    Hung {
        /// The step that was under way.
        step: &'static str,
        /// For how long nothing was heard.
        silent: Duration,
    },
    /// The guest answers, the step's command does not.
    #[error("{step} hangs: no output for {} s, though the guest still answers", silent.as_secs())]
    Stuck {
        /// The step that was under way.
        step: &'static str,
        /// For how long nothing was heard.
        silent: Duration,
    },
    /// A step went on for too long.
    #[error("{step} was not done within {} s", limit.as_secs())]
    Slow {
        /// The step that was under way.
        step: &'static str,
        /// Its limit.
        limit: Duration,
    },
    /// ssh is gone, the guest is not.
    #[error("ssh was lost during {step}, though the console still answers: {said}")]
    LostSsh {
        /// The step that was under way.
        step: &'static str,
        /// What ssh said last.
        said: String,
    },
    /// A file system in the guest is full.
    #[error("a disk in the guest is full ({step}): {line}")]
    GuestDiskFull {
        /// The step that was under way.
        step: &'static str,
        /// Who said so.
        line: String,
    },
    /// The overlay cannot grow.
    #[error("QEMU stopped the guest during {step}: no space left for what it writes (overlay in {dir})")]
    HostDiskFull {
        /// The step that was under way.
        step: &'static str,
        /// Where the overlay is.
        dir: String,
    },
    /// QEMU itself ended.
    #[error("QEMU ended during {step} ({status}): {said}")]
    QemuDied {
        /// The step that was under way.
        step: &'static str,
        /// Its exit status.
        status: String,
        /// What it said last.
        said: String,
    },
    /// The guest went down without being told to.
    #[error("the guest went down during {step} without being told to")]
    Down {
        /// The step that was under way.
        step: &'static str,
    },
    /// A command failed.
    #[error("{step} failed with status {status}: {said}")]
    Command {
        /// The step that was under way.
        step: &'static str,
        /// The command's exit status.
        status: i32,
        /// The end of its output.
        said: String,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted during {step}")]
    Interrupted {
        /// The step that was under way.
        step: &'static str,
    },
    /// Anything on our own side.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Other(error.into())
    }
}

impl Failure {
    /// A short word for reports and for the self-test.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Panic { .. } => "panic",
            Failure::NoLogin { .. } => "no-login",
            Failure::NoSsh { .. } => "no-ssh",
            Failure::Hung { .. } => "hung",
            Failure::Stuck { .. } => "stuck",
            Failure::Slow { .. } => "slow",
            Failure::LostSsh { .. } => "lost-ssh",
            Failure::GuestDiskFull { .. } => "guest-disk-full",
            Failure::HostDiskFull { .. } => "host-disk-full",
            Failure::QemuDied { .. } => "qemu-died",
            Failure::Down { .. } => "down",
            Failure::Command { .. } => "command",
            Failure::Interrupted { .. } => "interrupted",
            Failure::Other(_) => "other",
        }
    }

    /// 130 as shells have it for an interrupt, 2 for our own side, 3 for the guest's.
    pub fn exit_status(&self) -> u8 {
        match self {
            Failure::Interrupted { .. } => 130,
            Failure::Other(_) => 2,
            _ => 3,
        }
    }
}

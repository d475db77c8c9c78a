//! Cases in which the host itself, or the way programs are started, is what is tested.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ddi_process::{FaultMode, LaunchError, Program, check_program};
use ddi_wire::{Cursor, Message, Reply, Request};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, recv, send, socket};

use crate::{Bench, status};

fn policy(b: &Bench) -> &'static str {
    b.server.fault_mode().name()
}

/// A connection to the server, with a time limit for what it says.
fn connect(b: &Bench) -> Result<OwnedFd, String> {
    let address = b.server.environment().into_iter().find(|(name, _)| name == ddi_wire::ENV);
    let (_, address) = address.ok_or("no address")?;
    let name = address.split(':').next().unwrap_or_default();
    let connected = || {
        let fd = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
        rustix::net::connect(&fd, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(Duration::from_secs(10)))?;
        Ok::<_, rustix::io::Errno>(fd)
    };
    connected().map_err(|e| e.to_string())
}

/// Sends a message; returns the answer's bytes, none when the server has hung up.
fn say(fd: &OwnedFd, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut answer = vec![0; ddi_wire::MESSAGE_MAX];
    let n = send(fd, bytes, SendFlags::NOSIGNAL).and_then(|_| recv(fd, &mut answer[..], RecvFlags::empty()));
    match n {
        Ok((_, n)) => {
            answer.truncate(n);
            Ok(answer)
        }
        Err(rustix::io::Errno::CONNRESET | rustix::io::Errno::PIPE) => Ok(Vec::new()),
        Err(e) => Err(e.to_string()),
    }
}

fn encoded(request: &Request<'_>) -> Vec<u8> {
    let mut room = [0; ddi_wire::HEAD_MAX];
    let mut out = Cursor::new(&mut room);
    request.encode(&mut out).expect("it fits");
    out.bytes().to_vec()
}

/// Whoever speaks another language is hung up on, and everybody else served.
pub fn nonsense(b: &Bench) -> Result<(), String> {
    let hung_up = |what: &str, answer: Vec<u8>| match answer.is_empty() {
        true => Ok(()),
        false => Err(format!("{what}: answered with {answer:?}")),
    };
    let hello = encoded(&Request::Hello);
    let longer = [&hello[..], b"x"].concat();
    for first in [&b"x"[..], &[0; 4], &[0xff; 200], &longer, &encoded(&Request::Stat { open: 1 })] {
        hung_up("a first message", say(&connect(b)?, first)?)?;
    }
    let lifeline = connect(b)?;
    let welcome = say(&lifeline, &hello)?;
    let Ok(Reply::Welcome { process, .. }) = Reply::decode(&welcome) else {
        return Err(format!("no welcome: {welcome:?}"));
    };
    let pid = std::process::id().cast_signed();
    for wrong in [&b"x"[..], &[0; 4], &hello[..3], &longer, &[0xff; 4096]] {
        let line = connect(b)?;
        send(&line, &encoded(&Request::Thread { process, tid: pid }), SendFlags::NOSIGNAL)
            .map_err(|e| e.to_string())?;
        let served = say(&line, &encoded(&Request::Stat { open: u64::MAX }))?;
        if Reply::decode(&served) != Ok(Reply::Failed { errno: libc::EBADF }) {
            return Err(format!("not served: {served:?}"));
        }
        hung_up("a request", say(&line, wrong)?)?;
    }
    drop(lifeline);
    status(b.client("map"), 0)
}

/// A host of its own that runs one client, for [`dies`].
pub fn alone(policy: &str) -> std::process::ExitCode {
    let bench = Bench::new(policy.parse().unwrap_or_default());
    let program = Program {
        path: std::env::current_exe().unwrap_or_default(),
        args: Vec::new(),
        env: vec![("DDI_CLIENT".into(), "linger".into())],
    };
    let child = bench.server.spawn(&program);
    println!("{}", child.as_ref().map_or(0, |c| c.id()));
    std::thread::sleep(Duration::from_secs(60));
    std::process::ExitCode::FAILURE
}

/// Many clients at once.
pub fn sixty_four(b: &Bench) -> Result<(), String> {
    let program = |n: usize| Program {
        path: std::env::current_exe().unwrap_or_default(),
        args: Vec::new(),
        env: vec![("DDI_CLIENT".into(), "worker".into()), ("N".into(), n.to_string().into())],
    };
    let children: Result<Vec<_>, _> = (0..64).map(|n| b.server.spawn(&program(n))).collect();
    let mut bad = 0;
    let mut children = children.map_err(|e| e.to_string())?;
    for child in &mut children {
        bad += usize::from(!child.wait().is_ok_and(|s| s.success()));
    }
    children.into_iter().for_each(|child| b.server.finish(child));
    if bad == 0 { Ok(()) } else { Err(format!("{bad} of 64 clients failed")) }
}

/// A host that is killed takes the clients that go on using its devices with it.
pub fn dies(b: &Bench) -> Result<(), String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut host = Command::new(me)
        .env("DDI_ALONE", policy(b))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let out = BufReader::new(host.stdout.take().ok_or("no output")?);
    let mut lines: Vec<String> = out.lines().take(2).map_while(Result::ok).collect();
    lines.sort();
    let [pid, ready] = lines.as_slice() else { return Err(format!("the host said {lines:?}")) };
    if ready != "ready" {
        return Err(format!("the host said {lines:?}"));
    }
    let pid: i32 = pid.parse().map_err(|_| "no client")?;
    host.kill().map_err(|e| e.to_string())?;
    // Ends when the last holder of the pipe, the client, is gone: killed by its supervisor, if it has not found out before that the host is gone.
    let mut text = String::new();
    host.stderr.take().ok_or("no output")?.read_to_string(&mut text).map_err(|e| e.to_string())?;
    let _ = host.wait();
    if !text.is_empty() && !text.contains("ddi-host is gone") {
        return Err(format!("the client said {text:?}"));
    }
    let end = Instant::now() + Duration::from_secs(5);
    let alive = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, s)| !s.starts_with('Z'))
    };
    while alive(pid) {
        if Instant::now() > end {
            return Err("the client lives on".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // What was that host's is this process's now, as nothing else of it runs.
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) } > 0 {}
    Ok(())
}

/// What cannot be a client is told before it starts.
pub fn programs(_: &Bench) -> Result<(), String> {
    let dir = std::env::temp_dir().join(format!("ddi-programs-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    let file = |name: &str, bytes: &[u8], mode: u32| -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join(name);
        let _ = std::fs::write(&path, bytes);
        let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        path
    };
    let mut elf = std::fs::read(std::env::current_exe().unwrap_or_default()).unwrap_or_default();
    let at = u64::from_le_bytes(elf[32..40].try_into().unwrap_or_default()) as usize;
    let (size, count) = (usize::from(elf[54]), usize::from(elf[56]));
    for i in 0..count {
        if elf[at + i * size] == 3 {
            elf[at + i * size] = 0;
        }
    }
    let fixed = file("static", &elf, 0o755);
    let checks = [
        (Path::new("no-such-program-anywhere").to_path_buf(), "not found"),
        (dir.join("nothing"), "not found"),
        (dir.clone(), "not executable"),
        (file("plain", b"#!/bin/sh\n", 0o644), "not executable"),
        (file("garbage", &[7; 100], 0o755), "not executable"),
        (fixed.clone(), "statically linked"),
        (file("script", format!("#! {}\n", fixed.display()).as_bytes(), 0o755), "statically linked"),
        (file("lost", b"#!/no/such/interpreter -x\n", 0o755), "not found"),
    ];
    let mut wrong: Vec<String> = checks
        .iter()
        .filter_map(|(path, want)| match check_program(path) {
            Err(e) if e.to_string().contains(want) => None,
            other => Some(format!("{}: {other:?}", path.display())),
        })
        .collect();
    for good in [Path::new("sh"), &file("good", b"#!/bin/sh\nexit 0\n", 0o755)] {
        if let Err(e) = check_program(good) {
            wrong.push(format!("{}: {e}", good.display()));
        }
    }
    let _: Option<LaunchError> = None;
    let _ = std::fs::remove_dir_all(&dir);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// The same tests for a user without rights, if this one has any.
pub fn unprivileged(b: &Bench) -> Result<(), String> {
    // SAFETY: no memory is involved.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let mode = match b.server.fault_mode() {
        // What an ordinary user gets of userfaultfd is the other way.
        FaultMode::Userfaultfd => return Ok(()),
        _ => policy(b),
    };
    let copy = std::env::temp_dir().join(format!("ddi-process-test-{}-{mode}", std::process::id()));
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    std::fs::copy(me, &copy).map_err(|e| e.to_string())?;
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(&copy);
    for part in ["map", "fork", "threads", "mprotect", "exec", "detour", "fail", "stop", "kill"] {
        command.arg(format!("{part} ({mode})"));
    }
    let out = command.uid(65534).gid(65534).current_dir("/").output();
    let _ = std::fs::remove_file(&copy);
    let out = out.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if !text.contains(" 0 failed") || text.contains("\n0 passed") {
        return Err(format!("as nobody: {text}"));
    }
    status(out.status.code().unwrap_or(-1), 0)
}

/// After all that: no process, no memfd, no socket of a server that is gone.
pub fn leftovers(_: &Bench) -> Result<(), String> {
    let fds = || {
        let dir = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let mut all: Vec<String> = dir
            .filter_map(|e| std::fs::read_link(e.path()).ok())
            .map(|p| {
                p.to_string_lossy().trim_end_matches(|c: char| c.is_ascii_digit() || c == ']').to_string()
            })
            .collect();
        all.sort();
        all
    };
    // What a case before leaves behind for a moment is gone in the second round; what a round leaves is left by each.
    for round in 1.. {
        let before = fds();
        {
            let bench = Bench::new(Default::default());
            status(bench.client("fork-tree"), 0)?;
            bench.clean()?;
        }
        let mut after = fds();
        // Threads of clients that have just hung up may be a moment behind.
        let end = Instant::now() + Duration::from_secs(10);
        while after != before && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            after = fds();
        }
        if after == before {
            break;
        }
        if round == 3 {
            return Err(format!("descriptors before {before:?}, after {after:?}"));
        }
    }
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let ours = sockets.matches(&format!("@ddi-host.{}.", std::process::id())).count();
    // This case's own server listens.
    if ours == 1 { Ok(()) } else { Err(format!("{ours} sockets")) }
}

/// Processes find a device that stays while the list of devices is replaced all the time.
pub fn list_is_replaced(b: &Bench) -> Result<(), String> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                b.server.devices_changed();
            }
        });
        let ended = status(b.client("look-again"), 0);
        over.store(true, Ordering::Relaxed);
        ended
    })
}

/// All processes that this one has started, directly or not.
fn descendants() -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<i32> = all.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    let mut found = vec![std::process::id().cast_signed()];
    loop {
        let more: Vec<i32> = all
            .iter()
            .copied()
            .filter(|pid| !found.contains(pid) && parent(*pid).is_some_and(|p| found.contains(&p)))
            .collect();
        if more.is_empty() {
            return found.split_off(1);
        }
        found.extend(more);
    }
}

/// What each thread of each child is at, a line each.
pub fn threads_of_children() -> String {
    let mut text = String::new();
    for pid in descendants() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let state = read("stat").rsplit_once(") ").map(|(_, s)| s[..1].to_string()).unwrap_or_default();
            let (name, waits, call) = (read("comm"), read("wchan"), read("syscall"));
            let tid = task.file_name();
            let line = [name.trim(), &state, waits.trim(), call.trim()].join(" ");
            text += &format!("    process {pid} thread {}: {line}\n", tid.to_string_lossy());
        }
    }
    text
}

/// Ends what this process has started.
pub fn kill_children() {
    for pid in descendants() {
        // SAFETY: no memory is involved.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

//! The hostile programs: each tries one thing, and exits with 0 if it worked and with [`STOPPED`] if it was stopped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::process::{Command, exit};
use std::time::Duration;
use std::{env, fs, io, thread};

use nix::sys::signal::kill;
use nix::sys::{ptrace, resource};
use nix::unistd::{Pid, setsid};

use super::raw;

/// The exit code of a program whose attack failed.
pub const STOPPED: i32 = 3;
/// The environment variables that name the attack and what it is aimed at.
pub const ATTACK: &str = "ATTACK";
pub const AIM: &str = "AIM";

/// Not a test: the sandboxed program. The tests start their own binary again with just this one.
#[test]
#[ignore = "this is the hostile program itself, which the other tests run in the sandbox"]
fn hostile() {
    let Ok(attack) = env::var(ATTACK) else { return };
    match carry_out(&attack, &env::var(AIM).unwrap_or_default()) {
        Ok(()) => exit(0),
        Err(error) => {
            eprintln!("stopped: {error}");
            exit(STOPPED)
        }
    }
}

fn carry_out(attack: &str, aim: &str) -> io::Result<()> {
    let number = || aim.parse::<i32>().map_err(io::Error::other);
    match attack {
        "tcp" => TcpStream::connect(aim).map(drop),
        "udp" => send_udp(aim),
        "unix" => UnixStream::connect(aim).map(drop),
        "abstract unix" => UnixStream::connect_addr(&UnixAddr::from_abstract_name(aim)?).map(drop),
        "read" => fs::read(aim).map(drop),
        "write" => fs::write(aim, "hostile"),
        "truncate" => fs::OpenOptions::new().write(true).truncate(true).open(aim).map(drop),
        "delete" => fs::remove_file(aim),
        "link" => std::os::unix::fs::symlink(aim, "link")
            .and_then(|()| fs::read("link"))
            .map(drop),
        "hard link" => fs::hard_link(aim, "link"),
        "signal" => Ok(kill(Pid::from_raw(number()?), None)?),
        "trace" => Ok(ptrace::seize(Pid::from_raw(number()?), ptrace::Options::empty())?),
        "trace child" => trace_child(),
        "read open file" => raw::file_of_number(number()?)?
            .read_to_string(&mut String::new())
            .map(drop),
        "new user namespace" => new_user_namespace(),
        "system call" => raw::call(number()?.into()),
        "raise limit" => raise_core_limit(),
        "run" => Command::new(aim).status().map(drop),
        "processes" => start_threads(number()? as usize),
        "memory" => hold_memory(number()? as usize),
        "memory of many" => many_hold_memory(number()?),
        "output" => print_megabytes(number()?),
        "loop" => endless_loop(),
        "sleep" => sleep(),
        "daemon" => leave_daemon(aim),
        "disk" => fill_disk(number()?, false),
        "deep disk" => fill_disk_far_below(number()?),
        "closed disk" => {
            fs::create_dir("closed")?;
            env::set_current_dir("closed")?;
            fs::set_permissions(".", std::os::unix::fs::PermissionsExt::from_mode(0o300))?;
            fill_disk(number()?, false)
        }
        "limits of another" => succeeds(Command::new("prlimit").args(["--pid", aim])),
        "processors of another" => succeeds(Command::new("taskset").args(["-p", "ffffffff", aim])),
        "deleted files" => fill_disk(number()?, true),
        "one file" => fs::write("file", vec![1; number()? as usize]),
        "empty files" => (0..number()?)
            .try_for_each(|i| fs::write(format!("empty{i}"), ""))
            .map(|()| linger()),
        // An empty line first, as the test harness leaves its own line unfinished.
        "environment" => [(String::new(), String::new())]
            .into_iter()
            .chain(env::vars())
            .try_for_each(|(name, value)| writeln!(io::stdout(), "{name}={value}")),
        "echo" => io::copy(&mut io::stdin(), &mut io::stdout()).map(drop),
        other => Err(io::Error::other(format!("no attack is called {other}"))),
    }
}

fn succeeds(command: &mut Command) -> io::Result<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("it was refused")),
    }
}

/// Behind folders whose path is longer than any path may be.
fn fill_disk_far_below(megabytes: i32) -> io::Result<()> {
    let long = "d".repeat(250);
    for _ in 0..18 {
        fs::create_dir(&long)?;
        env::set_current_dir(&long)?;
    }
    fill_disk(megabytes, false)
}

fn send_udp(aim: &str) -> io::Result<()> {
    let aim: SocketAddr = aim.parse().map_err(io::Error::other)?;
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"secret", aim).map(drop)
}

fn trace_child() -> io::Result<()> {
    let mut child = Command::new("sleep").arg("5").spawn()?;
    let result = ptrace::seize(Pid::from_raw(child.id().cast_signed()), ptrace::Options::empty());
    child.kill()?;
    Ok(result?)
}

fn new_user_namespace() -> io::Result<()> {
    let status = Command::new("unshare").args(["--user", "true"]).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("unshare was refused"))
    }
}

fn raise_core_limit() -> io::Result<()> {
    let (_, most) = resource::getrlimit(resource::Resource::RLIMIT_CORE)?;
    if most > 0 {
        Ok(())
    } else {
        Err(io::Error::other("core dumps are limited to 0 bytes"))
    }
}

/// Threads count as processes, and cost less.
fn start_threads(count: usize) -> io::Result<()> {
    let start = |_| thread::Builder::new().stack_size(64 << 10).spawn(linger);
    (0..count).try_for_each(|i| start(i).map(drop))
}

fn hold_memory(megabytes: usize) -> io::Result<()> {
    let held = vec![1_u8; megabytes << 20];
    linger();
    io::stdout().write_all(&held[..1])
}

/// Each of ten processes stays within the limit for one.
fn many_hold_memory(megabytes: i32) -> io::Result<()> {
    let again = || {
        Command::new(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env(ATTACK, "memory")
            .env(AIM, megabytes.to_string())
            .spawn()
    };
    let children = (0..10).map(|_| again()).collect::<io::Result<Vec<_>>>()?;
    children.into_iter().try_for_each(|mut child| child.wait().map(drop))
}

fn print_megabytes(count: i32) -> io::Result<()> {
    (0..count).try_for_each(|_| io::stdout().write_all(&[b'x'; 1 << 20]))
}

fn endless_loop() -> io::Result<()> {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

fn sleep() -> io::Result<()> {
    thread::sleep(Duration::from_secs(600));
    Ok(())
}

/// Leaves a process behind in a session of its own, and exits at once. `aim` is what it is recognised by.
fn leave_daemon(aim: &str) -> io::Result<()> {
    Command::new("sh")
        .args(["-c", &format!("setsid sh -c 'sleep 300; : {aim}' & exit 0")])
        .status()?;
    if setsid().is_ok() {
        Ok(())
    } else {
        Err(io::Error::other("no session of my own"))
    }
}

fn fill_disk(megabytes: i32, delete: bool) -> io::Result<()> {
    let mut open = Vec::new();
    for i in 0..megabytes {
        let name = format!("file{i}");
        let mut file = fs::File::create(&name)?;
        file.write_all(&[1; 1 << 20])?;
        if delete {
            fs::remove_file(name)?;
        }
        open.push(file);
    }
    linger();
    Ok(())
}

/// Stays long enough to be noticed.
fn linger() {
    thread::sleep(Duration::from_millis(1500));
}

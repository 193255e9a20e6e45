//! System calls for which no safe function exists: an attacker would not stop there either.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;

/// Takes a file number for an open file, as a program does that was left one.
pub fn file_of_number(number: i32) -> io::Result<File> {
    // SAFETY: dup takes no memory; what it returns is new and owned by nobody else.
    match unsafe { libc::dup(number) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: as above.
        copy => Ok(unsafe { File::from_raw_fd(copy) }),
    }
}

/// Makes a system call with all arguments zero.
pub fn call(number: libc::c_long) -> io::Result<()> {
    // SAFETY: null pointers and zero lengths give the kernel nothing to write to.
    match unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

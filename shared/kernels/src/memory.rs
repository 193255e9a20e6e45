//! Keeping freed memory in the process.

/// Asks the allocator to keep freed memory instead of handing it back to the kernel.
///
/// A sampling loop frees and allocates the same big buffers at every step. By default glibc maps
/// each of them anew, and every first touch of a page is then a page fault. Call this once at the
/// start of a program; calling it again changes nothing, and on other systems it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MIB: libc::c_int = 1 << 20;
        // SAFETY: `mallopt` only sets parameters of the allocator, under the allocator's own lock.
        unsafe {
            // 32 MiB is the largest threshold that glibc accepts here; larger buffers are still
            // mapped one by one.
            libc::mallopt(libc::M_MMAP_THRESHOLD, 32 * MIB);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 * MIB);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn may_be_called_again() {
        super::keep_freed_memory();
        super::keep_freed_memory();
        assert_eq!(vec![1.0f32; 1 << 22].iter().sum::<f32>(), (1 << 22) as f32);
    }
}
